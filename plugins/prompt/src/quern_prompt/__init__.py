"""The plugin prompt: a search for a better prompt, as a trainer of quern.

It tries candidates on rows of a dataset, calls models through quern, and compares the winner with the start prompt on
rows that the search never saw.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

from quern import plugin, stats
from quern.stats import Difference, Figure

from .asking import Asker, Failed, Waiting
from .rows import Candidate, Parts, read, split
from .scoring import Judge, Metric, Scorer
from .search import Search

prompt = plugin.Plugin("prompt", version=version("quern-plugin-prompt"))


@dataclass
class Tried:
    """A row of ``candidates``: a prompt that the search tried. ``messages`` is JSON, and ``score`` the mean over ``rows``."""

    candidate: int
    parent: int | None
    messages: str
    score: float | None
    rows: int
    complete: bool
    calls: int
    chosen: bool


@dataclass
class Values:
    """What the search found. The figures are those of the held-out rows."""

    messages: list[plugin.PromptMessage]
    improved: bool
    reason: str
    changes: str
    start: Figure
    winner: Figure
    difference: Difference
    search_rows: int
    held_out_rows: int
    tried: int
    calls: int


@dataclass
class Rubric:
    """A model that grades answers."""

    model: plugin.Model
    """The model that grades. It should not be the one being graded."""
    rubric: str
    """The criteria for the grade, which is from 0 to 1."""


@prompt.train("prompt", stop_seconds=5)
class Prompt(plugin.Runner):
    """Searches for a better prompt, and keeps the old one unless the new one is better on held-out rows.

    The result is a prompt, which other stages use like a block: `prompt = train.better`. It is the start prompt with another
    system message or other examples. The start prompt consists of `system`, `example` blocks, and `user`.

    A share of the rows, `held_out`, is never seen by the search. At its end, the winner and the start prompt answer these rows, and a
    paired test compares them: McNemar's exact test if all scores are 0 or 1, and otherwise a permutation test. If the winner is not
    better at the level `significance`, the result is the start prompt, and a warning says so. Rows are assigned by a hash of their
    questions, so equal questions are in the same part.

    No search makes more than `max_calls` calls of all its models together, including those of the test. A request that the search repeats
    is made, and counted, once. A search that is interrupted takes the same course again and repeats no call, because quern has cached
    the answers.

    The values are `messages`, `improved`, `reason`, `changes`, the winner's words that differ from the start prompt, the figures `start` and `winner` with `{ value, low, high, n }`, their `difference`
    with `{ value, low, high, p, n }`, `search_rows`, `held_out_rows`, `tried`, the number of prompts that were tried, and `calls`. `candidates` is a dataset of these prompts with their scores
    on the rows of the search.
    """

    dataset: plugin.Dataset
    """The rows to try prompts on."""
    prompt: plugin.Prompt
    """The prompt to start from."""
    model: plugin.Model
    """The model that the prompt is for."""
    max_calls: int
    """The maximum number of calls of models, including those of the test."""
    metric: plugin.Late[Any] | None = plugin.argument(default=None, late={"output": plugin.Output})
    """What an answer is worth: a row expression over `row` and `output`, such as `output.text == row.answer`. A condition or a number; more is better."""
    judge: Rubric | None = None
    """In place of a metric: a model that grades answers, as a judge of the kind `rubric` in `evaluate "prompt"`."""
    optimizer: Literal["gepa", "fewshot"] = "gepa"
    """How to search: `gepa` lets the teacher rewrite the system message, with the library of that name; `fewshot` tries sets of examples from the dataset."""
    teacher: plugin.Model | None = None
    """For `gepa`: the model that proposes instructions. It should be at least as capable as `model`."""
    answer: plugin.Row[str] | None = None
    """The right answer for a row. `fewshot` shows it in examples; `gepa` tells it to the teacher."""
    feedback: plugin.Late[str] | None = plugin.argument(default=None, late={"output": plugin.Output})
    """For `gepa`: what the teacher is told about an answer, in addition to its score."""
    rows: int = 200
    """The maximum number of rows to use, including the held-out ones."""
    held_out: float = 0.3
    """The share of the rows that only the test uses."""
    significance: float = 0.05
    """The p-value below which the winner counts as better."""
    confidence: float = 0.95
    """The confidence level of the intervals."""
    minibatch: int = 3
    """For `gepa`: how many answers the teacher sees at a time."""
    max_evaluations: int | None = None
    """For `gepa`: the search ends when it has used this number of scores, whether or not they took a call. It is `max_metric_calls` of the library. The default is 20 for each call."""
    examples: int = 4
    """For `fewshot`: the maximum number of examples in a prompt."""
    sets: int = 16
    """For `fewshot`: the maximum number of sets of examples to try."""
    seed: int = 0
    """The seed of the split and of the search."""
    concurrency: int = plugin.argument(default=16, operational=True)
    """How many requests to keep open at the same time."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_prompt("prompt")
        p.add_dataset(Tried, name="candidates")
        p.set_value_type(Values)
        self.check(p)
        self.foresee(p)

    def check(self, p: plugin.Prepare) -> None:
        """Reports arguments that the search cannot work with."""
        if (self.metric is None) == (self.judge is None):
            p.error(
                "What an answer is worth must be given once\nSet metric, such as output.text == row.answer, or write a judge block.",
                argument="metric",
            )
        if self.metric is not None and self.metric.type not in ("bool", "int64", "float64", ""):
            text = f"This is {self.metric.type}. Compare it with something, as in output.text == row.answer."
            p.error(f"The metric must be a condition or a number\n{text}", argument="metric")
        for model in (self.model, self.teacher, self.judge.model if self.judge is not None else None):
            if model is not None and "chat" not in model.capabilities:
                can = ", ".join(model.capabilities) or "nothing that a stage can ask for"
                p.error(f"This model cannot chat\nIt can: {can}.", argument=model.key)
        if p.known("optimizer"):
            if self.optimizer == "gepa" and self.teacher is None:
                p.error(
                    'No teacher\nGEPA needs a model that proposes instructions: set teacher, or optimizer = "fewshot".',
                    argument="optimizer",
                )
            if self.optimizer == "fewshot" and self.answer is None:
                p.error("No answers for examples\nSet answer to the right answer for a row, such as row.label.", argument="optimizer")
        for name, low, high in [("held_out", 0, 1), ("significance", 0, 1), ("confidence", 0, 1)]:
            if p.known(name) and not low < getattr(self, name) < high:
                p.error(f"{name} is {getattr(self, name):g}\nIt must be between {low} and {high}.", argument=name)
        for name in ("max_calls", "rows", "minibatch", "examples", "sets", "concurrency", "max_evaluations"):
            value = getattr(self, name)
            if p.known(name) and value is not None and value < 1:
                p.error(f"{name} is {value}\nIt must be at least 1.", argument=name)
        if self.dataset.rows is not None and not p.failed and all(map(p.known, ("rows", "held_out", "significance", "max_calls"))):
            used = min(self.rows, self.dataset.rows)
            held = round(used * self.held_out)
            for text, argument in self.impossible(used - held, held):
                p.error(text, argument=argument)
            if not p.failed and self.optimizer == "gepa":
                p.note(self.reach(used - held, held))

    def reach(self, search: int, held_out: int) -> str:
        """How far ``max_calls`` reaches with these numbers of rows. A new prompt takes a call of the teacher and one or two for each row."""
        each = self.calls_per_row()
        test, one = 2 * each * held_out, each * search
        most = (self.max_calls - test - one) // (one + 1)
        prompts = "1 new prompt" if most == 1 else f"{most:,} new prompts"
        return f"at most {prompts} on all of about {search:,} rows, and about {test:,} calls for the test"

    def impossible(self, search: int, held_out: int) -> Iterator[tuple[str, str]]:
        """Why a search over these numbers of rows cannot succeed, with the argument at fault."""
        least = math.floor(math.log2(2 / self.significance)) + 1  # pairs, if the winner is better in all of them
        if held_out < least:
            yield (
                (
                    f"Too few rows for the test\nAbout {held_out} rows are held out, and a difference at the level {self.significance:g} takes at least {least}. "
                    "Use more rows, or raise held_out."
                ),
                "held_out",
            )
        tried, each = search // 2 if self.optimizer == "fewshot" else search, self.calls_per_row()
        if self.max_calls < 2 * each * (held_out + tried):
            yield (
                (
                    f"max_calls is {self.max_calls}, which is too few\nTwo prompts take {2 * each * tried} calls on {tried} rows of the search, "
                    f"and the test takes {2 * each * held_out}. Raise max_calls, or lower rows."
                ),
                "max_calls",
            )

    def calls_per_row(self) -> int:
        """How many calls it takes to try a prompt on a row."""
        return 1 if self.judge is None else 2

    def foresee(self, p: plugin.Prepare) -> None:
        """Declares the most that the search may cost: each call of the teacher or the judge comes with one of the model, at least."""
        others = []
        if self.optimizer == "gepa" and self.teacher is not None:
            others.append((self.teacher.key, _TASK + _ANSWER * self.minibatch))
        if self.judge is not None:
            others.append((self.judge.model.key, _GRADE))
        most = self.max_calls // (1 + len(others))
        p.add_model_calls(plugin.ModelCalls("prompt", "model", per_row=self.max_calls, most=self.max_calls - most * len(others)))
        for model, added in others:
            calls = plugin.ModelCalls(
                "prompt", model, per_row=self.max_calls, most=most, added="x" * added, reads_answers=model != "teacher"
            )
            p.add_model_calls(calls)

    def run(self, run: plugin.Run) -> Values:
        parts = split(read(self.dataset, self.prompt, self.answer), self.seed, self.held_out, self.rows)
        for text, argument in self.impossible(len(parts.search), len(parts.held_out)):
            raise plugin.Error(text, argument=argument)
        start = one_start(parts)
        asker = Asker(run, self.max_calls, reserved=2 * self.calls_per_row() * len(parts.held_out), concurrency=self.concurrency)
        try:
            return self.search(run, parts, start, asker)
        except Failed as e:
            raise plugin.Error(str(e), argument=e.argument) from None
        except Waiting as e:
            raise e.error.of_row() from None
        finally:
            asker.close()

    def search(self, run: plugin.Run, parts: Parts, start: Candidate, asker: Asker) -> Values:
        scorer = self.scorer(asker)
        pool, tried_on = (parts.search[::2], parts.search[1::2]) if self.optimizer == "fewshot" else ([], parts.search)
        search = Search(start, tried_on, asker, self.model, scorer)
        if self.optimizer == "fewshot":
            from . import examples

            examples.run(search, pool, seed=self.seed, most=self.examples, sets=self.sets)
        else:
            from . import instructions

            assert self.teacher is not None
            evaluations = self.max_evaluations or 20 * self.max_calls
            instructions.run(search, self.teacher, seed=self.seed, minibatch=self.minibatch, evaluations=evaluations)
        winner = search.best()
        for tried in rows_of(search, winner):
            run.write(tried, output="candidates")
        asker.reserved = 0
        return self.compare(run, parts, search, winner, scorer)

    def scorer(self, asker: Asker) -> Scorer:
        if self.judge is not None:
            return Judge(self.judge.model, self.judge.rubric, asker)
        assert self.metric is not None
        return Metric(self.metric, self.feedback)

    def compare(self, run: plugin.Run, parts: Parts, search: Search, winner: Candidate, scorer: Scorer) -> Values:
        """Tests the winner on the held-out rows."""
        tested = Search(search.start, parts.held_out, search.asker, self.model, scorer)
        theirs: list[float] = []
        ours: list[float] = []
        if winner != search.start:
            theirs = [s.value for s in tested.evaluate(search.start, parts.held_out)]
            ours = [s.value for s in tested.evaluate(winner, parts.held_out)]
        difference = stats.difference(ours, theirs, self.confidence)
        improved = (difference.value or 0) > 0 and difference.p is not None and difference.p < self.significance
        reason = self.reason(search, winner, difference, improved)
        if not improved:
            run.warn(f"The prompt stays as it is\n{reason}")
        return Values(
            messages=[plugin.PromptMessage(*m) for m in (winner if improved else search.start)],
            improved=improved,
            reason=reason,
            changes=changes(search.start, winner),
            start=stats.figure(theirs, self.confidence),
            winner=stats.figure(ours, self.confidence),
            difference=difference,
            search_rows=len(parts.search),
            held_out_rows=len(parts.held_out),
            tried=len(search.trials),
            calls=search.asker.calls,
        )

    def reason(self, search: Search, winner: Candidate, difference: Difference, improved: bool) -> str:
        if winner == search.start:
            return f"None of {len(search.trials) - 1} other prompts scored better on the rows of the search."
        found = f"On {difference.n} held-out rows, the best of {len(search.trials) - 1} other prompts scored {difference.value:+.3g} (p = {difference.p:.2g})"
        return found + (", which is better" if improved else ", which may be chance") + f" at the level {self.significance:g}."


# About how many characters GEPA uses to tell the teacher its task, and about an answer, and how many the request of a judge has.
_TASK = 1300
_ANSWER = 600
_GRADE = 600


def one_start(parts: Parts) -> Candidate:
    """The messages before the question, which are the same for all rows."""
    [start] = {row.start for row in (*parts.search, *parts.held_out)}
    return start


def changes(before: Candidate, after: Candidate) -> str:
    """The words that differ, as quern shows them in plans: [-removed-]{+added+}."""
    old, new = (re.findall(r"\s+|\S+", "\n\n".join(f"{role}: {content}" for role, content in c)) for c in (before, after))
    out = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        removed, added = "".join(old[i:j]), "".join(new[k:m])
        if kind == "equal":
            out.append(removed)
            continue
        out += [f"[-{removed}-]"] * bool(removed) + [f"{{+{added}+}}"] * bool(added)
    return "".join(out)


def rows_of(search: Search, winner: Candidate) -> Iterator[Tried]:
    for candidate, t in search.trials.items():
        yield Tried(
            candidate=t.number,
            parent=t.parent,
            messages=json.dumps([{"role": role, "content": content} for role, content in candidate], ensure_ascii=False),
            score=t.mean() if t.scores else None,
            rows=len(t.scores),
            complete=all(r.index in t.scores for r in search.rows),
            calls=t.calls,
            chosen=candidate == winner,
        )


def main() -> None:
    prompt.serve()
