"""What a world knows: the first figure of every task of its trust reports, as one results file.

    worldloom eval hop runs/hop64/store --suite trust --budget quick --out runs/trust-hop
    python -m benchmarks.trust_world hop runs/trust-hop --publish

Several reports may be named. Of a task that is in several of them the first one counts, so
that what was sat under a larger budget can stand beside the rest under a smaller one; the
budget stands beside every figure.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.rates import Figures
from worldloom import shipped
from worldloom.hub import doubt_folder
from worldloom.trust.report.profile import Entry, Profile, beside, detects, mark


def first_figures(profiles: Sequence[Profile]) -> Figures:
    """The primary figure of every task, beside its null, ceiling, verdict and budget."""
    found: Figures = {}
    for profile in profiles:
        for entry in profile.entries:
            found.setdefault(entry.task, _first(entry, profile))
    longest = max(profiles, key=lambda profile: len(profile.entries))
    order = [entry.task for entry in longest.entries]
    return dict(sorted(found.items(), key=lambda pair: [*order, pair[0]].index(pair[0])))


def _first(entry: Entry, profile: Profile) -> dict[str, Any]:
    said: dict[str, Any] = {"verdict": mark(entry), "budget": profile.budget}
    said["said"] = entry.sentence or entry.why
    if not entry.figures:
        return results.figure(None, n=0, **said)
    name, figure = next(iter(entry.figures.items()))
    return results.figure(
        figure.value,
        figure.low,
        figure.high,
        unit=figure.unit,
        n=figure.n,
        figure=name,
        null=figure.null,
        ceiling=figure.ceiling,
        beside=beside(figure),
        detects=detects(figure),
        nulls=entry.nulls.get(name, {}),
        **said,
    )


def not_shipped(profiles: Sequence[Profile]) -> list[str]:
    """What is to be known of the worlds: doubt that was fitted for the exam and is not shipped."""
    fitted = sorted({profile.world for profile in profiles if profile.doubt_fitted})
    return [
        f"heads that tell doubt were fitted to `{world}` for the exam; the shipped world lacks them"
        for world in fitted
        if world in shipped.names() and not _doubts(shipped.FOLDER / world)
    ]


def _doubts(folder: Path) -> bool:
    """Whether a world comes with heads that tell doubt."""
    return (doubt_folder(folder, "dynamics") / "weights.safetensors").exists()


def main() -> None:
    parser = argparse.ArgumentParser(description="What a world knows, as one results file.")
    parser.add_argument("name", help="of the world; the file is trust_NAME.json")
    parser.add_argument("reports", nargs="+", help="folders of trust reports")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    args = parser.parse_args()
    profiles = [Profile.load(Path(report)) for report in args.reports]
    figures = first_figures(profiles)
    for task, entry in figures.items():
        value = "-" if entry["value"] is None else f"{entry['value']:.3g}"
        print(f"{task}: {value} ({entry['verdict']}, {entry['budget']}) {entry['said']}")
    if args.publish:
        commands = [str(profile.run["command"]) for profile in profiles]
        results.write(
            f"trust_{args.name}",
            command="; ".join(commands),
            seeds=sorted({profile.seed for profile in profiles}),
            figures=figures,
            worlds=sorted({f"{profile.world} {profile.identity}" for profile in profiles}),
            not_shipped=not_shipped(profiles),
        )


if __name__ == "__main__":
    main()
