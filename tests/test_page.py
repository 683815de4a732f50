"""The page itself, in a real browser."""

import os
import shutil

import pytest
from play_world import CountingWorld

from worldloom.actions import ActionSpec, Binary, Categorical
from worldloom.play.limits import Limits
from worldloom.play.server import served_in_thread
from worldloom.play.session import Session, from_seed

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-quic"
)
PIXEL = """([x, y]) =>
  [...document.getElementById('view').getContext('2d').getImageData(x, y, 1, 1).data]"""
# Keeps the page's sockets where a test can cut them.
KEEP = """const Plain = WebSocket;
window.sockets = [];
window.WebSocket = class extends Plain {
  constructor(...args) { super(...args); window.sockets.push(this); }
};"""


@pytest.fixture(scope="module")
def browser():
    if not os.path.exists(CHROMIUM) and not os.environ.get("CI"):
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api") if not os.environ.get("CI") else None
    if api is None:
        import playwright.sync_api as api
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield launched
        launched.close()


class Visit:
    """A browser page on a server, that fails the test if anything was logged as an error."""

    def __init__(self, browser, served, **context):
        self.context = browser.new_context(**context)
        self.context.add_init_script(KEEP)
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on(
            "console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text)
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(served.url)
        self.state("playing")

    def state(self, name):
        self.page.wait_for_selector(f"body[data-state={name}]", timeout=30_000)

    def wait(self, expression, argument=None):
        self.page.wait_for_function(expression, arg=argument, timeout=30_000)

    def lit(self, index, on=True):
        """Waits until the world shows key `index` as held, or not."""
        words = f"([i, on]) => (({PIXEL})([4 + 7 * i, 6])[1] === 255) === on"
        self.wait(words, [index, on])

    def begin(self, seed):
        """Chooses a start by its number."""
        self.page.click("#begin")
        self.page.fill("#seed", str(seed))
        self.page.keyboard.press("Enter")

    def frame(self):
        return int(self.page.get_attribute("#stage", "data-frame"))

    def still(self):
        """Waits until no frame has come for a while."""
        words = """() => {
          const id = document.getElementById('stage').dataset.frame;
          if (window.lastFrame?.id !== id) window.lastFrame = { id, since: performance.now() };
          return performance.now() - window.lastFrame.since > 400;
        }"""
        self.wait(words)

    def seed(self, number):
        """Waits until the world of this seed is shown."""
        self.wait(f"([red]) => ({PIXEL})([0, 0])[0] === red", [(number * 37 + 60) % 256])


@pytest.fixture
def visit(browser):
    visits = []

    def open_page(served, **context):
        visits.append(Visit(browser, served, **context))
        return visits[-1]

    yield open_page
    for one in visits:
        one.context.close()
        # The tests read pixels back often; the page never does.
        assert [c for c in one.complaints if "willReadFrequently" not in c] == []


@pytest.fixture
def served():
    session = Session(CountingWorld(), from_seed, fps=30)
    with served_in_thread(session, title="Counting", limits=Limits(stats_every=0.1)) as served:
        yield served


def test_frames_arrive_and_figures_are_shown(visit, served):
    one = visit(served)
    assert one.page.title() == "Counting · worldloom"
    assert one.page.inner_text("#kind") == "real"
    first = one.frame()
    one.wait("n => Number(document.getElementById('stage').dataset.frame) > n + 10", first)
    one.page.keyboard.press("ArrowLeft", delay=100)
    for name in ("fps", "round-trip", "server-time", "model-time"):
        one.wait("id => document.getElementById(id).textContent !== '–'", name)
    fps = float(one.page.inner_text("#fps"))
    assert 0 < fps < 60


def test_keys_change_the_picture_while_they_are_held(visit, served):
    one = visit(served)
    for code, index in (("KeyA", 0), ("ArrowRight", 1), ("Space", 4)):
        one.page.keyboard.down(code)
        one.lit(index)
        one.page.keyboard.up(code)
        one.lit(index, False)
    one.page.keyboard.down("ArrowLeft")
    one.page.keyboard.down("Space")
    one.lit(0)
    one.lit(4)
    assert one.page.locator(".key.held").count() == 2


@pytest.mark.parametrize(
    "lose",
    [
        "window.dispatchEvent(new Event('blur'))",
        "window.dispatchEvent(new Event('pagehide'))",
        "window.dispatchEvent(new KeyboardEvent('keydown', {code: 'KeyC', ctrlKey: true}))",
    ],
)
def test_nothing_stays_held_when_the_keyboard_is_lost(visit, served, lose):
    one = visit(served)
    one.page.keyboard.down("ArrowLeft")
    one.lit(0)
    one.page.evaluate(lose)
    one.lit(0, False)
    assert one.page.locator(".key.held").count() == 0


def test_a_hidden_tab_lets_go_and_stands_still(visit, served):
    one = visit(served)
    one.page.keyboard.down("ArrowLeft")
    one.lit(0)
    hide = """hidden => {
      Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    one.page.evaluate(hide, True)
    one.state("paused")
    assert one.page.locator(".key.held").count() == 0
    one.page.evaluate(hide, False)
    one.state("playing")
    one.lit(0, False)


def test_pause_step_and_resume_by_button_and_by_key(visit, served):
    one = visit(served)
    one.page.click("#pause")
    one.state("paused")
    assert one.page.inner_text("#notice") == "paused"
    one.page.wait_for_timeout(150)
    still = one.frame()
    one.page.wait_for_timeout(200)
    assert one.frame() == still
    one.page.keyboard.down("Space")  # goes to the world, not to the button that was clicked
    one.page.keyboard.press("Period")
    one.wait("n => Number(document.getElementById('stage').dataset.frame) === n + 1", still)
    one.lit(4)
    one.page.keyboard.up("Space")
    one.page.click("#step")
    one.wait("n => Number(document.getElementById('stage').dataset.frame) === n + 2", still)
    one.lit(4, False)
    one.page.keyboard.press("KeyP")
    one.state("playing")


def test_reset_begins_again_at_the_seed(visit, served):
    one = visit(served)
    one.begin(3)
    one.seed(3)
    one.page.keyboard.press("KeyN")
    one.seed(4)
    one.wait("() => document.getElementById('start-word').textContent === 'Start 4'")
    one.page.click("#pause")
    one.state("paused")
    one.page.click("#reset")
    one.seed(4)
    dot = f"() => ({PIXEL})([0, 38])[1] === 255"
    one.wait(dot)  # the dot of tick 0


def test_typing_a_seed_is_not_playing(visit, served):
    one = visit(served)
    one.page.click("#begin")
    one.state("paused")
    one.page.focus("#seed")
    one.page.keyboard.down("KeyA")
    one.page.keyboard.press("KeyP")
    one.page.keyboard.press("Escape")
    one.state("playing")
    one.page.wait_for_timeout(150)
    one.lit(0, False)


def test_controls_work_with_the_keyboard_alone(visit, served):
    one = visit(served)
    one.page.focus("#pause")
    one.page.keyboard.press("Space")
    one.state("paused")
    one.page.keyboard.press("Enter")
    one.state("playing")
    assert one.page.get_attribute("#seed", "aria-label") == "seed"
    one.page.focus("#share")
    one.page.keyboard.press("Enter")
    one.page.wait_for_selector("#share-dialog[open]")
    one.page.keyboard.press("Escape")
    one.wait("() => document.activeElement.id === 'share'")


def test_after_a_dialog_the_keyboard_is_the_worlds_again(visit, served):
    one = visit(served)
    one.page.click("#share")
    one.page.wait_for_selector("#share-dialog[open]")
    one.page.keyboard.press("Escape")
    one.wait("() => document.activeElement.id === 'stage'")
    one.state("playing")
    one.page.keyboard.down("Space")
    one.lit(4)
    assert one.page.locator("dialog[open]").count() == 0


def test_an_ending_is_shown_then_the_next_start(visit):
    session = Session(CountingWorld(ends_at=10), from_seed, fps=30)
    with served_in_thread(session, limits=Limits(stats_every=0.1)) as served:
        one = visit(served)
        one.state("ended")
        assert one.page.inner_text("#notice") == "ended"
        one.state("playing")
        one.wait("() => Number(document.getElementById('seed').value) >= 1")


def test_a_lost_connection_comes_back(visit):
    session = Session(CountingWorld(), from_seed, fps=30)
    with served_in_thread(session) as served:
        one = visit(served)
        one.begin(5)
        one.seed(5)
        one.page.keyboard.down("ArrowLeft")
        one.lit(0)
        one.page.evaluate("() => window.lastState = []")
        one.page.evaluate(
            """() => new MutationObserver(() => lastState.push(document.body.dataset.state))
                 .observe(document.body, {attributes: true})"""
        )
        one.page.evaluate("() => sockets.at(-1).close()")
        one.wait("() => lastState.includes('lost')")
        one.state("playing")
        one.seed(5)
        assert one.page.locator(".key.held").count() == 0


def test_an_error_is_told_and_not_retried(visit):
    session = Session(CountingWorld(breaks_at=30), from_seed, fps=30)
    with served_in_thread(session) as served:
        one = visit(served)
        one.state("error")
        assert one.page.inner_text("#notice") == "the world broke · mend it"
        one.page.wait_for_timeout(600)
        assert one.page.get_attribute("body", "data-state") == "error"
        assert served.room.here == set()


def test_large_frames_are_drawn_from_jpeg(visit):
    session = Session(CountingWorld((180, 240)), from_seed, fps=20)
    with served_in_thread(session) as served:
        one = visit(served)
        one.page.keyboard.down("ArrowLeft")
        bright = f"() => ({PIXEL})([6, 40])[1] > 240"
        one.wait(bright)
        one.page.keyboard.up("ArrowLeft")
        one.wait(bright.replace("> 240", "< 16"))


# Time travel

TICK = """() => {
  const { data } = document.getElementById('view').getContext('2d').getImageData(0, 38, 40, 1);
  return [...Array(40).keys()].find((x) => data[4 * x + 1] === 255);
}"""


def settled(one):
    """Pauses, and returns the tick (below 40) that is shown."""
    one.page.keyboard.press("KeyP")
    one.state("paused")
    one.still()
    return one.page.evaluate(TICK)


def played(one, ticks):
    """Waits until so many ticks are in the past."""
    one.wait("n => Number(document.getElementById('past').value) >= n", ticks)


def test_a_held_key_goes_back_and_its_release_plays_on(visit, served):
    one = visit(served)
    played(one, 25)
    one.page.keyboard.down("Backspace")
    one.state("rewinding")
    one.wait("() => document.getElementById('notice').textContent.startsWith('−0.')")
    one.wait("() => Number(document.getElementById('past').value) < 15")
    one.page.keyboard.up("Backspace")
    one.wait("() => Number(document.getElementById('past').value) < 24")  # the server agrees
    one.state("playing")
    one.wait("() => document.getElementById('notice').textContent === ''")
    played(one, 30)


def test_the_film_is_dragged_and_shows_what_was(visit, served):
    one = visit(served)
    played(one, 20)
    now = settled(one)
    box = one.page.locator("#past").bounding_box()
    y = box["y"] + box["height"] / 2
    one.page.mouse.move(box["x"] + 0.5 * box["width"], y)
    one.page.mouse.down()
    assert one.page.evaluate(TICK) == now, "there is no going forward"
    one.page.mouse.move(box["x"] + (10 / 600) * box["width"], y)
    one.state("rewinding")
    there = int(one.page.input_value("#past"))
    assert 5 <= there <= 15
    near = abs(one.page.evaluate(TICK) - there)  # a frame may have been dropped
    assert near <= 3, "the small picture is that of the moment"
    one.page.mouse.up()
    one.state("paused")
    one.wait(f"n => ({TICK})() === n", there)
    one.page.keyboard.press("Period")
    one.wait(f"n => ({TICK})() === n", there + 1)
    assert int(one.page.input_value("#past")) == there + 1


def test_the_film_is_a_slider_for_the_keyboard(visit, served):
    one = visit(served)
    played(one, 10)
    one.page.focus("#past")
    one.page.keyboard.press("ArrowLeft")
    one.state("paused")
    one.still()
    there = one.page.evaluate(TICK)
    for away in (1, 2):
        one.page.keyboard.press("ArrowLeft")
        one.wait(f"n => ({TICK})() === n", there - away)
    assert one.page.get_attribute("#past", "aria-valuetext") == "now"
    assert one.page.get_attribute("#past", "aria-label") == "Go back in time"
    one.lit(0, False)


def test_every_step_of_a_quick_hand_counts(visit, served):
    one = visit(served)
    played(one, 12)
    one.page.focus("#past")
    one.page.keyboard.press("ArrowLeft")
    one.state("paused")
    one.still()
    there = one.page.evaluate(TICK)
    for _ in range(6):  # without waiting for a frame
        one.page.keyboard.press("ArrowLeft")
    one.wait(f"n => ({TICK})() === n", there - 6)
    one.still()
    assert one.page.evaluate(TICK) == there - 6
    one.page.click("#pause")
    one.state("playing")
    one.wait(f"n => ({TICK})() > n", there - 6)


def test_a_frame_from_before_a_step_back_is_not_shown_any_more(visit, served):
    one = visit(served)
    played(one, 12)
    one.page.focus("#past")
    one.page.keyboard.press("ArrowLeft")
    one.state("paused")
    one.still()
    there = one.page.evaluate(TICK)
    one.page.evaluate("""() => {
      const socket = sockets.at(-1);
      const { onmessage } = socket;
      window.came = [];
      socket.onmessage = (event) => {
        if (typeof event.data !== "string") came.push(event);
        onmessage(event);
      };
    }""")
    for away in (1, 2):
        one.page.keyboard.press("ArrowLeft")
        one.wait(f"n => ({TICK})() === n", there - away)
        one.wait("n => came.length === n", away)
    one.page.evaluate("() => sockets.at(-1).onmessage(came[0])")  # as if it had come late
    one.still()
    assert one.page.evaluate(TICK) == there - 2


def test_branches_are_tabs_that_keep_their_present(visit, served):
    one = visit(served)
    played(one, 5)
    assert one.page.locator(".tab").count() == 0
    root = settled(one)
    one.page.keyboard.press("KeyB")
    one.wait("() => document.querySelectorAll('.tab').length === 2")
    current = "n => document.querySelector('[data-branch][aria-pressed=true]').dataset.branch === n"
    one.wait(current, "2")
    for _ in range(3):
        one.page.keyboard.press("Period")
    one.wait(f"n => ({TICK})() === n", root + 3)
    one.page.keyboard.press("BracketLeft")
    one.wait(current, "1")
    one.wait(f"n => ({TICK})() === n", root)
    one.page.click("[data-branch='2']")
    one.wait(f"n => ({TICK})() === n", root + 3)
    one.page.keyboard.down("Backspace")  # the film of a branch reaches back beyond its root
    one.wait(f"n => ({TICK})() < n", root)
    one.page.keyboard.up("Backspace")
    one.page.click("[data-branch='2'] + .run")
    one.wait(
        "() => document.querySelector('.run[aria-pressed=true]')?.title.startsWith('Branch 2')"
    )
    one.page.click("#branch")
    one.wait(current, "3")
    one.page.click("[aria-label='Close branch 3']")
    one.wait(current, "2")
    one.page.click("[aria-label='Close branch 1']")
    one.wait("() => document.querySelectorAll('.tab').length === 0")


def test_two_tabs_of_the_browser_at_once(visit, served):
    one, two = visit(served), visit(served)
    played(one, 12)
    one.page.keyboard.press("KeyB")
    one.wait("() => document.querySelectorAll('.tab').length === 2")
    before = int(two.page.input_value("#past"))
    one.page.keyboard.down("Backspace")
    one.state("rewinding")
    one.page.wait_for_timeout(300)
    one.page.keyboard.up("Backspace")
    played(two, before + 10)
    assert two.page.locator(".tab").count() == 0
    two.page.keyboard.down("ArrowLeft")
    two.lit(0)
    one.lit(0, False)


def test_what_is_refused_is_told_and_play_goes_on(visit, served):
    one = visit(served)
    for _ in range(8):
        one.page.keyboard.press("KeyB")
    words = "there are 8 branches already · close one of them"
    one.wait("w => document.getElementById('notice').textContent === w", words)
    one.wait("() => document.getElementById('notice').textContent === ''")
    one.state("playing")
    assert one.page.locator(".tab").count() == 8


def test_a_world_that_only_goes_forward_shows_no_film(visit):
    world = CountingWorld()
    object.__setattr__(world.spec, "capabilities", frozenset({"render"}))
    with served_in_thread(Session(world, from_seed, fps=30)) as served:
        one = visit(served)
        assert not one.page.is_visible("#time")
        one.page.keyboard.press("Backspace")
        one.page.wait_for_timeout(150)
        assert one.page.get_attribute("body", "data-state") == "playing"


def test_a_film_keeps_a_bounded_past_and_forgets_what_was_undone(visit, served):
    one = visit(served)
    result = one.page.evaluate(
        """async () => {
      const { Film } = await import('/page/film.js');
      const film = new Film(2, 2, 4);
      const picture = (n) => new ImageData(new Uint8ClampedArray(16).fill(n), 2, 2);
      const fork = () => film.fork(5);
      for (const n of [0, 1, 2, 3, 4, 5, 6]) film.put(n, picture(200 + n));
      const bounded = [film.oldest, film.head, film.nearest(0), film.nearest(9)];
      const other = fork();
      film.put(3, picture(9));
      film.put(6, picture(10));
      return [bounded, film.nearest(5), film.nearest(4), film.nearest(2),
              other.head, other.nearest(6), other.nearest(4)];
    }"""
    )
    assert result == [[2, 6, 2, 6], 6, 3, 2, 5, 5, 4]


PHONES = [{"width": 390, "height": 664}, {"width": 844, "height": 390}]


@pytest.mark.parametrize("viewport", PHONES)
def test_a_phone_shows_everything_and_fingers_play(visit, served, viewport):
    one = visit(served, viewport=viewport, has_touch=True, is_mobile=True, device_scale_factor=3)
    inside = """() => ['stage', 'view', 'past', 'branch', 'bar', 'pad', 'others'].every((id) => {
      const box = document.getElementById(id).getBoundingClientRect();
      return box.width > 0 && box.left >= 0 && box.top >= 0 &&
        box.right <= innerWidth + 0.5 && box.bottom <= innerHeight + 0.5;
    })"""
    one.wait(inside)
    press = """([code, kind]) => document.querySelector(`[data-code=${code}]`).dispatchEvent(
      new PointerEvent(kind, {pointerId: 1, bubbles: true, cancelable: true}))"""
    one.page.evaluate("Element.prototype.setPointerCapture = () => {}")  # no real finger to capture
    one.page.evaluate(press, ["ArrowLeft", "pointerdown"])
    one.page.evaluate(press, ["Space", "pointerdown"])
    one.lit(0)
    one.lit(4)
    one.page.evaluate(press, ["ArrowLeft", "pointerup"])
    one.lit(0, False)
    one.page.tap("#branch")
    one.wait("() => document.querySelectorAll('.tab').length === 2")
    one.wait(inside)
    one.page.tap("#past", position={"x": 2, "y": 20})
    one.wait("() => document.body.dataset.state === 'playing'")
    one.page.tap("#pause")
    one.state("paused")


@pytest.mark.parametrize("size", [(40, 40), (64, 96), (96, 64)])
def test_pixels_are_scaled_by_whole_numbers(visit, size):
    session = Session(CountingWorld(size), from_seed, fps=30)
    with served_in_thread(session) as served:
        one = visit(served, viewport={"width": 1100, "height": 700}, device_scale_factor=2)
        box = one.page.evaluate(
            """() => { const c = document.getElementById('view');
                const b = c.getBoundingClientRect();
                return [b.width * 2 / c.width, b.height * 2 / c.height,
                        getComputedStyle(c).imageRendering]; }"""
        )
        assert box[0] == pytest.approx(round(box[0]), abs=1e-3) and box[0] >= 4
        assert box[1] == pytest.approx(box[0], abs=1e-3)
        assert box[2] == "pixelated"


def test_the_key_help_follows_the_action_spec(visit):
    class Many(CountingWorld):
        def step(self, state, action):
            choice = int(action.values["do"][0])
            keys = {"keys": (action.values["keys"] * 0 + choice)[:, [0] * 5]}
            return super().step(state, type(action)(keys, action.known))

    world = Many()
    spec = ActionSpec(
        (Categorical("do", 3, 0, ("noop", "sleep", "place_stone")), Binary("keys", ("left",)))
    )
    object.__setattr__(world.spec, "action", spec)
    with served_in_thread(Session(world, from_seed, fps=30)) as served:
        one = visit(served)
        labels = one.page.locator(".key span").all_inner_texts()
        assert sorted(labels) == ["left", "place stone", "sleep"]
        assert "Z" in one.page.locator(".key kbd").all_inner_texts()


def test_dark_and_light_are_readable(visit, served):
    contrast = """(id) => {
      const parse = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const light = (c) => parse(c).map((v) => v / 255)
        .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const ink = light(getComputedStyle(document.querySelector(id)).color);
      const paper = light(getComputedStyle(document.body).backgroundColor);
      return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    }"""
    for scheme in ("dark", "light"):
        one = visit(served, color_scheme=scheme)
        for part in ("h1", "#kind", "dt", ".key", "#begin", "#branch", "#help"):
            assert one.page.evaluate(contrast, part) >= 4.5, (scheme, part)


def test_the_pacer_forgets_gaps_and_buffers_nothing(visit, served):
    one = visit(served)
    result = one.page.evaluate(
        """async () => {
      const { Pacer } = await import('/page/pacer.js');
      const drawn = [], queue = [];
      const pacer = new Pacer((p) => drawn.push(p), (f) => queue.push(f));
      const turn = (t) => queue.splice(0).forEach((f) => f(t));
      for (let n = 0; n < 20; n++) { pacer.offer(n, 50 * n); turn(50 * n); }
      const steady = pacer.interval;
      pacer.offer('early', 960); pacer.offer('newer', 962); turn(963);
      const before = drawn.at(-1);
      turn(1000);
      const after = drawn.at(-1);
      pacer.reset();
      pacer.offer('late', 9000); turn(9000);
      pacer.offer('next', 9050); turn(9050);
      return [steady, before, after, drawn.includes('early'), pacer.interval, drawn.at(-1)];
    }"""
    )
    assert result == [50, 19, "newer", False, 50, "next"]
