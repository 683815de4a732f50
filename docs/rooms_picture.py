"""Draws `docs/images/rooms.png`: six views of a walk, and the plan from above.

python docs/rooms_picture.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from worldloom.envs.rooms import Rooms
from worldloom.envs.rooms_player import Tourist

TARGET = Path(__file__).parent / "images" / "rooms.png"
TIMES, GAP, SEED = 3, 8, 3


def main() -> None:
    env, player, rng = Rooms(), Tourist(), np.random.default_rng(SEED)
    frame, info = env.reset(seed=SEED)
    plan, views = info["still/plan"], []
    for step in range(180):
        if step % 30 == 0:
            views.append(frame.repeat(TIMES, 0).repeat(TIMES, 1))
        frame, *_, info = env.step(player(frame, info, rng)["keys"])
    pad = ((0, GAP), (0, GAP), (0, 0))
    views = [np.pad(view, pad, constant_values=255) for view in views]
    sheet = np.concatenate([np.concatenate(views[i : i + 3], 1) for i in (0, 3)])
    times = len(sheet) // len(plan)
    above = plan.repeat(times, 0).repeat(times, 1)
    above = np.pad(above, ((0, len(sheet) - len(above)), (0, 0), (0, 0)), constant_values=255)
    Image.fromarray(np.concatenate([sheet, above], 1)[:-GAP]).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
