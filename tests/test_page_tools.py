# ruff: noqa: F401, F811 (fixtures of another file)
"""Starts, pictures, films, sliders, mouse and gamepad, in a real browser."""

import base64
import io
from dataclasses import replace

import pytest
from PIL import Image
from test_page import browser, served, visit
from test_play_files import Canvas

from worldloom.actions import Action, ActionSpec, Binary, Continuous
from worldloom.play.limits import Limits
from worldloom.play.server import served_in_thread
from worldloom.play.session import Session, from_seed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEXT = "([id, words]) => document.getElementById(id).textContent.includes(words)"


def _png(red, size=(60, 60)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (red, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def canvas():
    session = Session(Canvas(), from_seed, fps=30)
    with served_in_thread(session, title="Canvas", limits=Limits(stats_every=0.1)) as served:
        yield served


def test_a_start_is_chosen_from_the_gallery(served, visit):
    one = visit(served)
    one.page.click("#begin")
    one.state("paused")
    one.page.click(".start[data-seed='7']")
    one.seed(7)
    one.state("playing")
    one.wait(TEXT, ["start-word", "Start 7"])
    one.page.keyboard.down("ArrowLeft")  # the world has the keyboard back
    one.lit(0)
    one.page.keyboard.up("ArrowLeft")
    one.page.focus("#begin")
    one.page.keyboard.press("Enter")
    one.wait("() => document.querySelector('.start[data-seed=\"7\"][aria-current=true]')")
    one.page.focus(".start[data-seed='7']")
    one.page.keyboard.press("ArrowRight")
    one.page.keyboard.press("ArrowRight")
    one.page.keyboard.press("Enter")
    one.seed(9)
    one.page.click("#begin")
    one.page.keyboard.press("Escape")
    one.state("playing")


def test_a_world_begins_with_ones_own_picture(canvas, visit):
    one = visit(canvas)
    one.page.click("#begin")
    one.page.set_input_files(
        "#file", {"name": "a.png", "mimeType": "image/png", "buffer": _png(77)}
    )
    one.seed(1077)
    one.wait(TEXT, ["start-word", "Yours"])
    one.page.keyboard.press("KeyR")  # begins there again
    one.page.wait_for_timeout(200)
    one.seed(1077)
    drop = """([kind, bytes]) => {
      const data = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([data], 'b.png', {type: 'image/png'}));
      const event = kind === 'drop'
        ? new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true})
        : new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true});
      document.body.dispatchEvent(event);
    }"""
    for kind, red in (("drop", 99), ("paste", 120)):
        one.page.evaluate(drop, [kind, base64.b64encode(_png(red)).decode()])
        one.seed(1000 + red)
    one.page.keyboard.press("KeyN")
    one.seed(1)


def test_a_bad_picture_is_told_in_one_sentence_and_play_goes_on(canvas, visit):
    one = visit(canvas)
    one.page.click("#begin")
    files = {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture at all"}
    one.page.set_input_files("#file", files)
    one.wait(TEXT, ["own-said", "this file is no picture that can be read here"])
    one.page.keyboard.press("Escape")
    one.state("playing")
    one.page.evaluate("""() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([new Uint8Array(12 * 2 ** 20 + 1)], 'x'));
      dispatchEvent(new DragEvent('drop', {cancelable: true, dataTransfer}));
    }""")
    one.wait(TEXT, ["notice", "larger than 12 MB"])
    # What a browser notes by itself about the refusal.
    one.complaints[:] = [c for c in one.complaints if "400" not in c]


def test_a_film_is_made_and_fetched(served, visit):
    one = visit(served)
    one.wait("() => Number(document.getElementById('past').value) >= 10")
    for kind, magic in (("mp4", b"ftyp"), ("gif", b"GIF89a")):
        one.page.click("#film-open")
        one.page.check(f"input[value={kind}]")
        one.page.select_option("#film-scale", "2")
        one.page.click("#film-make")
        one.page.wait_for_selector(f"#films a[download$={kind}]", timeout=60_000)
        with one.page.expect_download() as waiting:
            one.page.click(f"#films a[download$={kind}]")
        data = waiting.value.path().read_bytes()
        assert magic in data[:12] and waiting.value.suggested_filename.startswith("Counting-")
        one.wait(TEXT, ["films", "80 × 80"])
        one.page.keyboard.press("Escape")
        one.state("playing")


def test_the_pace_is_chosen(served, visit):
    one = visit(served)
    one.page.select_option("#speed", "0.25")
    one.wait(
        "() => { const f = Number(document.getElementById('fps').textContent);"
        " return f > 3 && f < 12; }"
    )
    one.page.evaluate("() => sockets.at(-1).close()")
    one.state("lost")
    one.state("playing")
    one.page.wait_for_timeout(700)
    one.wait(
        "() => { const f = Number(document.getElementById('fps').textContent);"
        " return f > 3 && f < 12; }"
    )


def test_doubt_is_shown_where_there_is_some(canvas, served, visit):
    doubtful, sure = visit(canvas), visit(served)
    doubtful.wait("() => /^\\d+%$/.test(document.getElementById('doubt').textContent)")
    assert doubtful.page.is_visible("#doubt-figure")
    sure.wait("() => document.getElementById('fps').textContent !== '–'")
    assert not sure.page.is_visible("#doubt-figure")


class Arm(Canvas):
    """Lights a bar for each number of its actions that is above zero, and for its only key."""

    ACTIONS = ActionSpec(
        (
            Continuous("arm", (-1.0, -1.0), (1.0, 1.0)),
            Continuous("camera", (-1.0, -1.0), (1.0, 1.0)),
            Binary("keys", ("attack",)),
        )
    )

    def __init__(self):
        super().__init__()
        self.spec = replace(self.spec, action=self.ACTIONS)

    def step(self, state, action):
        v = action.values
        parts = [v["arm"][:, 0] > 0.3, v["arm"][:, 1] > 0.3]
        parts += [v["camera"][:, 0] > 0, v["camera"][:, 1] > 0, v["keys"][:, 0] > 0]
        keys = v["keys"].new_tensor([[int(part[0]) for part in parts]])
        return super().step(state, Action({"keys": keys}, action.known))


@pytest.fixture
def arm():
    with served_in_thread(Session(Arm(), from_seed, fps=30)) as served:
        yield served


def test_sliders_stay_where_they_are_put(arm, visit):
    one = visit(arm)
    assert one.page.locator(".axis").count() == 2, "the camera follows the mouse"
    slide = """([id, value]) => { const s = document.querySelector(`[data-axis="${id}"]`);
      s.value = value; s.dispatchEvent(new Event('input', {bubbles: true})); }"""
    one.page.evaluate(slide, ["arm/0", 0.5])
    one.lit(0)
    one.page.evaluate(slide, ["arm/1", 0.7])
    one.lit(1)
    one.lit(0)
    one.page.evaluate("() => window.dispatchEvent(new Event('blur'))")
    one.page.wait_for_timeout(150)
    one.lit(0)
    one.page.click("#centre")
    one.lit(0, False)
    one.lit(1, False)
    assert not one.page.is_visible("#centre")
    one.page.focus("[data-axis='arm/0']")
    for _ in range(50):
        one.page.keyboard.press("ArrowRight")
    one.lit(0)


def test_the_mouse_turns_while_it_moves_and_its_button_acts(arm, visit):
    one = visit(arm)
    assert one.page.is_visible("#mouse-hint")
    one.page.evaluate("""() => {
      window.seen = [];
      const send = sockets.at(-1).send;
      sockets.at(-1).send = function (text) { seen.push(JSON.parse(text)); send.call(this, text); };
    }""")
    one.page.click("#stage")
    one.wait("() => document.pointerLockElement?.id === 'stage'")
    one.page.evaluate("""() => { for (let i = 0; i < 5; i++) dispatchEvent(
      new MouseEvent('mousemove', {movementX: 4, movementY: -2})) }""")
    one.wait("""() => seen.filter((m) => m.type === 'keys').reduce(
      ([x, y], m) => [x + m.mouse[0], y + m.mouse[1]], [0, 0]).join() === '20,-10'""")
    one.page.mouse.down()
    one.lit(4)
    one.page.evaluate("() => document.exitPointerLock()")
    one.lit(4, False)


def test_a_finger_over_the_picture_turns(arm, visit):
    one = visit(arm, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert not one.page.is_visible("#mouse-hint")
    one.page.evaluate("""() => {
      Element.prototype.setPointerCapture = () => {};
      const stage = document.getElementById('stage');
      const at = (kind, x) => stage.dispatchEvent(new PointerEvent(kind,
        {pointerId: 5, pointerType: 'touch', clientX: x, clientY: 100, bubbles: true}));
      at('pointerdown', 100);
      window.drawn = setInterval(() => at('pointermove', (window.x = (window.x ?? 100) + 5)), 20);
    }""")
    one.lit(2)
    one.page.evaluate("() => clearInterval(drawn)")
    one.lit(2, False)


PAD = """() => {
  window.pad = {connected: true, id: 'Pad of the tests', axes: [0, 0, 0, 0],
    buttons: Array.from({length: 17}, () => ({pressed: false, value: 0}))};
  navigator.getGamepads = () => [pad];
  document.hasFocus = () => true;
  dispatchEvent(new Event('gamepadconnected'));
}"""
PUSH = "([i, on]) => (pad.buttons[i] = {pressed: on, value: Number(on)})"
STICK = "([i, value]) => (pad.axes[i] = value)"


def test_a_gamepad_holds_keys(served, visit):
    one = visit(served)
    one.page.evaluate(PAD)
    one.wait(TEXT, ["pad-hint", "gamepad connected"])
    for push, index in ((14, 0), (15, 1), (12, 2), (0, 4)):
        one.page.evaluate(PUSH, [push, True])
        one.lit(index)
        one.page.evaluate(PUSH, [push, False])
        one.lit(index, False)
    one.page.evaluate(STICK, [0, -0.9])
    one.lit(0)
    one.page.evaluate(STICK, [0, 0.1])
    one.lit(0, False)
    one.page.evaluate(PUSH, [9, True])
    one.state("paused")
    one.page.evaluate(PUSH, [9, False])
    one.page.evaluate(
        "() => { pad.connected = false; dispatchEvent(new Event('gamepaddisconnected')) }"
    )
    one.wait("() => document.getElementById('pad-hint').hidden")


def test_a_gamepads_sticks_set_numbers(arm, visit):
    one = visit(arm)
    one.page.evaluate(PAD)
    one.page.evaluate(STICK, [0, 0.8])
    one.lit(0)
    one.page.evaluate(STICK, [1, -0.8])  # up is more
    one.lit(1)
    one.page.evaluate(STICK, [2, 0.8])
    one.lit(2)
    one.page.evaluate("() => pad.axes.fill(0.05)")
    for index in range(3):
        one.lit(index, False)


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
@pytest.mark.parametrize("name", ["begin", "film-open"])
def test_dialogs_fit_and_name_themselves(canvas, visit, size, name):
    viewport = {"width": size[0], "height": size[1]}
    one = visit(canvas, viewport=viewport, has_touch=size[0] < 500, is_mobile=size[0] < 500)
    one.wait("() => Number(document.getElementById('past').value) >= 2")
    one.page.click(f"#{name}")
    one.page.wait_for_selector("dialog[open]")
    fits = """() => { const d = document.querySelector('dialog[open]');
      const b = d.getBoundingClientRect();
      return d.scrollWidth <= d.clientWidth && b.left >= 0 && b.right <= innerWidth
        && b.top >= 0 && b.bottom <= innerHeight
        && document.getElementById(d.getAttribute('aria-labelledby')).textContent !== '' }"""
    one.wait(fits)
    nameless = """() => [...document.querySelectorAll('button, input, select')]
      .filter((e) => e.checkVisibility())
      .filter((e) => !(e.ariaLabel || e.labels?.length || e.innerText.trim()))
      .map((e) => e.outerHTML)"""
    assert one.page.evaluate(nameless) == []
