"""Conformance kits for anyone: `check_world`, `check_env`, `check_store`.

Three lines in your own tests tell whether your world keeps the contract:

    from worldloom.check import check_world
    def test_my_world():
        check_world(MyWorld(), my_clip)
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldloom.actions import Action
from worldloom.data.check import check_store as check_store
from worldloom.data.types import Clip
from worldloom.envs.check import check_env as check_env
from worldloom.world import Step, World, require_start

__all__ = ["check_env", "check_store", "check_world"]


def check_world(world: World, clip: Clip, *, steps: int = 4, seed: int = 0) -> list[str]:
    """Tests that a world keeps the contract of `worldloom.world`.

    Args:
      world: to test; real, learned, or your own.
      clip: a start that it takes, of at least two rows.
      steps: how far to go.
      seed: of the actions tried and of the world's own randomness.

    Returns:
      What was tested, in words; what needs a capability it lacks is left out.

    Raises:
      AssertionError: says which promise is broken.
    """
    kit = _Kit(world, clip, steps, seed)
    done = []
    for name, needs, test in kit.tests():
        if needs <= world.spec.capabilities:
            test()
            done.append(name)
    return done


class _Kit:
    """The tests of one world, and what they share."""

    def __init__(self, world: World, clip: Clip, steps: int, seed: int) -> None:
        require_start(world, clip)
        self.world, self.clip, self.steps = world, clip, steps
        self.rng = np.random.default_rng(seed)
        state, _ = world.start(clip, torch.zeros(_rows(clip), dtype=torch.int64))
        self.rows = len(state)
        assert self.rows >= 2, "give a clip of at least two rows"
        self.seeds = torch.arange(self.rows) + seed
        self.actions = [self._action() for _ in range(steps)]
        self._release(state)

    def tests(self) -> Iterator[tuple[str, frozenset[str], Callable[[], None]]]:
        yield "steps have the declared shapes", frozenset(), self.shapes
        yield "the same seeds and actions give the same steps", frozenset(), self.repeats
        yield "what the caller gave is not changed", frozenset(), self.inputs
        yield "an ended row stays ended, with reward 0", frozenset(), self.endings
        yield "pictures have the declared size", frozenset({"render"}), self.pictures
        yield "a step is a pure function", frozenset({"fork", "render"}), self.pure
        yield "rows do not see their neighbours", frozenset({"fork", "render"}), self.rows_alone
        yield "states stack", frozenset({"fork", "render"}), self.stack
        yield "players come and go", frozenset({"fork", "rows", "render"}), self.rows_exchanged
        yield "a snapshot starts where it was taken", frozenset({"snapshot", "render"}), self.again
        yield "a mark recalls its moment exactly", frozenset({"recall", "render"}), self.recall
        yield "reseeding changes the future only", frozenset({"reseed", "render"}), self.reseed

    def shapes(self) -> None:
        state, step = self._start()
        for action in self.actions:
            self._check_step(step)
            state, step = self.world.step(state, action)
        self._check_step(step)
        assert len(state) == self.rows, f"{len(state)} rows came of {self.rows}"
        self._release(state)

    def repeats(self) -> None:
        one, two = self._trace(), self._trace()
        for index, (a, b) in enumerate(zip(one, two, strict=True)):
            for name, value in a.items():
                same = torch.equal(value, b[name])
                assert same, f"`{name}` differs at step {index} between two equal runs"

    def inputs(self) -> None:
        before = [action.map(_clone) for action in self.actions]
        frames = {k: _clone(v) for k, v in self.clip.frames.items()}
        self._trace()
        for old, new in zip(before, self.actions, strict=True):
            for name, value in old.values.items():
                assert torch.equal(value, new.values[name]), f"`step` changed action `{name}`"
        for name, value in frames.items():
            assert torch.equal(value, torch.as_tensor(self.clip.frames[name])), "`start` changed"

    def endings(self) -> None:
        state, step = self._start()
        ended = _ended(step, self.rows)
        for action in self.actions * 8:
            state, step = self.world.step(state, action)
            now = _ended(step, self.rows)
            assert bool((now | ~ended).all()), "an ended row came back without `start`"
            if step.reward is not None:
                assert bool((step.reward[ended] == 0).all()), "an ended row still earns reward"
            ended = now
        self._release(state)

    def pictures(self) -> None:
        state, _ = self._start()
        for camera, (height, width) in self.world.spec.cameras.items():
            picture = self._render(state, camera)
            expected = (self.rows, height, width, 3)
            assert picture.shape == expected, f"{camera}: {tuple(picture.shape)}, not {expected}"
            assert picture.dtype == torch.uint8, f"{camera}: {picture.dtype}, not uint8"
        self._release(state)

    def pure(self) -> None:
        state, _ = self._start()
        state, _ = self.world.step(state, self.actions[0])
        kept = state.copy()
        other = self._action()
        first, _ = self.world.step(state.copy(), self.actions[1])
        seen = self._render(first)
        wander, _ = self.world.step(state.copy(), other)
        self.world.step(wander, other)
        again, _ = self.world.step(kept.copy(), self.actions[1])
        assert torch.equal(seen, self._render(again)), "a branch changed its sibling"
        assert torch.equal(seen, self._render(first)), "a state that was kept has changed"

    def rows_alone(self) -> None:
        """The same batch shape with another neighbour: row 0 keeps its bytes."""
        state, _ = self._start()
        pair, twin = state[[0, 1]], state[[0, 0]]
        two = torch.tensor([0, 1])
        one, _ = self.world.step(pair, self.actions[0][two])
        other, _ = self.world.step(twin, self.actions[0][torch.tensor([0, 0])])
        same = torch.equal(self._render(one)[0], self._render(other)[0])
        assert same, "a row's picture depends on its neighbour"

    def stack(self) -> None:
        state, _ = self._start()
        whole = type(state).stack([state[[0]], state[[1]]])
        assert torch.equal(self._render(whole), self._render(state[[0, 1]])), "stacking lost a row"

    def rows_exchanged(self) -> None:
        """A row of a full batch goes its own way, whoever comes and goes beside it."""
        state, _ = self._start()
        two = torch.tensor([0, 1])
        for place in (0, 1):
            quiet, busy = state[[0, 0]], state[[0, 0]]
            for index, action in enumerate(self.actions):
                busy.put(1 - place, state[[index % self.rows]])
                told = action[two if place == 0 else two.flip(0)]
                quiet, _ = self.world.step(quiet, action[two * 0])
                busy, _ = self.world.step(busy, told)
                seen = self._render(busy)
                same = torch.equal(seen[place], self._render(quiet)[0])
                assert same, f"row {place} changed at step {index} because of its neighbour"
                alone = self._render(busy.view(1 - place).copy())[0]
                close = (alone.int() - seen[1 - place].int()).abs().max() <= 1
                assert close, "`view` shows another row"

    def again(self) -> None:
        state, _ = self._start()
        state, _ = self.world.step(state, self.actions[0])
        taken = self.world.snapshot(state)  # type: ignore[attr-defined]
        begun, _ = self.world.start(Clip(snapshots=taken), self.seeds)
        assert torch.equal(self._render(begun), self._render(state)), "a snapshot is not exact"
        one, _ = self.world.step(state, self.actions[1])
        two, _ = self.world.step(begun, self.actions[1])
        assert torch.equal(self._render(one), self._render(two)), "a snapshot goes another way"

    def recall(self) -> None:
        """Marks one step after another, then goes back to each of them, twice."""
        world: Any = self.world
        state, _ = self._start()
        marks, seen, since = [], [], None
        for action in self.actions:
            since = world.mark(state, since)
            marks.append(since)
            state, _ = world.step(state, action)
            seen.append(self._render(state))
        for index, mark in [*enumerate(marks), *enumerate(marks)]:
            again = world.recall(mark)
            for action, picture in zip(self.actions[index:], seen[index:], strict=True):
                again, _ = world.step(again, action)
                same = torch.equal(self._render(again), picture)
                assert same, f"the mark of step {index} goes another way"

    def reseed(self) -> None:
        state, _ = self._start()
        other = self.world.reseed(state.copy(), self.seeds + 1000)  # type: ignore[attr-defined]
        assert torch.equal(self._render(other), self._render(state)), "reseeding changed the past"

    def _trace(self) -> list[dict[str, Tensor]]:
        state, step = self._start()
        seen = []
        for action in [None, *self.actions]:
            if action is not None:
                state, step = self.world.step(state, action)
            row = {k: _clone(v) for k, v in vars(step).items() if v is not None}
            if "render" in self.world.spec.capabilities:
                row["picture"] = self._render(state)
            seen.append(row)
        self._release(state)
        return seen

    def _start(self) -> tuple[Any, Step]:
        return self.world.start(self.clip, self.seeds.clone())

    def _render(self, state: Any, camera: str = "main") -> Tensor:
        return self.world.render(state, camera).clone()  # type: ignore[attr-defined]

    def _release(self, state: Any) -> None:
        if "fork" not in self.world.spec.capabilities and hasattr(self.world, "release"):
            self.world.release(state)  # type: ignore[attr-defined]

    def _action(self) -> Action:
        spec = self.world.spec.action
        draws = [spec.sample(self.rng) for _ in range(self.rows)]
        values = {n: torch.from_numpy(np.stack([d[n] for d in draws])) for n in draws[0]}
        return Action(values, torch.ones(self.rows, dtype=torch.bool))

    def _check_step(self, step: Step) -> None:
        kinds = {"reward": torch.float32, "terminated": torch.bool, "truncated": torch.bool}
        for name, kind in kinds.items():
            value = getattr(step, name)
            if value is not None:
                assert value.dtype == kind, f"`{name}` is {value.dtype}, not {kind}"
                assert len(value) == self.rows, f"`{name}` has {len(value)} of {self.rows} rows"
        if step.reward is not None:
            assert bool(torch.isfinite(step.reward).all()), "a reward is not finite"
        if step.doubt is not None:
            inside = (step.doubt >= 0) & (step.doubt <= 1)
            assert bool(inside.all()), "doubt is a probability, in [0, 1]"


def _rows(clip: Clip) -> int:
    for value in (*clip.frames.values(), clip.latents, clip.snapshots, clip.env_seeds):
        if value is not None:
            return len(value)
    return 0


def _ended(step: Step, rows: int) -> Tensor:
    ended = torch.zeros(rows, dtype=torch.bool)
    for part in (step.terminated, step.truncated):
        if part is not None:
            ended = ended | part.cpu()
    return ended


def _clone(value: Any) -> Tensor:
    return torch.as_tensor(value).clone()
