"""The plugin with the real quern, the real Inspect, and a real model."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest
from conftest import MODEL

WORDS = ["cat", "dog", "sun", "house", "river", "Paris"]

# Five tasks, with scorers that compare, search, and reduce several epochs.
TASKS = """
from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import Sample, json_dataset
from inspect_ai.scorer import exact, f1, includes, match
from inspect_ai.solver import generate, system_message

def words(text, target="{word}"):
    def sample(record):
        word = record["word"]
        return Sample(id=word, input=text.format(word=word), target=target.format(word=word))
    return json_dataset("words.jsonl", sample)

@task
def repeat_word(): return Task(dataset=words("Repeat the word {word}."), solver=generate(), scorer=includes())

@task
def exact_word(): return Task(dataset=words("Say only: {word}"), solver=generate(), scorer=exact())

@task
def overlap(): return Task(dataset=words("Write about {word}.", "a {word}"), solver=generate(), scorer=f1())

@task
def ends_with(): return Task(dataset=words("End with {word}"), solver=[system_message("Be brief."), generate()], scorer=[match(), includes()])

@task
def epochs(): return Task(dataset=words("Name a {word}"), solver=generate(), scorer=includes(), epochs=Epochs(2, "mean"))
"""
NAMES = ["ends_with", "epochs", "exact_word", "overlap", "repeat_word"]


@pytest.fixture
def tasks(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "words.jsonl").write_text("".join(json.dumps({"word": w}) + "\n" for w in WORDS))


def block(name: str, model: str = "small", more: str = "", tasks: str = '["tasks.py"]') -> str:
    return f"""
evaluate "inspect" "{name}" {{
  model       = model.{model}
  tasks       = {tasks}
  files       = ["words.jsonl"]
  max_tokens  = 8
  temperature = 0
  concurrency = 1
  {more}
}}
output "{name}" {{ value = evaluate.{name} }}
"""


def command_line(folder: pathlib.Path, model: str) -> dict[str, dict[str, float]]:
    """The figures of Inspect's own command line, without quern."""
    env = {**os.environ, "QUERN_BASE_URL": model, "QUERN_API_KEY": "none", "INSPECT_DISPLAY": "none"}
    options = [
        "--log-dir",
        str(folder / "command"),
        "--log-format",
        "json",
        "--max-connections",
        "1",
        "--max-tokens",
        "8",
        "--temperature",
        "0",
    ]
    command = [sys.executable, "-m", "inspect_ai", "eval", "tasks.py", "--model", f"openai-api/quern/{MODEL}", *options]
    subprocess.run(command, check=True, capture_output=True, env=env, cwd=folder)
    out = {}
    for file in (folder / "command").glob("*.json"):
        log = json.loads(file.read_text())
        out[log["eval"]["task"]] = {f"{s['name']}.{name}": m["value"] for s in log["results"]["scores"] for name, m in s["metrics"].items()}
    return out


def test_figures_are_those_of_the_command_line(pipeline, proxy, model, tasks, tmp_path):
    pipeline.write(block("all"))
    pipeline.apply()
    # With a temperature of 0, both epochs have the same answer.
    calls = len(proxy.asked)
    assert calls == 5 * len(WORDS)
    got = pipeline.outputs()["all"]["metrics"]
    want = command_line(tmp_path, model)
    assert sorted(got) == sorted(want) == NAMES
    for task, figures in got.items():
        assert {k: f["value"] for k, f in figures.items()} == pytest.approx(want[task], abs=1e-12), task
        for f in figures.values():
            assert f["n"] == len(WORDS)
            assert f["low"] is None or f["low"] <= f["value"] <= f["high"]
    assert len({f["value"] for of in got.values() for f in of.values()} - {0, 1}) >= 3
    pipeline.apply()
    assert len(proxy.asked) == calls


def test_a_killed_run_repeats_no_call(pipeline, proxy, tasks):
    reached = threading.Event()
    proxy.when(7, reached)
    pipeline.write(block("killed"))
    pipeline.killed(reached)
    pipeline.apply()
    # The request that was in flight when quern was killed was never answered to it.
    assert 5 * len(WORDS) <= len(proxy.asked) <= 5 * len(WORDS) + 1


def test_a_comparison_pairs_samples_or_says_why_it_cannot(pipeline, tasks):
    one = '["tasks.py@repeat_word"]'
    longer = block("third", more="baseline = evaluate.first.scores", tasks=one).replace("max_tokens  = 8", "max_tokens  = 6")
    pipeline.write(block("first", tasks=one) + block("second", "other", "baseline = evaluate.first.scores", one) + longer)
    pipeline.apply()
    out = pipeline.outputs()
    d = out["second"]["differences"]["repeat_word"]["includes"]
    assert d["comparable"] and d["n"] == len(WORDS) and 0 <= d["p"] <= 1
    mean = {name: out[name]["metrics"]["repeat_word"]["includes.accuracy"]["value"] for name in ("first", "second")}
    assert d["value"] == pytest.approx(mean["second"] - mean["first"])
    d = out["third"]["differences"]["repeat_word"]["includes"]
    assert not d["comparable"] and d["value"] is None and "generation settings" in d["reason"]


def test_changed_code_or_data_runs_again(pipeline, proxy, tasks, tmp_path):
    pipeline.write(block("one", tasks='["tasks.py@repeat_word"]'))
    pipeline.apply()
    assert "No changes" in pipeline.quern("plan")
    (tmp_path / "words.jsonl").write_text("".join(json.dumps({"word": w}) + "\n" for w in [*WORDS, "tree"]))
    pipeline.apply()
    assert len(proxy.asked) == len(WORDS) + 1
    (tmp_path / "tasks.py").write_text(TASKS.replace("Repeat the word", "Repeat this word"))
    pipeline.apply()
    assert len(proxy.asked) == 2 * len(WORDS) + 2


def test_mistakes_name_the_argument_or_the_task(pipeline, tasks, tmp_path):
    pipeline.write(block("bad", tasks='["tsks.py"]'))
    assert "Task file 'tsks.py' does not exist" in pipeline.quern("plan", fails=True)
    (tmp_path / "broken.py").write_text(TASKS.replace("words.jsonl", "missing.jsonl"))
    pipeline.write(block("bad", tasks='["broken.py@overlap"]'))
    assert "missing.jsonl" in pipeline.quern("apply", "-auto-approve", fails=True)
