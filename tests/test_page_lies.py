# ruff: noqa: F401, F811 (fixtures of another file)
"""The ledger of lies, in a real browser."""

import pytest
from play_lies import Liar, ledger_of_three
from test_page import browser, visit

from worldloom.play.limits import Limits
from worldloom.play.server import served_in_thread
from worldloom.play.session import Session, from_seed
from worldloom.play.visitor import Nearby

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# How large a picture is in truth, and what its first pixel is.
SEEN = """async (selector) => {
  const picture = document.querySelector(selector);
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
  canvas.getContext('2d').drawImage(picture, 0, 0);
  const [shade] = canvas.getContext('2d').getImageData(0, 0, 1, 1).data;
  return [picture.naturalWidth, picture.naturalHeight, shade];
}"""


def test_lies_are_looked_at_and_begun_with(tmp_path, visit):
    near, session = Nearby(ledger=ledger_of_three(tmp_path)), Session(Liar(), from_seed, fps=30)
    with served_in_thread(session, nearby=near, limits=Limits(stats_every=0.1)) as served:
        one = visit(served)
        one.page.click("#lies")
        one.state("paused")
        one.page.wait_for_selector("#lies-list li:nth-child(3)")
        assert one.page.inner_text("#lies-said") == "2 open, 1 repaired"
        names = one.page.locator("#lies-list .what").all_inner_texts()
        assert names == ["“it melts”", "opens a <door>", "pays for nothing"]
        second = "#lies-list li:nth-child(2)"
        assert "wrong 8 of 9" in one.page.inner_text(second)
        assert one.page.evaluate(SEEN, f"{second} img") == [82, 40, 179]
        one.page.click(f"{second} .lie-film")
        assert one.page.evaluate(SEEN, f"{second} img") == [82, 40, 171], "the film's first frame"
        one.page.click(f"{second} .lie-film")
        assert one.page.evaluate(SEEN, f"{second} img") == [82, 40, 179]
        fits = """() => { const d = document.querySelector('dialog[open]');
          const b = d.getBoundingClientRect();
          return d.scrollWidth <= d.clientWidth && b.left >= 0 && b.right <= innerWidth
            && b.bottom <= innerHeight }"""
        for width, height in ((1280, 800), (390, 844)):
            one.page.set_viewport_size({"width": width, "height": height})
            one.wait(fits)
        one.page.get_by_label("Begin where lie 2 begins").click()
        one.seed(1000 + 60 + 11)
        one.state("playing")
        assert one.page.inner_text("#start-word") == "Lie 2"
        one.page.keyboard.press("KeyR")
        one.page.wait_for_timeout(200)
        one.seed(1000 + 60 + 11)
        one.page.keyboard.press("KeyN")
        one.seed(1)
        assert one.page.inner_text("#start-word") == "Start 1"
        one.page.click("#lies")
        one.page.keyboard.press("Escape")
        one.state("playing")
        one.page.context.close()  # before the server that it would look for
