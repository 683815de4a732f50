"""Looking closer, in a real browser: beside, futures, marks, recordings, shared moments."""

from contextlib import contextmanager

import pytest
from evaluate_worlds import hop_store
from play_hop import DreamedHop, clip, hop_beside
from test_page import browser, visit  # noqa: F401 (fixtures)

from worldloom.data.store import Store
from worldloom.play.limits import Limits
from worldloom.play.server import served_in_thread
from worldloom.play.session import Session
from worldloom.play.shelf import Shelf
from worldloom.play.visitor import Nearby

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Whether two panes of the canvas show the same picture.
SAME = """([one, other]) => {
  const view = document.getElementById('view');
  const context = view.getContext('2d');
  const [a, b] = [one, other].map((n) => context.getImageData(33 * n, 0, 32, 32).data);
  return a.every((value, i) => value === b[i]);
}"""
TEXT = "([id, words]) => document.getElementById(id).textContent.includes(words)"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return hop_store(tmp_path_factory.mktemp("hop") / "store", episodes=2, frames=30)


@pytest.fixture
def room(browser, store, tmp_path):  # noqa: F811
    @contextmanager
    def serve(wrong_after=10**9, **nearby):
        session = Session(DreamedHop(wrong_after), lambda n: clip(store, n), fps=20)
        shelf = Shelf(tmp_path / "visitors", store.info)
        near = Nearby(**{"beside": hop_beside(store), "shelf": shelf, **nearby})
        with served_in_thread(session, nearby=near, limits=Limits(stats_every=0.1)) as served:
            yield served
            for context in browser.contexts:  # before the server that they would look for
                for page in context.pages:
                    page.close()

    return serve


def step(one, times):
    for _ in range(times):
        before = one.frame()
        one.page.keyboard.press("Period")
        one.wait("n => Number(document.getElementById('stage').dataset.frame) > n", before)


def paused_at_the_start(one):
    one.page.keyboard.press("KeyP")
    one.state("paused")
    one.page.keyboard.press("KeyR")
    one.page.wait_for_timeout(200)


def test_beside_difference_parting_and_going_back(visit, room):  # noqa: F811
    with room(wrong_after=5) as served:
        one = visit(served)
        paused_at_the_start(one)
        one.page.keyboard.press("KeyC")
        one.wait("() => document.querySelectorAll('#panes span').length === 2")
        one.page.click("#heat")
        one.wait("() => document.querySelectorAll('#panes span').length === 3")
        assert one.page.inner_text("#panes").split() == ["real", "dream", "difference"]
        one.page.keyboard.down("ArrowRight")
        step(one, 4)
        assert one.page.evaluate(SAME, [0, 1])
        one.wait(TEXT, ["gap-state", "together"])
        step(one, 6)
        assert not one.page.evaluate(SAME, [0, 1])
        one.wait(TEXT, ["gap-state", "parted"])
        assert "pictures differ by" in one.page.inner_text("#gap-words")
        assert "px apart" in one.page.inner_text("#gap-words")
        one.page.keyboard.up("ArrowRight")
        marked = """() => {
          const film = document.getElementById('film');
          const { data } = film.getContext('2d').getImageData(0, 0, film.width, 1);
          const reddish = (x) => data[4 * x] > 180 && data[4 * x + 2] < 70;
          return [...Array(film.width).keys()].some(reddish);
        }"""
        one.wait(marked)
        one.page.focus("#past")
        for _ in range(8):
            before = one.frame()
            one.page.keyboard.press("ArrowLeft")
            one.wait("n => Number(document.getElementById('stage').dataset.frame) > n", before)
        one.wait(TEXT, ["gap-state", "together"])
        one.wait(f"() => ({SAME})([0, 1])")
        assert one.page.is_visible("#anchor")
        one.page.click("#compare")
        one.wait("() => document.getElementById('meter').hidden")
        one.wait("() => document.getElementById('view').width === 32")


# Makes every picture ready before the one that came before it, the first one last.
BACKWARDS = """() => {
  const plain = window.createImageBitmap;
  let made = 0;
  window.createImageBitmap = async (...given) => {
    const picture = await plain(...given);
    const turn = made++;
    await new Promise((done) => setTimeout(done, Math.max(0, 2000 - 100 * turn)));
    if (turn === 0) setTimeout(() => { window.firstIsReady = true; }, 500);
    return picture;
  };
}"""


