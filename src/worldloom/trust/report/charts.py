"""The charts of the trust card: figures between null and ceiling, as SVG.

Knows figures and colours; neither tasks nor pages. All figures of a chart share one scale:
0 is what knows nothing, 1 the best possible, whatever the unit and whichever way is up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from worldloom.evaluate.report import Figure, number

LEFT, WIDE, STEP, RIGHT = 190, 420, 34, 170
OUT = 0.15
"""How far beyond null and ceiling a chart reaches; what lies further is an arrow at its edge."""
CROWDED = 10
"""Intervals so many times as wide as all that lies between null and ceiling have no place there."""
LINE, INK, FAINT = "#e5e0d8", "#1c1c20", "#6b6b76"


@dataclass(frozen=True)
class Bar:
    """One line of a chart.

    Args:
      label: on its left.
      figure: whose interval is drawn, where it has a null and a ceiling.
      colour: of it.
      link: of the label, within the page; empty for none.
      words: on the right; the figure's own number where they are empty.
    """

    label: str
    figure: Figure | None
    colour: str
    link: str = ""
    words: str = ""


def can_draw(figure: Figure | None) -> bool:
    """Whether a figure has a place between null and ceiling."""
    if figure is None or None in (figure.value, figure.low, figure.high):
        return False
    return None not in (figure.null, figure.ceiling) and not _crowded(figure)


def _crowded(figure: Figure) -> bool:
    """Whether null and ceiling lie so near each other that chance says which way is up."""
    assert figure.low is not None and figure.high is not None
    assert figure.null is not None and figure.ceiling is not None
    scale = abs(figure.ceiling - figure.null)
    return scale == 0 or figure.high - figure.low > CROWDED * scale


def skill(figure: Figure, value: float) -> float:
    """Where a value lies: 0 at the null, 1 at the ceiling."""
    assert figure.null is not None and figure.ceiling is not None
    return (value - figure.null) / (figure.ceiling - figure.null)


def chart(bars: Sequence[Bar], *, title: str) -> str:
    """All bars below each other, with the null on the left and the ceiling on the right."""
    height = 40 + STEP * len(bars)
    zero, one = _x(0), _x(1)
    parts = [
        f"<svg viewBox='0 0 {LEFT + WIDE + RIGHT} {height}' width='{LEFT + WIDE + RIGHT}' "
        f"role='img' aria-label='{escape(title, quote=True)}'>",
        f"<rect x='{zero:.1f}' y='26' width='{one - zero:.1f}' height='{height - 30}' "
        "fill='#f6f1e7' rx='4'/>",
        _text(zero, 16, "knows nothing", FAINT, "middle"),
        _text(one, 16, "best possible", FAINT, "middle"),
    ]
    for x in (zero, one):
        parts.append(f"<line x1='{x:.1f}' y1='24' x2='{x:.1f}' y2='{height - 2}' stroke='{LINE}'/>")
    for index, bar in enumerate(bars):
        parts += _bar(bar, 44 + STEP * index)
    return "".join([*parts, "</svg>"])


def _x(place: float) -> float:
    """Where on the page a skill lies; at the edge where it is beyond."""
    held = min(max(place, -OUT), 1 + OUT)
    return LEFT + WIDE * (held + OUT) / (1 + 2 * OUT)


def _bar(bar: Bar, y: int) -> list[str]:
    label = _text(LEFT - 14, y + 5, bar.label, INK, "end", "600" if bar.link else "400")
    parts = [f"<a href='#{escape(bar.link, quote=True)}'>{label}</a>" if bar.link else label]
    figure, told = bar.figure, bar.words
    if figure is not None and can_draw(figure):
        parts += [*_interval(figure, y, bar.colour), _dot(figure, y, bar.colour)]
        told = told or number(figure.value or 0.0, figure.unit)
    else:
        parts.append(_text(_x(0.5), y + 5, unplaced(figure), FAINT, "middle"))
        if figure is not None and figure.value is not None:
            told = told or number(figure.value, figure.unit)
    return [*parts, _text(LEFT + WIDE + 14, y + 5, told, bar.colour)]


def unplaced(figure: Figure | None) -> str:
    """Why a figure has no dot, in a few words; empty where there is none to be placed."""
    if figure is None:
        return ""
    if figure.value is None:
        return "no value"
    if figure.ceiling is None:
        return "no ceiling is known: it has no place here"
    return "null and ceiling are too near: it has no place here"


def _interval(figure: Figure, y: int, colour: str) -> list[str]:
    """The line of an interval; an end that lies off the scale is an open arrow."""
    low, high = sorted(skill(figure, v) for v in (figure.low, figure.high) if v is not None)
    if _off(low) and _off(low) == _off(high):  # all of it lies there, and the arrow says so
        return []
    begin, end = _x(low), max(_x(high), _x(low) + 1)
    parts = [
        f"<line x1='{begin:.1f}' y1='{y}' x2='{end:.1f}' y2='{y}' stroke='{colour}' "
        "stroke-width='8' stroke-linecap='round' opacity='.3'/>"
    ]
    dot = _off(skill(figure, figure.value or 0.0))
    for place, side in ((low, -1), (high, 1)):
        if _off(place) == side != dot:
            x = _x(place)
            points = f"{x + side:.1f},{y - 6} {x + 6 * side:.1f},{y} {x + side:.1f},{y + 6}"
            parts.append(
                f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>"
            )
    return parts


def _dot(figure: Figure, y: int, colour: str) -> str:
    """Where the value is; a full arrow at the edge where it lies off the scale."""
    place = skill(figure, figure.value or 0.0)
    x, side = _x(place), _off(place)
    if not side:
        return f"<circle cx='{x:.1f}' cy='{y}' r='6' fill='{colour}'/>"
    points = f"{x - 3 * side:.1f},{y - 7} {x + 9 * side:.1f},{y} {x - 3 * side:.1f},{y + 7}"
    words = f"off the scale: {number(figure.value or 0.0, figure.unit)}"
    return f"<polygon points='{points}' fill='{colour}'><title>{escape(words)}</title></polygon>"


def _off(place: float) -> int:
    """On which side of the chart a skill lies: -1, 1, or 0 where it is within."""
    return -1 if place < -OUT else int(place > 1 + OUT)


def _text(
    x: float, y: float, words: str, colour: str, anchor: str = "start", weight: str = "400"
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='14' fill='{colour}' text-anchor='{anchor}' "
        f"font-weight='{weight}'>{escape(words)}</text>"
    )
