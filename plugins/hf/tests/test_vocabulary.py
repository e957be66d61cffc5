"""hf_sft with a tokenizer of hf_tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import quern
import stories
import torch
import transformers
from conftest import Pipeline, tiny_llama, tiny_tokenizer
from quern_hf import vocabulary
from quern_hf.tokens import Tokenizer
from safetensors.torch import load_file
from test_tokenizer import folder_of
from transformers import AutoModelForCausalLM, AutoTokenizer

NAMES = ("Tim", "Lily", "Tom", "Sue", "Ben", "Mia")
THINGS = ("a red ball", "a big dog", "the little bird", "an old tree")
STORIES = [f"Once upon a time, there was a boy named {n}. {n} saw {t} in the park and was happy." for n in NAMES for t in THINGS]
WORDS = """
source "jsonl" "texts" { path = "texts.jsonl" }
model "hf" "base" { path = "base" }
train "hf_tokenizer" "words" {
  dataset    = source.texts
  text       = row.text
  vocab_size = 400
  chat_template = "{% for m in messages %}{{ m['content'] }}<|endoftext|>{% endfor %}"
}
"""


def sft(more: str) -> str:
    return f"""
train "hf_sft" "tuned" {{
  base                   = model.base
  dataset                = source.texts
  tokenizer              = train.words
  learning_rate          = 0.001
  batch_size             = 4
  epochs                 = 20
  gradient_checkpointing = false
  precision              = "float32"
  {more}
}}
"""


@pytest.fixture
def told(pipeline: Pipeline) -> Pipeline:
    """A pipeline with the real tiny model and stories."""
    torch.set_num_threads(1)
    stories.save(pipeline.folder / "base")
    pipeline.write(WORDS, texts_jsonl="".join(json.dumps({"text": t, "name": t.split()[9].strip(".")}) + "\n" for t in STORIES))
    return pipeline


def loss_per_character(folder: Path) -> float:
    """The mean surprise of a character of the stories, in nats, which does not depend on the tokenizer."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), Tokenizer(folder)
    total = 0.0
    with torch.no_grad():
        for text in STORIES:
            ids = torch.tensor([tokenizer.backend.encode(text, add_special_tokens=False).ids])
            total += model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
    return total / sum(map(len, STORIES))


def test_the_tokenizer_of_the_base_itself_changes_nothing(tmp_path):
    base = stories.save(tmp_path / "base")
    vocabulary.replace(base, base, tmp_path / "same")
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "same/model.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        first, second = (json.loads((folder / name).read_text()) for folder in (base, tmp_path / "same"))
        assert second == first | ({} if name == "tokenizer.json" else {"pad_token_id": 2})


def test_a_new_token_begins_as_the_tokens_of_its_text(tmp_path):
    old = Tokenizer(stories.save(tmp_path / "base"))
    new = Tokenizer(tiny_tokenizer(tmp_path / "new"))
    found = vocabulary.origins(old, new)
    number = new.backend.token_to_id
    assert found[number("a")] == old.backend.encode("Xa", add_special_tokens=False).ids[-1:]
    assert found[number("Ġ")] == [old.backend.token_to_id("▁")]
    assert found[number("<|im_end|>")] == [old.eos] and found[number("<|im_start|>")] == []
    assert found[number("Ã")] == [], "the first byte of a character is no text"
    vocabulary.replace(tmp_path / "base", tmp_path / "new", tmp_path / "made")
    weight = AutoModelForCausalLM.from_pretrained(tmp_path / "made").get_input_embeddings().weight
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "base").get_input_embeddings().weight
    assert torch.equal(weight[number("a")], whole[found[number("a")][0]])
    assert torch.allclose(weight[number("<|im_start|>")], whole.mean(dim=0))


