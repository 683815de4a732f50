"""Turns evidence into figures: pooled metrics with intervals, next to what they must beat.

Knows sums and rows; no world, no picture.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from worldloom.evaluate import horizon, metrics, statistics
from worldloom.evaluate.evidence import Evidence
from worldloom.evaluate.metrics import GAIN_HORIZONS, TOLERANCE, TOLERANCES
from worldloom.evaluate.report import NULLS, ROWS, Figure, Table

SHARE_HORIZON = 8


class Judge:
    """Computes figures from one set of evidence; all of them on the same resamples.

    Args:
      evidence: what was gathered.
      seed: of the resamples.
    """

    def __init__(self, evidence: Evidence, *, seed: int) -> None:
        self.evidence = evidence
        self.seed = seed
        self.rows = [row for row in ROWS if row in evidence.sums]
        self.names = np.array([window.episode for window in evidence.windows])
        samples = np.stack([evidence.sums[row] for row in self.rows], 1)
        self.pool = statistics.Pool(statistics.by_cluster(samples, self.names), seed=seed)
        self.horizons = evidence.horizons

    def pick(self, sums: np.ndarray, row: str, tolerance: int = TOLERANCE) -> np.ndarray:
        """One row at one tolerance, `[R, H, SUMS]`, of pooled sums `[R, rows, H, K, SUMS]`."""
        return sums[:, self.rows.index(row), :, TOLERANCES.index(tolerance)]

    def table(self, title: str, metric: metrics.Pooled) -> Table:
        """A metric in dB of every row at every horizon; its null is the best reference there."""
        k = TOLERANCES.index(TOLERANCE)
        cells = self.pool.estimate(lambda sums: metric(sums[:, :, :, k]))
        nulls = [self.rows.index(row) for row in NULLS if row in self.rows]
        best = np.nanmax(np.nan_to_num(cells.value[nulls], nan=-np.inf), axis=0)
        top = cells.value[self.rows.index("real")]
        if "tokenizer" in self.rows:
            top = cells.value[self.rows.index("tokenizer")]
        figures = {
            row: tuple(
                figure(cells, (i, j), "dB", null=float(best[j]), ceiling=float(top[j]))
                for j in range(len(self.horizons))
            )
            for i, row in enumerate(self.rows)
        }
        return Table(title, "dB", self.horizons, figures)

    def gains(
        self,
        tolerance: int = TOLERANCE,
        *,
        error: metrics.Pooled = metrics.foreground_mse,
    ) -> dict[str, Figure]:
        """Foreground dB above the better of last frame and background, by horizon and in the mean.

        The mean is over horizons 1, 2, 4, 8 and 16, and is left out unless all were measured.
        """
        at = [i for i, h in enumerate(self.horizons) if h in GAIN_HORIZONS]
        whole = len(at) == len(GAIN_HORIZONS)

        def statistic(sums: np.ndarray, row: str = "world") -> np.ndarray:
            references = [self.pick(sums, r, tolerance) for r in ("persistence", "background")]
            every = metrics.gain(self.pick(sums, row, tolerance), np.stack(references), error=error)
            mean = every[:, at].mean(1) if whole else np.full(len(every), np.nan)
            return np.concatenate([every, mean[:, None]], 1)

        found = self.pool.estimate(statistic)
        top = [None] * (len(self.horizons) + 1)
        if "tokenizer" in self.rows:
            top = statistic(self.pool.total, "tokenizer")[0].tolist()
        names = [f"foreground_gain_db_h{h}" for h in self.horizons]
        names += ["foreground_gain_db_h1_16"] if whole else []
        return {
            name: figure(found, i, "dB", null=0.0, ceiling=top[i]) for i, name in enumerate(names)
        }

    def shares(
        self,
        tolerance: int = TOLERANCE,
        *,
        error: metrics.Pooled = metrics.foreground_mse,
    ) -> dict[str, Figure]:
        """Headroom share at every horizon, withheld where there is no headroom."""
        names = [f"headroom_share_h{h}" for h in self.horizons]
        if "shuffled" not in self.rows:
            why = self.evidence.why_not["shuffled"]
            return {name: Figure.absent("1", why) for name in names}
        rows = lambda sums: [  # noqa: E731
            self.pick(sums, row, tolerance) for row in ("world", "shuffled", "persistence")
        ]
        room = self.pool.estimate(
            lambda sums: metrics.headroom(rows(sums)[2], rows(sums)[0], error=error)
        )
        share = self.pool.estimate(lambda sums: metrics.headroom_share(*rows(sums), error=error))
        top: list[float | None] = [None] * len(names)
        if "real_shuffled" in self.rows:
            total = self.pool.total
            best, worse = (self.pick(total, r, tolerance) for r in ("real", "real_shuffled"))
            top = metrics.headroom_share(best, worse, rows(total)[2], error=error)[0].tolist()
        result = {}
        for i, name in enumerate(names):
            if room.low[i] > 0:
                result[name] = figure(share, i, "1", null=0.0, ceiling=top[i])
            else:
                why = "the world is not better than repeating the last frame: no headroom to share"
                result[name] = Figure.absent("1", why)
        return result

    def action_gains(self) -> dict[str, Figure]:
        """Foreground dB that the true actions are worth over another's, at every horizon."""
        names = [f"action_gain_db_h{h}" for h in self.horizons]
        if "shuffled" not in self.rows:
            why = self.evidence.why_not["shuffled"]
            return {name: Figure.absent("dB", why) for name in names}
        psnr = lambda sums, row: metrics.foreground_psnr(self.pick(sums, row))  # noqa: E731
        found = self.pool.estimate(lambda sums: psnr(sums, "world") - psnr(sums, "shuffled"))
        true, other = (self.pick(self.pool.sums, row) for row in ("world", "shuffled"))
        result = {}
        for i, name in enumerate(names):
            p = statistics.swap_test(
                true[:, i], other[:, i], metrics.foreground_psnr, seed=self.seed
            )
            result[name] = figure(found, i, "dB", null=0.0, why=f"p = {p:.2g}, swap test")
        return result

    def sensitivity(self) -> dict[str, dict[str, Figure]]:
        """The headline numbers where "differs" means something else, and the size of the mask.

        Those that end in `_own_mask` divide each row's error by its own mask.
        """
        gain, share = "foreground_gain_db_h1_16", f"headroom_share_h{SHARE_HORIZON}"
        own = metrics.own_mask_mse
        result = {}
        for tolerance in TOLERANCES:
            result[f"differs by more than {tolerance} of 255"] = {
                **_only(self.gains(tolerance), gain),
                **_only(self.gains(tolerance, error=own), gain, end="_own_mask"),
                **_only(self.shares(tolerance), share),
                **_only(self.shares(tolerance, error=own), share, end="_own_mask"),
                **_only(self.mask_ratios(tolerance), f"mask_ratio_h{SHARE_HORIZON}"),
            }
        return {name: figures for name, figures in result.items() if figures}

    def mask_ratios(self, tolerance: int) -> dict[str, Figure]:
        """The world's foreground mask over the real one at every horizon; 1 invents nothing."""
        found = self.pool.estimate(lambda s: metrics.mask_ratio(self.pick(s, "world", tolerance)))
        return {
            f"mask_ratio_h{h}": figure(found, i, "1", null=1.0, ceiling=1.0)
            for i, h in enumerate(self.horizons)
        }

    def usable(self) -> dict[str, Figure]:
        """Frames that the median rollout of every row stays true."""
        departures = self.evidence.departures
        if not departures:
            why = "this environment has no exact state read-out, or its truth was not recorded"
            return {"world": Figure.absent("frames", why)}
        pooled = {row: self._departures(row) for row in ROWS if row in departures}
        medians = {row: float(horizon.median_frames(sums.sum(0))) for row, sums in pooled.items()}
        null = max(medians[row] for row in NULLS if row in medians)
        return {
            row: self._median(sums, null=null, ceiling=medians["real"])
            for row, sums in pooled.items()
        }

    def _departures(self, row: str) -> np.ndarray:
        return statistics.by_cluster(self.evidence.departures[row].sums(), self.names)

    def _median(self, sums: np.ndarray, *, null: float, ceiling: float) -> Figure:
        found = statistics.Pool(sums, seed=self.seed).estimate(horizon.median_frames, smooth=False)
        why = ""
        if horizon.is_censored(sums.sum(0)):
            why = "or more: most were still true when watching ended"
        return figure(found, (), "frames", null=null, ceiling=ceiling, why=why)

    def reader_accuracy(self) -> Figure:
        """Share of the real frames whose state is read within tolerance."""
        departures = self.evidence.departures
        if not departures:
            return Figure.absent("1", "no state is read here")
        sums = {row: self._right(row) for row in ("real", "persistence")}
        rate = lambda s: s[..., 0] / s[..., 1]  # noqa: E731
        found = statistics.Pool(sums["real"], seed=self.seed).estimate(rate)
        null = float(rate(sums["persistence"].sum(0)))
        return figure(found, (), "1", null=null, ceiling=1.0)

    def _right(self, row: str) -> np.ndarray:
        """`[C, 2]` frames read rightly, and frames."""
        seen = self.evidence.departures[row]
        steps = np.arange(seen.wrong.shape[1])
        known = steps < seen.length[:, None]
        right = (~seen.wrong & known).sum(1)
        return statistics.by_cluster(np.stack([right, known.sum(1)], 1), self.names)


