"""quern.stats, with figures from textbooks and in degenerate cases."""

from __future__ import annotations

import pytest
from quern import stats


def test_a_share_has_wilsons_interval():
    f = stats.figure([1.0] * 8 + [0.0] * 2)
    assert (f.value, f.n) == (0.8, 10)
    assert (f.low, f.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_a_mean_has_an_interval_at_least_as_wide_as_students():
    f = stats.figure([1.0, 2.0, 3.0, 4.0])
    assert f.value == 2.5
    assert f.low <= 2.5 - 3.1824 * 0.6455 + 1e-3 and f.high >= 2.5 + 3.1824 * 0.6455 - 1e-3


@pytest.mark.parametrize(("values", "n"), [([], 0), ([0.5], 1), ([0.5, 0.5, 0.5], 3)])
def test_what_is_not_known_is_none(values, n):
    f = stats.figure(values)
    assert (f.value, f.low, f.high, f.n) == (values[0] if values else None, None, None, n)


def test_conditions_are_compared_by_mcnemars_exact_test():
    ours, theirs = [1.0] * 8 + [0.0] * 2 + [1.0] * 5, [0.0] * 8 + [1.0] * 2 + [1.0] * 5
    assert stats.difference(ours, theirs).p == pytest.approx(0.109375)
    assert stats.paired_test([1.0, 0.0], [1.0, 0.0]) == 1.0


def test_numbers_are_compared_by_permutations():
    ours, theirs = [0.9, 0.8, 0.95, 0.7, 0.85, 0.6], [0.1, 0.2, 0.15, 0.3, 0.25, 0.4]
    # All 2^6 changes of signs: only two are as extreme.
    assert stats.paired_test(ours, theirs) == pytest.approx(2 / 64)


def test_values_that_are_not_pairs_are_refused():
    with pytest.raises(ValueError, match="3 values cannot be paired with 2"):
        stats.difference([1.0, 0.0, 1.0], [1.0, 0.0])
    assert not stats.difference([], []).comparable
