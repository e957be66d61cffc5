"""train "hf_tokenizer": what it learns is what tokenizers learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import quern
import tokenizers
from conftest import Pipeline
from quern_hf.tokens import Tokenizer
from transformers import AutoTokenizer

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "Lily",
    "ran",
    "to",
    "the",
    "big",
    "red",
    "ball",
    "with",
    "Tom",
    "because",
    "she",
    "was",
    "happy",
    "é",
]
TEXTS = [" ".join(WORDS[(i * j) % len(WORDS)] for j in range(1, 9)) for i in range(200)]


def block(name: str, algorithm: str, more: str = "") -> str:
    return f"""
train "hf_tokenizer" "{name}" {{
  dataset    = source.texts
  text       = row.text
  algorithm  = "{algorithm}"
  vocab_size = 320
  {more}
}}
"""


def folder_of(pipeline: Pipeline, address: str) -> Path:
    from quern_hf import artifact

    class File:
        def __init__(self, name: str, path: str) -> None:
            self.name, self.path = name, path

    files = [File(n, str(p)) for n, p in quern.files(address, pipeline.folder).items()]
    return artifact.view(files, pipeline.folder / address)


def bpe() -> tokenizers.Tokenizer:
    """The tokenizer of the same settings, trained without quern."""
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    out = tokenizers.Tokenizer(models.BPE())
    out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    out.normalizer = normalizers.NFC()
    special = ["<|endoftext|>", "<|pad|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, min_frequency=2, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    out.train_from_iterator(TEXTS, trainer)
    return out


def unigram(folder: Path) -> list[str]:
    """The pieces of SentencePiece, trained without quern."""
    import sentencepiece

    (folder / "texts.txt").write_text("".join(f"{t}\n" for t in TEXTS))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "texts.txt"), model_prefix=str(folder / "spm"), vocab_size=320, hard_vocab_limit=False, pad_id=3,
        normalization_rule_name="identity", character_coverage=1.0, num_threads=1, minloglevel=1,
    )  # fmt: skip
    made = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    return [made.id_to_piece(i) for i in range(made.get_piece_size())]


def test_tokenizers_are_those_of_the_libraries_and_equal_runs_are_equal(pipeline, tmp_path):
    texts = "".join(json.dumps({"text": t}) + "\n" for t in [*TEXTS, ""])
    source = 'source "jsonl" "texts" {\n  path = "texts.jsonl"\n}\n'
    algorithms = ("bpe", "unigram", "wordpiece")
    template = """chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"\n  max_length = 99"""
    pipeline.write(source + "".join(block(a, a, template if a == "bpe" else "") for a in algorithms), texts_jsonl=texts)
    pipeline.apply()
    first = {a: pipeline.digest(f"train.{a}") for a in algorithms}
    pipeline.quern("apply", "-auto-approve", *(f"-replace=train.{a}" for a in algorithms))
    assert {a: pipeline.digest(f"train.{a}") for a in algorithms} == first
    loaded = {a: AutoTokenizer.from_pretrained(folder_of(pipeline, f"train.{a}")) for a in algorithms}
    for algorithm in algorithms:
        values, ours = quern.value(f"train.{algorithm}", pipeline.folder), Tokenizer(pipeline.folder / f"train.{algorithm}").backend
        assert (values["rows"], values["skipped"], values["vocab_size"]) == (200, 1, ours.get_vocab_size())
        encoded = [ours.encode(t, add_special_tokens=False) for t in TEXTS]
        assert values["characters_per_token"] == pytest.approx(sum(map(len, TEXTS)) / sum(len(e.ids) for e in encoded))
        assert [ours.decode(e.ids) for e in encoded] == TEXTS
        assert loaded[algorithm](TEXTS[0])["input_ids"] == ours.encode(TEXTS[0]).ids
    assert loaded["bpe"].get_vocab() == bpe().get_vocab()
    assert [bpe().encode(t).ids for t in TEXTS[:20]] == [loaded["bpe"](t)["input_ids"] for t in TEXTS[:20]]
    assert loaded["bpe"].model_max_length == 99 and loaded["bpe"].chat_template
    assert sorted(loaded["unigram"].get_vocab(), key=loaded["unigram"].get_vocab().get) == unigram(tmp_path)
    # With room for all, each word becomes one token.
    pieces = loaded["wordpiece"].tokenize(" ".join(WORDS) + " Lilycat")
    assert pieces == [*WORDS, "Lily", "##c", "##at"]
    assert loaded["wordpiece"](TEXTS[0])["input_ids"][0] == loaded["wordpiece"].cls_token_id
    assert loaded["wordpiece"].all_special_tokens == ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("min_frequency = 0", "min_frequency must be at least 1"),
        ('special_tokens = { end = "x" }', "not the name of a special token"),
        ('chat_template = "{% if %}"', "The chat template has an error"),
    ],
)
def test_arguments_are_checked_while_planning(pipeline, more, says):
    pipeline.write('source "jsonl" "texts" {\n  path = "texts.jsonl"\n}\n' + block("words", "bpe", more), texts_jsonl='{"text": "a"}\n')
    out = pipeline.quern("plan", fails=True)
    assert says in " ".join(out.replace("│", " ").split()) and "main.quern.hcl" in out
