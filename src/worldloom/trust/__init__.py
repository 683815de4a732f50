"""What a world knows, task by task, beside nulls, ceilings and planted faults.

`sitting.sit` lets one world sit one task; `probe` is all that a task sees of a world;
`task` says what a task is. A task of your own is one file that has what `task.Task` asks.
"""
