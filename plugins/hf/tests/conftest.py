"""What the tests share: tiny models, and quern with the plugin."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[3]
PROGRAM = ROOT / "plugins/hf/tests/program.py"

# One thread: the machine is shared, and the models are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_llama(
    folder: pathlib.Path, *, dropout: float = 0.0, dtype: str = "float32", seed: int = 0, template: str | None = CHATML
) -> pathlib.Path:
    """Writes a Llama of two layers with random weights and a tokenizer of bytes into a folder."""
    import torch
    import transformers

    tiny_tokenizer(folder, template)
    transformers.set_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        attention_dropout=dropout,
        bos_token_id=None,
        eos_token_id=257,
        pad_token_id=258,
        tie_word_embeddings=True,
    )
    transformers.LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def tiny_tokenizer(folder: pathlib.Path, template: str | None = CHATML) -> pathlib.Path:
    """Writes a tokenizer whose tokens are bytes into a folder. It needs no torch."""
    import tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    model = tokenizers.models.BPE({c: i for i, c in enumerate(letters)}, [])
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|pad|>"])
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|pad|>", "model_max_length": 1024}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if template:
        (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A tiny Llama, with dropout."""
    return tiny_llama(tmp_path_factory.mktemp("tiny"), dropout=0.1)


class Pipeline:
    """A folder with a configuration, and quern in it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = json.dumps([sys.executable, str(PROGRAM)])
        self.head = f'quern {{\n  required_plugins {{\n    hf = {{ command = {command} }}\n  }}\n}}\nplugin "hf" {{\n  environment = ["OMP_NUM_THREADS"]\n}}\n'
        path = [str(ROOT / "sdk/python/src"), str(ROOT / "plugins/hf/src")]
        self.write("")
        self.env = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "NO_COLOR": "1", "XDG_CACHE_HOME": str(folder / "cache")}

    def write(self, blocks: str, **files: str) -> None:
        """Writes the configuration and data files, whose names have their dots as underscores."""
        (self.folder / "main.quern.hcl").write_text(self.head + blocks)
        for name, content in files.items():
            stem, _, suffix = name.rpartition("_")
            (self.folder / f"{stem}.{suffix}").write_text(content)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Starts quern."""
        command = [os.environ["QUERN"], f"-chdir={self.folder}", *arguments]
        options = {"stderr": subprocess.STDOUT, **options}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.env, **options)

    def quern(self, *arguments: str, fails: bool = False) -> str:
        """Runs quern and returns what it prints."""
        with self.start(*arguments) as process:
            out, _ = process.communicate(timeout=900)
        assert (process.returncode != 0) == fails, out
        return out

    def read(self, *arguments: str) -> Any:
        """Runs a command of quern and returns the JSON that it prints."""
        with self.start(*arguments, "-json", stderr=subprocess.DEVNULL) as process:
            return json.loads(process.communicate(timeout=900)[0])

    def apply(self) -> str:
        return self.quern("apply", "-auto-approve")

    def value(self, address: str) -> Mapping[str, Any]:
        """The values of a stage."""
        listed = self.read("state", "list")["instances"]
        return next(i["value"] for i in listed if i["address"] == address)

    def digest(self, address: str) -> str:
        """The digest of an artifact."""
        for a in self.read("artifact", "list")["artifacts"]:
            if ".".join(filter(None, (a["address"], a.get("port")))) == address:
                return a["artifact"]["digest"]
        raise AssertionError(f"{address} has no artifact")


@pytest.fixture
def pipeline(tmp_path: pathlib.Path) -> Pipeline:
    """A pipeline with the plugin."""
    made = Pipeline(tmp_path / "pipeline")
    made.quern("init")
    return made
