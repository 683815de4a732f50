"""Windows around steps that paid: every rank alike, the rest as ever."""

from collections import Counter
from pathlib import Path

import numpy as np
from test_agent_training import colour_store

from worldloom.data.cache import ClipCache
from worldloom.data.clips import ClipSampler
from worldloom.data.paid import PaidSampler, payments


def test_payments_by_rank_small_and_few_ones_left_out():
    episode = np.zeros(10)
    episode[[2, 5, 7]] = 1.0, 0.1, 1.0  # a scratch that heals is no payment
    poor = np.zeros(10)
    poor[4] = 0.6
    found = payments([episode] * 5 + [poor])
    assert [len(rank) for rank in found] == [6, 5]
    assert found[0].tolist() == [[e, 2] for e in range(5)] + [[5, 4]]
    assert found[1].tolist() == [[e, 7] for e in range(5)]
    assert len(payments([episode] * 4 + [poor])) == 1, "four are too few of a rank"
    assert payments([np.zeros(10)]) == [] and payments([-episode]) == [] and payments([]) == []


class Rewarded:
    """A cache of episodes of which only lengths and rewards are asked."""

    def __init__(self, rewards: list[np.ndarray]) -> None:
        self._rewards = rewards
        self.lengths = np.array([len(reward) for reward in rewards])

    def __len__(self) -> int:
        return len(self._rewards)

    def rewards(self, episode: int) -> np.ndarray:
        return self._rewards[episode]


def _rare() -> Rewarded:
    """Fifty episodes that are paid once, five of them twice, and five that are too short."""
    rewards = [np.zeros(40) for _ in range(50)]
    for number, reward in enumerate(rewards):
        reward[10] = 1.0
        reward[30] = float(number < 5)
    short = np.zeros(4)
    short[2] = 1.0
    return Rewarded([*rewards, *[short] * 5])


def test_a_share_of_the_windows_holds_a_payment_and_what_is_rare_comes_as_often():
    cache = _rare()
    sampler = PaidSampler(cache, 8, 8, seed=3, share=0.5)  # type: ignore[arg-type]
    plain = ClipSampler(cache, 8, 8, seed=3)  # type: ignore[arg-type]
    ranks: Counter[int] = Counter()
    places = set()
    for step in range(400):
        episodes, starts = sampler.draw(step, length=8, batch=8)
        assert (starts >= 0).all() and (starts + 8 <= cache.lengths[episodes]).all()
        others = plain.draw(step, length=8, batch=8)
        assert np.array_equal(episodes[4:], others[0][4:]), "the rest is drawn as ever"
        assert np.array_equal(starts[4:], others[1][4:])
        for episode, start in zip(episodes[:4], starts[:4], strict=True):
            paid = np.flatnonzero(cache.rewards(episode)[start + 1 : start + 8]) + 1
            assert len(paid) == 1, "with the frame before it"
            places.add(int(paid[0]))
            ranks[int(start + paid[0])] += 1
    assert places == set(range(1, 8))
    assert abs(ranks[30] / ranks.total() - 0.5) < 0.04, "one in eleven of all payments"


def test_steps_tell_everything_and_without_a_share_nothing_differs():
    cache = _rare()
    one, two = (PaidSampler(cache, 8, 4, seed=1, share=0.5) for _ in range(2))  # type: ignore[arg-type]
    two.draw(0, length=8, batch=4)
    for a, b in zip(one.draw(7, length=8, batch=4), two.draw(7, length=8, batch=4), strict=True):
        assert np.array_equal(a, b)
    none = PaidSampler(cache, 8, 4, seed=1, share=0.0)  # type: ignore[arg-type]
    usual = ClipSampler(cache, 8, 4, seed=1)  # type: ignore[arg-type]
    for a, b in zip(none.draw(7, length=8, batch=4), usual.draw(7, length=8, batch=4), strict=True):
        assert np.array_equal(a, b)


def test_episodes_without_weight_are_never_shown():
    cache = _rare()
    weights = np.ones(len(cache))
    weights[:5] = 0.0
    sampler = PaidSampler(cache, 8, 8, seed=0, share=1.0, weights=weights)  # type: ignore[arg-type]
    for step in range(50):
        assert sampler.draw(step, length=8, batch=8)[0].min() >= 5


def test_where_nothing_pays_or_is_known_windows_are_drawn_evenly(tmp_path: Path):
    store = colour_store(tmp_path / "store", episodes=6, length=20, reward=False)
    cache = ClipCache.open(store, tmp_path / "cache", names=[row.name for row in store.episodes])
    paid = PaidSampler(cache, 5, 4, seed=2, share=1.0).draw(3, length=5, batch=4)
    usual = ClipSampler(cache, 5, 4, seed=2).draw(3, length=5, batch=4)
    assert all(np.array_equal(a, b) for a, b in zip(paid, usual, strict=True))
