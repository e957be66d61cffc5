"""A pipeline with the real quern and the real model."""

from __future__ import annotations

import json
import pathlib

import pytest
import spacy
from conftest import Pipeline

TEXTS = [
    "Yesterday Barack Obama met Angela Merkel in Berlin.",
    "barack  obama was there. Barack Obama left for Paris.",
    "Nothing to see.",
    None,
]


def prepared(folder: pathlib.Path, arguments: str) -> Pipeline:
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
    return pipeline


def apply(folder: pathlib.Path, arguments: str) -> tuple[list[dict], dict]:
    pipeline = prepared(folder, arguments)
    return redacted(folder, pipeline), pipeline.outputs()["counts"]


def redacted(folder: pathlib.Path, pipeline: Pipeline) -> list[dict]:
    pipeline.apply()
    pipeline.quern("artifact", "export", "-o", "got.jsonl", "transform.safe")
    return [json.loads(line) for line in (folder / "got.jsonl").read_text().splitlines()]


def save_model(folder: pathlib.Path, *people: str) -> None:
    """Saves a model that knows these people and no others."""
    model = spacy.blank("en")
    model.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": name} for name in people])
    folder.parent.mkdir(exist_ok=True)
    model.to_disk(folder)


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


def test_a_model_can_be_a_folder(tmp_path: pathlib.Path) -> None:
    save_model(tmp_path / "models/names", "Barack Obama")
    pipeline = prepared(tmp_path, 'model = "models/names"')
    rows = redacted(tmp_path, pipeline)
    assert rows[0]["safe"] == "Yesterday <PERSON> met Angela Merkel in Berlin."
    assert rows[1]["safe"] == "barack  obama was there. <PERSON> left for Paris."
    assert "No changes" in pipeline.quern("plan")
    # Another model in the folder redacts again.
    save_model(tmp_path / "models/names", "Angela Merkel")
    assert "transform.safe" in pipeline.quern("plan")
    assert redacted(tmp_path, pipeline)[0]["safe"] == "Yesterday Barack Obama met <PERSON> in Berlin."


@pytest.mark.parametrize("model", ["models/none", "en_core_web_xyz"])
def test_a_model_that_does_not_exist_is_refused_while_planning(tmp_path: pathlib.Path, model: str) -> None:
    pipeline = prepared(tmp_path, f'model = "{model}"')
    assert f"Unknown model {model}" in pipeline.quern("plan", fails=True)


def test_a_folder_that_is_not_a_model_is_refused_while_planning(tmp_path: pathlib.Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/readme.txt").write_text("Put the model here.")
    pipeline = prepared(tmp_path, 'model = "models"')
    assert "The folder models has no meta.json" in pipeline.quern("plan", fails=True)
