"""Write a store from your own loop: any arrays will do, no environment is needed.

python examples/own_loop.py stores/ball
"""

import sys

import numpy as np

from worldloom import ActionSpec, Binary, Episode, Store, StoreInfo

SPEC = ActionSpec((Binary("keys", ("left", "right")),))


def play(seed: int, length: int = 40) -> Episode:
    """A ball that two keys push; the action at t leads from frame t-1 to frame t."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 2, (length, 2), dtype=np.uint8)
    frames = np.zeros((length, 32, 32, 3), np.uint8)
    reward = np.zeros(length, np.float32)
    x = 16
    for t in range(length):
        if t:  # the first frame has no action
            x = int(np.clip(x + 2 * keys[t, 1] - 2 * keys[t, 0], 2, 29))
            reward[t] = x > 24
        frames[t, 14:18, x - 2 : x + 2] = (255, 180, 40)
    return Episode(
        frames, {"keys": keys}, reward=reward, truncated=True, seed=seed, policy="random"
    )


def main(path: str, episodes: int = 20) -> Store:
    """Writes `episodes` episodes into a new store at `path`."""
    info = StoreInfo(action=SPEC, cameras={"main": (32, 32)}, fps=10)
    store = Store.create(path, info)
    for seed in range(episodes):
        store.append(play(seed))
    return store


if __name__ == "__main__":
    print(f"{len(main(sys.argv[1]))} episodes; look: worldloom data {sys.argv[1]}")