def figure(
    found: statistics.Estimate,
    at: int | tuple[int, ...],
    unit: str,
    *,
    null: float,
    ceiling: float | None = None,
    why: str = "",
) -> Figure:
    """One entry of an estimate as a figure, or the reason why it is none."""
    value, low, high = (float(a[at]) for a in (found.value, found.low, found.high))
    if not np.isfinite(value):
        return Figure.absent(unit, "there is no foreground to measure")
    if not np.isfinite([low, high]).all():
        return Figure.absent(unit, "too few episodes define it")
    top = ceiling if ceiling is not None and np.isfinite(ceiling) else None
    return Figure(value, low, high, unit, found.n, null, top, why)


def _only(figures: Mapping[str, Figure], name: str, *, end: str = "") -> dict[str, Figure]:
    return {f"{name}{end}": figures[name]} if name in figures else {}


def samples(judge: Judge, seeds: Sequence[int]) -> list[dict[str, object]]:
    """One plain row a window: what a later comparison of two worlds pairs up."""
    evidence = judge.evidence
    rows = []
    for i, window in enumerate(evidence.windows):
        k = TOLERANCES.index(TOLERANCE)
        errors = {
            row: metrics.foreground_mse(evidence.sums[row][i, :, k]).tolist() for row in judge.rows
        }
        rows.append(
            {
                "task": "open_loop",
                "version": 1,
                "sample": f"{window.episode}:{window.start}",
                "cluster": window.episode,
                "split": "heldout",
                "seed": seeds[i],
                "horizons": list(evidence.horizons),
                "sums": {row: evidence.sums[row][i, :, k].tolist() for row in judge.rows},
                "foreground_mse": {
                    row: [None if np.isnan(e) else e for e in every]
                    for row, every in errors.items()
                },
            }
        )
    return rows
