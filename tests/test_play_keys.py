"""Which key does what, and which keys are down."""

import numpy as np
import pytest

from worldloom.actions import ActionSpec, Binary, Categorical, Continuous
from worldloom.play.input import Held, Input
from worldloom.play.keys import RESERVED, key_map

DIAGONALS = ("UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT")
WAYS = ("UP", "RIGHT", "LEFT", "DOWN", *DIAGONALS)
ALE = ("NOOP", "FIRE", *WAYS, *(f"{way}FIRE" for way in WAYS))
MOVES = ("noop", "move_left", "move_right", "move_up", "move_down", "do", "sleep")
PLACE = ("place_stone", "place_table", "place_furnace", "place_plant")
MAKE = tuple(f"make_{m}_{t}" for t in ("pickaxe", "sword") for m in ("wood", "stone", "iron"))
CRAFTER = MOVES + PLACE + MAKE
MINIGRID = ["left", "right", "forward", "pickup", "drop", "toggle", "done"]


def _categorical(labels, null=0):
    return ActionSpec((Categorical("a", len(labels), null, tuple(labels)),))


def _chosen(spec, *keys):
    return int(key_map(spec).action(keys).values["a"][0])


def _codes(spec):
    return {(b.component, b.part): b.codes for b in key_map(spec).buttons}


def test_binary_keys_lie_where_a_person_looks_for_them():
    keys = ("left", "right", "jump", "run")
    spec = ActionSpec((Binary("keys", keys),))
    codes = _codes(spec)
    assert codes["keys", "left"] == ("ArrowLeft", "KeyA")
    assert codes["keys", "jump"] == ("Space", "ArrowUp", "KeyW")
    assert codes["keys", "run"][0] == "ShiftLeft"
    action = key_map(spec).action(("KeyA", "Space"))
    np.testing.assert_array_equal(action.values["keys"], [[1, 0, 1, 0]])
    assert action.values["keys"].dtype == np.uint8
    assert action.known.tolist() == [True]


def test_jump_leaves_the_up_arrow_to_up():
    codes = _codes(ActionSpec((Binary("keys", ("jump", "up")),)))
    assert codes["keys", "jump"] == ("Space",)
    assert codes["keys", "up"] == ("ArrowUp", "KeyW")


def test_names_that_are_key_codes_are_those_keys():
    codes = _codes(ActionSpec((Binary("keys", ("KeyW", "q", "Space")),)))
    assert codes == {
        ("keys", "KeyW"): ("KeyW",),
        ("keys", "q"): ("KeyQ",),
        ("keys", "Space"): ("Space",),
    }


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        ((), "NOOP"),
        (("ArrowLeft",), "LEFT"),
        (("KeyA", "Space"), "LEFTFIRE"),
        (("Space", "ArrowUp", "ArrowRight"), "UPRIGHTFIRE"),
        (("ArrowLeft", "ArrowUp", "KeyD"), "UPRIGHT"),  # the latest of two opposites wins
        (("KeyD", "ArrowUp", "ArrowLeft"), "UPLEFT"),
        (("KeyQ", "F5"), "NOOP"),
    ],
)
def test_atari_labels_are_chords(keys, label):
    assert ALE[_chosen(_categorical(ALE), *keys)] == label


def test_atari_needs_five_buttons_only():
    assert len(key_map(_categorical(ALE)).buttons) == 5


def test_crafter_moves_with_arrows_and_reaches_every_action():
    spec = _categorical(CRAFTER)
    assert CRAFTER[_chosen(spec, "ArrowUp")] == "move_up"
    assert CRAFTER[_chosen(spec, "Space")] == "do"
    assert CRAFTER[_chosen(spec, "ArrowUp", "ArrowLeft")] == "move_left"
    assert CRAFTER[_chosen(spec, "ArrowLeft", "ArrowUp")] == "move_up"
    reached = {_chosen(spec, button.codes[0]) for button in key_map(spec).buttons}
    assert reached == set(range(1, len(CRAFTER)))


