"""Tasks that need log-probabilities, with the real quern, the real harness, and a real model."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from conftest import Pipeline
from stories import Server

DOCUMENTS = [
    {"begin": "Once upon a time, there was a little", "ends": [" girl named Lily.", " green idea in 1999.", " boy."], "right": 0},
    {"begin": "She loved to play", "ends": [" chess with lawyers.", " outside."], "right": 1},
    {"begin": "The dog was very", "ends": [" expensive to insure.", " happy and"], "right": 1},
    {"begin": 'Tom said, "I am', "ends": [" sorry", " étonné", " a big", " the stock exchange"], "right": 3},
]

# Multiple choice by sum, by characters, and by bytes; and whether a text is what the model would say.
TASKS = {
    "story_end": """
output_type: multiple_choice
doc_to_text: "{{begin}}"
doc_to_choice: "{{ends}}"
doc_to_target: "{{right}}"
target_delimiter: ""
metric_list: [{metric: acc}, {metric: acc_norm}]
""",
    "story_shots": """
output_type: multiple_choice
doc_to_text: "{{begin}}"
doc_to_choice: "{{ends}}"
doc_to_target: "{{right}}"
target_delimiter: ""
num_fewshot: 1
fewshot_split: test
metric_list: [{metric: acc}]
""",
    "story_text": """
output_type: loglikelihood
doc_to_text: "{{begin}}"
doc_to_target: "{{ends[right]}}"
target_delimiter: ""
metric_list: [{metric: perplexity}, {metric: acc}]
""",
}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()


@pytest.fixture
def pipeline(tmp_path: pathlib.Path, server: Server) -> Pipeline:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(d) + "\n" for d in DOCUMENTS))
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name, body in TASKS.items():
        head = f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
        (folder / f"{name}.yaml").write_text(head + body + "metadata: {version: 1.0}\n")
    made = Pipeline(tmp_path, "lm_eval", server.url)
    made.head += f"""
model "openai" "stories" {{
  name            = "stories260K"
  base_url        = "{server.url}"
  capabilities    = ["complete", "score"]
  max_concurrency = 1
}}
"""
    made.write("")
    made.quern("init")
    return made


def block(tasks: list[str], model: str = "stories") -> str:
    return f"""
evaluate "lm_eval" "scores" {{
  model        = model.{model}
  tasks        = {json.dumps(tasks)}
  include_path = "tasks"
  files        = ["data.jsonl"]
  concurrency  = 1
}}
output "scores" {{ value = evaluate.scores }}
"""


def command_line(folder: pathlib.Path, server: Server) -> pathlib.Path:
    """The results of the harness's own command line, without quern."""
    config = folder / "command.json"
    given = {
        "model": "local-completions",
        "model_args": {
            "base_url": f"{server.url}/completions",
            "model": "stories260K",
            "tokenizer_backend": "remote",
        },
        "tasks": sorted(TASKS),
        "include_path": str(folder / "tasks"),
        "seed": [1234] * 4,
        "output_path": str(folder / "command"),
        "log_samples": True,
    }
    config.write_text(json.dumps(given))
    command = [sys.executable, "-m", "lm_eval", "run", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": "none"})
    assert done.returncode == 0, done.stderr
    [results] = (folder / "command").rglob("results_*.json")
    return results


def test_scores_are_those_of_the_command_line(pipeline, server, tmp_path):
    pipeline.write(block(sorted(TASKS)))
    pipeline.apply()
    calls = len(server.asked)
    got = pipeline.outputs()["scores"]["metrics"]
    file = command_line(tmp_path, server)
    want = json.loads(file.read_text())["results"]
    for task, figures in got.items():
        reported = {k: v for k, v in want[task].items() if "," in k and "_stderr," not in k}
        assert {k: f["value"] for k, f in figures.items()} == pytest.approx(reported, rel=1e-9), task
        assert {f["n"] for f in figures.values()} == {len(DOCUMENTS)}
    # Some choices are right and some are wrong, or the comparison would show little.
    assert 0 < got["story_end"]["acc,none"]["value"] < 1 or 0 < got["story_shots"]["acc,none"]["value"] < 1
    assert got["story_text"]["perplexity,none"]["value"] > 1
    # Each text was scored once, though two tasks ask for some of the same.
    texts = [body["prompt"] for body in server.asked[:calls]]
    assert len(texts) == len(set(texts))
    before = len(server.asked)
    pipeline.apply()
    assert len(server.asked) == before


def test_a_killed_run_scores_nothing_twice(pipeline, server):
    reached = threading.Event()
    pipeline.write(block(["story_end", "story_text"]))
    server.when(6, reached)
    pipeline.killed(reached)
    pipeline.apply()
    texts = [body["prompt"] for body in server.asked]
    # The request that was in flight when quern was killed was never answered to it.
    assert len(texts) <= len(set(texts)) + 1


def test_a_model_that_cannot_score_is_an_error_of_the_plan(pipeline, server):
    pipeline.write(block(["story_end"], "small"))
    text = " ".join(pipeline.quern("plan", fails=True).replace("│", " ").split())
    assert "It is of the type multiple_choice" in text and "Choose a model that can score" in text
    assert not server.asked


def test_a_text_without_a_beginning_is_not_scored(pipeline, server, tmp_path):
    (tmp_path / "tasks" / "rolling.yaml").write_text(
        f"task: rolling\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path / 'data.jsonl'}}}}}\ntest_split: test\n"
        'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{begin}}"\n'
        "metric_list: [{metric: bits_per_byte}]\nmetadata: {version: 1.0}\n"
    )
    pipeline.write(block(["rolling"]))
    text = " ".join(pipeline.quern("apply", "-auto-approve", fails=True).replace("│", " ").split())
    assert "it does not begin a text with a token of its own" in text
