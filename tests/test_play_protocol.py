"""Messages, the frame header, clocks and percentiles."""

import dataclasses
import io
import json
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from worldloom.play import messages, protocol
from worldloom.play.clock import Latency, next_deadline, percentile
from worldloom.play.protocol import Header, ProtocolError, check_hello, parse
from worldloom.play.tray import Tray
from worldloom.play.wishes import Wishes


def _text(**fields):
    return json.dumps(fields)


def test_every_message_is_understood():
    hello = parse(_text(type="hello", version=1, token="t", seed=3))
    assert hello == messages.Hello(1, "t", 3)
    assert parse(_text(type="hello", version=1, token="t")).seed == 0
    keys = parse(_text(type="keys", held=["KeyA"], tapped=["Space"], time=12))
    assert keys == messages.Keys(("KeyA",), ("Space",), 12)
    assert parse(_text(type="ack", frame=2**32 - 1)) == messages.Ack(2**32 - 1)
    assert parse(_text(type="pause", on=True)) == messages.Pause(True)
    assert parse(_text(type="step")) == messages.StepOnce()
    assert parse(_text(type="reset", seed=4)) == messages.Reset(4)
    assert parse(_text(type="reset", seed=4, picture="a")) == messages.Reset(4, "a")
    assert parse(_text(type="speed", factor=2)) == messages.Speed(2.0)
    film = _text(type="export", format="gif", scale=4, ticks=0)
    assert parse(film) == messages.Export("gif", 4, 0)
    sliders = _text(type="keys", held=[], tapped=[], time=0, axes={"a/0": 1}, mouse=[3, -0.5])
    assert parse(sliders) == messages.Keys((), (), 0, (("a/0", 1.0),), (3.0, -0.5))
    assert parse(_text(type="rewind", ticks=3, moment=40)) == messages.Rewind(3, 40)
    assert parse(_text(type="branch")) == messages.Fork()
    assert parse(_text(type="switch", branch=2)) == messages.Switch(2)
    assert parse(_text(type="drop", branch=2)) == messages.Drop(2)
    assert parse(_text(type="run", branch=2, on=True)) == messages.RunOn(2, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "[" * 4000,
        "9" * 4000 + "x",
        _text(),
        _text(type="nonsense"),
        _text(type=["hello"]),
        _text(type="hello", version="1", token="t"),
        _text(type="hello", version=1),
        _text(type="hello", version=1, token="t", seed=2**40),
        _text(type="keys", held="KeyA", tapped=[], time=0),
        _text(type="keys", held=[1], tapped=[], time=0),
        _text(type="keys", held=["x" * 33], tapped=[], time=0),
        _text(type="keys", held=["x"] * 33, tapped=[], time=0),
        _text(type="keys", held=[], tapped=[], time=-1),
        _text(type="keys", held=[], tapped=[], time=1.5),
        _text(type="keys", held=[], tapped=[]),
        _text(type="keys", held=[], tapped=[], time=0, axes=[1]),
        _text(type="keys", held=[], tapped=[], time=0, axes={"a": "1"}),
        _text(type="keys", held=[], tapped=[], time=0, axes={"a": float("nan")}),
        _text(type="keys", held=[], tapped=[], time=0, axes={"a" * 65: 1}),
        _text(type="keys", held=[], tapped=[], time=0, axes={str(i): 1 for i in range(33)}),
        _text(type="keys", held=[], tapped=[], time=0, mouse=[1]),
        _text(type="keys", held=[], tapped=[], time=0, mouse=[1, float("inf")]),
        _text(type="keys", held=[], tapped=[], time=0, mouse=[1, 1e10]),
        _text(type="keys", held=[], tapped=[], time=0, mouse=[True, 1]),
        _text(type="reset", seed=1, picture=1),
        _text(type="reset", seed=1, picture="x" * 65),
        _text(type="speed"),
        _text(type="speed", factor=0.01),
        _text(type="speed", factor=5),
        _text(type="speed", factor=True),
        _text(type="speed", factor=float("nan")),
        _text(type="export", format="avi", scale=1, ticks=0),
        _text(type="export", format=["mp4"], scale=1, ticks=0),
        _text(type="export", format="mp4", scale=0, ticks=0),
        _text(type="export", format="mp4", scale=1, ticks=-1),
        _text(type="ack", frame=2**32),
        _text(type="ack", frame=True),
        _text(type="pause", on=1),
        _text(type="reset", seed=-1),
        _text(type="reset", seed=2**31),
        _text(type="step", pad="x" * 5000),
        _text(type="rewind", ticks=1),
        _text(type="rewind", ticks=-1, moment=4),
        _text(type="rewind", ticks=1.5, moment=4),
        _text(type="switch"),
        _text(type="switch", branch=0),
        _text(type="drop", branch="2"),
        _text(type="run", branch=2, on=1),
    ],
)
def test_anything_else_is_a_typed_error(text):
    with pytest.raises(ProtocolError) as caught:
        parse(text)
    assert caught.value.code == "malformed"
    assert len(caught.value.message) < 200


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)  # halves of pairs, too
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.sampled_from(["KeyA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
# Right but for some fields, which are anything; all of them are of one of the protocol's types.
FIELDS = {
    "version": protocol.VERSION, "token": "t", "seed": 3, "held": ["KeyA"], "tapped": [], "time": 1,
    "axes": {"a/0": 0.5}, "mouse": [1, 2], "frame": 7, "on": True, "picture": "a", "factor": 2,
    "format": "gif", "scale": 4, "ticks": 5, "moment": 9, "branch": 2, "choices": [["KeyA"], []],
    "samples": 2, "horizon": 8, "choice": 1, "sample": 0, "note": "no", "code": "x", "more": True,
}  # fmt: skip
NEARLY = st.builds(
    lambda kind, wrong: json.dumps({**FIELDS, **wrong, "type": kind}),
    st.sampled_from(sorted(protocol._READERS)),
    st.dictionaries(st.sampled_from(sorted(FIELDS)), ANY_VALUE, max_size=2),
)


def words_in(value):
    """All texts in a message."""
    if isinstance(value, str):
        return [value]
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    return (
        [word for part in value for word in words_in(part)]
        if isinstance(value, list | tuple)
        else []
    )


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(NEARLY | ANY_TEXT | ANY_VALUE.map(json.dumps), min_size=1, max_size=12))
@example([_text(type="wrong", note="half a pair: \ud800")])
@example([_text(type="open", code="\udfff")])
@example([_text(type="share", more="[" * 900)] * 40)
def test_whatever_comes_is_understood_or_refused_in_one_way(texts):
    """Nothing but `ProtocolError` comes out, and what is understood can be acted on."""

    def hear():
        wishes = Wishes(frozenset({"KeyA"}), Tray(most=2, most_bytes=9))
        for text in texts:
            message = parse(text)
            for word in words_in(message):
                word.encode()
            if not isinstance(message, messages.Hello | messages.Ack):
                wishes.hear(message)
                wishes.held.input()

    try:
        hear()
    except ProtocolError as error:
        assert error.code == "malformed" and len(error.message) < 200


def test_the_greeting_is_checked():
    good = parse(_text(type="hello", version=protocol.VERSION, token="secret"))
    assert check_hello(good, "secret") is good
    for fields, code in [
        ({"version": protocol.VERSION + 1, "token": "secret"}, "version"),
        ({"version": protocol.VERSION, "token": "guess"}, "token"),
        ({"version": protocol.VERSION, "token": ""}, "token"),
        ({"version": protocol.VERSION, "token": "\ud800"}, "malformed"),
    ]:
        with pytest.raises(ProtocolError) as caught:
            check_hello(parse(_text(type="hello", **fields)), "secret")
        assert caught.value.code == code
    with pytest.raises(ProtocolError, match="first message"):
        check_hello(messages.StepOnce(), "secret")


def test_the_header_is_twenty_eight_little_endian_bytes():
    header = Header(1, 2, 3, 4, protocol.JPEG, protocol.PAUSED | protocol.RESET, 7, 8, 9, 2)
    assert header.pack() == struct.pack("<IIIHBBIIBBxx", 1, 2, 3, 4, 1, 5, 7, 8, 9, 2)
    assert len(header.pack()) == 28
    assert Header.unpack(header.pack() + b"image") == header


def test_header_numbers_wrap_and_saturate_instead_of_failing():
    header = Header.unpack(Header(2**32 + 1, 0, 2**32 + 7, 10**6, 0, 0, rewinds=258).pack())
    assert (header.frame, header.server_time, header.model_time) == (1, 7, 0xFFFF)
    assert header.rewinds == 2


def test_small_frames_are_raw_and_large_ones_jpeg():
    small = np.random.default_rng(0).integers(0, 256, (128, 96, 3), dtype=np.uint8)
    kind, body = protocol.encode(small)
    assert kind == protocol.RAW and body == small.tobytes()
    large = np.zeros((129, 64, 3), np.uint8)
    large[:, :, 1] = np.arange(64) * 4
    kind, body = protocol.encode(large)
    assert kind == protocol.JPEG
    back = np.asarray(Image.open(io.BytesIO(body)).convert("RGB"), int)
    assert back.shape == large.shape and np.abs(back - large).max() < 16


def test_the_clock_keeps_its_beat_when_a_little_late():
    # Due at 10, woke at 10.6: the next is due at 11 still, not at 11.6.
    assert next_deadline(10.0, 10.6, 1.0) == 11.0
    assert next_deadline(10.0, 11.9, 1.0) == 11.0


def test_the_clock_never_runs_a_burst():
    deadline, now, ticks = 0.0, 7.5, 0
    deadline = next_deadline(deadline, now, 1.0)
    while deadline <= now:  # how many ticks start before the clock is back on its beat
        deadline = next_deadline(deadline, now, 1.0)
        ticks += 1
    assert ticks <= 1


def test_percentiles_leave_the_warm_up_out_and_keep_a_window():
    latency = Latency(window=10, warmup=2)
    for seconds in (9.0, 8.0, *[1.0] * 5, *[0.002] * 10):
        latency.add("step", seconds)
    assert latency.warmup_ms == 9000
    assert latency.percentiles() == {"step": {"p50": 2.0, "p95": 2.0}}


def test_percentiles_are_those_of_numpy():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 7, 300):
        values = sorted(rng.exponential(size=count).tolist())
        for share in (0.0, 0.05, 0.5, 0.95, 1.0):
            assert percentile(values, share) == pytest.approx(np.percentile(values, 100 * share))


def test_percentiles_are_right():
    latency = Latency()
    for ms in range(101):
        latency.add("input_to_frame", ms / 1e3)
    assert latency.percentiles()["input_to_frame"] == {"p50": 50.0, "p95": 95.0}
