"""Train somebody else's PPO in a dream: a world model is just an environment.

python examples/own_loop.py stores/ball
python examples/train_tiny.py stores/ball runs/ball 2000
python examples/ppo_in_a_dream.py stores/ball runs/ball 40000
"""

import sys

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from worldloom import Imagined, Store, load_world
from worldloom.imagine import recorded, to_sb3


def on_the_right(frames: np.ndarray, action) -> np.ndarray:
    """The reward of `own_loop.py`, read off the frames `[N, H, W, 3]`: the ball is at x > 24."""
    light = frames[..., 0].astype(float).sum(1) + 1e-6  # [N, W]
    return ((light * np.arange(light.shape[1])).sum(1) / light.sum(1) > 23.5).astype(float)


def main(path: str, run: str, steps: int, rows: int = 8) -> tuple[float, float]:
    """The return of an episode of 32 dreamed steps, before and after `steps` steps of training."""
    dream = Imagined(
        load_world(run), recorded(Store.open(path)), rows=rows, length=32, reward=on_the_right
    )
    agent = PPO(
        "MlpPolicy", VecMonitor(to_sb3(dream)), n_steps=64, gamma=0.95, seed=0, device="cpu"
    )
    before = dreamed_return(agent, dream)
    agent.learn(steps)
    return before, dreamed_return(agent, dream)


def dreamed_return(agent: PPO, dream: Imagined, seed: int = 1) -> float:
    """What the agent earns in one episode, the mean over the rows."""
    frames, _ = dream.reset(seed=seed)
    total = np.zeros(dream.num_envs)
    for _ in range(dream.length):
        actions, _ = agent.predict(frames, deterministic=True)
        frames, reward, *_ = dream.step(actions)
        total += reward
    return float(total.mean())


if __name__ == "__main__":
    before, after = main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print(f"return of a dreamed episode: {before:.1f} before, {after:.1f} after")
