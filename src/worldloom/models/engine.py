"""Steps dreams where they lie, so that all that a step launches is launched at once.

A CUDA graph reads and writes the memory that it was captured with. For each number of
rows there is one resident memory; a state that is stepped moves in, and out again with
what it holds when another one comes. Knows states as trees of tensors, and no model.
"""

import time
import weakref
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

EAGER = 8  # steps before a capture: the first frames wait for none

Run = Callable[[], None]
# A step, and the tensors that it works in, to something that does the step at once.
Capture = Callable[[Run, list[Tensor]], Run]


class Advances(Protocol):
    """A world that takes a state one frame on, in place."""

    def advance(self, state: Any, token: Tensor) -> None: ...


class Engine:
    """Steps states of one world.

    Args:
      world: computes only what its tensors say: the same launches for every frame.
      capture: `graphed` on a GPU.
      tell: hears what took its time, or could not be done.
    """

    def __init__(self, world: Advances, capture: Capture, tell: Callable[[str], None]) -> None:
        self._world, self._capture, self._tell = world, capture, tell
        self._residents: dict[int, _Resident] = {}
        self._able = True

    @torch.inference_mode()
    def __call__(self, state: Any, token: Tensor) -> None:
        """One frame on, in place.

        Args:
          state: of B rows; from now on it lies in the resident memory.
          token: `[B, W]` the encoded actions.
        """
        resident = self._residents.get(len(state))
        if resident is None:
            resident = self._residents[len(state)] = _Resident(self._world, state, token)
        if resident.run is None and self._able and resident.steps >= EAGER:
            self._warm_up(resident, len(state))
        resident.step(state, token)

    def _warm_up(self, resident: "_Resident", rows: int) -> None:
        begin = time.perf_counter()
        try:
            resident.capture(self._capture)
        except RuntimeError as error:
            self._able = False
            reason = str(error).strip().splitlines()[0]
            return self._tell(f"a step cannot be captured as a graph here, and is not: {reason}")
        seconds = time.perf_counter() - begin
        many = "1 row" if rows == 1 else f"{rows} rows"
        self._tell(f"a step of {many} is one graph from now on, captured in {seconds:.1f} s")


class _Resident:
    """Memory for one number of rows, and whose state lies in it."""

    def __init__(self, world: Advances, like: Any, token: Tensor) -> None:
        self._memory, self._token = like.copy(), token.clone()
        self._world = world
        self._guest: Callable[[], Any] = lambda: None
        self.run: Run | None = None
        self.steps = 0

    def step(self, state: Any, token: Tensor) -> None:
        """Lets `state` in and takes it one frame on."""
        if self._guest() is not state:
            self._leave()
            for own, other in zip(tensors(self._memory), tensors(state), strict=True):
                own.copy_(other)
            _hold(state, self._memory)
            self._guest = weakref.ref(state)
        self._token.copy_(token)
        (self.run or self._advance)()
        self.steps += 1

    def capture(self, capture: Capture) -> None:
        """Captures a step. It is run a few times on the way: nobody's state lies here then."""
        self._leave()
        self.run = capture(self._advance, [*tensors(self._memory), self._token])

    def _advance(self) -> None:
        self._world.advance(self._memory, self._token)

    def _leave(self) -> None:
        """Whoever lies here moves out."""
        guest = self._guest()
        if guest is not None:
            _hold(guest, self._memory.copy())
        self._guest = lambda: None


def tensors(tree: Any) -> list[Tensor]:
    """All tensors of a state, in a fixed order."""
    if isinstance(tree, Tensor):
        return [tree]
    if is_dataclass(tree):
        return [part for f in fields(tree) for part in tensors(getattr(tree, f.name))]
    return [part for item in tree or () for part in tensors(item)]


def _hold(state: Any, other: Any) -> None:
    """Lets `state` lie where `other` lies."""
    for field in fields(state):
        setattr(state, field.name, getattr(other, field.name))


def graphed(run: Run, memory: list[Tensor]) -> Run:
    """A step as a CUDA graph; run three times first, as torch asks for."""
    del memory  # keeps its place by itself
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay
