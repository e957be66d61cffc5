"""Counts the calls of a search for a better prompt: within quern, and by GEPA alone at the same seed and with the same budget.

The student and the teacher are those of the plugin's tests. Both searches must find the same instruction. Prints both numbers.
"""

from __future__ import annotations

import pathlib
import random
import sys

from gepa.api import optimize
from gepa.core.adapter import EvaluationBatch
from quern import plugin
from quern_prompt import instructions
from quern_prompt.asking import Asker
from quern_prompt.rows import Row, split
from quern_prompt.scoring import Score
from quern_prompt.search import Search

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "plugins" / "prompt" / "tests"))
from mock import student, teach  # noqa: E402

START, SEED, EVALUATIONS = "Label items.", 0, 1000


def rows() -> list[Row]:
    """Items of six kinds, and some with labels that nobody can know, so that the search goes on until its budget is spent."""
    rng = random.Random(7)
    kinds = [rng.choice("abcdefz") for _ in range(60)]
    messages = [plugin.Message("system", START)]
    return [
        Row(i, plugin.ChatRequest([*messages, plugin.Message("user", f"item {i} of kind {k}")]), f"label {k}{i if k == 'z' else ''}", None)
        for i, k in enumerate(kinds)
    ]


class Model:
    """A model as a stage asks it."""

    def __init__(self, key: str) -> None:
        self.key = key

    def chat(self, request: plugin.ChatRequest, **_: object) -> plugin.ChatResponse:
        messages = [(m.role, m.content) for m in request.messages]
        return plugin.ChatResponse(teach(messages[-1][1]) if self.key == "teacher" else student(messages))


class Exact:
    """Scores answers: 1 for the right one."""

    bounded, calls = True, 0

    def scores(self, rows, answers):
        return [Score(float(a.text == r.answer), a.text, "") for r, a in zip(rows, answers)]


class Run:
    def check(self) -> None: ...

    def progress(self, *_: object) -> None: ...


class Alone:
    """The student and the teacher as GEPA calls them by itself."""

    propose_new_texts = None
    make_reflective_dataset = instructions.Adapter.make_reflective_dataset

    def __init__(self) -> None:
        self.calls = 0

    def log(self, message: str) -> None: ...

    def teach(self, prompt: str) -> str:
        self.calls += 1
        return teach(prompt)

    def evaluate(self, batch, candidate, capture_traces=False):
        self.calls += len(batch)
        answers = [student([("system", candidate["instruction"]), ("user", r.question)]) for r in batch]
        scores = [float(a == r.answer) for a, r in zip(answers, batch)]
        traces = [(r, Score(s, a, "")) for r, a, s in zip(batch, answers, scores)]
        return EvaluationBatch(answers, scores, traces if capture_traces else None)


def main() -> None:
    given = split(rows(), SEED, 0.3, 200).search
    asker = Asker(Run(), most=10 * EVALUATIONS, reserved=0, concurrency=1)
    search = Search(given[0].start, given, asker, Model("model"), Exact())
    instructions.run(search, Model("teacher"), seed=SEED, minibatch=3, evaluations=EVALUATIONS)
    alone = Alone()
    found = optimize(
        seed_candidate={"instruction": START},
        trainset=given,
        adapter=alone,
        reflection_lm=alone.teach,
        max_metric_calls=EVALUATIONS,
        seed=SEED,
        logger=alone,
    )
    assert instructions.instruction(search.best()) == found.best_candidate["instruction"]
    print(asker.calls, alone.calls)


main()
