"""Several worlds side by side: the same figures of their reports, with intervals.

Knows profiles; says who passed what, and never who is best.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from worldloom.errors import WorldloomError
from worldloom.evaluate.report import Figure, number, span
from worldloom.trust.report.paired import Difference
from worldloom.trust.report.profile import FORMAT, Entry, Profile, mark

SURE = 0.05
"""Below it, after Holm, two worlds differ."""


def line_up(profiles: Sequence[Profile], apart: Sequence[Difference] = ()) -> dict[str, Any]:
    """The contents of a comparison as plain values.

    Args:
      profiles: of the same exam.
      apart: what their answers differ by, where they were paired.

    Raises:
      WorldloomError: there is nothing to compare, or no task asked the same.
    """
    check(profiles)
    names = labels(profiles)
    tasks: dict[str, Any] = {}
    for task in _tasks(profiles):
        entries = [_entry(profile, task) for profile in profiles]
        other = _otherwise(profiles, task)
        figures = [] if other else _names([entry for entry in entries if entry is not None])
        tasks[task] = {
            "why": other,
            "worlds": {
                name: None
                if entry is None
                else {"passed": entry.passed, "why": entry.why, "sentence": entry.sentence}
                for name, entry in zip(names, entries, strict=True)
            },
            "figures": {
                figure: {
                    name: None
                    if entry is None or figure not in entry.figures
                    else {**vars(entry.figures[figure]), "nulls": entry.nulls.get(figure, {})}
                    for name, entry in zip(names, entries, strict=True)
                }
                for figure in figures
            },
            "differences": [asdict(each) for each in apart if each.task == task],
        }
    worlds = {
        name: {"world": p.world, "weights": p.identity, "budget": p.budget, "seed": p.seed}
        for name, p in zip(names, profiles, strict=True)
    }
    return {"format": FORMAT, "worlds": worlds, "tasks": tasks}


def to_text(
    profiles: Sequence[Profile], apart: Sequence[Difference] = (), *, every: bool = False
) -> str:
    """For a terminal: one block a task, one line a world.

    Args:
      profiles: of the same exam.
      apart: what their answers differ by, where they were paired.
      every: all figures of a task in place of the first.
    """
    check(profiles)
    names = labels(profiles)
    wide = max(len(name) for name in names) + 2
    lines = [f"{', '.join(names)} ({profiles[0].budget}, seed {profiles[0].seed})", ""]
    for task in _tasks(profiles):
        entries = [_entry(profile, task) for profile in profiles]
        known = [entry for entry in entries if entry is not None]
        lines.append(f"{task}: {known[0].claim}")
        if other := _otherwise(profiles, task):
            lines += [f"  nothing is put side by side: {other}", ""]
            continue
        for name, entry in zip(names, entries, strict=True):
            words = "did not sit it" if entry is None else mark(entry)
            lines.append(f"  {name:<{wide}}{words:<16}{'' if entry is None else _said(entry)}")
        for figure in _names(known)[: None if every else 1]:
            lines.append(f"    {figure}{_beside(known, figure)}")
            for name, entry in zip(names, entries, strict=True):
                found = None if entry is None else entry.figures.get(figure)
                told = "–" if found is None else _told(found)
                lines.append(f"      {name:<{wide}}{told}")
        lines += _apart([each for each in apart if each.task == task])
        lines.append("")
    return "\n".join([*lines, *_ending(apart)])


def _apart(apart: Sequence[Difference]) -> list[str]:
    """What two worlds differ by in a task, or why nobody knows."""
    told = []
    for each in apart:
        names = f"{each.first} less {each.second}"
        if each.figure is None or each.adjusted is None:
            told.append(f"    {names}: not tested, {each.why}")
            continue
        word = "they differ" if each.adjusted < SURE else "no difference is shown"
        if each.same:
            word = "they gave the same answers"
        told += [
            f"    {names}, {each.what}:",
            f"      {span(each.figure)}, n {each.figure.n}, p {each.adjusted:.2g}: {word}",
        ]
    return told


def _ending(apart: Sequence[Difference]) -> list[str]:
    """How the differences were tested."""
    count = sum(each.p is not None for each in apart)
    if not count:
        return ["Intervals are 95%. No answers were paired: whether worlds differ is not tested."]
    return [
        "Intervals are 95%. Differences are of the same questions, p by sign flips of whole "
        f"clusters, after Holm over {count}.",
        "Chance in training is no part of them: one world of each is compared.",
    ]


def labels(profiles: Sequence[Profile]) -> list[str]:
    """A name for each, told apart by a number where they share one."""
    names = [profile.world for profile in profiles]
    return [
        name if names.count(name) == 1 else f"{name}#{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]


def check(profiles: Sequence[Profile]) -> None:
    """Raises where there is nothing to compare, or no task asked the same."""
    if len(profiles) < 2:
        raise WorldloomError("one report compares with nothing", "name two or more", code=2)
    first = profiles[0]
    for other in profiles[1:]:
        for what in ("budget", "seed"):
            one, two = getattr(first, what), getattr(other, what)
            if one != two:
                raise WorldloomError(
                    f"`{first.world}` sat with {what} {one}, `{other.world}` with {two}",
                    "let all worlds sit the same exam",
                )
    told = [_otherwise(profiles, task) for task in _tasks(profiles)]
    if told and all(told):
        raise WorldloomError(
            f"these reports share no questions: {told[0]}",
            "let all worlds sit the same version of the suite",
        )


def _otherwise(profiles: Sequence[Profile], task: str) -> str:
    """How the questions of a task differ between reports; empty where they do not."""
    known = [e for p in profiles if (e := _entry(p, task)) is not None and not e.why]
    if len({(entry.version, entry.header.get("generator")) for entry in known}) < 2:
        return ""
    versions = sorted({entry.version for entry in known})
    if len(versions) > 1:
        return f"`{task}` was asked in versions {' and '.join(map(str, versions))}"
    return f"`{task}` asked other questions in each"


def _tasks(profiles: Sequence[Profile]) -> list[str]:
    """Tasks that anybody sat, in the order of the first report that has them."""
    return list(dict.fromkeys(entry.task for p in profiles for entry in p.entries))


def _names(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(name for entry in entries for name in entry.figures))


def _entry(profile: Profile, task: str) -> Entry | None:
    return next((entry for entry in profile.entries if entry.task == task), None)


def _said(entry: Entry) -> str:
    return entry.why or entry.sentence


def _told(figure: Figure) -> str:
    return span(figure) if figure.value is None else f"{span(figure):<24}n {figure.n}"


def _beside(entries: Sequence[Entry], figure: str) -> str:
    """Nulls and ceiling, which are those of the exam, or differ with what was untrained."""
    parts = []
    for part in ("null", "ceiling"):
        found = [e.figures[figure] for e in entries if figure in e.figures]
        told = {number(x, f.unit) for f in found if (x := getattr(f, part)) is not None}
        if told:
            parts.append(f"{part} {' or '.join(sorted(told))}")
    return f" ({', '.join(parts)})" if parts else ""
