"""Puts the figures of `benchmarks/results/` into README, guide and world cards, between markers.

    <!-- results: quickstart -->     every figure, and how it was made
    <!-- headlines: quickstart -->   those that have words below
    <!-- /results -->

`python -m benchmarks.tables` rewrites the text between them; `render` is what
the test compares with. A file that is not there yet is said to be missing.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
CARDS = ROOT / "src" / "worldloom" / "worlds"
MEASURED = ROOT / "docs" / "measured.md"
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- (results|headlines): ([\w ,-]+) -->\n).*?(<!-- /results -->)", re.S)
HEAD = ["| what | value | 95% interval | n |", "|---|---|---|---|"]
# What a row of the headlines is about, where its own words do not say.
ABOUT = {
    "quickstart": "The quickstart",
    "play_hop": "Hop, as shipped",
    "play_crafter": "Crafter, as shipped",
    "load": "50 players at once",
}

# A figure's name in words. A figure that is not here is shown under its own name, and is no
# headline.
WORDS = {
    "wall_seconds": "`make demo` after install, to a playable world",
    "peak_memory_gb": "peak memory",
    "foreground_gain_db_h1_16": "foreground PSNR, over the better of persistence and background",
    "headroom_share_h8": "headroom share at horizon 8",
    "fps_p50": "the page: frames a second, median",
    "input_to_frame_p95_ms": "the page: input to frame, 95th percentile",
    "clips_ratio_stable_worldmodel": "random 16-frame clips a second, against `stable-worldmodel`",
    "train_ratio_nicklashansen": "dynamics training step, against `nicklashansen/dreamer4`",
    "train_ratio_pypi_dreamer4": "dynamics training step, against PyPI `dreamer4`",
    "generate_ratio_nicklashansen": "one generated frame, against `nicklashansen/dreamer4`",
    "generate_ratio_pypi_dreamer4": "one generated frame, against PyPI `dreamer4`",
    "matmul_share_train": "training step, share of the machine's own matrix-multiply rate",
    "seconds_to_first_frame": "from the command to the first frame",
    "usable_horizon_median": "usable horizon, median",
    "idle_1000_psnr_drop_db": "lost between frames 100 and 1,000 of idling, beyond the real game",
    "violations_per_1000": "broken rules per 1,000 frames of free play",
    "aggregate_over_single": "frames a second of all, over one's alone",
    "slowest_over_median": "the slowest of them, over the median",
    "record_speed_share": "recorder, share of the environment's own speed: Hop, which is fast",
    "record_speed_share_pong": "recorder, share of the environment's own speed: Atari Pong",
    "record_share_with_two_workers": "the same by two workers, who each play and store: Hop",
    "imagined_steps_per_second": "imagined steps a second while learning, K = 4",
    "added_latency_p95_ms": "policy server: what the wire adds, 95th percentile",
    "record_speed_share_crafter": "recorder, share of the environment's own speed: Crafter",
}


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def row(name: str, figure: dict[str, Any], about: str = "") -> str:
    """One figure as a line of a table."""
    unit = {"1": "", "x": "×"}.get(figure["unit"], f" {figure['unit']}")
    interval = f"{number(figure['low'])} to {number(figure['high'])}"
    interval = interval if figure["low"] is not None else ""
    words = WORDS.get(name, f"`{name}`")
    told = [figure[key] for key in ("figure", "beside", "verdict", "budget") if figure.get(key)]
    words += "".join(f", {part}" for part in told)
    words = f"{about}: {words}" if about else words
    words += f" ({figure['machine']})" if "machine" in figure else ""  # not that of the file
    return f"| {words} | {number(figure['value'])}{unit} | {interval} | {figure['n']} |"


def table(name: str) -> str:
    """One results file as a table, and how it was made."""
    content = measured(name)
    if content is None:
        return f"`{name}` has not been measured yet.\n"
    lines = [row(key, figure) for key, figure in content["figures"].items()]
    seeds = f"seeds {', '.join(map(str, content['seeds']))}; " if content["seeds"] else ""
    made = f"`{content['command']}`; {seeds}{content['machine']}; commit {content['commit']}"
    noted = "".join(f"; {note}" for note in content.get("not_shipped", []))
    return "\n".join([*HEAD, *lines, "", f"<sub>{made}, {content['date']}{noted}</sub>", ""])


def headlines(names: list[str]) -> str:
    """The figures of several files that have words, in one table."""
    lines = []
    for name in names:
        figures = (measured(name) or {"figures": {}})["figures"]
        lines += [row(key, figures[key], ABOUT.get(name, "")) for key in WORDS if key in figures]
    return "\n".join([*HEAD, *lines, ""])


def measured(name: str) -> dict[str, Any] | None:
    """A results file, None where it is not there yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def render(text: str) -> str:
    """The same text with every block of results made anew."""

    def fill(match: re.Match[str]) -> str:
        names = [name.strip() for name in match[3].split(",")]
        short = match[2] == "headlines"
        body = headlines(names) if short else "\n".join(table(name) for name in names)
        return match[1] + body + match[4]

    return BLOCK.sub(fill, text)


def pages() -> list[Path]:
    """Every file that shows figures."""
    return [README, MEASURED, *sorted(CARDS.glob("*/CARD.md"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(render(page.read_text()))
