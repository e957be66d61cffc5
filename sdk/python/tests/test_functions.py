"""Functions in the user's own files as stages, with the real program."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from quern.testing import Pipeline, QuernError

pytestmark = pytest.mark.skipif(not (os.environ.get("QUERN") or shutil.which("quern")), reason="quern is not built")

MAIN = """
source "csv" "texts" {
  path = "texts.csv"
}

transform "py_map" "clean" {
  input     = source.texts
  function  = "code/clean.py:clean"
  arguments = { text = row.text, n = row.n }
}

transform "py_flat_map" "word" {
  input     = transform.clean
  function  = "code/clean.py:words"
  arguments = { text = row.text }
}
"""

CLEAN = """
from __future__ import annotations
from collections.abc import Iterator
from dataclasses import dataclass
from letters import count
from quern import plugin

@dataclass
class Clean:
    upper: str
    letters: int | None

def clean(text: str, n: int | None = None) -> Clean:
    if text == "bad":
        raise plugin.RowError("no good")
    print("called", text)
    return Clean(text.upper(), count(text) if n is not None else None)

def words(text: str) -> Iterator[str]:
    yield from text.split()
"""
LETTERS = "def count(text: str) -> int:\n    return sum(c.isalpha() for c in text)\n"
FILES = {
    "main.quern.hcl": MAIN,
    "texts.csv": 'n,text\n1,"a, b"\n,c d e\n3,\n4,\n',
    "code/clean.py": CLEAN,
    "code/letters.py": LETTERS,
    "code/unused.py": "x = 1\n",
}


def pipeline(folder: Path, **changed: str) -> Pipeline:
    """A pipeline with the plugin; ``changed`` are other contents of ``FILES``, with __ for / and dots left out."""
    program = folder.parent / "py.py"
    program.write_text("from quern.functions import main\n\nmain()\n")
    names = {name.replace("/", "__").replace(".", ""): name for name in FILES}
    return Pipeline(program, {**FILES, **{names[k]: v for k, v in changed.items()}}, folder)


def test_functions_add_columns_and_make_rows(tmp_path):
    p = pipeline(tmp_path / "p")
    p.apply()
    rows = p.rows("transform.clean")
    assert [(r["upper"], r["letters"]) for r in rows[:2]] == [("A, B", 2), ("C D E", None)]
    assert [(r["n"], r["word"]) for r in p.rows("transform.word")][:5] == [(1, "a,"), (1, "b"), (None, "c"), (None, "d"), (None, "e")]


def test_a_changed_import_runs_again_and_another_file_does_not(tmp_path):
    p = pipeline(tmp_path / "p")
    p.apply()
    (p.folder / "code/unused.py").write_text("x = 2\n")
    assert "No changes" in p.run("plan")
    (p.folder / "code/letters.py").write_text(LETTERS.replace("isalpha", "isalnum"))
    assert "transform.clean" in p.run("plan")
    (p.folder / "code/letters.py").write_text(LETTERS)
    assert "No changes" in p.run("plan")
    # The same files in another folder are the same stage.
    shutil.copytree(p.folder, tmp_path / "q")
    q = Pipeline.__new__(Pipeline)
    q.__dict__ = {**p.__dict__, "folder": tmp_path / "q"}
    assert "No changes" in q.run("plan")


def test_failed_rows_are_reported_by_row(tmp_path):
    p = pipeline(tmp_path / "p", textscsv="n,text\n1,ok\n2,bad\n")
    with pytest.raises(QuernError, match="no good"):
        p.apply()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("code/clean.py:clean", "code/clean.py", "Write FILE.py:NAME"),
        ("code/clean.py:clean", "code/none.py:clean", "File code/none.py does not exist"),
        ("code/clean.py:clean", "code/clean.py:cleans", "has no function 'cleans'"),
        ("n = row.n", "m = row.n", "has no parameter 'm'"),
        ("text = row.text, n", "n", "parameter 'text' of code/clean.py:clean has no value"),
        ("n = row.n", "n = row.text", "is a int64, but the value is a string"),
    ],
)
def test_mistakes_are_errors_of_the_plan(tmp_path, old, new, says):
    p = pipeline(tmp_path / "p", mainquernhcl=MAIN.replace(old, new, 1))
    with pytest.raises(QuernError) as e:
        p.run("plan")
    assert says in " ".join(e.value.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def clean(text, n: int | None = None) -> str: return text", "Annotate the parameter 'text'"),
        ("def clean(text: str, n: int | None = None): return text", "Annotate what it returns"),
        ("def clean(text: str, n: int | None = None) -> dict[str, str]: return {}", "dict"),
        ("import nothing_of_this_name\ndef clean(text: str) -> str: return text", "nothing_of_this_name"),
        ("def clean(text: str, n: int | None = None) -> str: return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_faults_in_code_name_it(tmp_path, code, says):
    main = MAIN.partition('transform "py_flat_map"')[0]
    p = pipeline(tmp_path / "p", mainquernhcl=main, code__cleanpy=code + "\n")
    with pytest.raises(QuernError) as e:
        p.apply()
    assert says in e.value.output
