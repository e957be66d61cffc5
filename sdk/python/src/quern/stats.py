"""Confidence intervals of figures, and paired tests of differences, for evaluators.

The statistics are scipy's, so a plugin that uses this module depends on ``quern-dev[stats]``.
Intervals and tests are of the kinds in docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_RESAMPLES = 2000
_PERMUTATIONS = 9999


@dataclass
class Figure:
    """A mean or a share with its confidence interval.

    Attributes:
        value: The figure; None if it is not known.
        low: The lower end of the interval; None if there is none.
        high: The upper end.
        n: The number of observations.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass
class Difference:
    """A difference from a baseline on the observations that both have.

    Attributes:
        value: Ours minus theirs; None if the two are not comparable.
        low: The lower end of the confidence interval.
        high: The upper end.
        p: The p-value of a paired test.
        n: The number of pairs.
        comparable: Whether the two results can be compared.
        reason: Why not; empty if they can.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    comparable: bool = True
    reason: str = ""


def figure(values: Sequence[float], confidence: float = 0.95) -> Figure:
    """The mean of values: a share, with Wilson's interval, if all are 0 or 1, and otherwise a mean, with the interval of ``mean_interval``."""
    from scipy import stats  # loaded when it is needed, because it takes a second

    if not values:
        return Figure(None, None, None, 0)
    mean = math.fsum(values) / len(values)
    if set(values) <= {0.0, 1.0}:
        ci = stats.binomtest(int(sum(values)), len(values)).proportion_ci(confidence, method="wilson")
        return Figure(mean, known(ci.low), known(ci.high), len(values))
    low, high = mean_interval(values, confidence)
    return Figure(known(mean), low, high, len(values))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float | None, float | None]:
    """The interval of a mean: a BCa bootstrap with a fixed seed, and at least as wide as Student's.

    A single value, and values that are all equal, have no interval: nothing is known of their spread.
    """
    import numpy as np
    from scipy import stats

    a = np.asarray(values, dtype=float)
    if len(a) < 2 or np.ptp(a) == 0:
        return None, None
    student = stats.t.interval(confidence, len(a) - 1, a.mean(), stats.sem(a))
    rng = np.random.default_rng(0)
    boot = stats.bootstrap((a,), np.mean, n_resamples=_RESAMPLES, confidence_level=confidence, rng=rng).confidence_interval
    return known(np.fmin(student[0], boot.low)), known(np.fmax(student[1], boot.high))


def difference(ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95) -> Difference:
    """The mean difference of pairs, with its interval and the p-value of ``paired_test``."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} values cannot be paired with {len(theirs)}")
    if not ours:
        return Difference(None, None, None, None, 0, False, "there are no pairs")
    deltas = [a - b for a, b in zip(ours, theirs)]
    low, high = mean_interval(deltas, confidence)
    return Difference(known(math.fsum(deltas) / len(deltas)), low, high, paired_test(ours, theirs), len(deltas))


def paired_test(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The p-value of McNemar's exact test if all values are 0 or 1, and otherwise of a permutation test of the signs of the differences."""
    import numpy as np
    from scipy import stats

    if set(ours) | set(theirs) <= {0.0, 1.0}:
        better = sum(a > b for a, b in zip(ours, theirs))
        worse = sum(a < b for a, b in zip(ours, theirs))
        return 1.0 if better + worse == 0 else known(stats.binomtest(better, better + worse).pvalue)
    deltas = np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)
    if not deltas.any():
        return 1.0
    rng = np.random.default_rng(0)
    test = stats.permutation_test((deltas,), np.mean, permutation_type="samples", n_resamples=_PERMUTATIONS, rng=rng)
    return known(test.pvalue)


def known(value: Any) -> float | None:
    """A number that is finite, or None."""
    v = float(value)
    return v if math.isfinite(v) else None
