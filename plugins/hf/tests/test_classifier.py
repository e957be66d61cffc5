"""train "hf_classifier", compared with plain transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets
import pytest
import quern
import stories
import torch
import transformers
from quern_hf.classifier import class_weights, loss_of
from safetensors.torch import load_file

WORDS = {"animal": ["dog", "cat", "bird", "bear"], "food": ["cake", "milk", "bread", "apple"], "toy": ["ball", "doll", "kite", "car"]}
ROWS = [{"text": f"Lily saw a {w} and {end}", "kind": k} for end in ("ran.", "sat.", "was happy.") for k, ws in WORDS.items() for w in ws]
HEAD = """
source "jsonl" "rows" {
  path = "rows.jsonl"
}
model "hf" "base" {
  path = "stories"
}
"""


def block(more: str = "") -> str:
    return f"""
train "hf_classifier" "kind" {{
  base          = model.base
  dataset       = source.rows
  text          = row.text
  target        = row.kind
  learning_rate = 0.003
  epochs        = 6
  batch_size    = 6
  seed          = 7
  log_steps     = 1
  gradient_checkpointing = false
  {more}
}}
label "model" "guess" {{
  input = source.rows
  model = train.kind
}}
evaluate "classification" "rated" {{
  dataset    = source.rows
  target     = row.kind
  subjects   = {{ kind = train.kind }}
}}
"""


def folder_of(pipeline, address: str) -> Path:
    folder = pipeline.folder / "of" / address
    for name, path in quern.files(address, pipeline.folder).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    return folder


def plain(base: Path, folder: Path) -> dict[str, torch.Tensor]:
    """The weights of plain transformers, trained with the same settings."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    labels = sorted(WORDS)
    data = datasets.Dataset.from_list([{**tokenizer(r["text"]), "labels": labels.index(r["kind"])} for r in ROWS])
    transformers.set_seed(7)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=3, dtype="float32", pad_token_id=tokenizer.pad_token_id
    )
    args = transformers.TrainingArguments(
        str(folder), per_device_train_batch_size=6, num_train_epochs=6, learning_rate=0.003, seed=7, use_cpu=True, report_to=[],
        save_strategy="no", disable_tqdm=True, logging_steps=1,
    )  # fmt: skip
    collator = transformers.DataCollatorWithPadding(tokenizer)
    transformers.Trainer(model=model, args=args, train_dataset=data, data_collator=collator).train()
    return model.state_dict()


@pytest.fixture
def prepared(pipeline):
    torch.set_num_threads(1)
    stories.save(pipeline.folder / "stories")
    pipeline.write(
        "", rows_jsonl="".join(json.dumps(r) + "\n" for r in [*ROWS, {"text": None, "kind": "toy"}, {"text": "A cat", "kind": None}])
    )
    return pipeline


def test_the_weights_and_predictions_are_those_of_transformers(prepared, tmp_path):
    prepared.write(HEAD + block())
    prepared.apply()
    folder = folder_of(prepared, "train.kind")
    want = plain(prepared.folder / "stories", tmp_path / "plain")
    got = load_file(folder / "model.safetensors")
    for name, weight in got.items():
        assert torch.allclose(weight, want[name], atol=1e-6), name
    values = quern.value("train.kind", prepared.folder)
    assert (values["rows"], values["dropped"]) == (len(ROWS), 2)
    classify = transformers.pipeline("text-classification", model=str(folder), tokenizer=str(folder))
    guesses = quern.load("label.guess", prepared.folder).to_pylist()
    expected = classify([g["text"] for g in guesses if g["text"]])
    answered = [g for g in guesses if g["text"]]
    for guess, e in zip(answered, expected, strict=True):
        assert guess["guess"] == e["label"] and guess["guess_confidence"] == pytest.approx(e["score"], abs=1e-5)
    assert [g["guess"] for g in guesses if g["text"] is None] == [None]
    right = sum(g["guess"] == g["kind"] for g in answered[: len(ROWS)]) / len(ROWS)
    assert right > 0.6
    assert "No changes" in prepared.quern("plan")


def test_an_adapter_predicts_as_with_peft(prepared):
    import peft

    prepared.write(HEAD + block("lora { r = 8 }").replace("0.003", "0.01"))
    prepared.apply()
    folder = folder_of(prepared, "train.kind")
    base = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    # One text at a time needs no padding.
    model = peft.PeftModel.from_pretrained(base, folder / "adapter").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    guesses = [g for g in quern.load("label.guess", prepared.folder).to_pylist() if g["text"]]
    for g in guesses[:6]:
        probabilities = torch.softmax(model(**tokenizer(g["text"], return_tensors="pt")).logits[0], -1)
        assert g["guess"] == sorted(WORDS)[int(probabilities.argmax())]
        assert g["guess_confidence"] == pytest.approx(float(probabilities.max()), abs=1e-5)


def test_balanced_weights_are_those_of_scikit_learn():
    data = datasets.Dataset.from_dict({"labels": [[0]] * 6 + [[1]] * 3 + [[2]]})
    # n / (classes * count), as compute_class_weight("balanced") has it
    assert class_weights(data, 3) == pytest.approx([10 / (3 * 6), 10 / (3 * 3), 10 / 3])
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    weights = torch.tensor(class_weights(data, 3))
    each = -torch.log_softmax(logits, -1)[range(4), labels] * weights[labels]
    assert loss_of(weights.tolist())({"logits": logits}, labels, 8) == pytest.approx(float(each.sum() / 8))
    assert loss_of(None)({"logits": logits}, labels) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)))


def test_one_label_is_not_enough(prepared):
    prepared.write(HEAD + block().replace("row.kind", 'row.kind == null ? null : "toy"').split("label")[0])
    out = prepared.quern("apply", "-auto-approve", fails=True)
    assert "only the label 'toy'" in out
