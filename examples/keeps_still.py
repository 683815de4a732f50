"""A task of one's own: while nobody does anything, does the world move as little as reality?

cd examples && worldloom eval RUN STORE --suite trust --tasks keeps_still:KeepsStill
"""

import numpy as np

from worldloom.trust import pooling, recorded
from worldloom.trust.recorded import Environment, Recording
from worldloom.trust.task import Answer, Fault, Verdict

STEPS, COUNT = 16, {"smoke": 8, "quick": 40, "full": 200}


class KeepsStill:
    name, version, chunk = "keeps_still", 1, 8
    claim = "while nobody does anything, it moves as little as reality"
    requires = frozenset({"rollout", "render"})
    own_data = False  # it asks at moments of the world's own recordings

    def items(self, setting):
        return recorded.draw_items(self.name, setting, count=COUNT[setting.budget], frames=STEPS)

    def fingerprint(self, setting):
        return f"{recorded.recordings(setting).path.name}, {STEPS} steps"

    def nulls(self, setting):
        return {"deaf": Recording()}  # goes on as the player did, whatever it is told

    def ceiling(self, setting):
        return Environment(recorded.recordings(setting))

    def prepare(self, probe, setting):
        return recorded.recordings(setting)

    def answer(self, probe, items, prepared):
        moments = recorded.moments_of(prepared, items, STEPS)
        still = recorded.null_actions(prepared.info.action, len(items), STEPS)
        seen = probe.rollout(probe.observe(recorded.begin(moments)), still).frames
        real = Environment(prepared).film(moments, still)
        if seen is None or real is None:
            return [Answer(None)] * len(items)  # the recordings do not lead back into reality
        moves = [np.diff(film.astype(float), axis=1) for film in (seen[0].numpy(), real)]
        return [Answer(float(off)) for off in np.abs(moves[0] - moves[1]).mean((1, 2, 3, 4))]

    def judge(self, rows, *, seed):
        sums = pooling.table(rows, [pooling.value, pooling.null("deaf")])
        found = pooling.figure(sums, pooling.ratio(1, 2), seed=seed, null=1.0, ceiling=0.0)
        if found.value is None or found.high is None:
            return Verdict({"moves": found}, None, found.why)
        return Verdict({"moves": found}, found.high < 0.5, f"{found.value:.0%} of a deaf world's")

    def faults(self):
        probe = lambda setting: Environment(setting.store, "restless", hears=goes_on)  # noqa: E731
        return {"restless": Fault(probe, lambda v: v.passed is False, "repeats what was done")}


def goes_on(past, now):
    return {name: np.resize(past[name][1:], now[name].shape) for name in now}
