"""Record any environment into a store, and look at an episode as one picture.

python examples/record_and_look.py worldloom/Hop-v0 stores/look
"""

import sys

import numpy as np
from PIL import Image

from worldloom import Store, record
from worldloom.agents.choose import choose


def main(env: str, path: str, episodes: int = 5) -> Image.Image:
    """Records `episodes` episodes and shows twelve frames of the first, from left to right."""
    print(record(env, path, episodes=episodes, policies=choose("random"), seed=0))
    store = Store.open(path)
    episode = store.read(store.episodes[0].name)
    print(f"{len(episode)} frames, return {episode.reward.sum():g}, knows {sorted(episode.info)}")
    shown = np.linspace(0, len(episode) - 1, 12).astype(int)
    strip = np.concatenate(list(episode.frames["main"][shown]), axis=1)
    picture = Image.fromarray(strip)
    return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2]).save("look.png")
    print("look at look.png")
