"""What an evaluation found: figures, tables and failures, as JSON and as text.

A number without its interval, its null and its n is refused, here and not by
convention. Knows nothing of how they were measured.
"""

import json
import math
import os
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from worldloom.errors import WorldloomError
from worldloom.evaluate.failures import Failure
from worldloom.evaluate.lies import SHOWN, Told

FORMAT = 1

ROWS = {
    "world": "the dream",
    "persistence": "last frame repeated",
    "background": "background only",
    "blind": "actions hidden",
    "shuffled": "another's actions",
    "tokenizer": "tokenizer ceiling",
    "real": "real world",
    "real_shuffled": "real, other's actions",
}
"""What a world stands next to, and how people are told."""
NULLS = ("persistence", "background", "blind", "shuffled")


@dataclass(frozen=True)
class Figure:
    """One number, or the reason why there is none.

    Args:
      value: None where it is not applicable.
      low: lower end of the 95% interval.
      high: upper end.
      unit: "dB", "1", "frames".
      n: independent episodes.
      null: what a world that has learned nothing would score.
      ceiling: what the best possible world would score, None where unknown.
      why: why there is no value, or what to know about it.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    n: int
    null: float | None
    ceiling: float | None = None
    why: str = ""

    def check(self, name: str) -> None:
        """Raises where a number lacks its interval, its null or its n, or None its reason."""
        if self.value is None:
            missing = [] if self.why else ["a reason for having no value"]
        else:
            parts = {"an interval": (self.low, self.high), "a null": (self.null,)}
            missing = [k for k, v in parts.items() if not all(map(_is_number, v))]
            missing += [] if self.n >= 2 else ["an n of 2 or more"]
            missing += [] if _is_number(self.value) else ["a finite value"]
        if missing:
            raise WorldloomError(
                f"figure `{name}` lacks {' and '.join(missing)}",
                "give every number its interval, null and n, or a reason in its place",
            )

    @classmethod
    def absent(cls, unit: str, why: str) -> Self:
        """Not applicable, for a reason; never 0."""
        return cls(None, None, None, unit, 0, None, None, why)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


@dataclass(frozen=True)
class Table:
    """One metric at every horizon, for the world and everything it stands next to.

    Args:
      title: for people.
      unit: of every cell.
      horizons: frames after the context, one column each.
      rows: name of the row to one figure a horizon.
    """

    title: str
    unit: str
    horizons: tuple[int, ...]
    rows: Mapping[str, tuple[Figure, ...]]

    def check(self, name: str) -> None:
        """Raises where the world stands alone, or a cell is a bare number."""
        if not set(NULLS) & set(self.rows):
            raise WorldloomError(f"table `{name}` has no reference row", f"give one of {NULLS}")
        for row, figures in self.rows.items():
            for horizon, figure in zip(self.horizons, figures, strict=True):
                figure.check(f"{name}, {row} at {horizon}")


@dataclass(frozen=True)
class Report:
    """The outcome of one evaluation.

    Args:
      world: name of the world.
      store: where the held-out episodes are.
      env: id of the environment, empty where unknown.
      setting: how it was measured: seed, context, horizons, tolerance, plates.
      figures: headline numbers by name.
      tables: metrics by horizon.
      usable: usable horizon of every row, in frames.
      sensitivity: the headline numbers under other definitions of foreground.
      failures: the things it gets most wrong.
      notes: sentences a reader must know before trusting the numbers.
      files: pictures written beside the report, by name.
      lies: open entries of the run's ledger, the newest first.
    """

    world: str
    store: str
    env: str
    setting: Mapping[str, Any]
    figures: Mapping[str, Figure]
    tables: Mapping[str, Table]
    usable: Mapping[str, Figure]
    sensitivity: Mapping[str, Mapping[str, Figure]]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    lies: tuple[Told, ...] = ()

    def __post_init__(self) -> None:
        for name, figure in {**self.figures, **self.usable}.items():
            figure.check(name)
        for name, figures in self.sensitivity.items():
            for key, figure in figures.items():
                figure.check(f"{key}, {name}")
        for name, table in self.tables.items():
            table.check(name)

    def to_json(self) -> dict[str, Any]:
        """Plain values, the contents of `report.json`."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a `report.json` back."""
        data = json.loads(Path(path).read_text())
        if data.pop("format", None) != FORMAT:
            raise WorldloomError(f"`{path}` is not a report of format {FORMAT}", "evaluate again")
        figures = lambda rows: {k: Figure(**v) for k, v in rows.items()}  # noqa: E731
        tables = {
            name: Table(
                table["title"],
                table["unit"],
                tuple(table["horizons"]),
                {row: tuple(Figure(**f) for f in cells) for row, cells in table["rows"].items()},
            )
            for name, table in data["tables"].items()
        }
        rebuilt = {
            "figures": figures(data["figures"]),
            "usable": figures(data["usable"]),
            "sensitivity": {k: figures(v) for k, v in data["sensitivity"].items()},
            "tables": tables,
            "failures": tuple(
                Failure(**{**f, "places": tuple(tuple(place) for place in f["places"])})
                for f in data["failures"]
            ),
            "notes": tuple(data["notes"]),
            "lies": tuple(Told(**lie) for lie in data.get("lies", ())),
        }
        return cls(**{**data, **rebuilt})

    def to_text(self) -> str:
        """For a terminal of 100 columns."""
        parts = (_head, _figures, _tables, _failures, _lies)
        return "\n".join(line for part in parts for line in part(self))


