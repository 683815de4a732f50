"""The quickstart as a newcomer runs it, once for each training seed, one after the other.

    python -m benchmarks.quickstart --seeds 0 1 2 --out runs/quickstart-seeds

Each seed is a process of its own with a run folder of its own, OUT/seed-S. One
that is finished is kept and one that was interrupted goes on, so the same
command can be given again. With `--smoke` the way is proven in seconds, and
the figures, which then mean nothing, land in OUT.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results

SCORES = {"foreground_gain_db_h1_16": "dB", "headroom_share_h8": "1"}
WORST = {
    "wall_seconds": ("s", max),
    "peak_memory_gb": ("GB", max),
    "fps_p50": ("frames/s", min),
    "input_to_frame_p95_ms": ("ms", max),
}
ORDER = (
    "wall_seconds",
    "peak_memory_gb",
    "foreground_gain_db_h1_16",
    "headroom_share_h8",
    "fps_p50",
    "input_to_frame_p95_ms",
)
HULL = (
    "mean over training seeds; low and high are the lowest low and the highest high of the "
    "seeds' own 95% intervals (bootstrap over held-out episodes), a conservative hull; "
    "n is the number of episodes in the smallest evaluation"
)
TOLERANCE_ROW = "differs by more than 16 of 255"

Run = Mapping[str, Any]
"""One seed: its `report.json`, with `own_mask` and `commit` beside it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/quickstart-seeds"))
    parser.add_argument("--smoke", action="store_true", help="prove the way, not the world")
    given = parser.parse_args()
    runs = [run_seed(seed, given.out / f"seed-{seed}", smoke=given.smoke) for seed in given.seeds]
    path = results.write(
        "quickstart",
        command=command_text(given.seeds, smoke=given.smoke),
        seeds=given.seeds,
        figures=combine(runs),
        folder=given.out if given.smoke else None,
        stages_seconds=[run["stages"] for run in runs],
        run_commits=[run["commit"] for run in runs],
    )
    print(path.read_text())


def command_text(seeds: Sequence[int], *, smoke: bool) -> str:
    """The command that makes the file again; the folder of the runs changes no figure."""
    words = ["python", "-m", "benchmarks.quickstart", "--seeds", *map(str, seeds)]
    return shlex.join([*words, *(["--smoke"] if smoke else [])])


def run_seed(seed: int, folder: Path, *, smoke: bool) -> dict[str, Any]:
    """Runs what is left of one seed's quickstart, and reads what it reports."""
    if not (folder / "report.json").exists():
        command = [sys.executable, "-m", "worldloom", "quickstart", "--no-serve"]
        command += ["--seed", str(seed), "--out", str(folder), *(["--smoke"] if smoke else [])]
        print(shlex.join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True)
    report = json.loads((folder / "report.json").read_text())
    evaluation = json.loads((folder / "evaluation" / "report.json").read_text())
    made = json.loads((folder / "dynamics" / "config.json").read_text())["made"]
    other = evaluation["sensitivity"].get(TOLERANCE_ROW, {})
    own = {name: other.get(f"{name}_own_mask", {}).get("value") for name in SCORES}
    return {**report, "own_mask": own, "commit": made["commit"][:10]}


def combine(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """The figures of all seeds together, in the order of the results file."""
    return {name: score(name, runs) if name in SCORES else worst_of(name, runs) for name in ORDER}


def worst_of(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """A cost: that of the seed which it treated worst."""
    unit, choose = WORST[name]
    values = [run[name] for run in runs]
    rows = [{"seed": run["seed"], "value": run[name]} for run in runs]
    how = f"the {'lowest' if choose is min else 'highest'} of the seeds"
    return results.figure(choose(values), unit=unit, n=len(runs), how=how, per_seed=rows)


def score(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """A score: its mean over seeds within the hull of their intervals; none if a seed has none.

    `perfect_simulator` of the headroom share is what the game itself scores
    under another episode's actions: the most that a dream can reach.
    """
    scored = [run["scored"][name] for run in runs]
    rows = []
    for run, figure in zip(runs, scored, strict=True):
        kept = {key: figure[key] for key in ("value", "low", "high", "n", "ceiling")}
        rows.append({"seed": run["seed"], **kept, "own_mask": run["own_mask"][name]})
    more: dict[str, Any] = {"how": HULL, "per_seed": rows}
    ceilings = [figure["ceiling"] for figure in scored]
    if name.startswith("headroom_share") and None not in ceilings:
        more["perfect_simulator"] = sum(ceilings) / len(ceilings)
    pairs = zip(runs, scored, strict=True)
    missing = [f"seed {run['seed']}: {f['why']}" for run, f in pairs if f["value"] is None]
    if missing:
        return results.figure(None, unit=SCORES[name], n=0, why="; ".join(missing), **more)
    return results.figure(
        sum(figure["value"] for figure in scored) / len(scored),
        min(figure["low"] for figure in scored),
        max(figure["high"] for figure in scored),
        unit=SCORES[name],
        n=min(figure["n"] for figure in scored),
        **more,
    )


if __name__ == "__main__":
    main()
