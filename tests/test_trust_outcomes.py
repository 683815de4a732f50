"""Outcomes: the simulator with other dice passes, planted samplers are caught, scores are right."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from worldloom.envs import hop
from worldloom.trust import paper
from worldloom.trust.paper import Malformed
from worldloom.trust.sitting import sit
from worldloom.trust.task import Setting, Verdict, variant
from worldloom.trust.tasks.outcomes import chances
from worldloom.trust.tasks.outcomes import paper as outcomespaper
from worldloom.trust.tasks.outcomes import task as outcomes
from worldloom.trust.tasks.outcomes.chances import GAMES, Futures, Question, Thrower, ask
from worldloom.trust.tasks.outcomes.drawn import compare, weigh
from worldloom.trust.tasks.outcomes.task import Outcomes

pytestmark = pytest.mark.slow

SMOKE, TASK = Setting("smoke"), Outcomes()


class Other(Thrower):
    """The simulator with dice that nobody else throws."""

    def imagine(self, snapshot, actions, steps, seed):
        return super().imagine(snapshot, actions, steps, seed + 1000)


@pytest.fixture(scope="module")
def simulator() -> Verdict:
    verdict = sit(TASK, Other(), SMOKE).verdict
    assert verdict
    return verdict


def test_the_simulator_passes_with_other_dice(simulator: Verdict):
    assert simulator.passed
    for name in ("energy", "possible", "rare", "modes"):
        figure = simulator.figures[name]
        assert figure.value == pytest.approx(1, abs=0.2) and figure.n == 20
        assert figure.ceiling == pytest.approx(1, abs=0.2)
    assert simulator.figures["rare"].null == 0 and (simulator.figures["modes"].null or 1) < 0.4


@pytest.mark.parametrize("name", list(TASK.faults()))
def test_planted_faults_are_caught(name: str):
    fault = TASK.faults()[name]
    verdict = sit(TASK, fault.probe(SMOKE), SMOKE).verdict
    assert verdict and fault.caught(verdict)


def test_no_fault_is_found_in_the_simulator(simulator: Verdict):
    assert not any(fault.caught(simulator) for fault in TASK.faults().values())


def test_chances_are_those_of_the_game():
    """What is counted as the chance of an outcome is how often throws end there."""
    question = ask("craft", 3)
    throws = Thrower().rollout(*_told(question), seeds=tuple(range(400))).frames
    assert throws is not None
    ends = Counter(frame.tobytes() for frame in throws[:, 0, -1].numpy())
    found = question.futures
    for film, chance in list(zip(found.films, found.chance, strict=True))[:4]:
        assert ends[film[-1].tobytes()] / 400 == pytest.approx(chance, abs=0.09)
    assert found.chance.sum() == pytest.approx(1) and (np.diff(found.chance) <= 0).all()
    assert found.rare.any() and found.chance.max() <= 0.7


def _told(question: Question):
    state = chances.Simulated.observe(Thrower(), outcomes.clip_of([question], "craft"))
    return state, outcomes.action_of([question], "craft")


def test_a_leap_is_strong_weak_or_none():
    question = ask("hop", 1)
    assert question.futures.chance.tolist() == [0.6, 0.3, 0.1] and question.ahead[0, 2] == 1
    assert not question.ahead[1:, 2].any(), "it leaps once"
    now = hop.Moment(*np.frombuffer(question.told[3:], np.int64).tolist())
    assert now.ground and np.array_equal(hop.draw(now, 32), question.frames[-1])
    heights = []
    for leap in chances.LEAPS:
        one = hop.Moment(*np.frombuffer(question.told[3:], np.int64).tolist())
        hop.advance(one, 0, 0, 1, leap=int(leap))
        heights.append(now.y - one.y)
    assert heights == chances.LEAPS.tolist()


def _three() -> Question:
    """Three outcomes that are equally far apart: a pixel of its own colour each."""
    films = np.zeros((3, 1, 32, 32, 3), np.uint8)
    for k in range(3):
        films[k, 0, 5, 5, k] = 200
    none = np.zeros((1, 32, 32, 3), np.uint8)
    found = Futures(films, np.array([0.6, 0.3, 0.1]))
    return Question(none, np.zeros(1), np.zeros(1), b"", found)


def test_the_energy_score_is_that_of_shares():
    """Where all outcomes are equally far, distance is the chance to be different ones."""
    question = _three()
    ends = question.futures.films[[0] * 5 + [1] * 3 + [2] * 2, 0].copy()
    ends[:, 0, 0] = 77  # a pixel in which nothing can differ says nothing
    answer = compare(question.futures, ends)
    p, q = question.futures.chance, np.array([0.5, 0.3, 0.2])
    two_of_ten = (1 - q @ q) * 10 / 9  # no sample is compared with itself
    assert answer.value == pytest.approx((1 - p @ q - two_of_ten / 2) / (1 - p @ p))
    assert answer.extra["possible"] == 10 and answer.extra["hit"] == 3
    assert answer.extra["rare_hit"] == 1
    assert answer.extra["likely_rare_hits"] == pytest.approx(1 - 0.9**10)


def test_what_is_no_outcome_is_not_counted_as_one():
    question = _three()
    ends = question.futures.films[[0, 0, 0, 1], 0].copy()
    ends[1, 5, 5] = (110, 100, 0)  # half of one and half of another
    ends[2, 5, 5] = 255
    answer = compare(question.futures, ends)
    assert answer.extra["possible"] == 2 and answer.extra["hit"] == 2
    better = compare(question.futures, question.futures.films[[0, 0, 0, 1], 0])
    assert (answer.value or 0) > (better.value or 0)


def test_recordings_are_games_by_chance_and_made_once(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(outcomes, "LESSONS", {"smoke": 2})
    stores = TASK.recordings(tmp_path, SMOKE)
    assert set(stores) == set(GAMES) and all(len(store) == 2 for store in stores.values())
    first = stores["hop"].read(stores["hop"].episodes[0].name).frames["main"]
    again = TASK.recordings(tmp_path, SMOKE)["hop"]
    assert len(again) == 2 and first.shape[1:] == (32, 32, 3)
    near = variant(TASK.nulls(SMOKE)["nearest"], "hop")
    episode = again.read(again.episodes[0].name)
    clip = chances.NearestClips([episode], "hop")
    assert near.name == clip.name and np.array_equal(clip._shown[0], first[chances.CONTEXT - 1])


def test_a_clip_that_was_recorded_is_its_own_nearest():
    question = ask("hop", 1)
    rows = [chances.lesson("hop", seed << 32, 24) for seed in range(4)]
    probe = chances.NearestClips(rows, "hop")
    frames = rows[2].frames["main"]
    done = rows[2].actions["keys"]
    asked = Question(frames[4:10], done[4:10], done[10:16], question.told, question.futures)
    state = probe.observe(outcomes.clip_of([asked], "hop"))
    drawn = probe.rollout(state, outcomes.action_of([asked], "hop"), seeds=(0, 1)).frames
    assert drawn is not None and np.array_equal(drawn[0, 0].numpy(), frames[10:16])
    assert not np.array_equal(drawn[1].numpy(), drawn[0].numpy())


def test_weights_are_worth_what_samples_drawn_by_them_are_on_average():
    found = _three().futures
    rng, weight = np.random.default_rng(0), np.array([0.5, 0.3, 0.2])
    lots = [compare(found, found.films[rng.choice(3, 6, p=weight), 0]) for _ in range(500)]
    told = weigh(found, found.films[:, 0], weight, 6)
    assert told.value == pytest.approx(np.mean([one.value for one in lots]), abs=0.03)
    for name in ("possible", "hit", "rare_hit"):
        assert told.extra[name] == pytest.approx(np.mean([o.extra[name] for o in lots]), abs=0.1)


def test_on_paper_who_knows_the_chances_passes_and_who_knows_nothing_does_not(tmp_path: Path):
    task = Outcomes(count=4)
    items = task.items(SMOKE)
    assert paper.on_paper([task]) == [task]
    asked = task.ask(items[-1], tmp_path)
    assert asked["ahead"] == ["noop"] * 4 and len(list(tmp_path.iterdir())) == len(asked["files"])
    right = []
    for item in items:
        question = outcomes._question(item)
        ends = outcomespaper.candidates(question, item.seed)
        known = {f[-1].tobytes(): c for f, c in zip(*_of(question), strict=True)}
        weights = [float(known.get(end.tobytes(), 0)) for end in ends]
        assert sum(weights) > 0.7
        right.append(weights)
    assert sum(weights.count(0) > 0 for weights in right) >= 4, "some cannot be"
    verdicts = []
    for answers in (right, [task.blank(item) for item in items]):
        tables = {item.key: answer for item, answer in zip(items, answers, strict=True)}
        writer = paper.Writer("w", tables, task.requires)
        verdict = sit(paper.Marked(task), writer, SMOKE).verdict  # type: ignore[arg-type]
        assert verdict
        verdicts.append(verdict)
    assert verdicts[0].figures["energy"].value == pytest.approx(1, abs=0.1)
    assert verdicts[0].passed and not verdicts[1].passed
    whole = [1.0] * (len(right[0]) - 1)
    wild = [[*whole, bad] for bad in (float("nan"), 1e308, 10**400, "1", True, None, [1])]
    for bad in ([1.0], "x", [-1.0] * len(right[0]), [0.0] * len(right[0]), None, {}, *wild):
        with pytest.raises(Malformed, match=r"`.*`: expected .* numbers, none negative"):
            task.mark(items[:1], [bad])


def _of(question: Question):
    return question.futures.films, question.futures.chance


@pytest.mark.parametrize("index", [0, -1])
def test_a_future_is_shown_beside_the_likeliest(index: int):
    item = TASK.items(SMOKE)[index]
    shown = TASK.show(Thrower("always the likeliest", "likeliest"), item, SMOKE)
    assert np.array_equal(shown.truth[-1], shown.seen[-1]) and item.split in shown.words
