"""What a world knows, where it makes things up, and whether it may be trusted.

`openloop.evaluate` is the whole evaluation; `statistics`, `metrics`, `rollout`,
`states` and `failures` are its parts and can be used alone.
"""
