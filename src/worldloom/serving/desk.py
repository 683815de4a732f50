"""Players who come and go, served in passes of one size; each has a memory of its own.

A pass takes every player who has a new frame, and leaves the memories of all others as they are.
It has the same number of rows however few are wanted: what a player does may depend on that
number, but not on who sits beside. Memories stay in the batch between passes, so that a lonely
player's is never copied. Knows a trained agent's contract; no thread and no socket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from worldloom.actions import Action
from worldloom.agents.policy import Values
from worldloom.agents.trained import Team
from worldloom.data.types import Clip
from worldloom.errors import WorldloomError
from worldloom.serving.messages import Request
from worldloom.world import require


@dataclass(eq=False)
class Memory:
    """What one player remembers.

    Args:
      state: the world's, of one row, while it is in no batch.
      row: of the batch; None while it is in none.
      task: of the episode.
      last: what was done last; None before the first frame.
      gone: nobody will ask for it again.
    """

    state: Any = None
    row: int | None = None
    task: str | None = None
    last: Values | None = None
    gone: bool = False


@dataclass(frozen=True)
class Ask:
    """A player's newest frame.

    Args:
      memory: whose.
      request: the frame, and whether an episode begins with it.
      seed: of the episode, if one begins.
    """

    memory: Memory
    request: Request
    seed: int

    @property
    def begins(self) -> bool:
        return self.request.reset or self.memory.last is None


class Desk:
    """Serves players in passes of so many rows.

    Args:
      team: who acts; its own players are not touched.
      rows: of every pass.
    """

    def __init__(self, team: Team, rows: int) -> None:
        for capability in ("observe", "features", "rows"):
            require(team.world, capability, "serving a policy")
        if rows < 1:
            raise WorldloomError(f"a pass of {rows} rows serves nobody", "pass --rows 1 or more")
        self._team, self.rows = team, rows
        self._batch: Any = None
        self._seats: list[Memory | None] = [None] * rows

    @property
    def spec(self) -> Any:
        """Of the world that the agent sees through."""
        return self._team.world.spec

    @property
    def task(self) -> str | None:
        """What is asked where a player asks nothing."""
        return self._team.task

    def warm(self) -> None:
        """A first frame and a second for nobody: the first player need not wait for them."""
        height, width = self.spec.cameras["main"]
        nobody, image = Memory(), np.zeros((height, width, 3), np.uint8)
        for _ in range(2):
            (outcome,) = self.act([Ask(nobody, Request(image), 0)])
            if isinstance(outcome, WorldloomError):
                raise outcome
        nobody.gone = True

    @torch.inference_mode()
    def act(self, asks: Sequence[Ask]) -> list[Values | WorldloomError]:
        """What each of these players does next, in one pass.

        Args:
          asks: `rows` of them at most, each of another player.

        Returns:
          for each its action, component name to `[*component shape]`, or why it has none; its
          memory is then as before.
        """
        refused: dict[Memory, WorldloomError] = {}
        for ask in asks:
            try:
                self._begin(ask) if ask.begins else self._check_task(ask)
            except WorldloomError as error:
                refused[ask.memory] = error
        taken = [ask for ask in asks if ask.memory not in refused]
        try:
            self._see([ask for ask in taken if not ask.begins])
            chosen = self._choose([ask.memory for ask in taken])
        except BaseException:
            self._lose([ask.memory for ask in asks])
            raise
        return [refused.get(ask.memory) or chosen[ask.memory] for ask in asks]

    def _check_task(self, ask: Ask) -> None:
        asked, task = ask.request.task, ask.memory.task
        if asked is not None and asked != task:
            raise WorldloomError(
                f"the task is `{task}`, and `prompt` asks for `{asked}` within the episode",
                "send `reset` with the frame from which another task holds",
            )

    def _begin(self, ask: Ask) -> None:
        """Another episode; the memory of the last is dropped once this one stands."""
        task = ask.request.task or self._team.task
        clip = Clip(
            frames={"main": torch.from_numpy(ask.request.image.copy())[None, None]},
            texts=None if task is None else (task,),
        )
        state, _ = self._team.world.start(clip, torch.tensor([ask.seed]))
        self._leave(ask.memory)
        ask.memory.state, ask.memory.task = state, task

    def _see(self, asks: Sequence[Ask]) -> None:
        """Takes in what was done and what came of it; everybody else leaves the batch."""
        due = {ask.memory for ask in asks}
        for memory in self._seats:
            if memory is not None and memory not in due:
                self._stand(memory)
        if not asks:
            return
        for ask in asks:
            self._sit(ask.memory)
        height, width = self.spec.cameras["main"]
        frames = np.zeros((self.rows, 1, height, width, 3), np.uint8)
        values, known = self.spec.action.null((self.rows,)), np.zeros(self.rows, bool)
        for ask in asks:
            row, done = ask.memory.row, ask.memory.last
            assert row is not None and done is not None
            frames[row, 0], known[row] = ask.request.image, True
            for name, value in done.items():
                values[name][row] = value
        action = Action(values, known).map(torch.from_numpy)
        newest = Clip(frames={"main": torch.from_numpy(frames)})
        self._batch, _ = self._team.world.observe(self._batch, action, newest)

    def _choose(self, memories: Sequence[Memory]) -> dict[Memory, Values]:
        if not memories:
            return {}
        for memory in memories:
            self._sit(memory)
        chosen = self._team.decide(self._team.world.features(self._batch), self._batch)
        arrays = {name: value.cpu().numpy() for name, value in chosen.items()}
        done = {m: {name: array[m.row] for name, array in arrays.items()} for m in memories}
        for memory, values in done.items():
            memory.last = values
        return done

    def _sit(self, memory: Memory) -> None:
        """Takes a free row, unless it has one."""
        if memory.row is not None:
            return
        if self._batch is None:
            self._batch = memory.state[[0] * self.rows]
        row = self._seats.index(None)
        self._batch.put(row, memory.state)
        self._seats[row] = memory
        memory.state, memory.row = None, row

    def _stand(self, memory: Memory) -> None:
        """Leaves the batch with what it remembers."""
        if not memory.gone:
            memory.state = self._batch.view(memory.row).copy()
        self._leave(memory)

    def _leave(self, memory: Memory) -> None:
        if memory.row is not None:
            self._seats[memory.row] = memory.row = None

    def _lose(self, memories: Sequence[Memory]) -> None:
        """After a pass that broke: the batch is worth nothing, nor is what took part in it."""
        for memory in [*memories, *(memory for memory in self._seats if memory is not None)]:
            self._leave(memory)
            memory.state = memory.last = None
        self._batch = None
