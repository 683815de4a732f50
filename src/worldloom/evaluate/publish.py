"""Writes a report and its pictures into a folder that explains itself.

OUT/
  report.json     every figure with its interval, null and n; written last
  report.txt      the same for a terminal
  report.html     the same for a browser, pictures inside
  contact.png     real above dream, several episodes
  worst/1.gif     the thing it gets most wrong, real beside dream; 2.gif, 3.gif
  worst/1.png     the same as a strip
  samples.jsonl   one row a window, so that two worlds can be compared pair by pair
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from worldloom.evaluate import page, pictures
from worldloom.evaluate.evidence import Evidence
from worldloom.evaluate.failures import Failure
from worldloom.evaluate.pictures import Pair
from worldloom.evaluate.report import Report, save

SHEET = 6
"""Episodes on the contact sheet."""


def publish(
    report: Report,
    evidence: Evidence,
    samples: Sequence[dict[str, object]],
    out: Path,
    *,
    fps: float,
) -> Report:
    """Writes everything and gives the report with the names of its files."""
    (out / "worst").mkdir(parents=True, exist_ok=True)
    files = {"contact": "contact.png"}
    step = max(1, len(evidence.windows) // SHEET)
    shown = range(0, len(evidence.windows), step)[:SHEET]
    sheet = pictures.contact_sheet([pair(evidence, i) for i in shown], evidence.horizons)
    _put(out / "contact.png", lambda path: sheet.save(path, format="PNG"))
    for rank, failure in enumerate(report.failures, 1):
        files |= _show(pair(evidence, failure.window), failure, out, rank=rank, fps=fps)
    for stale in set((out / "worst").iterdir()) - {out / name for name in files.values()}:
        stale.unlink()  # of an evaluation that was here before
    whole = Report(**{**vars(report), "files": files})
    lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in samples)
    _put(out / "samples.jsonl", lambda path: path.write_text(lines))
    _put(out / "report.txt", lambda path: path.write_text(whole.to_text() + "\n"))
    _put(out / "report.html", lambda path: path.write_text(page.render(whole, out)))
    save(out / "report.json", whole.to_json())
    return whole


def pair(evidence: Evidence, index: int) -> Pair:
    """Truth and dream of one window."""
    return Pair(
        evidence.windows[index].episode,
        evidence.context[index],
        evidence.real[index],
        evidence.dream[index],
    )


def _show(shown: Pair, failure: Failure, out: Path, *, rank: int, fps: float) -> dict[str, str]:
    """Writes the clip and the strip of one failure; gives their names."""
    end, since = len(shown.real), failure.frame
    at = {frame: (x, y) for frame, x, y in failure.places}
    first = max(1 - min(3, len(shown.context)), since - 8)
    clip = pictures.clip_frames(shown, first=first, last=min(end, since + 14), at=at)
    names = {f"worst_{rank}": f"worst/{rank}.gif", f"worst_{rank}_strip": f"worst/{rank}.png"}
    pace = min(fps, 10.0)  # slow enough to see what happens
    _put(out / names[f"worst_{rank}"], lambda path: pictures.save_gif(clip, str(path), fps=pace))
    frames = [since + step for step in (-2, -1, 0, 1, 2, 4, 6, 8)]
    kept = [frame for frame in frames if 1 <= frame <= end]
    strip = pictures.strip(shown, kept, at=at)
    _put(out / names[f"worst_{rank}_strip"], lambda path: strip.save(path, format="PNG"))
    return names


def _put(path: Path, write: Callable[[Path], object]) -> None:
    """Writes beside the place, then renames."""
    part = path.with_name(f".{path.name}.part")
    write(part)
    os.replace(part, path)
