"""The trust card: a profile on one page that needs nothing else, and never one number.

Knows profiles, charts and HTML; measures nothing. No script, no link to elsewhere.
"""

import base64
from html import escape
from pathlib import Path

from worldloom.data.files import replace_file
from worldloom.evaluate.page import STYLE
from worldloom.evaluate.report import Figure, number, save, span
from worldloom.trust.clips import Clip
from worldloom.trust.report import charts
from worldloom.trust.report.charts import Bar, can_draw
from worldloom.trust.report.profile import (
    ENDING,
    Entry,
    Profile,
    detects,
    duration,
    mark,
    needed,
    nulls_told,
    sitter,
    trained,
)

COLOURS = {"passed": "#15803d", "not passed": "#c2410c"}
GREY = "#6b6b76"
OWN_STYLE = """
.task { border-top: 1px solid var(--line); margin-top: 2.2rem; padding-top: .4rem; }
.task h2 { margin: 1rem 0 .1rem; }
.claim { margin: 0 0 .6rem; font-size: 1.05rem; color: var(--faint); }
.chip { display: inline-block; border-radius: 99px; padding: .05rem .7rem; color: #fff;
        font-size: .85rem; margin-right: .5rem; }
.clips { display: flex; flex-wrap: wrap; gap: 1.2rem; margin: 1rem 0; }
.clips figure { margin: 0; } .clips img { height: 9rem; image-rendering: pixelated; }
.clips figcaption { max-width: 19rem; font-size: .88rem; }
pre { background: #f6f1e7; padding: .7rem 1rem; border-radius: 6px; overflow-x: auto; }
svg a text { text-decoration: underline; text-decoration-color: var(--line); }
.who { margin: .3rem 0; } .nulls, .again { color: var(--faint); font-size: .9rem; }
.again code { background: #f6f1e7; padding: .1rem .4rem; border-radius: 4px; }
td.why { text-align: left; color: var(--faint); white-space: normal; }
td.why:not(:empty) { min-width: 14rem; }
details { margin: .6rem 0; } summary { cursor: pointer; }
"""
PLOTTED = 10
"""Figures of a task in its plot; the table has all."""


def publish(profile: Profile, folder: Path) -> None:
    """Writes the profile as text, page and, last, JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "trust.txt", (profile.to_text() + "\n").encode())
    replace_file(folder / "trust.html", render(profile, folder).encode())
    save(folder / "trust.json", profile.to_json())


def render(profile: Profile, folder: Path) -> str:
    """The page.

    Args:
      profile: whose entries name clips.
      folder: that holds them.
    """
    title = f"May {escape(profile.world)} be trusted?"
    return "\n".join(
        [
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width, initial-scale=1'>",
            f"<title>{title}</title><style>{STYLE}{OWN_STYLE}</style></head><body>",
            f"<h1>{title}</h1>",
            "<p>What it knows, task by task. Each dot is what the world scored, with its interval, "
            "between what is scored by what knows nothing of the claim (the null) and by the "
            "best possible (the ceiling); beyond that is wrong again. An arrow at the edge lies "
            "off the scale. "
            f"<span class='faint'>{escape(ENDING)}</span></p>",
            f"<div class='wide'>{_profile(profile)}</div>",
            *_fitted(profile),
            *(_task(profile, entry, folder) for entry in profile.entries),
            _again(profile),
            "</body></html>",
        ]
    )


def _fitted(profile: Profile) -> list[str]:
    """That doubt was added to the world, where it was."""
    if not profile.doubt_fitted:
        return []
    return [
        "<p class='faint'>Heads that tell doubt were fitted to this world; they are kept beside "
        f"its weights: {escape(profile.identity)}.</p>"
    ]


def _profile(profile: Profile) -> str:
    """One line a task: its primary figure."""
    bars = []
    for entry in profile.entries:
        figure = next(iter(entry.figures.values()), None)
        value = "" if figure is None or figure.value is None else number(figure.value, figure.unit)
        words = f"{mark(entry)}{f', {value}' if value else ''}"
        bars.append(Bar(entry.task, figure, _colour(entry), entry.task, words))
    return charts.chart(bars, title=f"what {profile.world} knows")


def _colour(entry: Entry) -> str:
    return COLOURS.get(mark(entry), GREY)


def _task(profile: Profile, entry: Entry, folder: Path) -> str:
    """A task's own part: claim, verdict, plot, failures, every figure, how it was made."""
    said = escape(entry.why or entry.sentence)
    parts = [
        f"<section class='task' id='{escape(entry.task, quote=True)}'><h2>{escape(entry.task)}</h2>"
        f"<p class='claim'>The claim: {escape(entry.claim)}.</p>"
        f"<p><span class='chip' style='background:{_colour(entry)}'>{mark(entry)}</span>{said}.</p>"
    ]
    itself = f"sat by {entry.header.get('world')} itself" if entry.figures else ""
    if who := sitter(entry) or itself:
        parts.append(f"<p class='who'>{escape(who[0].upper() + who[1:])}.</p>")
    if entry.figures:
        first = next(iter(entry.figures))  # says why where it has no place on the chart
        bars = [
            Bar(_words(name), figure, _colour(entry))
            for name, figure in entry.figures.items()
            if can_draw(figure) or name == first
        ]
        drawn = charts.chart(bars[:PLOTTED], title=f"figures of {entry.task}")
        parts.append(f"<div class='wide'>{drawn}</div>")
        if nulls := nulls_told(entry):
            parts.append(f"<p class='nulls'>Nulls, {escape(_words(first))}: {escape(nulls)}.</p>")
        parts.append(_clips(entry, folder))
        if more := trained(entry):
            parts.append(f"<p>{escape(more)}.</p>")
        parts.append(_table(entry))
    if again := _command(profile, entry):
        parts.append(f"<p class='again'><code>{escape(again)}</code></p>")
    return "".join([*parts, "</section>"])


