"""openpi's wire: its bytes exactly, and one sentence for whatever is no request."""

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.errors import WorldloomError
from worldloom.serving.messages import Request, read_request
from worldloom.serving.wire import pack, unpack

SIZE = (16, 16)
VALUES = [
    None, True, 7, 2.5, "text", b"bytes", [1, [2]], {"a": {"b": 1}},
    np.bool_(True), np.int64(3), np.float32(0.5), np.str_("word"),
    np.array(1.5), np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::2], np.zeros((0, 3), np.uint8),
    np.array([True, False]), np.array(["a", "bcd"]), np.array([np.nan, np.inf]),
    np.arange(4, dtype=">i4"), {"image": np.full((2, 2, 3), 9, np.uint8), "reset": True},
]  # fmt: skip


@pytest.fixture(scope="module")
def openpi():
    """The public client; it wants an old numpy and does not need it, so install it without."""
    return pytest.importorskip("openpi_client", reason="pip install --no-deps openpi-client")


def same(a, b) -> bool:
    if isinstance(a, np.ndarray | np.generic):
        return type(a) is type(b) and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:24])
def test_bytes_are_those_of_the_public_client(openpi, value):
    from openpi_client import msgpack_numpy as theirs

    assert pack(value) == theirs.packb(value)
    assert same(unpack(theirs.packb(value)), theirs.unpackb(pack(value)))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:24])
def test_what_is_packed_is_unpacked(value):
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)
    value = str(value) if isinstance(value, np.str_) else value  # msgpack takes it for a text
    found = unpack(pack(value))
    assert same(value, found) and getattr(found, "shape", ()) == getattr(value, "shape", ())


def test_objects_are_not_sent():
    with pytest.raises(ValueError, match="no place on the wire"):
        pack(np.array([object()]))
    with pytest.raises(TypeError, match="no place on the wire"):
        pack({1, 2})


def array(dtype="|u1", data=b"\x00" * 4, shape=(4,)):
    return {b"__ndarray__": True, b"data": data, b"dtype": dtype, b"shape": shape}


@pytest.mark.parametrize(
    "value",
    [
        array("|O"), array("<f4,<f4"), array("(2,)|u1"), array("<c8"), array("|V4"), array(b"|u1"),
        array("|u3"), array(shape=(5,)), array(shape=(-4,)), array(shape=(2**62, 2**62)),
        array(shape=("4",)), array(data="text"), array("<U99"), {b"__ndarray__": True},
        {b"__npgeneric__": True, b"data": [1, 2], b"dtype": "<f8"},
        {b"__npgeneric__": True, b"data": 300, b"dtype": "|u1"},
        {b"__npgeneric__": True, b"data": "x", b"dtype": "<i8"},
        {(1, 2): 3},
    ],
    ids=repr,
)  # fmt: skip
def test_an_array_that_is_none_is_refused(value):
    with pytest.raises(WorldloomError, match="not msgpack with numpy arrays"):
        unpack(msgpack.packb(value))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bytes_give_a_value_or_one_sentence(data):
    message = bytearray(pack({"image": np.zeros((2, 2), np.uint8), "n": np.float64(1), "a": [1]}))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    for attempt in (bytes(message), data.draw(st.binary(max_size=30))):
        try:
            read_request(attempt, SIZE)
        except WorldloomError as error:
            assert len(error.message) < 400


IMAGE = np.zeros((*SIZE, 3), np.uint8)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("text", "a text came"),
        ([1], "a list came, expected a map"),
        ({}, "without an `image`"),
        ({"image": IMAGE, "imgae": 1}, "no key `imgae`"),
        ({"image": IMAGE, b"x": 1}, "no key `b'x'`"),
        ({"image": [1, 2]}, r"`image` is \[1, 2\], expected a numpy array"),
        ({"image": IMAGE.astype(np.float32)}, r"is float32 \[16, 16, 3\], expected uint8"),
        ({"image": IMAGE[:8]}, r"is uint8 \[8, 16, 3\], expected uint8 \[16, 16, 3\]"),
        ({"image": IMAGE, "reset": 1}, "`reset` is 1, expected true or false"),
        ({"image": IMAGE, "seed": -1}, "`seed` is -1"),
        ({"image": IMAGE, "seed": True}, "`seed` is True"),
        ({"image": IMAGE, "seed": 0.5}, "`seed` is 0.5, expected a whole number"),
        ({"image": IMAGE, "prompt": 3}, "`prompt` is 3, expected a text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_that_is_none_is_one_sentence(request_, said):
    data = request_ if isinstance(request_, str) else pack(request_)
    with pytest.raises(WorldloomError, match=said) as error:
        read_request(data, SIZE)
    assert error.value.hint


def test_what_a_request_may_say():
    found = read_request(
        pack({"image": IMAGE, "reset": np.bool_(True), "seed": np.int64(5), "prompt": "walk"}), SIZE
    )
    assert (found.reset, found.seed, found.task) == (True, 5, "walk")
    assert read_request(pack({"image": IMAGE, "seed": None}), SIZE).reset is False


def test_a_reset_survives_the_frame_that_replaces_it():
    begin, next_ = Request(IMAGE, True, 3, "walk"), Request(IMAGE + 1)
    merged = next_.instead_of(begin)
    assert merged.image is next_.image and (merged.reset, merged.seed, merged.task) == (
        True, 3, "walk",
    )  # fmt: skip
    assert begin.instead_of(Request(IMAGE, True, 4)) is begin
