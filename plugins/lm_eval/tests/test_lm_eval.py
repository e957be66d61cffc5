"""The plugin with the real quern, the real harness, and a real model."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest
from conftest import MODEL

TEXTS = [
    "Hello world",
    "The cat sat on the mat.",
    "Paris is the capital of France.",
    "One two three",
    "I lost my card",
    "Where is my refund?",
]

# Five tasks, with filters, few-shot examples, and metrics of documents and of whole tasks.
TASKS = {
    "repeat_text": """
doc_to_text: "Repeat this: {{text}}"
doc_to_target: "{{text}}"
metric_list: [{metric: exact_match, ignore_case: true, ignore_punctuation: true}]
""",
    "repeat_chrf": """
doc_to_text: "Repeat this: {{text}}"
doc_to_target: "{{text}}"
metric_list: [{metric: chrf}, {metric: bleu}]
""",
    "is_question": """
doc_to_text: "Is this a question? Answer yes or no: {{text}}"
doc_to_target: "{{answer}}"
num_fewshot: 2
fewshot_split: test
metric_list: [{metric: exact_match, ignore_case: true, ignore_punctuation: true}]
filter_list:
  - {name: word, filter: [{function: regex, regex_pattern: "(?i)(yes|no)"}, {function: take_first}]}
  - {name: whole, filter: [{function: take_first}]}
""",
    "first_word": """
doc_to_text: "What is the first word of: {{text}}"
doc_to_target: "{{text.split()[0]}}"
metric_list: [{metric: exact_match, regexes_to_ignore: ["[^A-Za-z]"]}]
filter_list: [{name: word, filter: [{function: regex, regex_pattern: "([A-Z][a-z]+)", group_select: -1}, {function: take_first}]}]
""",
    "continue_text": """
doc_to_text: "Continue: {{text}}"
doc_to_target: "{{text}}"
metric_list: [{metric: ter, higher_is_better: false}]
""",
}


@pytest.fixture
def tasks(tmp_path: pathlib.Path) -> pathlib.Path:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"text": t, "answer": "yes" if t.endswith("?") else "no"}) + "\n" for t in TEXTS))
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name, body in TASKS.items():
        head = f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\noutput_type: generate_until\ntest_split: test\n"
        tail = 'generation_kwargs: {until: ["\\n"], temperature: 0.0, do_sample: false, max_gen_toks: 12}\nmetadata: {version: 1.0}\n'
        (folder / f"{name}.yaml").write_text(head + body + tail)
    return folder


def block(name: str, model: str = "small", more: str = "", tasks: str = json.dumps(sorted(TASKS))) -> str:
    return f"""
evaluate "lm_eval" "{name}" {{
  model        = model.{model}
  tasks        = {tasks}
  include_path = "tasks"
  files        = ["data.jsonl"]
  concurrency  = 1
  {more}
}}
output "{name}" {{ value = evaluate.{name} }}
"""


def command_line(folder: pathlib.Path, tasks: pathlib.Path, model: str) -> dict:
    """The results of the harness's own command line, without quern."""
    config = folder / "command.json"
    arguments = {"base_url": f"{model}/chat/completions", "model": MODEL, "num_concurrent": 1}
    given = {
        "model": "local-chat-completions",
        "model_args": arguments,
        "tasks": sorted(TASKS),
        "include_path": str(tasks),
        "apply_chat_template": True,
        "seed": [1234] * 4,
        "output_path": str(folder / "command"),
        "log_samples": True,
    }
    config.write_text(json.dumps(given))
    env = {**os.environ, "OPENAI_API_KEY": "none"}
    subprocess.run([sys.executable, "-m", "lm_eval", "run", "--config", str(config)], check=True, capture_output=True, env=env)
    [results] = (folder / "command").rglob("results_*.json")
    return json.loads(results.read_text())["results"]


def test_figures_are_those_of_the_command_line(pipeline, proxy, model, tasks, tmp_path):
    pipeline.write(block("all"))
    pipeline.apply()
    calls = len(proxy.asked)
    # repeat_text and repeat_chrf ask the same.
    assert calls == 4 * len(TEXTS)
    got = pipeline.outputs()["all"]["metrics"]
    want = command_line(tmp_path, tasks, model)
    assert sorted(got) == sorted(TASKS)
    for task, figures in got.items():
        reported = {k: v for k, v in want[task].items() if "," in k and "_stderr," not in k}
        assert {k: f["value"] for k, f in figures.items()} == pytest.approx(reported, abs=1e-12), task
        for name, f in figures.items():
            assert f["n"] == len(TEXTS)
            assert f["low"] is None or f["low"] <= f["value"] <= f["high"], (task, name)
    # Not all of them are 0 or 1, or the comparison would show little.
    assert len({f["value"] for of in got.values() for f in of.values()} - {0, 1}) >= 3
    pipeline.apply()
    assert len(proxy.asked) == calls


def test_a_killed_run_repeats_no_call(pipeline, proxy, tasks):
    reached = threading.Event()
    pipeline.write(block("killed"))
    proxy.when(7, reached)
    pipeline.killed(reached)
    pipeline.apply()
    # The request that was in flight when quern was killed was never answered to it.
    assert 4 * len(TEXTS) <= len(proxy.asked) <= 4 * len(TEXTS) + 1


def test_a_comparison_pairs_documents_or_says_why_it_cannot(pipeline, tasks):
    both = (
        block("first")
        + block("second", "other", "baseline = evaluate.first.scores")
        + block("third", more='baseline = evaluate.first.scores\n  system_instruction = "Be brief."')
    )
    pipeline.write(both)
    pipeline.apply()
    out = pipeline.outputs()
    d = out["second"]["differences"]["repeat_text"]["exact_match,none"]
    assert d["comparable"] and d["n"] == len(TEXTS) and 0 <= d["p"] <= 1
    mean = {name: out[name]["metrics"]["repeat_text"]["exact_match,none"]["value"] for name in ("first", "second")}
    assert d["value"] == pytest.approx(mean["second"] - mean["first"])
    d = out["third"]["differences"]["repeat_text"]["exact_match,none"]
    assert not d["comparable"] and d["value"] is None and "system message" in d["reason"]


def test_a_changed_task_runs_again(pipeline, proxy, tasks):
    pipeline.write(block("one", tasks='["first_word"]'))
    pipeline.apply()
    assert "No changes" in pipeline.quern("plan")
    file = tasks / "first_word.yaml"
    file.write_text(file.read_text().replace("What is the first word of", "Name the first word of"))
    pipeline.apply()
    assert len(proxy.asked) == 2 * len(TEXTS)


@pytest.mark.parametrize(
    ("tasks_given", "says"),
    [('["repeat_txt"]', "Did you mean 'repeat_text'"), ('["arc_easy"]', "multiple_choice"), ("[]", "Name at least one task")],
)
def test_a_task_that_cannot_be_run_is_an_error_of_the_plan(pipeline, tasks, tasks_given, says):
    pipeline.write(block("bad", tasks=tasks_given))
    text = pipeline.quern("plan", fails=True)
    assert says in " ".join(text.replace("│", " ").split()) and "main.quern.hcl" in text
