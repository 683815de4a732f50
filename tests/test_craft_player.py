"""Players of Craft: of different skill, and never one who tries what the rules do not allow."""

import numpy as np
import pytest

from worldloom.agents.choose import choose
from worldloom.data.record import Keep, record
from worldloom.data.store import Store
from worldloom.envs import CRAFT, craft_paths, craft_rules
from worldloom.envs.craft import Craft
from worldloom.envs.craft_core import CraftWorlds
from worldloom.envs.craft_map import make_land
from worldloom.envs.craft_player import PLAYERS
from worldloom.envs.craft_rules import Act, Item, Kind
from worldloom.envs.pixel import PixelEnv
from worldloom.errors import WorldloomError

AHEAD = (23, 25, 17, 31)  # of the 49 cells of the view, by facing


def played(name: str, seed: int, steps: int = 500) -> tuple[np.ndarray, list[int], bool]:
    """What was ever obtained, the actions, and whether each did what it is for."""
    env, player, rng = Craft(steps=steps), PLAYERS[name](), np.random.default_rng(seed)
    frame, info = env.reset(seed=seed)
    player.reset()
    actions, able, ended = [], True, False
    while not ended:
        action = int(player(frame, info, rng)["action"])
        view = info["view"].reshape(1, 49)
        sight, ahead = craft_rules.in_sight(view), view[:, AHEAD[info["facing"]]]
        able &= bool(
            craft_rules.possible(info["counts"][None], sight, ahead, np.array([action]))[0]
        )
        before = info
        frame, _, terminated, truncated, info = env.step(np.int64(action))
        if action > Act.DO:  # the rules are asked above; this looks at what came of it
            able &= bool((info["counts"] != before["counts"]).any())
        elif action == Act.DO and ahead[0] == Kind.WATER:
            able &= before["drink"] < 9
        actions.append(action)
        ended = terminated or truncated
    return info["ever"], actions, able


@pytest.mark.slow
@pytest.mark.parametrize("name", ["novice", "journeyman", "expert", "scripted"])
def test_nobody_tries_the_impossible(name: str) -> None:
    for seed in range(1000, 1006):
        _, actions, able = played(name, seed)
        assert able, f"seed {seed}"
        assert len(set(actions)) >= 6


@pytest.mark.slow
def test_skills_differ_and_experts_make_the_iron_pickaxe() -> None:
    ever = {
        name: np.array([played(name, seed)[0] for seed in range(2000, 2006)])
        for name in ("novice", "journeyman", "expert")
    }
    novice, journeyman, expert = (ever[name].sum(1).mean() for name in ever)
    assert 2 < novice < journeyman - 1 < expert - 2 < 10.5
    assert not ever["novice"][:, Item.STONE_PICKAXE].any()
    assert ever["expert"][:, Item.IRON_PICKAXE].mean() >= 0.5


def test_the_same_dice_play_the_same_game() -> None:
    assert played("scripted", 5, 120)[1] == played("scripted", 5, 120)[1]
    games = [tuple(played("scripted", seed, 40)[1]) for seed in range(4)]
    assert len(set(games)) == 4


def test_random_tries_everything() -> None:
    actions = [a for seed in range(10) for a in played("random", seed, 200)[1]]
    assert set(actions) == set(range(craft_rules.ACTS))
    assert 0.4 < np.mean([Act.LEFT <= a <= Act.DOWN for a in actions]) < 0.8


def test_ways_are_shortest() -> None:
    """Flooding with integers against one cell after another."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        land = make_land(seed)
        free = craft_paths.board_of(land.cells, *craft_rules.WALKABLE)
        goal = craft_paths.board_of(land.cells, Kind.TREE)
        far = np.full(craft_paths.CELLS, 10**6)
        front = [c for c in range(craft_paths.CELLS) if goal >> c & 1]
        far[front] = 0
        while front:
            cell = front.pop(0)
            for step in craft_paths.STEPS:
                other = cell + step
                if 0 <= other < len(far) and free >> other & 1 and far[other] > far[cell] + 1:
                    far[other] = far[cell] + 1
                    front.append(other)
        ground = np.flatnonzero(np.isin(land.cells, craft_rules.WALKABLE))
        for here in rng.choice(ground, 20):
            ways = craft_paths.first_steps(int(here), goal, free)
            near = [far[here + step] for step in craft_paths.STEPS]
            best = [d for d, n in enumerate(near) if n == min(near) and n < 10**6]
            assert list(ways) == best
            steps = craft_paths.distance(1 << int(here), goal, free)
            assert steps == (far[here] - 1 if far[here] < 10**6 else None)


def test_a_recording_has_its_players_and_its_truth(tmp_path) -> None:
    done = record(
        CRAFT,
        tmp_path / "s",
        episodes=3,
        policies=choose("expert,novice,random"),
        keep=Keep(max_frames=40),
        workers=0,
    )
    assert done.frames == 120
    store = Store.open(tmp_path / "s")
    names = [row.name for row in store.episodes]
    episode = store.read(names[0], 0, 40)
    assert episode.info["view"].shape == (40, 7, 7) and episode.info["ever"].shape == (40, 12)
    assert episode.stills["map"].shape == (32, 32, 3)
    worlds = CraftWorlds(1)
    assert episode.seed is not None
    worlds.reset([0], [episode.seed])
    for action in episode.actions["action"][1:]:
        worlds.step(action[None])
    np.testing.assert_array_equal(worlds.render()[0], episode.frames["main"][39])


def test_players_are_chosen_by_name_and_a_wrong_name_says_who_there_is() -> None:
    env = PixelEnv(CRAFT)
    assert [maker.name for maker in choose("novice,scripted")] == ["novice", "scripted"]
    assert type(choose("journeyman")[0](env)) is PLAYERS["journeyman"]
    with pytest.raises(WorldloomError, match="no policy `genius`") as caught:
        choose("genius")[0](env)
    assert "novice" in caught.value.hint and "random" in caught.value.hint
