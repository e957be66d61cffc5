"""train "hf_embedding", compared with plain transformers and with the formula of its loss."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import quern
import stories
import torch
import transformers
from accelerate.data_loader import SeedableRandomSampler
from conftest import ROOT, Pipeline
from quern_hf.embedding import info_nce
from quern_hf.pooling import Pooling
from safetensors.torch import load_file

PAIRS = [
    ("dog", "puppy"),
    ("cat", "kitten"),
    ("bear", "cub"),
    ("bird", "chick"),
    ("cow", "calf"),
    ("car", "truck"),
    ("ship", "boat"),
    ("hat", "cap"),
]
ROWS = [
    {"question": f"Where is the {a}{end}", "passage": f"The {b} is {place}.", "other": f"A tree is {place}."}
    for end, place in [("?", "at home"), (" now?", "in the park"), (" today?", "on the hill")]
    for a, b in PAIRS
]
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
train "hf_embedding" "search" {{
  base          = model.base
  dataset       = source.rows
  anchor        = row.question
  positive      = row.passage
  learning_rate = 0.002
  epochs        = 3
  batch_size    = 8
  seed          = 3
  gradient_checkpointing = false
  {more}
}}
transform "hf_vector" "found" {{
  input = source.rows
  text  = row.question
  model = train.search
}}
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    torch.set_num_threads(1)
    monkeypatch.setattr("conftest.PROGRAM", ROOT / "plugins/hf/tests/asking.py")
    made = Pipeline(tmp_path)
    stories.save(tmp_path / "stories")
    made.write("", rows_jsonl="".join(json.dumps(r) + "\n" for r in ROWS))
    made.quern("init")
    return made


def folder_of(pipeline: Pipeline, address: str) -> Path:
    folder = pipeline.folder / "of" / address
    for name, path in quern.files(address, pipeline.folder).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    return folder


def plain(base: Path, negatives: bool) -> dict[str, torch.Tensor]:
    """The weights of a training loop in plain PyTorch, in the order in which the Trainer draws batches."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    transformers.set_seed(3)
    model = transformers.AutoModel.from_pretrained(base, dtype="float32").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.0)
    steps = 9
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, steps)
    columns = ["question", "passage", *(["other"] if negatives else [])]

    def vectors(texts: list[str]) -> torch.Tensor:
        given = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
        states = model(**given).last_hidden_state
        mask = given["attention_mask"][:, :, None]
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)

    for epoch in range(3):
        order = SeedableRandomSampler(data_source=ROWS, data_seed=3)
        order.set_epoch(epoch)
        rows = [ROWS[i] for i in order]
        for start in range(0, len(rows), 8):
            made = [vectors([r[c] for r in rows[start : start + 8]]) for c in columns]
            scores = made[0] @ torch.cat(made[1:]).T / 0.05
            loss = torch.nn.functional.cross_entropy(scores, torch.arange(8))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return model.state_dict()


def hits(vectors: list[list[float]], folder: Path) -> float:
    """The share of questions whose passage is the nearest of all."""
    model, tokenizer = transformers.AutoModel.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)
    pooling, passages = Pooling.of(folder), [f"The {b} is at home." for _, b in PAIRS]
    given = tokenizer(passages, return_tensors="pt", padding=True, padding_side="right")
    found = pooling.pool(model(**given).last_hidden_state.detach(), given["attention_mask"])
    nearest = (torch.tensor(vectors[: len(PAIRS)]) @ found.T).argmax(-1)
    return float((nearest == torch.arange(len(PAIRS))).float().mean())


@pytest.mark.parametrize("negatives", [False, True])
def test_the_weights_are_those_of_a_plain_loop_and_texts_are_found(pipeline, negatives):
    pipeline.write(HEAD + block("negative = row.other" if negatives else ""))
    pipeline.apply()
    folder = folder_of(pipeline, "train.search")
    got, want = load_file(folder / "model.safetensors"), plain(pipeline.folder / "stories", negatives)
    for name, weight in got.items():
        assert torch.allclose(weight, want[name], atol=1e-4), name
    vectors = [row["found"] for row in quern.load("transform.found", pipeline.folder).to_pylist()]
    assert Pooling.of(folder) == Pooling("mean", True, 256)
    assert sum(x * x for x in vectors[0]) == pytest.approx(1)
    shutil.copy(folder / "modules.json", pipeline.folder / "stories/modules.json")
    assert hits(vectors, folder) >= 0.5  # by chance, one of eight


def test_the_loss_is_that_of_its_formula():
    random.seed(0)
    anchors, candidates = torch.randn(3, 5), torch.randn(6, 5)
    cosine = torch.nn.functional.cosine_similarity(anchors[:, None], candidates[None], dim=-1)
    each = [-(cosine[i, i] / 0.1 - torch.logsumexp(cosine[i] / 0.1, 0)) for i in range(3)]
    assert float(info_nce(anchors, candidates, 0.1)) == pytest.approx(float(sum(each) / 3), rel=1e-5)


def test_a_batch_of_one_row_is_refused(pipeline):
    pipeline.write(HEAD + block().replace("batch_size    = 8", "batch_size    = 1"))
    assert "batch_size must be at least 2" in pipeline.quern("plan", fails=True)