def test_a_null_that_means_something_has_a_key_too():
    spec = _categorical(MINIGRID, null=6)
    assert _chosen(spec) == 6
    assert MINIGRID[_chosen(spec, "ArrowUp")] == "forward"
    reached = {_chosen(spec, button.codes[0]) for button in key_map(spec).buttons}
    assert reached == set(range(7))


def test_labels_that_mean_the_same_key_stay_apart():
    spec = _categorical(["noop", "left", "turn_left"])
    reached = {_chosen(spec, button.codes[0]) for button in key_map(spec).buttons}
    assert reached == {1, 2}


def test_choices_without_labels_are_digits_then_letters():
    spec = ActionSpec((Categorical("a", 12, 3),))
    assert _chosen(spec) == 3
    assert [_chosen(spec, f"Digit{i}") for i in range(10)] == list(range(10))
    reached = {_chosen(spec, button.codes[0]) for button in key_map(spec).buttons}
    assert reached == set(range(12))


def test_continuous_components_are_pushed_to_their_bounds():
    spec = ActionSpec((Continuous("stick", (-2.0, -0.5), (2.0, 1.5)),))

    def push(*keys):
        return key_map(spec).action(keys).values["stick"][0].tolist()

    assert push() == [0.0, 0.0]
    assert push("ArrowLeft") == [-2.0, 0.0]
    assert push("ArrowRight", "ArrowUp") == [2.0, 1.5]
    assert push("ArrowDown") == [0.0, -0.5]
    assert push("ArrowLeft", "ArrowRight") == [2.0, 0.0]
    assert push("ArrowRight", "ArrowLeft") == [-2.0, 0.0]


def test_pedals_take_one_key_each():
    spec = ActionSpec((Continuous("car", (-1.0, 0.0, 0.0), (1.0, 1.0, 1.0)),))
    codes = _codes(spec)
    assert len(codes) == 4
    assert codes["car", "1+"][0] == "ArrowUp" and codes["car", "2+"][0] == "ArrowDown"
    assert key_map(spec).action(("ArrowUp",)).values["car"][0].tolist() == [0.0, 1.0, 0.0]


def test_a_component_without_bounds_is_pushed_by_one():
    spec = ActionSpec((Continuous("x", (float("-inf"),), (float("inf"),)),))
    assert key_map(spec).action(("ArrowLeft",)).values["x"].tolist() == [[-1.0]]


@pytest.mark.parametrize(
    "spec",
    [
        _categorical(ALE),
        _categorical(CRAFTER),
        ActionSpec((Categorical("a", 60),)),
        ActionSpec(
            (Binary("p", ("left", "right", "fire")), Binary("q", ("left", "right", "fire")))
        ),
        ActionSpec((Binary("k", ("p", "r", "n", "jump")), Categorical("c", 3))),
        ActionSpec((Continuous("x", (-1.0,) * 20, (1.0,) * 20), Binary("k", ("left", "up"))), 4),
    ],
)
def test_no_key_is_given_twice_and_every_action_is_valid(spec):
    keys = key_map(spec)
    codes = [code for button in keys.buttons for code in button.codes]
    assert len(set(codes)) == len(codes)
    assert not set(codes) & RESERVED
    assert all(button.codes for button in keys.buttons)
    rng = np.random.default_rng(0)
    for _ in range(50):
        action = keys.action([code for code in codes if rng.random() < 0.3])
        spec.check(action.values, "action")
        for component in spec.components:
            value = action.values[component.name]
            assert value.shape == (1, *spec.shape(component)) and value.dtype == component.dtype


def test_no_keys_is_the_null_action():
    spec = ActionSpec(
        (Categorical("c", 5, 2), Binary("b", ("up",)), Continuous("x", (1.0,), (2.0,))), per_frame=3
    )
    action, null = key_map(spec).action(()), spec.null((1,))
    for name, value in null.items():
        np.testing.assert_array_equal(action.values[name], value)


def test_a_tap_between_ticks_counts_for_one_tick():
    held = Held().changed(["Space"]).changed([])
    assert held.keys() == ("Space",)
    assert held.ticked().keys() == ()


