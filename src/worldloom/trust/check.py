"""Tests that a probe keeps its promises; for the probes of anyone.

from worldloom.trust.check import check_probe
def test_my_probe():
    check_probe(MyProbe(), clip, after)
"""

from dataclasses import replace
from typing import Any

import torch

from worldloom.actions import Action
from worldloom.data.types import Clip
from worldloom.trust.probe import CAPABILITIES, Edit, Probe


def check_probe(probe: Probe, clip: Clip, after: Clip, *, actions: Action) -> list[str]:
    """Tests that a probe does what it declares, and changes nothing that it is given.

    Args:
      probe: to test.
      clip: a context of at least two rows that differ.
      after: what followed it, of at least two frames.
      actions: `[B, T, ...]` for rollouts.

    Returns:
      What was tested, in words; what needs a capability it lacks is left out.

    Raises:
      AssertionError: says which promise is broken.
    """
    unknown = probe.capabilities - set(CAPABILITIES)
    assert not unknown, f"capabilities that nobody knows: {sorted(unknown)}"
    tests = {
        "rollout": _rollout,
        "score": _score,
        "features": _features,
        "doubt": _doubt,
        "steer": _steer,
    }
    done = []
    for name, test in tests.items():
        if name in probe.capabilities:
            before = {k: torch.as_tensor(v).clone() for k, v in clip.frames.items()}
            test(probe, clip, after, actions)
            for camera, frames in before.items():
                same = torch.equal(frames, torch.as_tensor(clip.frames[camera]))
                assert same, f"`{name}` changed the clip it was given"
            done.append(name)
    return done


def _rollout(probe: Probe, clip: Clip, after: Clip, actions: Action) -> None:
    state = probe.observe(clip)
    first, again = (probe.rollout(state, actions, seeds=(3, 4)) for _ in range(2))
    rows, steps = actions.known.shape
    for name in ("render", "reward"):
        value = first.frames if name == "render" else first.reward
        other = again.frames if name == "render" else again.reward
        if name not in probe.capabilities:
            continue
        assert value is not None and other is not None, f"it says that it can `{name}`, and did not"
        assert value.shape[:3] == (2, rows, steps), f"`{name}` has shape {tuple(value.shape)}"
        assert torch.equal(value, other), "a rollout changed the state it began with"
    if first.frames is not None:
        assert first.frames.dtype == torch.uint8, f"frames are {first.frames.dtype}, not uint8"


def _score(probe: Probe, clip: Clip, after: Clip, actions: Action) -> None:
    """Surprise is about a prediction: another past, or another frame, gives another one."""
    state = probe.observe(clip)
    told, again = probe.score(state, after), probe.score(state, after)
    length = after.frames["main"].shape[1]
    assert told.shape == (len(clip.frames["main"]), length), f"scores are {tuple(told.shape)}"
    assert torch.equal(told, again), "`score` changed the state it was given"
    assert bool(torch.isfinite(told).all()), "a score is not finite"
    other = probe.score(probe.observe(_swapped(clip)), after)
    assert not torch.equal(told, other), "`score` does not depend on what was predicted"
    wrong = {k: 255 - torch.as_tensor(v) for k, v in after.frames.items()}
    assert not torch.equal(told, probe.score(state, replace(after, frames=wrong))), (
        "`score` does not depend on what came"
    )


def _features(probe: Probe, clip: Clip, after: Clip, actions: Action) -> None:
    state = probe.observe(clip)
    for layer in (None, *probe.layers):
        found = probe.features(state, layer)
        assert found.ndim == 2 and len(found) == len(clip.frames["main"]), "features are [B, D]"
        assert torch.equal(found, probe.features(state, layer)), "`features` changed the state"
        other = probe.features(probe.observe(_swapped(clip)), layer)
        assert not torch.equal(found, other), f"features of layer {layer} do not see the past"


def _doubt(probe: Probe, clip: Clip, after: Clip, actions: Action) -> None:
    state = probe.observe(clip)
    found = probe.doubt(state, actions)
    assert found.shape == actions.known.shape, f"doubt is {tuple(found.shape)}"
    assert bool(((found >= 0) & (found <= 1)).all()), "doubt is a probability, in [0, 1]"
    assert torch.equal(found, probe.doubt(state, actions)), "`doubt` changed the state"


def _steer(probe: Probe, clip: Clip, after: Clip, actions: Action) -> None:
    state = probe.observe(clip)
    plain = probe.rollout(state, actions).frames
    assert plain is not None, "to steer is to see what comes of it: `render` is needed"
    for layer in probe.layers:
        width = probe.features(state, layer).shape[1]
        still = probe.rollout(state, actions, edit=Edit(layer, torch.zeros(width))).frames
        assert still is not None and torch.equal(plain, still), f"no push at {layer} is a push"
        push = Edit(layer, 10 * torch.ones(width))
        moved = probe.rollout(state, actions, edit=push).frames
        assert moved is not None and not torch.equal(plain, moved), f"a push at {layer} is not felt"


def _swapped(clip: Clip) -> Clip:
    """The same clip, each row in the place of another."""
    swap: Any = lambda value: torch.as_tensor(value).roll(1, 0)  # noqa: E731
    return replace(
        clip,
        frames={k: swap(v) for k, v in clip.frames.items()},
        actions=None if clip.actions is None else clip.actions.map(swap),
        snapshots=None if clip.snapshots is None else (clip.snapshots[-1], *clip.snapshots[:-1]),
    )