def test_futures_whose_pictures_are_ready_out_of_order_are_all_there(visit, room):  # noqa: F811
    with room() as served:
        one = visit(served)
        one.page.evaluate(BACKWARDS)
        one.page.keyboard.press("KeyF")
        one.wait("() => window.firstIsReady")
        one.wait(TEXT, ["fan-said", "Click one"])


def test_futures_are_shown_and_entered_and_closing_them_plays_on(visit, room):  # noqa: F811
    with room() as served:
        one = visit(served)
        one.page.keyboard.press("KeyF")
        one.wait(TEXT, ["fan-said", "Click one"])
        assert one.page.locator("#fan-grid .fan-row").count() == 4
        drawn = """() => [...document.querySelectorAll('#fan-grid canvas')].every(({width}) =>
          width === 32)"""
        one.wait(drawn)
        one.page.keyboard.press("Escape")
        one.state("playing")
        one.page.click("#fan-open")
        one.wait(TEXT, ["fan-said", "Click one"])
        one.page.click("[aria-label='right, future 1: enter it']")
        one.wait("() => document.querySelectorAll('.tab').length === 2")
        one.state("paused")
        assert not one.page.is_visible("#fan")


def test_marks_recordings_and_shared_moments(visit, room, tmp_path):  # noqa: F811
    with room() as served:
        one = visit(served, viewport={"width": 390, "height": 844})
        one.page.click("#record")
        one.wait(TEXT, ["record-word", "Recording"])
        one.page.keyboard.down("ArrowRight")
        one.page.wait_for_timeout(500)
        one.page.keyboard.up("ArrowRight")
        one.page.click("#record")
        one.wait(TEXT, ["notice", "kept:"])
        one.page.click("#wrong")
        one.page.fill("#wrong-note", "it should have jumped")
        one.page.click("#wrong-send")
        one.wait(TEXT, ["notice", "marked:"])
        one.state("playing")
        marks = Store.open(tmp_path / "visitors" / "wrong")
        (mark,) = marks.episodes
        assert mark.labels["wrong"] == "it should have jumped"
        assert len(Store.open(tmp_path / "visitors" / "dreamed")) == 1
        one.page.keyboard.press("KeyP")
        one.state("paused")
        one.page.wait_for_timeout(300)
        one.page.click("#share")
        one.wait("() => document.getElementById('share-link').value.includes('#moment=')")
        link = one.page.input_value("#share-link")
        wide = one.page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= 390
        one.page.click("#share-dialog .shut")
        picture = "() => document.getElementById('view').toDataURL()"
        wanted = one.page.evaluate(picture)
        two = visit(served)
        two.page.click("#share")
        two.page.fill("#share-code", link)
        two.page.click("#share-open")
        two.wait(TEXT, ["notice", "to the byte"])
        two.wait(f"(wanted) => ({picture})() === wanted", wanted)
        three = two.context.new_page()
        three.goto(link)
        three.wait_for_function(TEXT, arg=["notice", "to the byte"], timeout=30_000)
        assert three.evaluate("() => location.hash") == ""
        one.page.keyboard.press("KeyR")
        one.wait(f"(wanted) => ({picture})() !== wanted", wanted)
        one.page.evaluate("(link) => { location.href = link; }", link)  # pasted where one plays
        one.wait(TEXT, ["notice", "to the byte"])
        one.wait(f"(wanted) => ({picture})() === wanted", wanted)
        assert one.page.evaluate("() => location.hash") == ""


def test_the_page_says_why_there_is_nothing_beside(visit, room):  # noqa: F811
    with room(beside=None, why_not="the recordings name no environment", shelf=None) as served:
        one = visit(served)
        one.page.click("#compare", force=True)
        one.wait(TEXT, ["notice", "the recordings name no environment"])
        assert one.page.get_attribute("#compare", "aria-disabled") == "true"
        for name in ("record", "wrong"):  # shown, so that one learns that it could be had
            assert one.page.get_attribute(f"#{name}", "aria-disabled") == "true"
            one.page.click("#compare", force=True)
            one.page.click(f"#{name}", force=True)
            one.wait(TEXT, ["notice", "--keep FOLDER"])
        assert not one.page.is_visible("#wrong-dialog")
        assert one.page.inner_text("#record") == "Record"
