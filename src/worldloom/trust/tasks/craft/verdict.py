"""From the answers about Craft to figures: the gap and its terms, ranks, deeds, doubt.

Returns are told in a unit of their own: what the best policy gets for real more than chance,
over all moments of the exam. It says nothing of a world and is the same for every one, so it is
no part of what is resampled; all else is computed anew on each resample of whole games.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worldloom.evaluate import statistics
from worldloom.evaluate.doubt import Doubted, auroc, rank_sums
from worldloom.evaluate.report import Figure
from worldloom.evaluate.statistics import Statistic
from worldloom.trust import pooling
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.tasks.craft.games import BEST, CHANCE, POLICIES

CLOSE = 0.05
"""The whole interval of the gap must be within so much of 0."""
COUNT = len(POLICIES)
IMAGINED, JUDGED, REAL = (slice(k * COUNT, (k + 1) * COUNT) for k in range(3))
PROMISED, PAID, MOMENTS = 3 * COUNT, 3 * COUNT + 1, 3 * COUNT + 2
NOTHING, COIN = "nothing", "coin"
"""Names of the nulls: nothing ever happens; every deed works by chance."""


def judge(rows: Sequence[Row], *, seed: int) -> Verdict:
    """Passed where what is imagined is what is real, on average over policies."""
    figures = {**_returns(rows, seed), **deed_figures(rows, seed), "doubt": _doubt(rows, seed)}
    gap = figures["gap"]
    close = gap.low is not None and gap.high is not None and max(-gap.low, gap.high) <= CLOSE
    return Verdict(figures, close, _sentence(figures, close))


def _returns(rows: Sequence[Row], seed: int) -> dict[str, Figure]:
    """Everything about policies and planner, beside what nulls and ceiling get."""
    starts = [row for row in rows if row.split == "start"]
    own, null, best = (_sums(starts, who) for who in ("", NOTHING, "ceiling"))
    unit = _unit(own)
    if unit <= 0:
        why = "the best policy gets no more for real than chance: there is nothing to measure by"
        return {name: Figure.absent("1", why) for name in RETURNS}
    for sums in (own, null, best):
        sums[:, :MOMENTS] /= unit
    figures = {}
    for name, (statistic, smooth, why) in RETURNS.items():
        flat, top = (_whole(statistic, sums) for sums in (null, best))
        figures[name] = pooling.figure(
            own,
            statistic,
            seed=seed,
            null=flat if np.isfinite(flat) else 0.0,  # what never changes is in no order
            ceiling=top,
            why=why,
            smooth=smooth,
        )
    return figures


def _whole(statistic: Statistic, sums: np.ndarray) -> float:
    """A statistic of all games together; NaN of none."""
    return float(statistic(sums.sum(0, keepdims=True))[0]) if len(sums) else np.nan


def _sums(starts: Sequence[Row], who: str) -> np.ndarray:
    """Sums by game `[C, 3 P + 3]` of the world's own answers, or of those of a null or ceiling."""
    found, keys = [], []
    for row in starts:
        facts: Mapping[str, Any] = row.extra.get("beside", {}).get(who, {}) if who else row.extra
        if "returns" in facts:
            paid = np.array([facts["returns"][name] for name in POLICIES])
            found.append([*paid.T.reshape(-1), *facts["planner"], 1.0])
            keys.append(row.cluster)
    sums = np.array(found) if found else np.zeros((0, MOMENTS + 1))
    return statistics.by_cluster(sums, keys)


def _unit(sums: np.ndarray) -> float:
    """What the best policy gets for real more than chance, from one moment; 0 without moments."""
    names, real = list(POLICIES), sums[:, REAL].sum(0)
    span = real[names.index(BEST)] - real[names.index(CHANCE)]
    return float(span / max(sums[:, MOMENTS].sum(), 1.0))


def _between(first: slice, second: slice) -> Statistic:
    """One return less another, the mean over policies and moments."""
    return lambda sums: (sums[:, first].mean(1) - sums[:, second].mean(1)) / sums[:, MOMENTS]


def _exploit(sums: np.ndarray) -> np.ndarray:
    """What the planner is promised for its plans less what they pay."""
    return (sums[:, PROMISED] - sums[:, PAID]) / sums[:, MOMENTS]


