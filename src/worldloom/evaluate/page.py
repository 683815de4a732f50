"""The report as one page for a browser: words, a chart, tables, pictures inside it.

Knows reports and HTML; measures nothing. No script, no link to elsewhere.
"""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from worldloom.evaluate.lies import SHOWN
from worldloom.evaluate.report import (
    HEADLINES,
    ROWS,
    Figure,
    Report,
    Table,
    cell,
    meaning,
    number,
    span,
)

COLOURS = {
    "world": "#c2410c",
    "persistence": "#64748b",
    "background": "#94a3b8",
    "blind": "#7c3aed",
    "shuffled": "#0891b2",
    "tokenizer": "#15803d",
}

STYLE = """
:root { --ink: #1c1c20; --faint: #6b6b76; --paper: #fffdf9; --line: #e5e0d8; --hot: #c2410c; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p, li { max-width: 46rem; } .faint { color: var(--faint); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; background: #fff; }
.card b { display: block; font-size: 1.55rem; font-variant-numeric: tabular-nums; }
.note { border-left: 3px solid var(--hot); padding-left: .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line);
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } tr.world { font-weight: 600; }
img { max-width: 100%; border-radius: 4px; } svg { max-width: 100%; height: auto; }
.lies { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.2rem; }
.lies figure { margin: 0; } .lies img { width: 100%; image-rendering: pixelated; }
.lies .alone img { width: 49%; }
figure { margin: 1rem 0 1.8rem; } figcaption { margin-bottom: .4rem; max-width: 46rem; }
"""


def render(report: Report, folder: Path) -> str:
    """The page.

    Args:
      report: whose `files` name the pictures.
      folder: that holds them.
    """
    s = report.setting
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{escape(report.world)}: what it knows</title><style>{STYLE}</style></head><body>",
        f"<h1>What {escape(report.world)} knows, and what it makes up</h1>",
        f"<p class='faint'>Tried on {s['episodes']} held-out episodes of {escape(report.store)}: "
        f"{s['context']} real frames, then up to {max(s['horizons'])} frames on its own, under the "
        "actions that were really taken. Intervals are 95%, over whole episodes.</p>",
        *(f"<p class='note'>{escape(note)}.</p>" for note in report.notes),
        _cards(report),
        *_failures(report, folder),
        *_lies(report, folder),
        "<h2>Real above dream</h2>",
        "<div class='wide'>",
        _image(folder, report.files.get("contact", ""), "several episodes, real above dream"),
        "</div>",
        *(_table(table) for table in report.tables.values()),
        _usable(report),
        _sensitivity(report),
        _rows(),
        "</body></html>",
    ]
    return "\n".join(parts)


def _cards(report: Report) -> str:
    cards = []
    for name, (label, _) in HEADLINES.items():
        figure = report.figures.get(name)
        if figure is None:
            continue
        if figure.value is None or figure.low is None or figure.high is None:
            body = f"<b>–</b>{escape(label)}<br><span class='faint'>{escape(figure.why)}</span>"
        else:
            words = [_interval(figure), meaning(name, figure), figure.why]
            body = (
                f"<b>{number(figure.value, figure.unit)}</b>{escape(label)}<br>"
                f"<span class='faint'>{escape('; '.join(filter(None, words)))}</span>"
            )
        cards.append(f"<div class='card'>{body}</div>")
    return f"<div class='cards'>{''.join(cards)}</div>"


def _interval(figure: Figure) -> str:
    low, high = (number(v or 0.0, figure.unit) for v in (figure.low, figure.high))
    return f"between {low} and {high}"


def _failures(report: Report, folder: Path) -> list[str]:
    if not report.failures:
        return ["<h2>What it gets most wrong</h2><p>Nothing was found in these rollouts.</p>"]
    parts = ["<h2>What it gets most wrong</h2>"]
    for rank, failure in enumerate(report.failures, 1):
        clip = _image(folder, report.files.get(f"worst_{rank}", ""), failure.what)
        strip = _image(folder, report.files.get(f"worst_{rank}_strip", ""), failure.what)
        parts.append(
            f"<figure><figcaption><b>{rank}.</b> {escape(failure.sentence)}</figcaption>"
            f"{clip}<details><summary class='faint'>frame by frame</summary>"
            f"<div class='wide'>{strip}</div></details></figure>"
        )
    return parts


