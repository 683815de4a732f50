"""The tasks of the suite: a file or a folder each; `scenes` and `reading` serve several."""