def test_a_tap_that_the_page_reports_itself_counts():
    assert Held().changed(["KeyA"], ["Space"]).keys() == ("Space", "KeyA")
    assert Held(("KeyA",)).changed(["KeyA"], ["Space"]).keys() == ("Space", "KeyA")


def test_held_keys_stay_and_releases_are_at_once():
    held = Held().changed(["KeyA"]).ticked()
    assert held.keys() == ("KeyA",)
    assert held.changed([]).keys() == ()  # it was seen by a tick already: no tap


def test_clearing_is_an_empty_set():
    held = Held().changed(["KeyA", "Space"]).ticked().changed([])
    assert held.keys() == ()


def test_the_latest_press_comes_last():
    held = Held().changed(["KeyA"]).changed(["KeyA", "KeyD"])
    assert held.keys() == ("KeyA", "KeyD")
    assert held.changed(["KeyD", "KeyA"]).keys() == ("KeyD", "KeyA")


def test_what_the_page_draws():
    entry = key_map(ActionSpec((Binary("keys", ("left", "jump_high")),))).to_json()
    assert entry[0] == {
        "codes": ["ArrowLeft", "KeyA"],
        "keys": ["←", "A"],
        "label": "left",
        "slot": "left",
        "axis": "",
    }
    assert entry[1]["label"] == "jump high" and entry[1]["slot"] == ""


# Sliders, sticks and the mouse

DOOM = ActionSpec(
    (
        Binary(
            "keys", ("move_forward", "move_backward", "move_left", "move_right", "attack", "use")
        ),
        Continuous("turn", (-10.0,), (10.0,)),
    )
)


def test_a_slider_sets_a_number_and_a_key_beats_it():
    spec = ActionSpec((Continuous("arm", (-1.0, 0.0), (1.0, 4.0)),))
    keys = key_map(spec)
    assert [axis.id for axis in keys.axes] == ["arm/0", "arm/1"]
    assert [axis.null for axis in keys.axes] == [0.0, 0.0]

    def arm(*codes, **sliders):
        sliders = tuple((f"arm/{name[1:]}", value) for name, value in sliders.items())
        return keys.action(Input(codes, sliders)).values["arm"][0].tolist()

    assert arm(_0=0.5, _1=3.0) == [0.5, 3.0]
    assert arm("ArrowLeft", _0=0.5, _1=3.0) == [-1.0, 3.0]
    assert arm(_0=-9.0, _1=-9.0) == [-1.0, 0.0], "no further than the bounds"
    assert arm(_7=1.0) == [0.0, 0.0]


def test_the_mouse_turns_by_how_far_it_went():
    keys = key_map(DOOM)

    def turn(x, y=0.0, *codes, **fields):
        return float(keys.action(Input(codes, mouse=(x, y), **fields)).values["turn"][0, 0])

    assert turn(10) == pytest.approx(1.0) and turn(-50) == pytest.approx(-5.0)
    assert turn(1e6) == 10.0
    assert turn(0, 80) == 0.0, "it turns, it does not look up"
    assert turn(-10, axes=(("turn/0", 4.0),)) == pytest.approx(3.0)


def test_motion_is_summed_until_a_tick_uses_it():
    held = Held().changed(["KeyW"], mouse=(3, -1)).changed(["KeyW"], mouse=(4, 0))
    assert held.input().mouse == (7, -1)
    assert held.ticked().input() == Input(("KeyW",))


def test_sliders_stay_where_they_are_put():
    held = Held().changed([], axes=(("arm/0", 0.5),)).ticked()
    assert held.input().axes == (("arm/0", 0.5),)
    assert held.changed([]).input().axes == ()


