"""quern.plan, apply, load, scan, files, and value, with the real program."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import quern

pytestmark = pytest.mark.skipif(not (os.environ.get("QUERN") or shutil.which("quern")), reason="quern is not built")

PIPELINE = """
variable "greeting" {
  type    = string
  default = "hi"
}

source "csv" "texts" {
  path   = "texts.csv"
  schema = { n = "int64" }
}

transform "map" "said" {
  input   = source.texts
  columns = { n = row.n, text = row.text, "a.b" = row.n == null ? null : "${var.greeting} ${row.n}" }
}

label "rules" "size" {
  input = transform.said
  rule "large" {
    label = "large"
    when  = coalesce(row.n, 0) > 1
  }
}

evaluate "classification" "rated" {
  dataset  = label.size
  target   = row.text
  subjects = { size = row.size }
}

output "scored" {
  value = evaluate.rated.scored
}
"""

TEXTS = "n,text\n1,one\n,null\n3,large\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = pipeline(tmp_path_factory.mktemp("pipeline"))
    quern.apply(folder, on_event=None)
    return folder


def pipeline(folder, main=PIPELINE, texts=TEXTS):
    (folder / "main.quern.hcl").write_text(main)
    (folder / "texts.csv").write_text(texts)
    return folder


def test_a_pipeline_is_planned_and_applied(tmp_path, capsys):
    folder = pipeline(tmp_path)
    planned = quern.plan(folder)
    assert planned.changes and planned.actions == {"run": 4} and planned.summary.startswith("4 to run")
    assert list(planned.stages) == ["source.texts", "transform.said", "label.size", "evaluate.rated"]
    assert planned.stages["label.size"].action == "run" and planned.stages["label.size"].reasons == ("is new",)

    run = quern.apply(folder, variables={"greeting": 'hello ${"you"}'}, target=["label.size"])
    assert (run.status, run.environment, list(run.stages)) == ("done", "default", ["source.texts", "transform.said", "label.size"])
    stage = run.stages["label.size"]
    assert (stage.status, stage.kind, stage.type, stage.action, stage.rows) == ("done", "label", "rules", "run", 3)
    assert stage.outputs[""].startswith("sha256:") and run.id and run.seconds > 0 and run.spend == quern.Spend()
    assert capsys.readouterr().out.startswith("source.texts: run done, 3 rows in ")
    assert quern.load("label.size", folder)["a.b"][0].as_py() == 'hello ${"you"} 1'

    events = []
    run = quern.apply(folder, on_event=events.append)
    assert run.outputs == {"scored": 3} and events[0]["type"] == "run_started" and events[-1]["type"] == "run_done"
    again = quern.apply(folder, on_event=None)
    assert (again.status, again.id, again.stages) == ("done", "", {}) and not quern.plan(folder).changes


def test_a_dataset_is_loaded(folder):
    table = quern.load("label.size", folder)
    assert table.schema == pa.schema(
        {"a.b": pa.string(), "n": pa.int64(), "text": pa.string(), "size": pa.string(), "size_rule": pa.string()}
    )
    assert table.select(["n", "text", "a.b", "size"]).to_pydict() == {
        "n": [1, None, 3], "text": ["one", "null", "large"], "a.b": ["hi 1", None, "hi 3"], "size": [None, None, "large"],
    }  # fmt: skip
    assert quern.load("label.size", str(folder), columns=["size", "n"]).to_pydict() == {"size": [None, None, "large"], "n": [1, None, 3]}
    assert [b.num_rows for b in quern.scan("label.size", folder, columns=["a.b"], batch_rows=2)] == [2, 1]


def test_a_dataset_without_rows_has_its_columns(folder):
    table = quern.load("label.size.errors", folder)
    assert table.num_rows == 0 and table.schema == pa.schema({"row": pa.int64(), "message": pa.string()})
    assert list(quern.scan("label.size.errors", folder)) == []


def test_an_environment_has_its_own_results(folder):
    with pytest.raises(quern.Failed, match='does not exist in environment "other"'):
        quern.load("label.size", folder, env="other")
    quern.apply(folder, env="other", variables={"greeting": "ho"}, on_event=None)
    assert quern.load("label.size", folder, env="other")["a.b"].to_pylist() == ["ho 1", None, "ho 3"]
    assert quern.load("label.size", folder)["a.b"].to_pylist() == ["hi 1", None, "hi 3"]


def test_values_and_files_are_found(folder):
    assert quern.value("evaluate.rated", folder)["scored"] == 3
    report = quern.files("evaluate.rated", folder)
    assert report and all(path.is_file() for path in report.values())
    with pytest.raises(quern.Failed, match="has no values"):
        quern.value("transform.said", folder)
    with pytest.raises(quern.Failed, match="has no rows: quern.files returns its files"):
        quern.load("evaluate.rated", folder)


def test_what_does_not_exist_is_an_error(folder, tmp_path):
    with pytest.raises(quern.Failed) as e:
        quern.load("label.sise", folder)
    assert [d.summary for d in e.value.diagnostics] == ['Artifact "label.sise" does not exist in environment "default"']
    assert str(e.value).startswith("\n╷\n│ Error: ") and e.value.run is None
    with pytest.raises(quern.Failed, match=r'label.size has no column "sise"\n[^"]*Did you mean "size"\?'):
        quern.load("label.size", folder, columns=["sise"])
    with pytest.raises(quern.Failed):
        quern.load("label.size", tmp_path)
    with pytest.raises(ValueError, match="as_ must be"):
        quern.load("label.size", folder, as_="numpy")
    with pytest.raises(ValueError, match="columns must be a list"):
        quern.load("label.size", folder, columns="size")


def located(address, folder):
    command = [os.environ.get("QUERN", "quern"), "artifact", "files", "-json", address]
    return json.loads(subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout)


def damage(path):
    path.chmod(0o644)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def test_a_damaged_file_is_an_error(tmp_path):
    folder = pipeline(tmp_path)
    quern.apply(folder, target=["source.texts"], on_event=None)
    path = Path(located("source.texts", folder)["dataset"]["shards"][0]["groups"][0]["path"])
    damage(path)
    rows = quern.scan("source.texts", folder)
    with pytest.raises(quern.Failed, match="is damaged; it was set aside"):
        quern.load("source.texts", folder)
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        next(rows)
    with pytest.raises(quern.Failed, match="not in the store"):
        quern.load("source.texts", folder)


def test_files_are_not_compared_with_their_digests_if_that_is_not_wanted(tmp_path):
    folder = pipeline(tmp_path)
    quern.apply(folder, target=["source.texts"], on_event=None)
    rows = quern.load("source.texts", folder)
    path = Path(located("source.texts", folder)["dataset"]["shards"][0]["groups"][0]["path"])
    path.chmod(0o644)
    pq.write_table(pq.read_table(path), path, compression="none")
    assert quern.load("source.texts", folder, verify=False).equals(rows)
    assert pa.Table.from_batches(quern.scan("source.texts", folder, verify=False)).equals(rows)
    with pytest.raises(quern.Failed, match="is damaged; it was set aside"):
        quern.load("source.texts", folder)


def test_a_damaged_file_ends_a_scan(tmp_path):
    folder = pipeline(tmp_path, texts="n,text\n" + "".join(f"{n},text {n}\n" for n in range(120_000)))
    quern.apply(folder, target=["source.texts"], on_event=None)
    shards = [s["groups"][0] for s in located("source.texts", folder)["dataset"]["shards"]]
    assert len(shards) > 1 and all(s["digest"] == "sha256:" + hashlib.sha256(Path(s["path"]).read_bytes()).hexdigest() for s in shards)
    damage(Path(shards[-1]["path"]))
    read = 0
    with pytest.raises(quern.Failed, match="is damaged; it was set aside"):
        for batch in quern.scan("source.texts", folder):
            assert batch["n"].to_pylist() == list(range(read, read + batch.num_rows))
            read += batch.num_rows
    assert 0 < read < 120_000


def test_many_shards_are_joined_in_order(tmp_path):
    rows = 120_000
    folder = pipeline(tmp_path, texts="n,text\n" + "".join(f"{n},text {n}\n" for n in range(rows)))
    quern.apply(folder, target=["label.size"], on_event=None)
    table = quern.load("label.size", folder)
    assert table["n"].num_chunks > 1 and table["n"].to_pylist() == list(range(rows))
    assert table["a.b"][rows - 1].as_py() == f"hi {rows - 1}" and table["size"].null_count == 2
    batches = list(quern.scan("label.size", folder))
    assert len(batches) > 1 and pa.Table.from_batches(batches).equals(table)
    subprocess.run([os.environ.get("QUERN", "quern"), "artifact", "export", "label.size", "-o", "whole.parquet"], cwd=folder, check=True)
    assert pq.read_table(folder / "whole.parquet").cast(table.schema).equals(table)


def test_a_failed_stage_says_what_the_terminal_says(tmp_path):
    folder = pipeline(tmp_path, PIPELINE.replace("row.n == null ? null : ", ""))
    with pytest.raises(quern.Failed, match="Too many rows failed") as e:
        quern.apply(folder, target=["label.size"], on_event=None)
    run = e.value.run
    assert (run.status, run.stages["source.texts"].status, run.stages["transform.said"].status) == ("failed", "done", "failed")
    assert (run.stages["label.size"].status, run.stages["label.size"].because) == ("skipped", ("transform.said",))
    assert "on main.quern.hcl line 12" in str(e.value) and '12: transform "map" "said" {' in str(e.value)
    assert [(d.file, d.line) for d in e.value.diagnostics] == [("main.quern.hcl", 12)]
    assert run.stages["transform.said"].diagnostics == e.value.diagnostics


def test_a_mistake_in_the_configuration_is_an_error(tmp_path):
    folder = pipeline(tmp_path, PIPELINE.replace("row.n, 0", "row.m, 0"))
    for command in (quern.plan, quern.apply):
        with pytest.raises(quern.Failed, match="row.m, 0") as e:
            command(folder)
        assert e.value.diagnostics[0].line == 21 and e.value.run is None


SLOW = """
source "csv" "texts" {
  path = "texts.csv"
}

