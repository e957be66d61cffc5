"""The plugin with the real quern, the real GEPA, and a student and a teacher whose best prompt is known."""

from __future__ import annotations

import csv
import json
import pathlib
import random
import re
import shutil
import threading
from collections.abc import Iterator

import gepa
import pytest
from conftest import MODEL, Pipeline
from gepa.core.adapter import EvaluationBatch
from mock import Mock, student, teach
from quern import plugin
from quern_prompt.instructions import Adapter
from quern_prompt.rows import Row, split
from quern_prompt.scoring import Score

KINDS = "abcdef"


@pytest.fixture
def mock() -> Iterator[Mock]:
    server = Mock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def pipeline(tmp_path: pathlib.Path, mock: Mock) -> Pipeline:
    made = Pipeline(tmp_path, "prompt", mock.url)
    items(made, KINDS)
    made.head += f"""
model "openai" "student" {{
  name     = "student"
  base_url = "{mock.url}"
}}
model "openai" "teacher" {{
  name     = "teacher"
  base_url = "{mock.url}"
}}
source "csv" "items" {{
  path = "items.csv"
}}
prompt "start" {{
  system = "Label items."
  user   = row.text
}}
"""
    made.write("")
    made.quern("init")
    return made


def items(pipeline: Pipeline, kinds: str) -> None:
    """Writes the rows: items of random kinds with their labels."""
    rng = random.Random(7)
    with open(pipeline.folder / "items.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["text", "answer"])
        for i in range(60):
            kind = rng.choice(kinds)
            out.writerow([f"item {i} of kind {kind}", f"label {kind}{i if kind == 'z' else ''}"])


def search(more: str = "", name: str = "better", optimizer: str = "gepa") -> str:
    return f"""
train "prompt" "{name}" {{
  dataset   = source.items
  prompt    = prompt.start
  model     = model.student
  teacher   = model.teacher
  metric    = output.text == row.answer
  answer    = row.answer
  optimizer = "{optimizer}"
  {more}
}}
output "{name}" {{ value = train.{name} }}
"""


def test_gepa_finds_the_best_instruction(pipeline, mock):
    pipeline.write(
        search("max_calls = 600")
        + """
evaluate "prompt" "both" {
  dataset  = source.items
  subjects = {
    old = { model = model.student, prompt = prompt.start }
    new = { model = model.student, prompt = train.better }
  }
  metrics = { right = output.text == row.answer }
}
output "both" { value = evaluate.both.subjects }
"""
    )
    pipeline.apply()
    got = pipeline.outputs()
    better = got["better"]
    assert better["improved"], better["reason"]
    assert all(f"{k} is label {k}" in better["messages"][0]["content"] for k in KINDS)
    assert better["changes"].startswith("system: Label [-items.-]{+items: ")
    assert better["calls"] <= 600
    assert better["difference"]["p"] < 0.05
    assert better["difference"]["n"] == better["held_out_rows"]
    assert got["both"]["new"]["right"]["value"] == 1
    assert got["both"]["old"]["right"]["value"] == 0
    assert repeated(mock) == 0
    assert "No changes" in pipeline.quern("plan")


def repeated(mock: Mock) -> int:
    """The number of requests that were made before."""
    return len(mock.asked) - len({json.dumps(r, sort_keys=True) for r in mock.asked})


def test_the_search_never_sees_the_held_out_rows(pipeline, mock):
    pipeline.write(search("max_calls = 600"))
    pipeline.apply()
    got = pipeline.outputs()["better"]
    asked = [r["messages"][-1]["content"] for r in mock.asked if r["model"] == "student"]
    test = asked[-2 * got["held_out_rows"] :]
    assert len(set(test)) == got["held_out_rows"]
    everything = asked[: -len(test)] + [r["messages"][-1]["content"] for r in mock.asked if r["model"] == "teacher"]
    assert not [question for question in set(test) if any(question + "\n" in text + "\n" for text in everything)]


def test_the_library_alone_makes_more_calls(pipeline, mock):
    """A part of the items has labels that nobody can know, so the search goes on until its budget is spent, as it does in practice."""
    items(pipeline, KINDS + "z")
    pipeline.write(search("max_calls = 5000\n  max_evaluations = 1000"))
    pipeline.apply()
    got = pipeline.outputs()["better"]
    assert repeated(mock) == 0 and got["calls"] == len(mock.asked)
    ours = got["calls"] - 2 * got["held_out_rows"]

    with open(pipeline.folder / "items.csv", newline="") as file:
        rows = [
            Row(i, plugin.ChatRequest([plugin.Message("user", r["text"])]), r["answer"], None) for i, r in enumerate(csv.DictReader(file))
        ]
    alone = Alone()
    result = gepa.optimize(
        seed_candidate={"instruction": "Label items."},
        trainset=split(rows, 0, 0.3, 200).search,
        adapter=alone,
        reflection_lm=alone.teach,
        max_metric_calls=1000,
        seed=0,
        logger=alone,
    )
    assert got["messages"] == [{"role": "system", "content": result.best_candidate["instruction"]}]
    print(f"calls: {ours} with quern, {alone.calls} by the library alone, {ours / alone.calls:.2f} x")
    assert ours <= 0.7 * alone.calls


class Alone:
    """The student and the teacher as GEPA calls them by itself."""

    propose_new_texts = None

    def __init__(self) -> None:
        self.calls = 0

    def log(self, message: str) -> None:
        pass

    def teach(self, prompt: str) -> str:
        self.calls += 1
        return teach(prompt)

    def evaluate(self, batch, candidate, capture_traces=False):
        self.calls += len(batch)
        answers = [student([("system", candidate["instruction"]), ("user", r.question)]) for r in batch]
        scores = [float(a == r.answer) for a, r in zip(answers, batch)]
        traces = [(r, Score(s, a, "")) for r, a, s in zip(batch, answers, scores)]
        return EvaluationBatch(answers, scores, traces if capture_traces else None)

    make_reflective_dataset = Adapter.make_reflective_dataset


def test_examples_that_help_are_found(pipeline, mock):
    pipeline.write(search("max_calls = 900\n  examples = 6\n  sets = 30", optimizer="fewshot"))
    pipeline.apply()
    got = pipeline.outputs()["better"]
    assert got["improved"], got["reason"]
    roles = [m["role"] for m in got["messages"]]
    assert roles == ["system", *["user", "assistant"] * (len(roles) // 2)] and len(roles) > 3
    assert got["calls"] == len(mock.asked) <= 900
    rows = pipeline.quern("artifact", "show", "train.better.candidates")
    assert "false      " in rows, "no candidate was given up early"


def test_a_winner_that_may_be_lucky_is_not_taken(pipeline, mock):
    items(pipeline, "zzzzzzzza")
    pipeline.write(search("max_calls = 300"))
    said = pipeline.quern("apply", "-auto-approve")
    got = pipeline.outputs()["better"]
    assert not got["improved"]
    assert got["messages"] == [{"role": "system", "content": "Label items."}]
    assert got["difference"]["p"] >= 0.05 and "may be chance" in got["reason"], said


def test_the_budget_is_kept_to_the_call(pipeline, mock):
    items(pipeline, KINDS + "z")
    for most in (170, 171, 233, 340):
        mock.asked.clear()
        pipeline.write(search(f"max_calls = {most}\n  seed = {most}"))
        pipeline.quern("apply", "-auto-approve", "-replace=train.better")
        got = pipeline.outputs()["better"]
        # The next step would have taken more than what is left: all rows, or the teacher and three rows.
        assert most - 60 < got["calls"] <= most
        assert len(mock.asked) <= most


def test_a_killed_search_repeats_no_call(pipeline, mock):
    """With one request at a time, quern has stored every answer when it sends the next request. That one is never answered."""
    mock.finish_reason = "length"  # answers that were cut off are cached, too
    more = "max_calls = 600\n  concurrency = 1"
    pipeline.write(search(more))
    for at in sorted(random.sample(range(20, 450), 3)):
        pipeline.killed(mock.stop_after(at))
    mock.stop_after(None)
    pipeline.apply()
    killed = pipeline.outputs()["better"]
    assert repeated(mock) == 0
    assert killed["calls"] == len(mock.asked)
    # A search that nobody disturbs, and one with everything cached, have the same result.
    pipeline.write(search(more) + search(more, "other"))
    pipeline.apply()
    assert pipeline.outputs() == {"better": killed, "other": killed}
    assert killed["calls"] == len(mock.asked)
    shutil.rmtree(pipeline.folder / ".quern")
    pipeline.quern("init")
    pipeline.write(search("max_calls = 600"))
    pipeline.apply()
    assert pipeline.outputs()["better"] == killed


def test_a_judge_scores_answers(pipeline, mock):
    pipeline.head += f"""
model "openai" "judge" {{
  name     = "judge"
  base_url = "{mock.url}"
}}
"""
    rubric = 'judge {\n    model = model.judge\n    rubric = "The label is known."\n  }'
    blocks = search("max_calls = 900").replace("metric    = output.text == row.answer", rubric)
    pipeline.write(blocks)
    assert "at most 900 calls" in pipeline.quern("plan")
    pipeline.apply()
    got = pipeline.outputs()["better"]
    assert got["improved"], got["reason"]
    assert got["winner"]["value"] == pytest.approx(0.9) and got["start"]["value"] == pytest.approx(0.1)
    assert got["calls"] == len(mock.asked) <= 900
    assert repeated(mock) == 0
    # An evaluation of the start prompt with the same judge gets the same answers and grades.
    pipeline.write(
        blocks
        + """
evaluate "prompt" "old" {
  dataset  = source.items
  subjects = { old = { model = model.student, prompt = prompt.start } }
  judge "known" {
    model    = model.judge
    rubric   = "The label is known."
    expected = row.answer
  }
}
"""
    )
    pipeline.apply()
    assert got["calls"] == len(mock.asked)


def test_mistakes_are_found_when_planning(pipeline):
    pipeline.write(search("max_calls = 600").replace("  teacher   = model.teacher\n", ""))
    assert "GEPA needs a model that proposes instructions" in pipeline.quern("plan", fails=True)
    pipeline.write(search("max_calls = 600", optimizer="fewshot").replace("  answer    = row.answer\n", ""))
    assert "Set answer to the right answer for a row" in pipeline.quern("plan", fails=True)
    pipeline.write(search("max_calls = 600").replace("output.text == row.answer", "output.text"))
    assert "The metric must be a condition or a number" in pipeline.quern("plan", fails=True)
    pipeline.write(search("max_calls = 600").replace("  metric    = output.text == row.answer\n", ""))
    assert "Set metric, such as output.text == row.answer" in pipeline.quern("plan", fails=True)
    pipeline.write(search("max_calls = 600\n  held_out = 2"))
    assert "It must be between 0 and 1" in pipeline.quern("plan", fails=True)
    # What the search costs at most is known before its rows are.
    pipeline.write(search("max_calls = 601"))
    assert "at most 601 calls" in pipeline.quern("plan")
    pipeline.write("")
    pipeline.apply()
    pipeline.write(search("max_calls = 50"))
    assert "max_calls is 50, which is too few" in pipeline.quern("plan", fails=True)
    pipeline.write(search("max_calls = 50\n  rows = 10"))
    assert "Too few rows for the test" in pipeline.quern("plan", fails=True)
    pipeline.write(search("max_calls = 600"))
    text = " ".join(pipeline.quern("plan").split())
    assert "at most 600 calls" in text and "at most 12 new prompts on all of about 42 rows, and about 36 calls for the test" in text
    # A search that waits for batches would take a day for each step.
    pipeline.head = pipeline.head.replace('name     = "teacher"', 'name     = "teacher"\n  batch    = true')
    pipeline.write(search("max_calls = 600"))
    assert "This stage cannot wait for batches" in pipeline.quern("plan", fails=True)


def test_a_real_model(pipeline, model):
    """SmolLM2 as student and teacher. What it finds is not known, but the budget and the rules hold."""
    pipeline.head = pipeline.head.replace('name     = "student"', f'name = "{MODEL}"\n  max_tokens = 24', 1).replace(
        'name     = "teacher"', f'name = "{MODEL}"\n  max_tokens = 64\n  top_p = 0.9', 1
    )
    pipeline.head = re.sub(r'base_url = "[^"]*"', f'base_url = "{model}"', pipeline.head)
    pipeline.write(
        search("max_calls = 50\n  rows = 20\n  max_evaluations = 60").replace("output.text == row.answer", "length(output.text) < 20")
    )
    pipeline.apply()
    got = pipeline.outputs()["better"]
    assert got["calls"] <= 50
    assert got["improved"] == (got["messages"] != [{"role": "system", "content": "Label items."}])
    if got["improved"]:
        assert got["difference"]["p"] < 0.05 and got["difference"]["value"] > 0
    print(got["reason"])