def test_where_one_walks_and_turns_the_arrows_turn():
    codes = _codes(DOOM)
    assert codes["keys", "move_left"] == ("KeyA",)
    assert codes["keys", "move_forward"] == ("ArrowUp", "KeyW")
    assert codes["turn", "0-"] == ("ArrowLeft",)
    slots = {button.part: (button.slot, button.axis) for button in key_map(DOOM).buttons}
    assert slots["move_left"] == ("left", "") and slots["0-"] == ("", "turn/0")
    assert codes["keys", "attack"] == ("Space", "Mouse0")
    assert codes["keys", "use"] == ("KeyE", "Mouse2")
    labels = [button.label for button in key_map(DOOM).buttons][-2:]
    assert labels == ["turn left", "turn right"]
    both = _codes(ActionSpec((Binary("k", ("MOVE_LEFT", "TURN_LEFT", "ATTACK")),)))
    assert both["k", "TURN_LEFT"] == ("ArrowLeft",) and both["k", "MOVE_LEFT"] == ("KeyA",)
    assert both["k", "ATTACK"] == ("Space",)


def test_strafing_is_moving_sideways():
    walk = Binary("keys", ("forward", "back", "strafe_left", "strafe_right"))
    codes = _codes(ActionSpec((walk, Continuous("mouse", (-1.0,), (1.0,)))))
    assert codes["keys", "strafe_left"] == ("KeyA",) and codes["keys", "strafe_right"] == ("KeyD",)
    assert codes["mouse", "0-"] == ("ArrowLeft",) and codes["mouse", "0+"] == ("ArrowRight",)


def test_choices_that_are_numbers_are_an_axis():
    spec = _categorical(("0", "-10", "-2.5", "2.5", "10"))
    keys = key_map(ActionSpec((Categorical("turn", 5, 0, spec.components[0].labels),)))
    labels = spec.components[0].labels

    def chosen(*codes, x=0.0, slider=None):
        axes = () if slider is None else (("turn/0", slider),)
        return labels[int(keys.action(Input(codes, axes, (x, 0.0))).values["turn"][0])]

    assert chosen() == "0"
    assert chosen("ArrowRight") == "10" and chosen("ArrowLeft") == "-10"
    assert chosen(slider=-3.0) == "-2.5"
    assert chosen(x=5) == "2.5", "a small motion is a small turn, not none"
    assert chosen(x=-1) == "0" and chosen(x=-90) == "-10"
    assert key_map(_categorical(("0", "1", "2"))).axes == (), "these are names"


def test_a_pair_that_is_a_camera_follows_the_mouse_both_ways():
    keys = key_map(ActionSpec((Continuous("camera", (-1.0, -2.0), (1.0, 2.0)),)))
    assert [axis.mouse for axis in keys.axes] == ["x", "y"]
    assert keys.action(Input(mouse=(50, -25))).values["camera"][0].tolist() == [0.5, -0.5]
    assert keys.action(("ArrowUp",)).values["camera"][0].tolist() == [0.0, -2.0]
    crowded = (Continuous("arm", (-1.0, -1.0), (1.0, 1.0)), Continuous("camera", (-1.0,), (1.0,)))
    slots = [(button.part, button.slot) for button in key_map(ActionSpec(crowded)).buttons]
    assert slots[0] == ("0-", "left") and slots[4] == ("0-", ""), "one thumb, one place"
    plain = key_map(ActionSpec((Continuous("thrust", (-1.0,), (1.0,)),)))
    assert [axis.mouse for axis in plain.axes] == [""]
    assert plain.action(Input(mouse=(50, 0))).values["thrust"].tolist() == [[0.0]]


def test_dooms_own_actions_are_walked_with_wasd_and_turned_with_the_arrows():
    keys = ("forward", "back", "strafe_left", "strafe_right", "attack")
    spec = ActionSpec((Binary("keys", keys), Continuous("mouse", (-1.0,), (1.0,))))
    codes = _codes(spec)
    assert codes["keys", "strafe_left"] == ("KeyA",) and codes["keys", "strafe_right"] == ("KeyD",)
    assert codes["keys", "forward"] == ("ArrowUp", "KeyW")
    assert codes["mouse", "0-"] == ("ArrowLeft",) and codes["mouse", "0+"] == ("ArrowRight",)
    assert codes["keys", "attack"] == ("Space", "Mouse0")
    labels = {button.part: button.label for button in key_map(spec).buttons}
    assert labels["0-"] == "turn left" and labels["strafe_left"] == "strafe left"
