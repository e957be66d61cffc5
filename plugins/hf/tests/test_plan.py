"""What plans say: checks of sample rows, and estimates. Known sizes of models, and what torch really keeps."""

from __future__ import annotations

import pytest
from conftest import tiny_tokenizer
from quern_hf import data, plan
from quern_hf.tokens import Tokenizer
from test_data import conversations

LLAMA = {"model_type": "llama"}
# Configurations as they are published, and the number of parameters that their cards or papers give.
SHAPES = {
    "SmolLM2-135M": (
        {
            **LLAMA,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "vocab_size": 49152,
            "tie_word_embeddings": True,
        },
        134_515_008,
    ),
    "Llama-3.2-1B": (
        {
            **LLAMA,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
            "tie_word_embeddings": True,
        },
        1_235_814_400,
    ),
    "Llama-2-7b": (
        {**LLAMA, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000},
        6_738_415_616,
    ),
    "Llama-3.1-8B": (
        {
            **LLAMA,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
        },
        8_030_261_248,
    ),
    "Mistral-7B": (
        {
            "model_type": "mistral",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 32000,
        },
        7_241_732_096,
    ),
    "Qwen2.5-7B": (
        {
            "model_type": "qwen2",
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
        },
        7_615_616_512,
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_number_of_parameters_is_what_is_published(name):
    config, parameters = SHAPES[name]
    assert plan.Shape.of(config).parameters == parameters


def test_an_adapter_has_as_many_parameters_as_peft_reports():
    """39,976,960 is what print_trainable_parameters shows for r = 16 on all linear layers of Llama 2 7B."""
    shape = plan.Shape.of(SHAPES["Llama-2-7b"][0])
    assert shape.adapter_parameters(16) == 39_976_960
    assert shape.adapter_parameters(8, ["q_proj", "v_proj"]) == 4_194_304


def test_memory_grows_in_the_order_of_the_methods():
    shape = plan.Shape.of(SHAPES["Llama-3.1-8B"][0])
    given = {"tokens": 8 * 1024, "precision": "bfloat16"}
    lora = {"r": 16}

    def gigabytes(**more):
        return plan.memory(shape, **given, **more) / 1e9

    qlora, adapter, full = (
        gigabytes(lora=lora, quantized=True, gradient_checkpointing=True),
        gigabytes(lora=lora, quantized=False, gradient_checkpointing=True),
        gigabytes(lora=None, quantized=False, gradient_checkpointing=True),
    )
    assert 8 < qlora < adapter < full
    assert 18 < adapter < 25 and 128 < full < 155
    assert gigabytes(lora=lora, quantized=False, gradient_checkpointing=False) > 2 * adapter


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", ["Llama-3.2-1B", "Llama-2-7b", "Qwen2.5-7B"])
def test_activations_are_what_torch_keeps(name, checkpointing):
    """On a model with an eighth of the sizes and few layers, in float32."""
    import torch
    import transformers

    config = {k: v // 8 if isinstance(v, int) and k in ("hidden_size", "intermediate_size") else v for k, v in SHAPES[name][0].items()}
    config |= {"num_hidden_layers": 6, "vocab_size": 64, "head_dim": config["hidden_size"] // config["num_attention_heads"]}
    kind = config.pop("model_type")
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(kind, **config)).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    kept: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    tokens = 256
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        out = model(input_ids=torch.ones(1, tokens, dtype=torch.long), use_cache=False)
    shape = plan.Shape.of({"model_type": kind, **config})
    want = plan.activations(shape, tokens=tokens, element=4, checkpointing=False)
    if checkpointing:
        want = shape.layers * tokens * shape.hidden * 4 + 3 * tokens * shape.hidden * 4
    print(sum(kept.values()), want)
    assert sum(kept.values()) == pytest.approx(want, rel=0.15)
    del out


def sample(tmp_path, rows, **more) -> plan.Sample:
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path))
    return plan.Sample.of(rows, lambda m: [data.chat(tokenizer, m)], **more)


def test_rows_that_cannot_be_trained_on_are_found_with_the_reason(tmp_path):
    found = list(plan.failures(sample(tmp_path, [*conversations(3), [{"role": "user", "content": "?"}], []]), "messages"))
    assert [(f.argument, f.error) for f in found] == [("messages", True)]
    assert found[0].text.startswith('Row 4 cannot be trained on\nNo message of the conversation is from the role "assistant".')
    assert found[0].text.endswith("2 of the 5 rows that were looked at cannot be trained on.")
    assert not list(plan.failures(sample(tmp_path, conversations(3)), "messages"))


@pytest.mark.parametrize(("longer", "error"), [("error", True), ("truncate", False), ("drop", False)])
def test_rows_that_are_too_long_are_found_with_their_share(tmp_path, longer, error):
    long = [{"role": "user", "content": "x" * 500}, {"role": "assistant", "content": "y"}]
    found = list(plan.lengths(sample(tmp_path, [*conversations(9), long]), 400, longer))
    assert [(f.argument, f.error) for f in found] == [("max_length", error)]
    assert found[0].text.startswith("10.0% of the rows have more than max_length = 400 tokens\n") and "row 10, with" in found[0].text
    assert not list(plan.lengths(sample(tmp_path, conversations(9)), 400, longer))


def test_rows_that_are_also_evaluated_on_are_found(tmp_path):
    some = conversations(6)
    found = list(plan.overlap(sample(tmp_path, some[:4]), sample(tmp_path, some[3:]), "validation"))
    assert found[0].text.startswith("1 of 3 rows to evaluate on are also trained on\nThe first is row 1")
    assert not list(plan.overlap(sample(tmp_path, some[:3]), sample(tmp_path, some[3:]), "validation"))


def test_tokens_and_steps_are_estimated_from_the_sample(tmp_path):
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path))
    every = conversations(1000)
    exact = sum(len(data.chat(tokenizer, m).ids) for m in every)
    assert sample(tmp_path, every[:200], total=1000).tokens(1024) == pytest.approx(exact, rel=0.02)
    assert sample(tmp_path, every[:200]).tokens(1024) is None
    assert plan.steps(1000, batch_size=8, processes=1, accumulation=4, epochs=3, most=None) == 96
    assert plan.steps(1000, batch_size=8, processes=1, accumulation=4, epochs=3, most=10) == 10
