"""The trust card: a profile on one page, the tasks side by side, never one number.

Knows profiles and HTML; measures nothing. No script, no link to elsewhere.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from worldloom.data.files import replace_file
from worldloom.evaluate.page import STYLE
from worldloom.evaluate.report import Figure, number, save, span
from worldloom.trust.profile import ENDING, Entry, Profile, detects, mark

COLOURS = {"passed": "#15803d", "not passed": "#c2410c"}
OWN_STYLE = """
.verdict { font-weight: 600; } .claim { margin: 0; font-size: 1.05rem; }
.task { border-top: 1px solid var(--line); padding: 1rem 0; }
"""
SHOWN = 6
"""Figures of a task that stand on the card; the others are behind a click."""


def publish(profile: Profile, folder: Path) -> None:
    """Writes the profile as text, page and, last, JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "trust.txt", (profile.to_text() + "\n").encode())
    replace_file(folder / "trust.html", render(profile).encode())
    save(folder / "trust.json", profile.to_json())


def render(profile: Profile) -> str:
    """The page."""
    title = f"May {escape(profile.world)} be trusted?"
    how = f"Budget {profile.budget}, seed {profile.seed}; {profile.identity}. {ENDING}"
    return "\n".join(
        [
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width, initial-scale=1'>",
            f"<title>{title}</title><style>{STYLE}{OWN_STYLE}</style></head><body>",
            f"<h1>{title}</h1>",
            "<p>What it knows, task by task, each beside what a world scores that knows nothing "
            "(the null) and what the best possible one scores (the ceiling). "
            f"<span class='faint'>{escape(how)}</span></p>",
            _overview(profile.entries),
            *(_task(entry) for entry in profile.entries),
            "</body></html>",
        ]
    )


def _overview(entries: Sequence[Entry]) -> str:
    """One bar a task: its primary figure between null and ceiling."""
    rows = []
    for entry in entries:
        figure = next(iter(entry.figures.values()), None)
        verdict = f"<td class='verdict' style='color:{_colour(entry)}'>{mark(entry)}</td>"
        told = "" if figure is None else escape(span(figure))
        bar = "" if figure is None else _bar(figure, _colour(entry))
        rows.append(f"<tr><td>{escape(entry.task)}</td>{verdict}<td>{bar}</td><td>{told}</td></tr>")
    return (
        "<div class='wide'><table><tr><th></th><th></th><th>null … ceiling</th>"
        f"<th>primary figure</th></tr>{''.join(rows)}</table></div>"
    )


def _colour(entry: Entry) -> str:
    return COLOURS.get(mark(entry), "#6b6b76")


def _bar(figure: Figure, colour: str) -> str:
    """Where a figure and its interval lie between null (left) and ceiling (right)."""
    if figure.value is None or figure.null is None or figure.ceiling is None:
        return ""
    reach = figure.ceiling - figure.null
    if not reach:
        return ""

    def at(value: float) -> float:
        return 20 + 160 * min(max((value - figure.null) / reach, -0.12), 1.12)  # type: ignore[operator]

    low, high = sorted((at(figure.low or 0.0), at(figure.high or 0.0)))
    return (
        "<svg width='200' height='18' role='img'>"
        "<line x1='20' y1='9' x2='180' y2='9' stroke='#e5e0d8' stroke-width='6'/>"
        f"<line x1='{low:.1f}' y1='9' x2='{high:.1f}' y2='9' stroke='{colour}' "
        "stroke-width='6' opacity='.35'/>"
        f"<circle cx='{at(figure.value):.1f}' cy='9' r='5' fill='{colour}'/></svg>"
    )


def _task(entry: Entry) -> str:
    """A task's own part: claim, verdict, figures, how it was made."""
    words = escape(entry.why or entry.sentence)
    head = (
        f"<h2>{escape(entry.task)}</h2><p class='claim'>The claim: {escape(entry.claim)}.</p>"
        f"<p><span class='verdict' style='color:{_colour(entry)}'>{mark(entry)}</span>: {words}."
        "</p>"
    )
    if not entry.figures:
        return f"<div class='task'>{head}</div>"
    rows = [_row(name, figure) for name, figure in entry.figures.items()]
    first, rest = rows[:SHOWN], rows[SHOWN:]
    more = (
        f"<details><summary class='faint'>{len(rest)} more figures</summary>"
        f"<div class='wide'><table>{''.join(rest)}</table></div></details>"
        if rest
        else ""
    )
    made = (
        f"generator {entry.header.get('generator')}, task version {entry.version}, "
        f"nulls: {', '.join(entry.header.get('nulls', []))}"
    )
    return (
        f"<div class='task'>{head}<div class='wide'>"
        f"<table><tr>{_HEAD}</tr>{''.join(first)}</table></div>"
        f"{more}<p class='faint'>{escape(made)}</p></div>"
    )


_HEAD = (
    "<tr><th></th><th>value</th><th>null</th><th>ceiling</th><th>n</th><th>tells apart</th></tr>"
)


def _row(name: str, figure: Figure) -> str:
    known = lambda value: "" if value is None else number(value, figure.unit)  # noqa: E731
    apart = detects(figure)
    cells = [
        escape(span(figure)),
        known(figure.null),
        known(figure.ceiling),
        str(figure.n) if figure.value is not None else "",
        "" if apart is None else f"{apart:.2g}",
    ]
    return f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
