"""A visitor's own image: whatever the bytes are, a frame or one sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from worldloom.errors import WorldloomError
from worldloom.play import upload
from worldloom.play.upload import frame_from

SIZE = (32, 48)


def _file(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _halves(width=96, height=64):
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), (220, 20, 20))
    image.paste((20, 20, 220), (width // 2, 0, width, height))
    return image


def _near(pixel, colour):
    return np.abs(np.asarray(pixel, int) - colour).max() <= 12


@pytest.mark.parametrize("kind", upload.FORMATS)
def test_every_format_becomes_a_frame(kind):
    frame = frame_from(_file(_halves(), kind), SIZE)
    assert frame.shape == (*SIZE, 3) and frame.dtype == np.uint8
    assert _near(frame[16, 4], (220, 20, 20)) and _near(frame[16, 43], (20, 20, 220))


def test_the_middle_is_kept():
    image = Image.new("RGB", (300, 60), "black")
    image.paste((0, 255, 0), (105, 0, 195, 60))  # the middle 90x60 are the frame
    wide = frame_from(_file(image), SIZE)
    assert wide[..., 1].min() >= 235 and wide[..., 0].max() <= 5
    tall = frame_from(_file(image.rotate(90, expand=True)), SIZE)
    assert tall.shape == (*SIZE, 3) and _near(tall[16, 24], (0, 255, 0))


def test_an_enlarged_frame_comes_back_exactly():
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    large = Image.fromarray(frame.repeat(8, 0).repeat(8, 1))
    np.testing.assert_array_equal(frame_from(_file(large), SIZE), frame)
    np.testing.assert_array_equal(frame_from(_file(Image.fromarray(frame)), SIZE), frame)


def test_a_camera_held_sideways_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    frame = frame_from(_file(_halves(64, 96).rotate(90, expand=True), "JPEG", exif=exif), SIZE)
    assert _near(frame[16, 4], (220, 20, 20)) and _near(frame[16, 43], (20, 20, 220))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode):
    image = Image.new("RGBA", (48, 32), (0, 0, 0, 0)).convert(mode)
    options = {"transparency": image.getpixel((0, 0))} if mode == "P" else {}
    assert (frame_from(_file(image, **options), SIZE) == 255).all()


def test_four_inks_and_grey_and_sixteen_bits():
    inks = frame_from(_file(_halves().convert("CMYK"), "JPEG"), SIZE)
    assert inks[16, 4, 0] > 150 > inks[16, 4, 2]
    grey = frame_from(_file(Image.new("L", (9, 9), 77)), SIZE)
    assert (grey == 77).all()
    deep = Image.fromarray(np.full((64, 96), 77 * 257, np.uint16))
    assert (frame_from(_file(deep), SIZE) == 77).all()
    assert (frame_from(_file(Image.new("1", (9, 9), 1)), SIZE) == 255).all()


def test_of_an_animation_the_first_picture():
    more = [Image.new("RGB", (48, 32), "blue")] * 3
    for kind in ("GIF", "WEBP", "PNG"):
        film = _file(
            Image.new("RGB", (48, 32), "red"), kind, save_all=True, append_images=more, duration=50
        )
        assert _near(frame_from(film, SIZE)[16, 24], (255, 0, 0)), kind


def _png(width, height, rows=b""):
    """A PNG that claims a size and holds whatever it likes."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"x" * 1000, "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no picture"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "no picture|damaged"),
        (_file(Image.new("RGB", (8, 8)), "TIFF"), "no picture"),
        (_file(Image.new("RGB", (8, 8)), "PPM"), "no picture"),
        (b"\0" * (upload.MAX_BYTES + 1), "larger than 12 MB"),
        (_png(9000, 9000), "million pixels"),
        (_png(12000, 12000), "million pixels"),  # where Pillow warns
        (_png(30000, 30000), "million pixels"),  # where Pillow refuses
        (_png(2**31 - 1, 1), "million pixels"),
        (_png(0, 5), "no picture|damaged"),
        (_png(64, 64, b"too little"), "damaged"),
    ],
)
def test_anything_else_is_one_sentence(data, words):
    with pytest.raises(WorldloomError, match=words) as caught:
        frame_from(data, SIZE)
    assert "\n" not in caught.value.message and caught.value.hint


@pytest.mark.parametrize("kind", upload.FORMATS)
def test_a_file_cut_anywhere_or_with_bytes_changed(kind):
    whole = _file(Image.effect_noise((40, 30), 80).convert("RGB"), kind)
    draw = np.random.default_rng(0)
    spoilt = [whole[: int(cut)] for cut in np.linspace(1, len(whole) - 1, 25)]
    for _ in range(75):
        changed = np.frombuffer(whole, np.uint8).copy()
        changed[draw.integers(0, len(changed), 8)] = draw.integers(0, 256, 8)
        spoilt.append(changed.tobytes())
    fine = 0
    for data in spoilt:
        try:
            fine += frame_from(data, SIZE).shape == (*SIZE, 3)
        except WorldloomError as error:
            assert error.hint
    assert fine < len(spoilt), "some of these are broken"


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(WorldloomError, match="million pixels"):
        frame_from(_png(9000, 9000, b"\0" * 10**6), SIZE)
