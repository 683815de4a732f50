"""What a world knows, task by task, beside nulls, ceilings and planted faults.

    probe       all that a task sees of a world; check tests one
    task        what a task is
    sitting     one world sits one task; rows keeps the answers
    suite       one world sits many
    listed      which tasks there are; named finds those of others
    worldprobe  worlds behind the contract as probes
    simulated   simulators as probes; recorded, moments of recordings and who knows them
    pooling     from rows to figures
    paper       the exam as files
    clips       films of what went worst
    tasks/      the tasks, each with `task`, its `verdict` and what else is its own
    report/     profile, card, charts, several reports side by side

A task of your own is one file that has what `task.Task` asks.
"""
