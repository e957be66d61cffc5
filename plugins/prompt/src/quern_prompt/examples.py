"""The search for better examples: random sets of rows with their answers."""

from __future__ import annotations

import contextlib
import random

from .asking import Spent
from .rows import Candidate, Row
from .search import Search

_BLOCK = 8


def run(search: Search, pool: list[Row], *, seed: int, most: int, sets: int) -> None:
    """Tries sets of examples from a pool until the budget is spent, or none can be better.

    A set that cannot become the best is given up early, which does not change which one is best.
    """
    with contextlib.suppress(Spent):
        search.evaluate(search.start, search.rows)
        for candidate in candidates(search.start, pool, seed, most, sets):
            if search.perfect:
                return
            best = sum(s.value for s in search.trials[search.best()].scores.values())
            search.evaluate(candidate, search.rows, search.start, above=best, block=_BLOCK)


def candidates(start: Candidate, pool: list[Row], seed: int, most: int, sets: int) -> list[Candidate]:
    """The start prompt with sets of 1 to ``most`` examples in place of its own, each set once."""
    rng = random.Random(seed)
    system = tuple(m for m in start if m[0] == "system")
    found: dict[Candidate, None] = {}
    for _ in range(10 * sets):  # small pools have few sets
        if len(found) == sets:
            break
        chosen = rng.sample(pool, rng.randint(1, min(most, len(pool))))
        found[system + tuple(m for row in chosen for m in (("user", row.question), ("assistant", row.answer or "")))] = None
    return list(found)
