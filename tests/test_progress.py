"""The forecast is arithmetic; a clock of our own shows it."""

import io

import pytest

from worldloom.progress import Progress, clock_text


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_clock_text() -> None:
    assert [clock_text(s) for s in (0, 9.6, 187, 3600)] == ["0:00", "0:10", "3:07", "60:00"]


def test_later_stages_are_forecast_at_the_measured_speed(clock: Clock) -> None:
    progress = Progress({"a": 10, "b": 20, "c": 30}, out=io.StringIO(), clock=clock)
    progress.begin("a")
    assert progress.left(0.0) == pytest.approx(60)
    clock.now = 20  # twice as slow as expected
    progress.begin("b")
    assert progress.left(0.0) == pytest.approx(2 * 50)
    clock.now = 30  # half of b in 10 seconds: 10 more, c at (20 + 10) / (10 + 10)
    assert progress.left(0.5) == pytest.approx(10 + 1.5 * 30)


def test_kept_stages_cost_nothing(clock: Clock) -> None:
    progress = Progress({"a": 10, "b": 20}, out=io.StringIO(), clock=clock)
    progress.skip("a")
    progress.begin("b")
    assert progress.left(0.0) == pytest.approx(20)


def test_a_line_is_printed_only_when_due(clock: Clock) -> None:
    out = io.StringIO()
    progress = Progress({"a": 10, "b": 30}, every=5, out=out, clock=clock)
    progress.begin("a", "starting")
    for second in range(1, 10):
        clock.now = second
        progress.update(second / 10, f"{second} of 10")
    assert out.getvalue().splitlines() == [
        "[  0%] a: starting, about 0:40 left",
        "[ 12%] a: 5 of 10, about 0:35 left",
    ]


def test_nothing_is_forecast_from_nothing(clock: Clock) -> None:
    out = io.StringIO()
    progress = Progress({"a": 0}, every=1, out=out, clock=clock)
    progress.begin("a", "starting")
    clock.now = 2
    progress.update(0.25, "a quarter")
    assert out.getvalue().splitlines() == [
        "[  0%] a: starting",
        "[ 25%] a: a quarter, about 0:06 left",
    ]


def test_what_an_earlier_run_did_is_no_speed_of_this_one(clock: Clock) -> None:
    progress = Progress({"a": 0, "b": 0}, every=1e9, out=io.StringIO(), clock=clock)
    progress.begin("a")
    clock.now = 2  # what was there is read, and one step of a hundred done
    progress.update(0.51)
    clock.now = 12
    progress.update(0.61)
    assert progress.left(0.61) == pytest.approx(39)
    progress = Progress({"a": 100, "b": 10}, every=1e9, out=io.StringIO(), clock=clock)
    progress.begin("a")
    progress.update(0.5)
    clock.now += 100  # half of the expected 100 seconds' work: twice as slow as expected
    progress.update(1.0)
    progress.begin("b")
    assert progress.left(0.0) == pytest.approx(20)