def save(path: Path, data: Any) -> None:
    """Writes JSON beside its place, then renames it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n")
    os.replace(part, path)


def number(value: float, unit: str) -> str:
    """A value in a few characters, with its unit where it needs one."""
    if unit == "dB":
        return f"{value:.1f} dB"
    if unit == "frames":
        return f"{value:.0f} frames"
    return f"{value:.2f}"


def span(figure: Figure) -> str:
    """A figure with its interval, for example `3.1 dB [2.6, 3.5]`, or why there is none."""
    if figure.value is None or figure.low is None or figure.high is None:
        return f"not applicable: {figure.why}"
    digits = {"dB": 1, "frames": 0}.get(figure.unit, 2)
    interval = f"[{figure.low:.{digits}f}, {figure.high:.{digits}f}]"
    return f"{number(figure.value, figure.unit)} {interval}"


def cell(figure: Figure) -> str:
    """A figure in ten characters: the value and half its interval."""
    if figure.value is None or figure.low is None or figure.high is None:
        return "–"
    return f"{figure.value:.1f} ±{(figure.high - figure.low) / 2:.1f}"


HEADLINES = {
    "foreground_gain_db_h1_16": ("foreground gain, +1 to +16", "0 is the last frame or the plate"),
    "headroom_share_h8": ("headroom share at +8", "0 is deaf to actions"),
    "action_gain_db_h8": ("worth of the true actions at +8", "0 is deaf to actions"),
    "usable_horizon_frames": ("usable horizon, median", "until player or coins are wrong"),
    "reader_accuracy": ("real frames read rightly", "what the read-out itself can do"),
}
"""Figures that are shown first: their names, and what their null means."""


CEILINGS = {
    "foreground_gain_db_h1_16": "its tokenizer",
    "headroom_share_h8": "a perfect world",
    "usable_horizon_frames": "the real frames",
}
"""Whose score a figure's ceiling is. A share is no maximum: errors can push one above it."""


def meaning(name: str, figure: Figure) -> str:
    """What a headline's null is, and what the ceiling scores."""
    null = HEADLINES[name][1]
    if figure.ceiling is None or name not in CEILINGS:
        return null
    return f"{null}; {CEILINGS[name]}: {number(figure.ceiling, figure.unit)}"


def _head(report: Report) -> list[str]:
    s = report.setting
    title = f"{report.world} on held-out episodes of {report.store}"
    how = (
        f"{s['episodes']} episodes, {s['context']} frames of context, "
        f"open loop for {max(s['horizons'])} frames, seed {s['seed']}"
    )
    notes = [f"note: {note}" for note in report.notes]
    return [title, how, *notes, ""]


def _figures(report: Report) -> list[str]:
    lines = []
    for name, (label, _) in HEADLINES.items():
        if name not in report.figures:
            continue
        figure = report.figures[name]
        known = figure.value is not None
        lines.append(f"  {label:<32}{span(figure)}")
        if known:
            lines.append(f"  {'':<32}{meaning(name, figure)}")
        if known and figure.why:
            lines.append(f"  {'':<32}{figure.why}")
    return [*lines, ""]


def _tables(report: Report) -> list[str]:
    lines = []
    for table in report.tables.values():
        heads = "".join(f"{f'+{h}':>11}" for h in table.horizons)
        lines.append(f"{table.title + ', ' + table.unit:<24}{heads}")
        for row, figures in table.rows.items():
            cells = "".join(f"{cell(f):>11}" for f in figures)
            lines.append(f"  {ROWS[row]:<22}{cells}")
        lines.append("")
    if any(figure.value is not None for figure in report.usable.values()):
        lines.append("usable horizon, frames (median, 95% interval)")
        for row, figure in report.usable.items():
            extra = f"  {figure.why}" if figure.value is not None else ""
            lines.append(f"  {ROWS[row]:<22}{span(figure):<22}{extra}".rstrip())
        lines.append("")
    return [*lines, "± is half of a 95% interval over whole episodes.", ""]


def _failures(report: Report) -> list[str]:
    if not report.failures:
        return ["No mistake was found in these rollouts."]
    lines = ["What this world gets most wrong"]
    for i, failure in enumerate(report.failures, 1):
        lines += textwrap.wrap(
            failure.sentence, 100, initial_indent=f"  {i}. ", subsequent_indent="     "
        )
        if f"worst_{i}" in report.files:
            lines.append(f"     {report.files[f'worst_{i}']}")
    return lines


def _lies(report: Report) -> list[str]:
    if not report.lies:
        return []
    lines = ["", "Lies that are known and still open"]
    for lie in report.lies[:SHOWN]:
        lead = f"  {lie.id}. "
        indent = " " * len(lead)
        lines += textwrap.wrap(
            f"{lie.kind}: {lie.sentence}", 100, initial_indent=lead, subsequent_indent=indent
        )
        if f"lie_{lie.id}" in report.files:
            lines.append(indent + report.files[f"lie_{lie.id}"])
    more = len(report.lies) - SHOWN
    return lines + ([f"  and {more} more: `worldloom ls lies RUN`"] if more > 0 else [])
