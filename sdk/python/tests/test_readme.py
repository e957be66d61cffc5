"""The README's labeler runs as it is printed."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pyarrow as pa
from served import instance, rows_of, served

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_labeler_in_the_readme_works():
    code = re.search(r"## A labeler\n\n```python\n(.*?)```", README, re.DOTALL).group(1)
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