model "exec" "slow" {
  command         = ["sh", "slow.sh"]
  max_concurrency = 1
}

label "llm" "size" {
  input  = source.texts
  model  = model.slow
  prompt = prompt.size
}

prompt "size" {
  user = row.text
}
"""


ANSWERS = """
while IFS= read -r line; do
  id=${line#*\\"id\\":}; id=${id%%,*}
  touch asked
  sleep 0.1
  printf '{"id": %s, "response": {"text": "x"}}\\n' "$id"
done
"""


def test_ctrl_c_is_passed_on(tmp_path):
    folder = pipeline(tmp_path, SLOW, "text\n" + "".join(f"{n}\n" for n in range(1000)))
    (folder / "slow.sh").write_text(ANSWERS)

    def interrupt():
        while not (folder / "asked").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    quern.plan(folder)
    threading.Thread(target=interrupt, daemon=True).start()
    events = []
    with pytest.raises(KeyboardInterrupt):
        quern.apply(folder, on_event=events.append)
    kinds = [e["type"] for e in events]
    assert "stopping" in kinds and kinds[-1] == "run_done" and events[-1]["summary"]["status"] == "interrupted"


def test_an_error_of_the_callback_stops_the_run(folder, tmp_path):
    def fail(event):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        quern.apply(pipeline(tmp_path), on_event=fail)
    quern.plan(tmp_path)  # the lease was given back


REFERENCES = Path(__file__).parents[3] / ".cache" / "references" / "bin" / "python"

FRAMES = """
import sys, quern, polars as pl, pandas as pd
frame = quern.load("label.size", sys.argv[1], as_="polars")
assert frame.schema["n"] == pl.Int64 and frame["n"].to_list() == [1, None, 3] and frame["size"].to_list() == [None, None, "large"], frame
frame = quern.load("label.size", sys.argv[1], as_="pandas")
assert str(frame.dtypes["n"]) == "int64[pyarrow]" and frame["n"].isna().tolist() == [False, True, False] and frame["a.b"][2] == "hi 3", frame
assert not [m for m in sys.modules if m.startswith(("grpc", "google"))]
"""


@pytest.mark.skipif(not REFERENCES.exists(), reason='polars and pandas are not installed; run "make references"')
def test_polars_and_pandas_share_the_values(folder):
    env = {**os.environ, "PYTHONPATH": str(Path(quern.__file__).parents[1])}
    subprocess.run([REFERENCES, "-c", FRAMES, folder], env=env, check=True)


def test_importing_quern_loads_nothing_else():
    code = "import sys, quern; print([m for m in sys.modules if m.startswith(('pyarrow', 'grpc', 'google', 'quern.'))], sorted(dir(quern))[-1] != '')"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(quern.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout == "[] True\n"


def test_the_program_is_found(monkeypatch, tmp_path):
    from quern import _program

    program = tmp_path / "quern"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.delenv("QUERN", raising=False)
    monkeypatch.setattr(_program.sysconfig, "get_path", lambda *_: str(tmp_path))
    assert _program.program() == str(program)
    monkeypatch.setattr(_program.sysconfig, "get_path", lambda *_: str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _program.program() == str(program)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="install quern-dev"):
        _program.program()


WAITING = """
from quern import plugin

p = plugin.Plugin("waiting", version="0.1.0")


@p.label("waiting_answer")
class Answer(plugin.Mapper):
    n: plugin.Row[int]

    def map_row(self, n: int) -> int:
        if n > 1:
            raise plugin.Pending("a person must answer")
        return n


if __name__ == "__main__":
    p.serve()
"""


def test_a_stage_that_waits_is_not_an_error(tmp_path):
    from quern.testing import Pipeline

    (tmp_path / "waiting.py").write_text(WAITING)
    main = (
        'source "csv" "texts" {\n  path = "texts.csv"\n}\n\nlabel "waiting_answer" "answer" {\n  input = source.texts\n  n     = row.n\n}\n'
    )
    Pipeline(tmp_path / "waiting.py", {"main.quern.hcl": main, "texts.csv": "n\n1\n2\n3\n"}, tmp_path / "pipeline")
    run = quern.apply(tmp_path / "pipeline", on_event=None)
    stage = run.stages["label.answer"]
    assert (run.status, stage.status, stage.pending_rows) == ("pending", "pending", 2)
