"""Every gate of the suite and who stands exactly at it, task by task.

The questions about recordings are drawn here, all others in `trust_nulls`. A task has one bound
for each thing that its gate asks for; where it makes several claims, one for each of these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks import trust_nulls as nulls
from benchmarks.trust_nulls import RAW, Draw, Rng, with_more
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.tasks.doubt.verdict import ABSTAINS, BELIEVED
from worldloom.trust.tasks.look.verdict import BROKEN, LOST, TOLD


@dataclass(frozen=True)
class Bound:
    """Who is just not good enough.

    Args:
      draw: its rows.
      claims: whether a verdict says what is not so.
    """

    draw: Draw
    claims: Callable[[Verdict], bool] = lambda verdict: bool(verdict.passed)


def stands_on(rung: int) -> Callable[[Verdict], bool]:
    """Whether a verdict of *gladder* says that so high a rung was reached."""
    return lambda verdict: int(verdict.sentence.split("rung ")[1][0]) >= rung


def half_deaf(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *control*: in half of the moments it draws the same whatever is done."""
    found = []
    for row, deaf in zip(rows, rng.random(len(rows)) < 0.5, strict=True):
        errors = dict(row.extra["errors"])
        found.append(with_more(row, errors={**errors, "other": errors["true"]}) if deaf else row)
    return found


