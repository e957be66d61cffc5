"""A pipeline with the real quern and the real model."""

from __future__ import annotations

import json
import pathlib

from conftest import Pipeline

TEXTS = [
    "Yesterday Barack Obama met Angela Merkel in Berlin.",
    "barack  obama was there. Barack Obama left for Paris.",
    "Nothing to see.",
    None,
]


def apply(folder: pathlib.Path, arguments: str) -> tuple[list[dict], dict]:
    pipeline = Pipeline(folder, "ner", "http://127.0.0.1:9")
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    pipeline.write(f"""
source "jsonl" "rows" {{
  path = "rows.jsonl"
}}

transform "ner_redact" "safe" {{
  input = source.rows
  text  = row.text
  {arguments}
}}

output "counts" {{
  value = transform.safe.counts.safe_kinds
}}
""")
    pipeline.quern("init")
    pipeline.apply()
    pipeline.quern("artifact", "export", "-o", "got.jsonl", "transform.safe")
    rows = [json.loads(line) for line in (folder / "got.jsonl").read_text().splitlines()]
    return rows, pipeline.outputs()["counts"]


def test_names_are_masked_and_counted(tmp_path: pathlib.Path) -> None:
    rows, counts = apply(tmp_path, "")
    assert rows[0]["safe"] == "Yesterday <PERSON> met <PERSON> in <PLACE>."
    assert rows[0]["safe_kinds"] == ["person", "person", "place"]
    assert rows[2]["safe"] == "Nothing to see." and rows[2]["safe_kinds"] is None
    assert rows[3]["safe"] is None
    assert counts["person"] >= 3


def test_the_same_name_has_the_same_pseudonym(tmp_path: pathlib.Path) -> None:
    rows, _ = apply(tmp_path, 'action = "pseudonym"\n  key = "0123456789abcdef"\n  kinds = ["person"]')
    first = rows[0]["safe"].split()[1]
    assert first.startswith("<PERSON_") and first in rows[1]["safe"]
    assert "Obama" not in rows[0]["safe"] and "Berlin" in rows[0]["safe"]