def _lies(report: Report, folder: Path) -> list[str]:
    """Open entries of the ledger, each with its film."""
    if not report.lies:
        return []
    parts = ["<h2>Lies that are known and still open</h2><div class='lies'>"]
    for lie in report.lies[:SHOWN]:
        sides = "real beside dream" if lie.both else "the dream; the truth is unknown"
        clip = _image(folder, report.files.get(f"lie_{lie.id}", ""), sides)
        parts.append(
            f"<figure class='{'both' if lie.both else 'alone'}'>{clip}"
            f"<figcaption><b>{lie.id}. {escape(lie.kind)}</b> "
            f"{escape(lie.sentence)}<br><span class='faint'>{sides}</span>"
            "</figcaption></figure>"
        )
    more = len(report.lies) - SHOWN
    parts.append("</div>")
    if more > 0:
        parts.append(f"<p>And {more} more: <code>worldloom ls lies RUN</code>.</p>")
    return parts


def _image(folder: Path, name: str, words: str) -> str:
    """A picture as part of the page."""
    if not name:
        return ""
    kind = Path(name).suffix.removeprefix(".")
    data = base64.b64encode((folder / name).read_bytes()).decode()
    return f"<img alt='{escape(words, quote=True)}' src='data:image/{kind};base64,{data}'>"


def _table(table: Table) -> str:
    head = "".join(f"<th>+{h}</th>" for h in table.horizons)
    rows = [
        f"<tr class='{row}'><td>{escape(ROWS[row])}</td>"
        + "".join(f"<td>{cell(f)}</td>" for f in figures)
        + "</tr>"
        for row, figures in table.rows.items()
    ]
    return (
        f"<h2>{escape(table.title)}, {table.unit}</h2>{_chart(table)}<div class='wide'>"
        f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
        "<p class='faint'>± is half of a 95% interval.</p>"
    )


def _chart(table: Table) -> str:
    """Every row over the horizons, the horizons at equal distances, intervals as bands."""
    width, height, left, right, bottom = 640, 260, 44, 150, 28
    rows = {row: figures for row, figures in table.rows.items() if row in COLOURS}
    points = [v for figures in rows.values() for f in figures for v in (f.low, f.high) if v]
    if not points or len(table.horizons) < 2:
        return ""
    low, high = min(points), max(points)
    x = [
        left + (width - left - right) * i / (len(table.horizons) - 1)
        for i in range(len(table.horizons))
    ]
    scale = lambda v: 10 + (height - bottom - 10) * (high - v) / max(high - low, 1e-9)  # noqa: E731
    marks = [f"<svg viewBox='0 0 {width} {height}' width='{width}' role='img'>"]
    for value in (low, (low + high) / 2, high):
        marks.append(_line(left, scale(value), width - right, "#e5e0d8"))
        marks.append(_text(4, scale(value) + 4, f"{value:.0f}", "#6b6b76"))
    for place, horizon in zip(x, table.horizons, strict=True):
        marks.append(_text(place - 8, height - 8, f"+{horizon}", "#6b6b76"))
    ends = _spread(
        [(scale(figures[-1].value or low), row) for row, figures in rows.items()], height - bottom
    )
    for row, figures in rows.items():
        marks += _curve(x, figures, scale, COLOURS[row], thick=row == "world")
        marks.append(_text(x[-1] + 10, ends[row] + 4, ROWS[row], COLOURS[row]))
    return "".join([*marks, "</svg>"])