def reversed_tokenizer(base: Path, folder: Path) -> Path:
    """Writes a tokenizer that numbers the bytes from the last to the first."""
    folder.mkdir()
    content = json.loads((base / "tokenizer.json").read_text())
    content["model"]["vocab"] = {token: 255 - number for token, number in content["model"]["vocab"].items()}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text((base / "tokenizer_config.json").read_text())
    return folder


@pytest.mark.parametrize("kind", ["tied", "untied", "with a bias"])
def test_other_numbers_for_the_same_tokens_change_no_prediction(tmp_path, kind):
    base = tiny_llama(tmp_path / "base")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 259}
    if kind == "untied":
        transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).save_pretrained(base)
    elif kind == "with a bias":
        model = transformers.PhiForCausalLM(transformers.PhiConfig(**sizes))
        torch.nn.init.normal_(model.lm_head.bias)
        model.save_pretrained(base)
    other = reversed_tokenizer(base, tmp_path / "other")
    vocabulary.replace(base, other, tmp_path / "made")
    logits = []
    for folder in (base, tmp_path / "made"):
        ids = Tokenizer(folder).backend.encode("Lily ran.").ids
        logits.append(AutoModelForCausalLM.from_pretrained(folder).eval()(torch.tensor([ids])).logits[0])
    assert torch.equal(logits[1], logits[0][:, [*range(255, -1, -1), 256, 257, 258]])


def test_a_model_learns_to_use_a_trained_tokenizer(told):
    told.write(WORDS + sft("text = row.text"))
    told.apply()
    tuned = folder_of(told, "train.tuned")
    trained = Tokenizer(tuned)
    assert trained.backend.to_str() == Tokenizer(folder_of(told, "train.words")).backend.to_str()
    config = AutoModelForCausalLM.from_pretrained(tuned).config
    assert (config.vocab_size, config.eos_token_id) == (trained.backend.get_vocab_size(), trained.eos)
    # Fewer tokens write the same text at least as well as the base does with its own.
    assert len(trained.text(STORIES[0])) < len(Tokenizer(told.folder / "base").text(STORIES[0]))
    assert loss_per_character(tuned) < loss_per_character(told.folder / "base")
    tokenizer = AutoTokenizer.from_pretrained(tuned)
    assert tokenizer(STORIES[0])["input_ids"] == trained.backend.encode(STORIES[0]).ids
    assert "No changes" in told.quern("plan")
    described = json.loads(Path(quern.files("train.tuned", told.folder)["quern.json"]).read_text())
    assert described["base"]["tokenizer"] == told.digest("train.words")


def test_conversations_are_trained_with_the_template_of_the_tokenizer(told):
    told.write(
        WORDS
        + sft("prompt = prompt.tell\n  target = row.text")
        + """
prompt "tell" {
  user = "Tell of ${row.name}. "
}
label "llm" "said" {
  input  = source.texts
  model  = train.tuned
  prompt = prompt.tell
}
"""
    )
    told.apply()
    answers = {r["said"] for r in quern.load("label.said", told.folder).to_pylist()}
    assert all(a.startswith("Once upon a time, there was a boy named ") for a in answers)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("lora {}", "tokenizer and lora cannot be combined"),
        ('template = "{% if %}"', "The chat template has an error in line 1"),
        ("#", "tokenizer is not a tokenizer"),
    ],
)
def test_a_plan_says_why_a_tokenizer_cannot_be_used(told, more, says):
    blocks = WORDS + sft(f"text = row.text\n{more}")
    told.write(blocks.replace("train.words", "model.base") if more == "#" else blocks)
    text = " ".join(told.quern("plan", fails=True).replace("│", " ").split()).casefold()
    assert says.casefold() in text and "main.quern.hcl line" in text


def test_a_tokenizer_without_a_template_cannot_train_on_conversations(told):
    told.write(
        WORDS.replace("chat_template", "# chat_template")
        + sft('messages = [{ role = "user", content = "Tell" }, { role = "assistant", content = row.text }]')
    )
    assert "The tokenizer has no chat template" in told.quern("apply", "-auto-approve", fails=True)
