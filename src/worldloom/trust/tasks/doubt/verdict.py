"""The verdict on doubt: does it rank errors, may it be believed, what is left out by heeding it.

A row is one dream with its steps, its episode the cluster. The arithmetic is that of
`worldloom.evaluate.doubt`.
"""

from collections.abc import Sequence

import numpy as np

from worldloom import seeding
from worldloom.evaluate import doubt, statistics
from worldloom.evaluate.doubt import Doubted
from worldloom.evaluate.judge import figure
from worldloom.evaluate.report import Figure
from worldloom.trust.pooling import ratio
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict

ABSTAINS = 0.05
"""Steps that are left out in distribution."""
BELIEVED = 0.1
"""Calibration error below which doubt may be believed."""
SCORES = {
    "near": "nearest training step in pixels",
    "near_features": "nearest training step in features",
    "spread": "spread of samples",
}
"""What else would tell wrong steps from right ones; a row has those that there are."""


def judge(rows: Sequence[Row], *, seed: int) -> Verdict:
    """Better than what is merely unseen, to be believed, and more doubtful where it is strange."""
    seed = seeding.stream(seed, "interval")
    parts = {
        split: some
        for split in ("dev", "same", "colours", "actions")
        if len(some := [r for r in rows if r.split == split and r.value is not None]) > 1
    }
    same, dev = _doubted(parts["same"]), _doubted(parts["dev"])
    figures = _ranked(parts["same"], seed)
    figures["ece"] = _ece(same, float(dev.wrong.mean()), seed)
    above = float(np.quantile(dev.doubt, 1 - ABSTAINS, method="higher"))
    for split in ("same", "colours", "actions"):
        if split not in parts:
            why = "the recordings do not lead back into the environment"
            figures[f"leaves_out_wrong_{split}"] = Figure.absent("1", why)
            continue
        found = _doubted(parts[split])
        if split != "same":
            figures[f"auroc_{split}"] = _auroc(found, seed)
            figures[f"ece_{split}"] = _ece(found, float(dev.wrong.mean()), seed)
        for kind, which in (("wrong", found.wrong), ("right", ~found.wrong)):
            ceiling = float(kind == "wrong")
            figures[f"leaves_out_{kind}_{split}"] = _share(
                found, found.doubt > above, which, seed, ceiling
            )
    return _verdict(figures)


def _verdict(figures: dict[str, Figure]) -> Verdict:
    auroc, ece, gain = (figures[name] for name in ("auroc", "ece", "beyond_nearest"))
    if auroc.value is None:
        return Verdict(figures, None, auroc.why)
    ranks = (auroc.low or 0) > 0.5 and gain.low is not None and gain.low > 0
    believed = ece.high is not None and ece.high < BELIEVED
    strange = figures["leaves_out_wrong_colours"]
    notices = strange.value is None or (strange.low or 0) > ABSTAINS
    words = [
        f"it doubts a wrong step more than a right one {auroc.value:.0%} of the time",
        f"its word is {'' if believed else 'not '}to be believed ({ece.value or 0:.2f} off)",
    ]
    if strange.value is not None:
        words.append(f"of wrong steps in strange colours {strange.value:.0%} are left out")
    return Verdict(figures, ranks and believed and notices, "; ".join(words))


def _doubted(rows: Sequence[Row], score: str = "doubt") -> Doubted:
    """All steps of some dreams; which are wrong was decided when they were drawn."""
    steps = lambda name: np.concatenate([np.array(r.extra[name], float) for r in rows])  # noqa: E731
    episode = np.concatenate([[r.cluster] * len(r.extra["doubt"]) for r in rows])
    told = steps("doubt")
    wrong = steps("wrong")
    return Doubted(steps(score), told, 0 * told, 0 * told + 1, wrong, episode, 0.5)


def _pool(sums: np.ndarray, found: Doubted, seed: int) -> statistics.Pool:
    return statistics.Pool(statistics.by_cluster(sums, found.episode), seed=seed)


def _ranked(rows: Sequence[Row], seed: int) -> dict[str, Figure]:
    """How well doubt ranks errors, and what heeding it saves, beside other scores."""
    names = ("doubt", *(name for name in SCORES if name in rows[0].extra))
    every = {name: _doubted(rows, name) for name in names}
    own = every["doubt"]
    if not own.wrong.any() or own.wrong.all():
        why = f"{'nothing' if not own.wrong.any() else 'everything'} goes wrong: nothing to rank"
        absent = ("auroc", "beyond_nearest", "risk_coverage")
        return {name: Figure.absent("1", why) for name in absent}
    ranks = {name: doubt.rank_sums(found) for name, found in every.items()}
    areas = {name: float(doubt.auroc(sums.sum(0))) for name, sums in ranks.items()}
    near = max((name for name in names if name.startswith("near")), key=areas.__getitem__)
    both = _pool(np.concatenate([ranks["doubt"], ranks[near]], -1), own, seed)
    gain = both.estimate(lambda s: doubt.auroc(s[..., :2]) - doubt.auroc(s[..., 2:]))
    saved = {name: doubt.risk_sums(found) for name, found in every.items()}
    others = [float(doubt.risk_coverage(saved[name].sum(0))) for name in names[1:]]
    coverage = _pool(saved["doubt"], own, seed).estimate(doubt.risk_coverage)
    auroc = both.estimate(lambda s: doubt.auroc(s[..., :2]))
    told = ", ".join(f"{SCORES[name]} {areas[name]:.2f}" for name in names[1:])
    best = max(0.5, *(areas[name] for name in names[1:]))
    return {
        "auroc": figure(auroc, (), "1", null=best, ceiling=1.0, why=told),
        "beyond_nearest": figure(
            gain, (), "1", null=0.0, ceiling=1 - areas[near], why=SCORES[near]
        ),
        "risk_coverage": figure(coverage, (), "1", null=max(0.0, *others), ceiling=1.0),
    }


def _auroc(found: Doubted, seed: int) -> Figure:
    area = _pool(doubt.rank_sums(found), found, seed).estimate(doubt.auroc)
    return _figure(area, 0.5, 1.0)


def _ece(found: Doubted, constant: float, seed: int) -> Figure:
    """Calibration error; the null always says how often steps of the other part were wrong."""
    error = _pool(doubt.belief_sums(found), found, seed).estimate(doubt.calibration_error)
    return _figure(error, abs(constant - float(found.wrong.mean())), 0.0)


def _share(
    found: Doubted, left_out: np.ndarray, which: np.ndarray, seed: int, ceiling: float
) -> Figure:
    """Of some steps, those that are left out."""
    sums = np.stack([left_out & which, which], -1).astype(float)
    return _figure(_pool(sums, found, seed).estimate(ratio(0, 1)), ABSTAINS, ceiling)


def _figure(found: statistics.Estimate, null: float, ceiling: float) -> Figure:
    """A figure, absent where it is undefined in the whole or in too many resamples."""
    if not np.isfinite([found.value, found.low, found.high]).all():
        return Figure.absent("1", "too few steps of its kind")
    return figure(found, (), "1", null=null, ceiling=ceiling)
