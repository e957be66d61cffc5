"""GGUF files: what llama.cpp reads of what is written, and what transformers reads of what others wrote."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import numpy as np
import pytest
import stories
import torch
from quern_hf.gguf import refusal, rope_factors, unpack, write
from quern_hf.tokens import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

PROMPTS = ["Once upon a time", "Lily and Tom went to the park. They", "The big dog ran é 123"]

SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port, p.n_ctx, p.ui, p.verbosity = sys.argv[1], ["127.0.0.1"], 0, 512, False, 1
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
import os; os._exit(0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return stories.save(tmp_path_factory.mktemp("stories"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@contextmanager
def llama_cpp(file: Path) -> Iterator[str]:
    """Serves a GGUF file with llama.cpp and yields the address."""
    python = os.environ.get("QUERN_TEST_LLM")
    if not python:
        pytest.skip("QUERN_TEST_LLM is not set: the Python of `make llm`, which has llama.cpp")
    with subprocess.Popen([python, "-c", SERVER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read())


def test_llama_cpp_answers_as_transformers_does(folder, tmp_path):
    write(folder, tmp_path / "model.gguf", "f32")
    plain, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with llama_cpp(tmp_path / "model.gguf") as url:
        for prompt in PROMPTS:
            given = tokenizer(prompt, return_tensors="pt")
            split = post(f"{url}/tokenize", {"content": prompt, "add_special": True})["tokens"]
            assert split == given["input_ids"][0].tolist()
            want = plain.generate(**given, max_new_tokens=40, do_sample=False)[0, given["input_ids"].shape[1] :].tolist()
            asked = {
                "prompt": split,
                "n_predict": 40,
                "temperature": 0,
                "return_tokens": True,
                "samplers": ["temperature"],
                "repeat_penalty": 1,
            }
            assert post(f"{url}/completion", asked)["tokens"] == want
        messages = [{"role": "user", "content": "Tell me about Lily."}]
        rendered = post(f"{url}/apply-template", {"messages": messages})["prompt"]
        assert rendered.removeprefix("<s>") == Tokenizer(folder).template.render(messages, reply=True).removeprefix("<s>")


@pytest.mark.parametrize("type", ["f32", "f16", "q8_0"])
def test_weights_are_rounded_as_far_as_the_type_says(folder, tmp_path, type):
    write(folder, tmp_path / "model.gguf", type)
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    kinds = {t.name: t.tensor_type.name for t in reader.tensors}
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert kinds["blk.0.ffn_up.weight"] == {"f32": "F32", "f16": "F16", "q8_0": "Q8_0"}[type]
    # Rows of 172 numbers do not consist of blocks of 32.
    assert kinds["blk.0.ffn_down.weight"] == {"f32": "F32", "f16": "F16", "q8_0": "F16"}[type]
    stored = AutoModelForCausalLM.from_pretrained(folder).state_dict()["model.layers.0.mlp.up_proj.weight"].numpy()
    [tensor] = [t for t in reader.tensors if t.name == "blk.0.ffn_up.weight"]
    read = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    most = {"f32": 0, "f16": 2**-11 * np.abs(stored).max(), "q8_0": np.abs(stored).max() / 127 / 2 * 1.01}[type]
    assert np.abs(read - stored).max() <= most


def test_transformers_reads_the_same_weights_back(folder, tmp_path):
    write(folder, tmp_path / "model.gguf", "f32")
    back = AutoModelForCausalLM.from_pretrained(unpack(tmp_path / "model.gguf"))
    for name, weight in AutoModelForCausalLM.from_pretrained(folder).state_dict().items():
        assert torch.equal(back.state_dict()[name], weight), name


def test_equal_models_are_equal_files(folder, tmp_path):
    write(folder, tmp_path / "a.gguf", "q8_0")
    write(folder, tmp_path / "b.gguf", "q8_0")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_the_biases_of_qwen2_are_written(folder, tmp_path):
    config = Qwen2Config(
        vocab_size=512, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, tie_word_embeddings=False,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    model.save_pretrained(tmp_path / "qwen")
    for file in folder.glob("*token*"):
        (tmp_path / "qwen" / file.name).symlink_to(file)
    write(tmp_path / "qwen", tmp_path / "model.gguf", "f32")
    back = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf")
    for name, weight in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], weight), name


def test_frequencies_of_llama_3_are_divided_as_transformers_does():
    rope = {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }  # fmt: skip
    config = LlamaConfig(hidden_size=256, num_attention_heads=2, rope_parameters=rope, max_position_embeddings=131072)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1 / 500000.0 ** (torch.arange(0, 128, 2) / 128)
    assert rope_factors(config.to_dict()) == pytest.approx((plain / scaled).numpy(), rel=1e-5)
    assert len(set(rope_factors(config.to_dict()).tolist())) > 3
    assert rope_factors(LlamaConfig().to_dict()) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"architectures": ["FalconForCausalLM"]}, "FalconForCausalLM cannot be written"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4}}, "yarn"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantized"),
    ],
)
def test_what_llama_cpp_would_misread_is_refused(folder, tmp_path, change, says):
    for file in folder.iterdir():
        if file.name != "config.json":
            (tmp_path / file.name).symlink_to(file)
    config = json.loads((folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert says in refusal(tmp_path)


def test_a_tokenizer_of_unknown_kind_is_refused(folder, tmp_path):
    for file in folder.iterdir():
        if file.name != "tokenizer.json":
            (tmp_path / file.name).symlink_to(file)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["byte_fallback"] = False
    content["normalizer"] = None
    content["pre_tokenizer"] = {"type": "Whitespace"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert "splits text" in refusal(tmp_path)


def test_a_model_without_tied_weights_has_an_output(tmp_path, folder):
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, tie_word_embeddings=False
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "m")
    for file in folder.glob("*token*"):
        (tmp_path / "m" / file.name).symlink_to(file)
    write(tmp_path / "m", tmp_path / "model.gguf", "f16")
    assert "output.weight" in {t.name for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
