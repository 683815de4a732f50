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
"""How far beyond null and ceiling a chart reaches; what lies further is drawn at its edge."""
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
    return None not in (figure.null, figure.ceiling) and figure.null != figure.ceiling


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
        places = [skill(figure, v) for v in (figure.low, figure.high) if v is not None]
        low, high = sorted(map(_x, places))
        middle = _x(skill(figure, figure.value or 0.0))
        parts.append(
            f"<line x1='{low:.1f}' y1='{y}' x2='{max(high, low + 1):.1f}' y2='{y}' "
            f"stroke='{bar.colour}' stroke-width='8' stroke-linecap='round' opacity='.3'/>"
            f"<circle cx='{middle:.1f}' cy='{y}' r='6' fill='{bar.colour}'/>"
        )
        told = told or number(figure.value or 0.0, figure.unit)
    return [*parts, _text(LEFT + WIDE + 14, y + 5, told, bar.colour)]


def _text(
    x: float, y: float, words: str, colour: str, anchor: str = "start", weight: str = "400"
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='14' fill='{colour}' text-anchor='{anchor}' "
        f"font-weight='{weight}'>{escape(words)}</text>"
    )
