"""The README's labeler runs as it is printed."""

from __future__ import annotations

import os
import re
import shutil
import sys
import types
from pathlib import Path

import pyarrow as pa
import pytest
from served import instance, rows_of, served

README = (Path(__file__).parents[1] / "README.md").read_text()


def labeler() -> str:
    return re.search(r"## A labeler\n\n```python\n(.*?)```", README, re.DOTALL).group(1)


def test_the_labeler_in_the_readme_works():
    code = labeler()
    assert len(code.splitlines()) <= 25
    module = types.ModuleType("shout")
    sys.modules["shout"] = module
    exec(compile(code, "shout.py", "exec"), module.__dict__)
    it = instance("label", "shout_loudness", {}, columns={"body": "string"}, rows={"text": "string"}, address="label.tone")
    with served(module.p) as client:
        t = client.schema().types[0]
        assert t.doc == "Labels texts as loud or quiet. The column has the block's name."
        assert [c.name for c in client.prepare(it).outputs[0].columns] == ["body", "tone"]
        answers = client.map(it, [pa.record_batch({"text": ["HELLO", "hello", "", None]})])
    assert [r["tone"] for r in rows_of(answers)] == ["loud", "quiet", "quiet", None]


@pytest.mark.skipif(not (os.environ.get("QUERN") or shutil.which("quern")), reason="quern is not built")
def test_the_tests_in_the_readme_pass(tmp_path, monkeypatch):
    plain, checked = re.findall(r"```python\n(.*?)```", README[README.index("## Tests") :], re.DOTALL)
    (tmp_path / "shout_tests.py").write_text(
        labeler().replace('if __name__ == "__main__":', f'{plain}\n{checked}\n\nif __name__ == "__main__":')
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("shout_tests").test_the_labeler()
