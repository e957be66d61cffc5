"""Candidates, and what they score on rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from quern import plugin

from .asking import Asker
from .rows import Candidate, Row
from .scoring import Score, Scorer


@dataclass
class Trial:
    """What is known of a candidate. ``number`` counts from 0, the start prompt."""

    number: int
    parent: int | None
    scores: dict[int, Score] = field(default_factory=dict)  # by the row's index
    calls: int = 0

    def mean(self) -> float:
        return math.fsum(s.value for s in self.scores.values()) / len(self.scores) if self.scores else math.nan


class Search:
    """Tries candidates on rows. Each candidate is tried on each row once."""

    def __init__(self, start: Candidate, rows: Sequence[Row], asker: Asker, model: plugin.Model, scorer: Scorer) -> None:
        self.start = start
        self.rows = rows
        self.asker = asker
        self.trials: dict[Candidate, Trial] = {}
        self._model, self._scorer = model, scorer
        self.trial(start, None)

    @property
    def perfect(self) -> bool:
        """No candidate can be better than the best one."""
        return self._scorer.bounded and self.trials[self.best()].mean() == 1

    def trial(self, candidate: Candidate, parent: Candidate | None) -> Trial:
        if candidate not in self.trials:
            number = None if parent is None else self.trials[parent].number
            self.trials[candidate] = Trial(len(self.trials), number)
        return self.trials[candidate]

    def evaluate(
        self, candidate: Candidate, rows: Sequence[Row], parent: Candidate | None = None, above: float | None = None, block: int = 1
    ) -> list[Score]:
        """Returns the scores of a candidate on rows.

        Args:
            above: The scores matter only if their sum is larger. If scores are at most 1, rows are tried in blocks, and once
                that is out of reach, the scores of the others are 0, without a call.
        """
        trial = self.trial(candidate, parent)
        if above is None or not self._scorer.bounded:
            self._try(candidate, trial, rows)
        else:
            unknown = [r for r in rows if r.index not in trial.scores]
            for i in range(0, len(unknown), block):
                known = [trial.scores[r.index].value for r in rows if r.index in trial.scores]
                if math.fsum(known) + len(rows) - len(known) <= above:
                    break
                self._try(candidate, trial, unknown[i : i + block])
        return [trial.scores.get(r.index, _GIVEN_UP) for r in rows]

    def _try(self, candidate: Candidate, trial: Trial, rows: Sequence[Row]) -> None:
        rows = [r for r in rows if r.index not in trial.scores]
        if not rows:
            return
        before = self.asker.calls
        try:
            answers = self.asker.all(self._model, [request(candidate, r) for r in rows])
            scores = self._scorer.scores(rows, answers)
        finally:
            trial.calls += self.asker.calls - before
        trial.scores.update(zip((r.index for r in rows), scores))

    def best(self) -> Candidate:
        """The candidate with the highest mean among those that were tried on all rows; ties go to the earliest."""
        whole = [c for c, t in self.trials.items() if all(r.index in t.scores for r in self.rows)]
        return max(whole, key=lambda c: self.trials[c].mean(), default=self.start)


_GIVEN_UP = Score(0, "", "")


def request(candidate: Candidate, row: Row) -> plugin.ChatRequest:
    """The request that a candidate makes for a row. An example that is the row itself would give the answer away, so it is left out."""
    messages = [plugin.Message(role, content) for role, content in candidate]
    for i in range(len(messages) - 1, 0, -1):
        if messages[i].role == "assistant" and messages[i - 1].role == "user" and messages[i - 1].content == row.question:
            del messages[i - 1 : i + 1]
    return dataclasses.replace(row.request, messages=[*messages, row.request.messages[-1]])
