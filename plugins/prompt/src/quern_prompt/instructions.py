"""The search for a better instruction, by GEPA.

GEPA picks a candidate from the Pareto frontier of scores, shows the teacher its answers for a few rows, and tries the
instruction that the teacher proposes on the same rows. If they score better, it tries them on all rows.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gepa.api import optimize
from gepa.core.adapter import EvaluationBatch, GEPAAdapter
from quern import plugin

from .asking import Failed, Spent
from .rows import Candidate, Row
from .scoring import Score
from .search import Search

_TEXT = "instruction"

Evaluated = EvaluationBatch[tuple[Row, Score], str]


def run(search: Search, teacher: plugin.Model, *, seed: int, minibatch: int, evaluations: int) -> None:
    """Searches until the budget is spent, or no candidate can be better."""
    with contextlib.suppress(Spent):
        optimize(
            seed_candidate={_TEXT: instruction(search.start)},
            trainset=list(search.rows),
            adapter=Adapter(search),
            reflection_lm=Teacher(search, teacher),
            reflection_minibatch_size=min(minibatch, len(search.rows)),
            max_metric_calls=evaluations,
            stop_callbacks=lambda _: search.perfect,
            seed=seed,
            logger=_Silent(),
            track_best_outputs=False,
        )


def instruction(candidate: Candidate) -> str:
    """The system message of a candidate; empty if it has none."""
    return candidate[0][1] if candidate and candidate[0][0] == "system" else ""


class Adapter(GEPAAdapter[Row, tuple[Row, Score], str]):
    """What GEPA evaluates candidates with."""

    propose_new_texts = None  # GEPA's own

    def __init__(self, search: Search) -> None:
        self._search = search
        self._examples = tuple(m for m in search.start if m[0] != "system")
        self._parent: Candidate | None = None

    def candidate(self, text: str) -> Candidate:
        return ((("system", text),) if text else ()) + self._examples

    def evaluate(self, batch: list[Row], candidate: dict[str, str], capture_traces: bool = False) -> Evaluated:
        """GEPA traces a candidate on a few rows, and then another one that it made from it on the same rows.

        GEPA accepts the second one only if its sum of scores is larger, so the search may stop once that is out of reach.
        """
        given, search = self.candidate(candidate[_TEXT]), self._search
        proposed = capture_traces and given not in search.trials
        above = None
        if proposed and self._parent is not None:
            above = sum(s.value for s in search.evaluate(self._parent, batch))
        scores = search.evaluate(given, batch, self._parent, above)
        if capture_traces and not proposed:
            self._parent = given
        traces = list(zip(batch, scores)) if capture_traces else None
        return EvaluationBatch([s.answer for s in scores], [s.value for s in scores], traces)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Evaluated, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        return {name: [_record(row, score) for row, score in eval_batch.trajectories or ()] for name in components_to_update}


def _record(row: Row, score: Score) -> dict[str, str]:
    said = [f"The answer scores {score.value:g}."]
    if row.answer is not None:
        said.append(f"The correct answer is: {row.answer}")
    if score.feedback:
        said.append(score.feedback)
    return {"Inputs": row.question, "Generated Outputs": score.answer, "Feedback": "\n".join(said)}


class Teacher:
    """Proposes instructions. If GEPA asks the same again, it wants another proposal, so it gets another draw."""

    total_cost = 0.0  # quern counts costs

    def __init__(self, search: Search, model: plugin.Model) -> None:
        self._asker, self._model = search.asker, model
        self._asked: Counter[str] = Counter()

    def __call__(self, prompt: str | list[dict[str, Any]]) -> str:
        assert isinstance(prompt, str)  # only images make it a list
        request = plugin.ChatRequest([plugin.Message("user", prompt)])
        [answer] = self._asker.all(self._model, [request], draw=self._asked[prompt])
        self._asked[prompt] += 1
        if isinstance(answer, plugin.CallError):
            raise Failed(f"The teacher refused to answer\n{answer}.", self._model.key)
        return answer.text


class _Silent:
    def log(self, message: str) -> None:
        pass
