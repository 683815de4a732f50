"""From what went wrong to entries of the ledger, and whether a repaired world still lies.

A lie is kept with the frames that the world was shown and the actions that followed, so that
any later world can be asked the same again. Knows worlds, moments and the ledger; no model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.ledger import Find, Ledger, Lie, Place
from worldloom.data.types import Clip, Episode
from worldloom.envs.make import Setup
from worldloom.evaluate.forbidden import Trials, holes, works
from worldloom.evaluate.gap import Act, Returns, known, seeds_of
from worldloom.evaluate.moments import Entry, Reality, together
from worldloom.seeding import stream
from worldloom.world import World

TRIES = 8  # futures of a world that is asked again
OWED = 0.5  # promised beyond what was paid: less is no lie
MOST = 12  # new lies of a kind in one round
FAR = 0.1  # root mean square pixel error, in [0, 1], at which a picture is another one


def from_trials(trials: Trials, actions: Any, *, world: str, round: int) -> list[Find]:
    """The deeds about which a world was wrong, the worst first.

    Args:
      trials: of Craft.
      actions: names of the components of an action, of which there is one.
      world: its fingerprint.
      round: of correction.
    """
    (name,) = actions
    found = []
    for hole in holes(trials)[:MOST]:
        shown, done = trials.shown[hole.example], trials.actions[hole.example]
        real = np.delete(shown, -2, 0)
        works = hole.kind == "forbidden"
        found.append(
            Find(
                kind="forbidden" if works else "omission",
                what=f"{hole.name}: {'works' if works else 'has no effect'} in the dream",
                dream=Episode(frames={"main": shown[:-1]}, actions={name: done}),
                start=len(shown) - 2,
                real=Episode(frames={"main": real}, actions={name: done}),
                said={"works": int(works)},
                truth={"works": int(not works)},
                same=hole.name,
                tried=hole.tried,
                wrong=hole.wrong,
                world=world,
                round=round,
            )
        )
    return found


def from_returns(
    world: World,
    act: Act,
    starts: Sequence[Entry],
    returns: Returns,
    setup: Setup,
    *,
    horizon: int,
    seed: int,
    facts: tuple[str, str, int],
) -> list[Find]:
    """The moments from which a policy was promised most that reality does not pay.

    Reality does the very actions of the dream, so that only what is untrue is entered.

    Args:
      world: that promised.
      act: the policy.
      starts: the moments.
      returns: of the policy from these.
      setup: of the real environment.
      horizon: steps from each.
      seed: of the dreams, as it was for the returns.
      facts: folder of the recordings, the world's fingerprint, and the round.
    """
    store, identity, round = facts
    owed = returns.imagined - returns.real
    worst = [int(i) for i in np.argsort(-owed, kind="stable")[:MOST] if owed[i] >= OWED]
    found = []
    with Reality(setup) as reality:
        for index in worst:
            entry = starts[index]
            begin = entry, seeds_of([index], seed)
            dream, real = _watch(world, act, begin, reality, horizon)
            said, paid = (float(np.asarray(one.reward).sum()) for one in (dream, real))
            if said - paid < OWED:
                continue  # the policy did other things in the dream than for real
            judged = returns.judged[index] - returns.real[index]
            found.append(
                Find(
                    kind="reward" if judged >= owed[index] / 2 else "frames",
                    what=f"promises {said:.1f} in {len(dream) - _given(entry)} steps, "
                    f"reality pays {paid:.1f}",
                    dream=dream,
                    start=_given(entry),
                    real=real,
                    said={"return": said},
                    truth={"return": paid},
                    world=identity,
                    round=round,
                    place=Place(store, entry.episode, entry.frame),
                )
            )
    return found


def _given(entry: Entry) -> int:
    """Frames that a world was shown."""
    return entry.clip.frames["main"].shape[1]


@torch.inference_mode()
def _watch(
    world: Any, act: Act, begin: tuple[Entry, Tensor], reality: Reality, horizon: int
) -> tuple[Episode, Episode]:
    """A dream from a moment, and what reality makes of the same actions."""
    entry, seeds = begin
    state, _ = world.start(together([entry]), seeds)
    reality.enter([entry])
    shown = entry.clip
    assert shown.actions is not None
    past = shown.frames["main"][0].numpy()
    sides: list[tuple[list[np.ndarray], list[float]]] = [([], []), ([], [])]
    done = {name: [*value[0].numpy()] for name, value in shown.actions.values.items()}
    for step in range(horizon):
        values = act(state, step)
        state, told = world.step(state, known(values, 1))
        paid = reality.step({name: value.cpu() for name, value in values.items()})
        frame = torch.as_tensor(world.render(state))[0].cpu().numpy().copy()
        for side, picture, reward in (
            (sides[0], frame, float(told.reward[0])),
            (sides[1], reality.now[0].frame, float(paid[0])),
        ):
            side[0].append(picture)
            side[1].append(reward)
        for name, value in values.items():
            done[name].append(value[0].cpu().numpy())
        if not reality.live().any():
            break
    actions = {name: np.stack(column) for name, column in done.items()}
    dream, real = (
        Episode(
            frames={"main": np.concatenate([past, np.stack(frames)])},
            actions=actions,
            reward=np.array([0.0] * len(past) + rewards, np.float32),
            truncated=True,
        )
        for frames, rewards in sides
    )
    return dream, real


def enter_all(ledger: Ledger, finds: Sequence[Find]) -> int:
    """Enters what is not in the ledger yet; gives how many lies are new.

    Done again after an interruption, it enters nothing twice.
    """
    there = {(lie.kind, lie.same) for lie in ledger.lies()}
    fresh = {(find.kind, find.key()): find for find in finds}
    new = [find for key, find in fresh.items() if key not in there]
    for find in new:
        ledger.add(find)
    return len(new)


def ask_again(world: World, ledger: Ledger, *, round: int, seed: int = 0) -> tuple[int, int]:
    """Asks a world again about every lie; closes what it no longer says, opens what is back.

    A lie without a known truth stays as it is. Done again, it changes nothing.

    Args:
      world: a repaired one.
      ledger: of the run.
      round: of correction.
      seed: of its dreams.

    Returns:
      How many lies are open now, and how many closed.
    """
    for lie in ledger.lies():
        wrong = _wrong(world, lie, ledger, seed)
        if wrong is None:
            continue
        if lie.closed is None and wrong == 0:
            ledger.close(lie.id, round=round, tried=TRIES, wrong=wrong)
        elif lie.closed is not None and wrong > 0:
            ledger.reopen(lie.id, round=round, tried=TRIES, wrong=wrong)
    return len(ledger.lies(open=True)), len(ledger.lies(open=False))


def _wrong(world: World, lie: Lie, ledger: Ledger, seed: int) -> int | None:
    """In how many of `TRIES` futures the world lies as before; None where nobody can tell."""
    dream, real = ledger.dream(lie), ledger.real(lie)
    if real is None:
        return None
    frames, rewards = _futures(world, dream, lie.start, seed)
    if "works" in lie.truth:  # a deed of Craft
        before = np.repeat(dream.frames["main"][lie.start - 1 : lie.start], TRIES, 0)
        (actions,) = dream.actions.values()
        said = works(before, frames, np.repeat(actions[-1:], TRIES))
        return int((said != bool(lie.truth["works"])).sum())
    if "return" in lie.truth:
        return int((rewards - float(lie.truth["return"]) >= OWED).sum())
    apart = frames.astype(np.float32) - real.frames["main"][len(dream) - 1]
    return int((np.sqrt(np.square(apart / 255).mean((1, 2, 3))) >= FAR).sum())


@torch.inference_mode()
def _futures(world: Any, dream: Episode, start: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What a world makes of a lie's actions: last frames `[TRIES, H, W, 3]`, returns `[TRIES]`."""
    tile = lambda array: torch.from_numpy(np.repeat(array[None], TRIES, 0))  # noqa: E731
    actions = Action(
        {k: tile(v) for k, v in dream.actions.items()}, tile(np.asarray(dream.action_known))
    )
    clip = Clip(frames={"main": tile(dream.frames["main"][:start])}, actions=actions[:, :start])
    seeds = torch.tensor([stream(seed, "again", row) for row in range(TRIES)])
    state, _ = world.start(clip, seeds)
    total = np.zeros(TRIES)
    for index in range(start, len(dream)):
        state, step = world.step(state, actions[:, index])
        if step.reward is not None:
            total += step.reward.cpu().numpy()
    return torch.as_tensor(world.render(state)).cpu().numpy().copy(), total
