"""Play a game with a policy that another process, or another machine, serves.

worldloom serve runs/hop &
python examples/policy_client.py worldloom/Hop-v0
"""

import sys

from websockets.sync.client import connect

from worldloom.envs.make import Setup
from worldloom.envs.pixel import PixelEnv
from worldloom.serving.wire import pack, unpack


class Player:
    """All that a client is; `openpi_client`'s `WebsocketClientPolicy` is another."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.facts = unpack(socket.recv())

    def act(self, image, reset: bool) -> dict:
        self.socket.send(pack({"image": image, "reset": reset}))
        found = self.socket.recv()
        if isinstance(found, str):
            raise RuntimeError(found)
        answer = unpack(found)
        self.timing = answer["server_timing"]
        return {name: chunk[0] for name, chunk in answer["actions"].items()}


def main(game: str, url: str = "ws://127.0.0.1:8000", episodes: int = 3, most: int = 500) -> list:
    """Plays whole episodes, of `most` frames at most; returns what each of them earned."""
    returns = []
    with connect(url, compression=None) as socket:
        player = Player(socket)
        env = PixelEnv(Setup(game, size=tuple(player.facts["image"]["shape"][:2])))
        for episode in range(episodes):
            now, total = env.reset(seed=episode), 0.0
            for frame in range(most):
                now = env.step(player.act(now.frame, reset=frame == 0))
                total += now.reward
                if now.terminated or now.truncated:
                    break
            returns.append(total)
    print(f"returns {returns}; answered in {player.timing['p50_ms']:.1f} ms at the median")
    return returns


if __name__ == "__main__":
    main(*sys.argv[1:])
