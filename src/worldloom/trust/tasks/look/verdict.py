"""The verdict on looks: who tells dream from recording, what idling costs, which rules are broken.

A row is one moment, its episode the cluster.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from worldloom import seeding
from worldloom.evaluate import statistics
from worldloom.evaluate.endurance import idle_loss
from worldloom.evaluate.judge import figure
from worldloom.evaluate.report import Figure
from worldloom.trust.pooling import ratio
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.tasks.look import telling

TOLD, LOST, BROKEN = 0.75, 3.0, 10.0
"""Above these a world does not look right: choices, decibels, breaches in 1,000 frames."""
FLIPS = 2_000


def judge(rows: Sequence[Row], *, seed: int) -> Verdict:
    """Each of what can be asked below its bound, with the whole interval."""
    seed = seeding.stream(seed, "interval")
    figures = {
        "told_apart": _told(rows, seed),
        **_idling(rows, seed),
        "breaches": _breaches(rows, seed),
        "agent_tells": _agent_tells(rows, seed),
        "agent_does_otherwise": _otherwise(rows, seed),
    }
    bounds = {"told_apart": TOLD, "idling": LOST, "breaches": BROKEN}
    asked = {n: figures[n] for n in bounds if figures[n].value is not None}
    passed = all(f.high is not None and f.high < bounds[n] for n, f in asked.items())
    return Verdict(figures, passed if asked else None, _words(figures))


def _words(figures: dict[str, Figure]) -> str:
    words = {
        "told_apart": "of a recorded and a dreamed frame the dream is found in {:.0%}",
        "idling": "idling costs {:.1f} dB",
        "breaches": "{:.0f} breaches in 1,000 frames more than the real game",
        "agent_tells": "who lives in it could tell in {:.0%}",
    }
    told = [w.format(figures[n].value) for n, w in words.items() if figures[n].value is not None]
    return "; ".join(told) or "nothing of it could be looked at"


def _chosen(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> np.ndarray:
    """`[N, 2]` how often the dream was taken for the dream, and how often it was asked."""
    picks = [telling.choices(np.array(real), np.array(dream)) for real, dream in pairs]
    return np.array([[p.sum(), p.size] for p in picks])


def _told(rows: Sequence[Row], seed: int) -> Figure:
    """Choices of who looks; the null is a blurred copy, the ceiling other recordings."""
    own = _chosen([(row.extra["real"], row.extra["dream"]) for row in rows])
    found = statistics.Pool(_clustered(own, rows), seed=seed).estimate(ratio(0, 1))

    def total(name: str) -> float:
        some = [row.extra["beside"][name] for row in rows]
        return float(ratio(0, 1)(_chosen([(e["real"], e["dream"]) for e in some]).sum(0)))

    return figure(found, (), "1", null=total("blurred"), ceiling=total("elsewhere"))


def _idling(rows: Sequence[Row], seed: int) -> dict[str, Figure]:
    """Decibels lost by doing nothing, beyond the real environment's: all pixels, and still ones."""
    names = ("idling", "idling_still")
    some = [row for row in rows if "idle" in row.extra]
    if len(some) < 2:
        return {name: Figure.absent("dB", "it was not watched for long") for name in names}
    sums = np.array([row.extra["idle"] for row in some])
    found = statistics.Pool(_clustered(sums, some), seed=seed).estimate(idle_loss)
    copy = np.array([row.extra["beside"]["blurred"]["idle"] for row in some])
    null = idle_loss(copy.sum(0)[None])[0]
    why = "" if some[0].extra["entered"] else "no real environment beside it"
    return {
        name: figure(found, i, "dB", null=float(null[i]), ceiling=0.0, why=why)
        for i, name in enumerate(names)
    }


def _breaches(rows: Sequence[Row], seed: int) -> Figure:
    """Breaches of the rules in 1,000 frames, minus those read off the real game."""
    some = [row for row in rows if "broken" in row.extra]
    if len(some) < 2:
        return Figure.absent("1", "nobody wrote down the rules of this environment")
    real = [row.extra["beside"].get("ceiling", {}) for row in some]
    pairs = [
        (e["broken"], e["lasts"], r.get("broken", 0), r.get("lasts", 1))
        for e, r in zip((row.extra for row in some), real, strict=True)
    ]
    rate = lambda s: 1000 * (s[:, 0] / s[:, 1] - s[:, 2] / s[:, 3])  # noqa: E731
    found = statistics.Pool(_clustered(np.array(pairs, float), some), seed=seed).estimate(rate)
    copy = [row.extra["beside"]["blurred"] for row in some]
    null = 1000 * sum(e["broken"] for e in copy) / sum(e["lasts"] for e in copy)
    return figure(found, (), "1", null=float(null), ceiling=0.0)


def _agent_tells(rows: Sequence[Row], seed: int) -> Figure:
    """How often what the agent's heads read tells which of both is the dream."""
    some = [row for row in rows if "agent" in row.extra]
    if len(some) < 2:
        return Figure.absent("1", "nobody lives in this world")
    says = [tuple(row.extra["agent"][name]["says"] for name in ("real", "dream")) for row in some]
    sums = _clustered(_chosen(says), some)
    found = statistics.Pool(sums, seed=seed).estimate(ratio(0, 1))
    # With its labels exchanged an episode counts what it missed.
    other = np.stack([sums[:, 1] - sums[:, 0], sums[:, 1]], -1)
    p = statistics.swap_test(sums, other, ratio(0, 1), seed=seed)
    return figure(found, (), "1", null=0.5, ceiling=0.5, why=f"p = {p:.2g}, exchanged labels")


def _otherwise(rows: Sequence[Row], seed: int) -> Figure:
    """The largest change in the mean chance of any choice or key, from recording to dream."""
    some = [row for row in rows if "agent" in row.extra]
    if len(some) < 2:
        return Figure.absent("1", "nobody lives in this world")
    apart = np.array([_would(row.extra, "dream") - _would(row.extra, "real") for row in some])
    sums = _clustered(np.concatenate([apart, np.ones((len(apart), 1))], 1), some)
    change = lambda s: np.abs(s[..., :-1] / s[..., -1:]).max(-1)  # noqa: E731
    found = statistics.Pool(sums, seed=seed).estimate(change)
    signs = seeding.rng(seed, "exchanged").choice([-1.0, 1.0], (FLIPS, len(sums)))
    mixed = np.abs(signs @ sums[:, :-1]).max(-1) / sums[:, -1].sum()
    p = float((1 + (mixed >= found.value).sum()) / (1 + FLIPS))
    why = f"p = {p:.2g}, dream and recording exchanged"
    return figure(found, (), "1", null=float(mixed.mean()), ceiling=float(mixed.mean()), why=why)


def _would(extra: Any, name: str) -> np.ndarray:
    return np.array(extra["agent"][name]["would"])


def _clustered(sums: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
    return statistics.by_cluster(sums, [row.cluster for row in rows])