def half_read(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *control*: in half of the moments what is read is what hidden actions leave."""
    found = []
    for row, lost in zip(rows, rng.random(len(rows)) < 0.5, strict=True):
        elsewhere = row.extra["blind"] or row.extra["shuffled"]
        found.append(with_more(row, read=[elsewhere, *row.extra["read"][1:]]) if lost else row)
    return found


def half_late(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *control*: in half of the moments it does everything one frame later."""
    found = []
    for row, late in zip(rows, rng.random(len(rows)) < 0.5, strict=True):
        first, second, *rest = row.extra["read"]
        found.append(with_more(row, read=[second, first, *rest]) if late else row)
    return found


def told_at_the_bound(row: Row, rng: Rng) -> Mapping[str, Any]:
    """Of *look*: dreams that are picked exactly as often as is just too often."""
    picked = rng.random(len(row.extra["real"])) < TOLD
    return {"real": [0.0] * len(picked), "dream": (2.0 * picked - 1).tolist()}


def fades(row: Row, rng: Rng) -> Mapping[str, Any]:
    """Of *look*: doing nothing costs as many decibels as is just too many."""
    if "idle" not in row.extra:
        return {}
    idle = np.array(row.extra["idle"])  # [dream or real, pixels, early or late, error and count]
    least = idle[0, 0, :, 1] * (0.5 / 255) ** 2
    times = 10 ** (LOST / 10) * np.exp(0.3 * rng.standard_normal() - 0.3**2 / 2)
    idle[0, 0, 1, 0] = (idle[0, 0, 1, 0] + least[1]) * times - least[1]
    return {"idle": idle.tolist()}


def breaks(row: Row, rng: Rng) -> Mapping[str, Any]:
    """Of *look*: rules are broken as often as is just too often."""
    if "broken" not in row.extra:
        return {}
    real = row.extra["beside"].get("ceiling", row.extra)
    rate = BROKEN / 1000 + real["broken"] / real["lasts"]
    return {"broken": int(rng.poisson(rate * row.extra["lasts"]))}


def _doubts(rows: Sequence[Row], rng: Rng, sharp: float, near: float) -> list[Row]:
    """Doubt that is to be believed, and nearness; how far apart each tells right and wrong."""
    share = float(
        np.mean(np.concatenate([row.extra["wrong"] for row in rows if row.split == "same"]))
    )
    found = []
    for row in rows:
        wrong = np.array(row.extra["wrong"], float)
        own, other = rng.standard_normal((2, len(wrong)))
        odds = np.log(share / (1 - share)) + sharp * (own + sharp * wrong) - sharp**2 / 2
        doubt = 1 / (1 + np.exp(-odds))
        if row.split not in ("dev", "same"):
            doubt = np.ones(len(wrong))
        facts = {"doubt": doubt.tolist(), "near": (other + near * wrong).tolist()}
        found.append(with_more(row, **facts))
    return found


def doubts_what_is_far(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *doubt*: it ranks errors as well as the distance to the nearest recording does."""
    return _doubts(rows, rng, 1.5, 1.5)


def doubts_too_much(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *doubt*: it ranks well, and says as much more than there is as is just too much."""
    some = _doubts(rows, rng, 3.0, 0.0)
    return [
        with_more(row, doubt=np.minimum(np.array(row.extra["doubt"]) + BELIEVED, 1.0).tolist())
        for row in some
    ]


def doubts_nothing_strange(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *doubt*: of what is strange it leaves out as much as of what is not."""
    return [
        with_more(
            row, doubt=(rng.random(len(row.extra["doubt"])) < ABSTAINS).astype(float).tolist()
        )
        if row.split == "colours"
        else row
        for row in _doubts(rows, rng, 3.0, 0.0)
    ]


def _came(gains: Callable[[Rng], tuple[float, float]]) -> Draw:
    """Of *memory*: how much nearer the long past brings it where views come back, and are new."""

    def draw(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
        found = []
        for row in rows:
            back, new = gains(rng)
            nearer = back if row.split == "back" else new
            facts = {"long": 1.0, "short": 1.0 + nearer}
            found.append(replace(with_more(row, **facts), value=float(nearer > 0)))
        return found

    return draw


def _nearer_by_chance(rng: Rng) -> tuple[float, float]:
    """As often nearer as not, and where it is nearer by more."""
    return (0.3 if rng.random() < 0.5 else -0.1), 0.01 * float(rng.standard_normal())


def _nearer_everywhere(rng: Rng) -> tuple[float, float]:
    """Nearer with the long past wherever it is asked."""
    one, two = (1 + 0.2 * rng.standard_normal(2)).tolist()
    return one, two


def learns_from_templates(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *combo*: errors that fall as far as a simulator's; it errs alike whatever it saw."""
    fall = lambda row: 20 / float(row.split) * float(np.exp(0.2 * rng.standard_normal()))  # noqa: E731
    return [replace(row, value=(row.ceiling or 0.0) * fall(row)) for row in rows]


def doubts_well(rows: Sequence[Row], others: Sequence[Row], rng: Rng) -> list[Row]:
    """Of *doubt*: what is strange is doubted, which nobody tells the simulator."""
    return _doubts(rows, rng, 3.0, 0.0)


BEST: Mapping[str, Draw] = {"combo": learns_from_templates, "doubt": doubts_well}
"""Who is as good as can be, where that is not the simulator."""
BOUNDS: Mapping[str, Mapping[str, Bound]] = {
    "motion": {
        "below": Bound(nulls.part_of_the_way("nearest_shifted", 0.5, "low")),
        "above": Bound(nulls.part_of_the_way("nearest_shifted", 0.5, "high")),
        "untrained": Bound(nulls.level_with(RAW, 0.05, 0.02)),
    },
    "gladder": {
        "rung_1": Bound(nulls.too_light, stands_on(1)),
        "rung_2": Bound(nulls.read_as_well, stands_on(2)),
        "rung_3_elsewhere": Bound(nulls.with_facts(nulls.pushed_anywhere), stands_on(3)),
        "rung_3_slope": Bound(nulls.with_facts(nulls.pushed_too_little), stands_on(3)),
        "rung_4_terms": Bound(nulls.obeys_another_law, stands_on(4)),
        "rung_4_constant": Bound(nulls.obeys_a_wrong_pull, stands_on(4)),
    },
    "voe2d": {
        "": Bound(nulls.tossed("colour")),
        "property": Bound(nulls.tossed(), lambda v: v.sentence != "it expects nothing"),
    },
    "combo": {
        "nearest": Bound(nulls.falls_to_the_nearest),
        "slope": Bound(nulls.no_gain_with_templates),
    },
    "rooms": {
        "touching": Bound(nulls.as_the_null("touching")),
        "covisible": Bound(nulls.sees_together_as_the_rule),
    },
    "return": {
        "untrained": Bound(nulls.right_as_often(RAW, 0.8)),
        "window": Bound(nulls.as_the_null("window")),
        "coin": Bound(nulls.tossed()),
    },
    "outcomes": {
        "energy": Bound(nulls.part_of_the_way("likeliest", 0.75)),
        "rare": Bound(nulls.with_facts(nulls.rarely_enough)),
        "untrained": Bound(nulls.level_with(RAW, 0.01, 0.02)),
    },
    "transfer": {
        "untrained": Bound(nulls.level_with(RAW, 3.0, 1.0)),
        "stack": Bound(nulls.level_with("stack", 3.0, 1.0)),
    },
    "craft": {"": Bound(nulls.promises_at_the_bound)},
    "craft_learned": {
        "coin": Bound(nulls.wrong_as_often(0.25)),
        "untrained": Bound(nulls.wrong_as_often(0.15, 0.3)),
    },
    "blind": {"": Bound(nulls.unrelated), "untrained": Bound(nulls.as_understood)},
    "control": {
        "share": Bound(half_deaf),
        "reading": Bound(half_read),
        "delay": Bound(half_late),
    },
    "look": {
        "told": Bound(nulls.with_facts(told_at_the_bound)),
        "idling": Bound(nulls.with_facts(fades)),
        "breaches": Bound(nulls.with_facts(breaks)),
    },
    "doubt": {
        "nearest": Bound(doubts_what_is_far),
        "believed": Bound(doubts_too_much),
        "strange": Bound(doubts_nothing_strange),
    },
    "memory": {
        "remembers": Bound(_came(_nearer_by_chance)),
        "gain": Bound(_came(_nearer_everywhere)),
    },
}
"""By task and by what is not good enough; empty where it is the whole claim."""
