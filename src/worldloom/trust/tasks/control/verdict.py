"""The verdict on control: headroom shares, how well keys are read off dreams, and how late.

A row is one moment, its episode the cluster. Every figure is computed anew on each
resample, for the world and the real environment together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worldloom import seeding
from worldloom.evaluate import metrics, statistics
from worldloom.evaluate.judge import figure
from worldloom.evaluate.report import Figure
from worldloom.trust.rows import Row
from worldloom.trust.task import Verdict
from worldloom.trust.tasks.control import inverse
from worldloom.trust.tasks.control.inverse import Question

ENOUGH = 0.5
"""Of what reality has, that a world must have: of the share, and of what can be read."""
READABLE = 0.1
"""Above guessing, that keys must be read off reality, or nothing is said about reading."""
MAIN = 8
"""The horizon of the primary figure, in frames."""
FEW = 8  # questions that are shown one by one


def judge(rows: Sequence[Row], horizons: Sequence[int], *, seed: int) -> Verdict:
    """Half of reality's headroom share at 8 frames, half of what can be read, and no delay.

    Args:
      rows: of the task.
      horizons: at which errors were summed.
      seed: of the exam.
    """
    assert MAIN in horizons, "the share at that horizon is the task's primary figure"
    seed = seeding.stream(seed, "interval")
    real = [row.extra.get("beside", {}).get("ceiling") for row in rows]
    shares = _shares(rows, real, horizons, seed)
    reads = _reads(rows, real, seed)
    figures = {**shares, **reads}
    share, answers, late = (figures[n] for n in (f"headroom_share_h{MAIN}", "answers", "late"))
    against = figures["share_of_reality"]
    much = against.low is not None and against.low > ENOUGH
    moved = much if against.value is not None else share.low is not None and share.low > 0
    obeys = answers.value is None or (answers.low or 0) > ENOUGH
    prompt = late.value is None or late.low == late.high == 0
    passed = moved and obeys and prompt
    return Verdict(figures, passed, _words(share, answers, late))


def _words(share: Figure, answers: Figure, late: Figure) -> str:
    much = share.why if share.value is None else f"its actions make {share.value:.0%} of the room"
    if share.value is not None and share.ceiling is not None:
        much += f", in reality {share.ceiling:.0%}"
    if answers.value is None:
        return f"{much}; {answers.why}"
    read = f"of what reality shows of them {answers.value:.0%} can be read"
    prompt = late.value is None or late.low == late.high == 0
    behind = "" if prompt else f", {_frames(late)} frames late"
    return f"{much}; {read}{behind}"


def _frames(late: Figure) -> str:
    """How late, or from how late to how late where it is not always the same."""
    return f"{late.low:.0f}" if late.low == late.high else f"{late.low:.0f} to {late.high:.0f}"


def _shares(
    rows: Sequence[Row], real: Sequence[Any], horizons: Sequence[int], seed: int
) -> dict[str, Figure]:
    """Headroom share at every horizon, withheld where there is no headroom; and over reality's."""
    # A ceiling that could only show the recording again says nothing about other actions.
    entered = all(r is not None and r["blind"] is not None for r in real)
    every = [[row.extra for row in rows], *([list(real)] if entered else [])]
    names = ("true", "other", "still")
    errors = [[[e["errors"][name] for name in names] for e in extras] for extras in every]
    sums = np.array(errors).swapaxes(0, 1)  # [rows, world or real, names, horizons, SUMS]
    pool = statistics.Pool(_clustered(sums, rows), seed=seed)

    def share(s: np.ndarray, who: int = 0) -> np.ndarray:
        return metrics.headroom_share(s[:, who, 0], s[:, who, 1], s[:, who, 2])

    room = pool.estimate(lambda s: metrics.headroom(s[:, 0, 2], s[:, 0, 0])).low
    found, own = {}, pool.estimate(share)
    top = share(pool.total, 1)[0].tolist() if entered else [None] * len(horizons)
    why = "it is no better than repeating the last frame: no headroom to share"
    for i, horizon in sorted(enumerate(horizons), key=lambda pair: pair[1] != MAIN):
        one = figure(own, i, "1", null=0.0, ceiling=top[i]) if room[i] > 0 else None
        found[f"headroom_share_h{horizon}"] = one or Figure.absent("1", why)
    main = list(horizons).index(MAIN)
    against = Figure.absent("1", "the recordings do not lead back into the environment")
    if entered and room[main] > 0:
        both = pool.estimate(lambda s: share(s)[:, main] / share(s, 1)[:, main])
        against = figure(both, (), "1", null=0.0, ceiling=1.0)
    return {**found, "share_of_reality": against}


