"""Writes a report and its pictures into a folder that explains itself.

OUT/
  report.json     every figure with its interval, null and n; written last
  report.txt      the same for a terminal
  report.html     the same for a browser, pictures inside
  contact.png     real above dream, several episodes
  worst/1.gif     the thing it gets most wrong, real beside dream; 2.gif, 3.gif
  worst/1.png     the same as a strip
  lies/7.webp     an open lie of the run's ledger, real beside dream
  samples.jsonl   one row a window, so that two worlds can be compared pair by pair
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from worldloom.data import film
from worldloom.data.files import disk_error
from worldloom.data.ledger import Ledger
from worldloom.evaluate import page, pictures
from worldloom.evaluate.evidence import Evidence
from worldloom.evaluate.failures import Failure
from worldloom.evaluate.lies import SHOWN, told
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
    for stale in set((out / "worst").glob("[0-9].*")) - {out / name for name in files.values()}:
        stale.unlink()  # of an evaluation that was here before
    whole = Report(**{**vars(report), "files": files})
    lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in samples)
    _put(out / "samples.jsonl", lambda path: path.write_text(lines))
    _write(whole, out)
    return whole


def add_lies(report: Report, ledger: Ledger, out: Path, *, fps: float) -> Report:
    """Adds the open lies of a ledger, with films of the newest, to a report that was published."""
    lies = ledger.lies(open=True)[::-1]
    names = {f"lie_{lie.id}": f"lies/{lie.id}.webp" for lie in lies[:SHOWN]}
    folder = out / "lies"
    if lies:
        folder.mkdir(exist_ok=True)
    for lie in lies[:SHOWN]:
        both = film.panes(ledger.dream(lie), ledger.real(lie), lie.start)
        data = film.moving(both, min(fps, 10.0))  # slow enough to see what happens
        _put(out / names[f"lie_{lie.id}"], lambda path, data=data: path.write_bytes(data))
    for stale in set(folder.glob("*")) - {out / name for name in names.values()}:
        stale.unlink()  # closed since
    shown = tuple(map(told, lies))
    whole = replace(report, lies=shown, files={**report.files, **names})
    _write(whole, out)
    return whole


def _write(report: Report, out: Path) -> None:
    """The report in its three forms; every file that it names is there by then."""
    _put(out / "report.txt", lambda path: path.write_text(report.to_text() + "\n"))
    _put(out / "report.html", lambda path: path.write_text(page.render(report, out)))
    save(out / "report.json", report.to_json())


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
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, f"`{path}`", "the report is not complete") from error