def _command(profile: Profile, entry: Entry) -> str:
    """How this task alone is sat again; empty where it cannot be, as one of an exam on paper."""
    if "command" in profile.run:
        return profile.run.get("commands", {}).get(entry.task, "")
    return _plain_command(profile, [entry.task])


def _plain_command(profile: Profile, tasks: list[str]) -> str:
    return (
        f"worldloom eval {profile.world} --suite trust --budget {profile.budget} "
        f"--seed {profile.seed} --tasks {' '.join(tasks)}"
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _clips(entry: Entry, folder: Path) -> str:
    """What it did worst, beside the truth."""
    shown = "".join(_clip(clip, folder) for clip in entry.clips if (folder / clip.file).exists())
    return (
        f"<p class='faint'>Where it was furthest off:</p><div class='clips'>{shown}</div>"
        if (shown)
        else ""
    )


def _clip(clip: Clip, folder: Path) -> str:
    data = base64.b64encode((folder / clip.file).read_bytes()).decode()
    left, right = clip.sides
    words = f"{clip.words}: {left} on the left, {right} on the right"
    return (
        f"<figure><img alt='{escape(words, quote=True)}' src='data:image/webp;base64,{data}'>"
        f"<figcaption><b>{escape(clip.words)}</b><br><span class='faint'>{escape(left)} | "
        f"{escape(right)}</span></figcaption></figure>"
    )


_HEAD = "".join(
    f"<th>{word}</th>"
    for word in ("", "value", "null", "ceiling", "n", "tells apart", "n for a fine one", "")
)


def _table(entry: Entry) -> str:
    """Every figure, and what the task was made of."""
    rows = "".join(_row(name, figure) for name, figure in entry.figures.items())
    made = (
        f"Generator {entry.header.get('generator')}, task version {entry.version}; nulls: "
        f"{', '.join(entry.header.get('nulls', [])) or 'in the figures'}; answered in "
        f"{duration(entry.seconds)}."
    )
    return (
        f"<details><summary class='faint'>all {len(entry.figures)} figures, nulls and ceilings"
        f"</summary><div class='wide'><table><tr>{_HEAD}</tr>{rows}</table></div>"
        f"<p class='faint'>{escape(made)}</p></details>"
    )


def _row(name: str, figure: Figure) -> str:
    known = lambda value: "" if value is None else number(value, figure.unit)  # noqa: E731
    apart, more = detects(figure), needed(figure)
    cells = [
        escape(span(figure)),
        known(figure.null),
        known(figure.ceiling),
        str(figure.n) if figure.value is not None else "",
        "" if apart is None else f"{apart:.2g}",
        "" if more is None else f"{more:,}",
    ]
    why = "" if figure.value is None else escape(figure.why)
    return (
        f"<tr><td>{escape(_words(name))}</td>"
        + "".join(f"<td>{c}</td>" for c in cells)
        + f"<td class='why'>{why}</td></tr>"
    )


def _again(profile: Profile) -> str:
    """How to run it again, on what it was made, and how long it took."""
    tasks = [entry.task for entry in profile.entries]
    command = profile.run.get("command") or _plain_command(profile, tasks)
    return (
        "<section class='task'><h2>Once more</h2><p>The same exam gives the same figures:</p>"
        f"<pre>{escape(str(command))}</pre><p class='faint'>{escape(_made(profile))}. "
        "<b>Tells apart</b>: the difference that so many clusters find four times in five. "
        "<b>n for a fine one</b>: clusters for an interval of 5% of the way from null to ceiling "
        "to either side.</p></section>"
    )


def _made(profile: Profile) -> str:
    """World, times, machine and code."""
    trained = [e.training_seconds for e in profile.entries if e.training]
    asked = f"answered in {duration(sum(entry.seconds for entry in profile.entries))} in all"
    known = [seconds for seconds in trained if seconds is not None]
    parts = [profile.identity, asked]
    if trained:
        lost = len(trained) - len(known)
        words = [f"families trained in {duration(sum(known))}"] if known else []
        words += [f"the time of {lost} trainings was not written down"] if lost else []
        parts.append(", ".join(words))
    commit = profile.run.get("commit")
    parts += ["an exam of the held-out range"] if profile.held_out else []
    parts += [str(profile.run.get("machine"))] + ([f"commit {commit}"] if commit else [])
    return "; ".join(part for part in parts if part)