def _curve(
    x: Sequence[float], figures: Sequence[Figure], scale, colour: str, *, thick: bool
) -> list[str]:
    known = [
        (place, f.value, f.low, f.high)
        for place, f in zip(x, figures, strict=True)
        if f.value is not None and f.low is not None and f.high is not None
    ]
    line = " ".join(f"{place:.1f},{scale(value):.1f}" for place, value, _, _ in known)
    band = [f"{place:.1f},{scale(top):.1f}" for place, _, _, top in known]
    band += [f"{place:.1f},{scale(bottom):.1f}" for place, _, bottom, _ in reversed(known)]
    return [
        f"<polygon points='{' '.join(band)}' fill='{colour}' opacity='.12'/>",
        f"<polyline points='{line}' fill='none' stroke='{colour}' "
        f"stroke-width='{3 if thick else 1.5}'/>",
    ]


def _spread(ends: list[tuple[float, str]], lowest: float, gap: float = 15) -> dict[str, float]:
    """Moves labels apart so that none covers another, none below `lowest`."""
    placed: list[float] = []
    for y, _ in sorted(ends):
        placed.append(max(y, placed[-1] + gap) if placed else y)
    for i in range(len(placed) - 1, -1, -1):
        limit = lowest if i == len(placed) - 1 else placed[i + 1] - gap
        placed[i] = min(placed[i], limit)
    return {row: y for (_, row), y in zip(sorted(ends), placed, strict=True)}


def _line(left: float, y: float, right: float, colour: str) -> str:
    return f"<line x1='{left}' y1='{y:.1f}' x2='{right}' y2='{y:.1f}' stroke='{colour}'/>"


def _text(x: float, y: float, words: str, colour: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='13' fill='{colour}'>{escape(words)}</text>"


def _usable(report: Report) -> str:
    rows = "".join(
        f"<tr class='{row}'><td>{escape(ROWS[row])}</td><td>{escape(span(figure))}</td>"
        f"<td>{escape(figure.why) if figure.value is not None else ''}</td></tr>"
        for row, figure in report.usable.items()
    )
    return (
        "<h2>Usable horizon</h2><p>Frames until the state that can be read off the picture leaves "
        "the truth: the player is more than 4 pixels off, or a coin is there that should not be, "
        f"or the reverse. The median rollout.</p><div class='wide'><table>{rows}</table></div>"
    )


def _sensitivity(report: Report) -> str:
    if not report.sensitivity:
        return ""
    columns = list(dict.fromkeys(k for row in report.sensitivity.values() for k in row))
    titles = {
        "foreground_gain_db_h1_16": "foreground gain",
        "foreground_gain_db_h1_16_own_mask": "… by its own mask",
        "headroom_share_h8": "headroom share at +8",
        "headroom_share_h8_own_mask": "… by its own mask",
        "mask_ratio_h8": "mask, times the real one, at +8",
    }
    head = "".join(f"<th>{escape(titles.get(c, c))}</th>" for c in columns)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f"<td>{escape(span(row[c])) if c in row else ''}</td>" for c in columns)
        + "</tr>"
        for name, row in report.sensitivity.items()
    )
    tolerance = report.setting["foreground_tolerance"]
    return (
        "<h2>What counts as foreground</h2><p>Pixels of the real frame or of the prediction that "
        f"differ from the background by more than {tolerance} of 255 in any channel; their errors "
        "are added up and divided by the pixels of the real foreground, the same number for every "
        "row. Another tolerance, or dividing by each row's own mask, which flatters what tints "
        "much of the picture a little, gives:</p>"
        f"<div class='wide'><table><tr><th></th>{head}</tr>{rows}</table></div>"
    )


def _rows() -> str:
    words = {
        "world": "given the actions that were really taken",
        "persistence": "the last frame it was shown, for ever",
        "background": "the empty level, nothing that moves",
        "blind": "the same weights, told that the actions are unknown",
        "shuffled": "the same weights and noise, given the actions of another episode",
        "tokenizer": "the real frames, encoded and decoded: the best this world could show",
        "real": "the real frames themselves; what rounding to bytes and the read-out allow",
        "real_shuffled": "the real environment, given the actions of another episode",
    }
    lines = "".join(
        f"<li><b>{escape(ROWS[row])}</b>: {escape(w)}.</li>" for row, w in words.items()
    )
    return f"<h2>What stands beside it</h2><ul>{lines}</ul>"