def pearson(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Correlation of `[R, P]` with `[R, P]`, `[R]`; NaN where either has no spread."""
    one, two = (x - x.mean(1, keepdims=True) for x in (one, two))
    spread = np.sqrt((one**2).sum(1) * (two**2).sum(1))
    out = np.full(len(one), np.nan)
    return np.divide((one * two).sum(1), spread, out=out, where=spread > 1e-12)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of `[R, P]`, equal ones in the middle of theirs."""
    other, own = values[:, None], values[:, :, None]
    return (other < own).sum(2) + (other == own).sum(2) / 2


def violation(dreamt: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Mean maximum rank violation (Li et al., arXiv 2405.05941) of `[R, P]`, `[R]`.

    For each policy the largest real difference to another one that the dream orders another
    way; not to tell them apart counts as that.
    """
    apart = real[:, :, None] - real[:, None]
    dream = dreamt[:, :, None] - dreamt[:, None]
    return np.where(np.sign(apart) != np.sign(dream), np.abs(apart), 0.0).max(2).mean(1)


def _violation(sums: np.ndarray) -> np.ndarray:
    return violation(sums[:, IMAGINED], sums[:, REAL]) / sums[:, MOMENTS]


RETURNS: Mapping[str, tuple[Statistic, bool, str]] = {
    "gap": (_between(IMAGINED, REAL), True, "imagined minus real return, mean over policies"),
    "dynamics": (_between(IMAGINED, JUDGED), True, "of the gap: imagined minus judged"),
    "reward": (_between(JUDGED, REAL), True, "of the gap: judged on real frames minus real"),
    "exploit": (_exploit, True, "what a planner is promised minus what it is paid"),
    "pearson": (lambda s: pearson(s[:, IMAGINED], s[:, REAL]), True, "over policies"),
    "spearman": (
        lambda s: pearson(ranks(s[:, IMAGINED]), ranks(s[:, REAL])),
        False,
        "of ranks, over policies",
    ),
    "rank_violation": (
        _violation,
        False,
        "mean over policies of the worst pair put in wrong order",
    ),
}
"""Statistics of `_sums`, whether they are smooth, and what to know about them."""


def deed_figures(rows: Sequence[Row], seed: int) -> dict[str, Figure]:
    """How often impossible deeds work in the dream, and possible ones do not."""
    by = {split: [row for row in rows if row.split == split] for split in "FLU"}
    legal = [*by["L"], *by["U"]]
    figures = {
        "forbidden": _rate(by["F"], seed, "share of impossible deeds that work"),
        "omission": _rate(by["L"], seed, "share of possible deeds that do not work"),
        "omission_unseen": _rate(by["U"], seed, "the same of deeds that no recording shows")
        if by["U"]
        else Figure.absent("1", "no recordings are given, or every deed occurs in them"),
    }
    both = pooling.table([*by["F"], *legal], [_wrong(False), _is(False), _wrong(True), _is(True)])
    share = lambda k: pooling.ratio(k, k + 1)  # noqa: E731
    figures["balanced"] = pooling.figure(
        both[:, 1:],
        lambda sums: 1 - (share(0)(sums) + share(2)(sums)) / 2,
        seed=seed,
        null=0.5,
        ceiling=1.0,
        why="mean of one minus forbidden and omission",
    )
    return figures


def _is(legal: bool) -> pooling.Column:
    return lambda row: float((row.split != "F") == legal)


def _wrong(legal: bool) -> pooling.Column:
    return lambda row: None if row.value is None else row.value * ((row.split != "F") == legal)


def _rate(rows: Sequence[Row], seed: int, why: str) -> Figure:
    null = pooling.mean(rows, pooling.null(COIN))
    return pooling.mean_figure(rows, seed=seed, null=0.5 if null is None else null, why=why)


def _doubt(rows: Sequence[Row], seed: int) -> Figure:
    """Whether deeds about which the world is wrong are doubted more than others."""
    asked = [row for row in rows if row.split != "start" and row.extra.get("doubt") is not None]
    if not asked:
        return Figure.absent("1", "it tells no doubt")
    told, wrong = (
        np.array(x, float) for x in zip(*((r.extra["doubt"], r.value) for r in asked), strict=True)
    )
    games = np.array([row.cluster for row in asked])
    found = Doubted(told, told, told, told, wrong, games, tolerance=0.5)
    sums = statistics.by_cluster(rank_sums(found), games)
    why = "chance that a deed it is wrong about is doubted more than one it is right about"
    return pooling.figure(sums, auroc, seed=seed, null=0.5, ceiling=1.0, why=why)


def _sentence(figures: Mapping[str, Figure], close: bool) -> str:
    def told(name: str) -> str:
        value = figures[name].value
        return "unknown" if value is None else f"{value:.2f}"

    gap = figures["gap"].value
    side = "more" if (gap or 0) > 0 else "less"
    first = "reality pays what it promises" if close else "it promises what nobody can measure"
    if not close and gap is not None:
        first = f"it promises {abs(gap):.2f} units {side} than reality pays"
    return (
        f"{first} (dynamics {told('dynamics')}, reward {told('reward')}; a planner is promised "
        f"{told('exploit')} more); of the impossible {told('forbidden')} works, of the possible "
        f"{told('omission')} does not; rank correlation of policies {told('spearman')}"
    )
