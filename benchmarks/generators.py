"""How fast the trust suite makes its questions: items a second of every generator, one process.

    python -m benchmarks.generators --publish
    python -m benchmarks.generators --smoke

An item is all that is drawn for one question: the film or films, the apartment with its
views, the trip with its lure, the moment with all that can follow, the demonstration. The
questions of *craft* lie in whole games, which are played to find them: the time of an exam is
shared among its questions. The other tasks ask about recordings. Every round draws questions of
another exam, so that nothing is remembered.
"""

import argparse
import time
from collections.abc import Callable
from itertools import count

from benchmarks import rates, results
from worldloom.trust.task import Item, Setting, Task
from worldloom.trust.tasks import combo, motion
from worldloom.trust.tasks.blind import task as blind
from worldloom.trust.tasks.blind.task import Blind
from worldloom.trust.tasks.combo import Combo
from worldloom.trust.tasks.craft.task import Craft
from worldloom.trust.tasks.gladder import task as gladder
from worldloom.trust.tasks.gladder.task import Gladder
from worldloom.trust.tasks.motion import Motion
from worldloom.trust.tasks.outcomes import task as outcomes
from worldloom.trust.tasks.outcomes.task import Outcomes
from worldloom.trust.tasks.returning import task as returning
from worldloom.trust.tasks.returning.task import Return
from worldloom.trust.tasks.rooms import task as rooms
from worldloom.trust.tasks.rooms.task import RoomsTask
from worldloom.trust.tasks.scenes import films
from worldloom.trust.tasks.transfer import hopping
from worldloom.trust.tasks.transfer.task import Transfer
from worldloom.trust.tasks.voe2d import task as voe2d
from worldloom.trust.tasks.voe2d.task import Voe2d

MAKERS: dict[str, tuple[Task, Callable[[Item], object]]] = {
    "motion": (Motion(), lambda item: films.shoot([motion._film(item)], motion.FRAMES)),
    "gladder": (Gladder(), lambda item: films.shoot([gladder._film(item)], gladder.FRAMES)),
    "voe2d": (Voe2d(), voe2d._shown),
    "combo": (Combo(), lambda item: films.shoot([combo._film(item)], combo.FRAMES)),
    "rooms": (RoomsTask(), lambda item: rooms._world(item).frames()),
    "return": (Return(), returning._trip),
    "outcomes": (Outcomes(), outcomes._question),
    "transfer": (Transfer(), lambda item: hopping.demonstrate(item.seed, "dots", 20)),
    "blind": (Blind(), blind._film),
}


def rate(task: Task, make: Callable[[Item], object], items: int, exams: "count[int]") -> float:
    """Items a second, spread evenly over the parts of an exam that was never drawn before."""
    every = task.items(Setting("smoke", next(exams)))
    some = [every[i * len(every) // items % len(every)] for i in range(min(items, len(every)))]
    begin = time.perf_counter()
    for item in some:
        make(item)
    return len(some) / (time.perf_counter() - begin)


def found_in_games(exams: "count[int]") -> float:
    """Questions a second of *craft*, whose exam is whole once its games are played."""
    begin = time.perf_counter()
    every = Craft().items(Setting("smoke", next(exams)))
    return len(every) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--smoke", action="store_true", help="seconds, for a test of the script")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results")
    args = parser.parse_args()
    if args.smoke:
        args.rounds, args.items = 1, 4
    exams = count(1000)
    kinds = {
        name: lambda task=task, make=make: rate(task, make, args.items, exams)
        for name, (task, make) in MAKERS.items()
    }
    kinds["craft"] = lambda: found_in_games(exams)
    figures = rates.medians(kinds, args.rounds, "items")
    if args.publish and not args.smoke:
        command = f"python -m benchmarks.generators --rounds {args.rounds} --items {args.items}"
        results.write("generators", command=f"{command} --publish", seeds=[1000], figures=figures)


if __name__ == "__main__":
    main()