def _reads(rows: Sequence[Row], real: Sequence[Any], seed: int) -> dict[str, Figure]:
    """How well the pressed keys are read, against guessing, hidden keys, and reality."""
    asked = [Question(label, "", 0, count) for label, count in rows[0].extra["asked"]]
    told = {"own": [row.extra for row in rows], "real": [r for r in real if r is not None]}
    if len(told["real"]) < len(rows):
        return _unread("nothing real was read")
    parts = {
        "own": [extra["read"][0] for extra in told["own"]],
        "shuffled": [extra["shuffled"] for extra in told["own"]],
        "blind": [extra["blind"] or extra["shuffled"] for extra in told["own"]],
        "real": [extra["read"][0] for extra in told["real"]],
    }
    sums = _clustered(np.array([parts[name] for name in parts]).swapaxes(0, 1), rows)
    pool = statistics.Pool(sums, seed=seed)

    def read(s: np.ndarray) -> np.ndarray:
        return inverse.balanced(s, asked)  # [R, 4, Q]

    def skill(s: np.ndarray) -> np.ndarray:
        own, shuffled, blind, best = np.moveaxis(read(s).mean(-1), -1, 0)
        null = np.maximum(shuffled, blind)
        return (own - null) / np.maximum(best - null, 1e-9)

    total = read(pool.total)[0].mean(-1)
    null = float(max(total[1:3]))
    guess = np.mean([1 / question.answers for question in asked])
    if total[3] - guess < READABLE:
        return _unread("what is done cannot be read off real pictures")
    answers = figure(pool.estimate(skill), (), "1", null=0.0, ceiling=1.0)
    hears = answers.low is not None and answers.low > 0
    why = "it shows nothing of what is done"
    deaf = {name: Figure.absent("frames", why) for name in ("delay", "late")}
    found = {
        "answers": answers,
        "reads": figure(
            pool.estimate(lambda s: read(s)[:, 0].mean(-1)),
            (),
            "1",
            null=null,
            ceiling=float(total[3]),
        ),
        **(_delays(rows, told, asked, seed) if hears else deaf),
        "mistaken": _mistaken(rows, told, asked, seed),
    }
    if len(asked) <= FEW:
        every = pool.estimate(lambda s: read(s)[:, 0])
        guess, best = read(pool.total)[0, 1], read(pool.total)[0, 3]
        found |= {
            f"reads {q.label}": figure(every, i, "1", null=float(guess[i]), ceiling=float(best[i]))
            for i, q in enumerate(asked)
        }
    return found


def _unread(why: str) -> dict[str, Figure]:
    units = {"answers": "1", "reads": "1", "delay": "frames", "late": "frames", "mistaken": "1"}
    return {name: Figure.absent(unit, why) for name, unit in units.items()}


def _delays(
    rows: Sequence[Row],
    told: Mapping[str, Sequence[Any]],
    asked: Sequence[Question],
    seed: int,
) -> dict[str, Figure]:
    """Frames after which keys are read best, and how many more that are than in reality.

    Both are read in the same resamples: where few moments leave open how late reality is, its
    own simulator is not late. The null is the latest that is looked for.
    """
    read = [[extra["read"] for extra in told[name]] for name in ("own", "real")]
    sums = np.array(read).swapaxes(0, 1)  # [rows, world or real, lags, ...]
    pool = statistics.Pool(_clustered(sums, rows), seed=seed)
    latest = float(sums.shape[2] - 1)

    def best(s: np.ndarray) -> np.ndarray:
        return inverse.balanced(s, asked).mean(-1).argmax(-1).astype(float)  # [R, 2]

    real = float(best(pool.total)[0, 1])
    own = pool.estimate(lambda s: best(s)[:, 0], smooth=False)
    behind = pool.estimate(lambda s: best(s)[:, 0] - best(s)[:, 1], smooth=False)
    return {
        "delay": figure(own, (), "frames", null=latest, ceiling=real),
        "late": figure(behind, (), "frames", null=latest - real, ceiling=0.0),
    }


def _mistaken(
    rows: Sequence[Row],
    told: Mapping[str, Sequence[Any]],
    asked: Sequence[Question],
    seed: int,
) -> Figure:
    """How much more often one thing is read where another was done, for the worst two."""
    sums = {name: np.array([e["confused"] for e in some], float) for name, some in told.items()}
    pool = statistics.Pool(_clustered(sums["own"], rows), seed=seed)
    worst = int(inverse.mistaken(pool.total, asked)[0].argmax())
    found = pool.estimate(lambda s: inverse.mistaken(s, asked)[:, worst])
    real = float(inverse.mistaken(sums["real"].sum(0)[None], asked)[0, worst])
    return figure(found, (), "1", null=0.0, ceiling=real, why=_pair(worst, asked))


def _pair(place: int, asked: Sequence[Question]) -> str:
    """Which two answers are meant by a place in `inverse.mistaken`."""
    for question in asked:
        if place < question.answers**2:
            done, read = divmod(place, question.answers)
            return f"{question.label}: {read} is read where {done} was done"
        place -= question.answers**2
    raise IndexError(place)


def _clustered(sums: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
    return statistics.by_cluster(sums, [row.cluster for row in rows])
