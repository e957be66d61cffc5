"""GGUF files: reading them as models of transformers, and writing models for llama.cpp.

Models of the Llama family can be written: Llama, Mistral, and Qwen2. Others are refused,
as are tokenizers whose way of splitting text llama.cpp does not have under a known name,
because llama.cpp would then answer something else without an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from quern import plugin

from .digests import cache_folder, digest
from .libraries import loading
from .tokens import Tokenizer

if TYPE_CHECKING:
    import gguf
    import numpy as np
    import torch

Type = Literal["f32", "f16", "q8_0"]

# Architectures of transformers, with llama.cpp's name and whether the rotated halves of queries and keys are interleaved there.
_ARCHITECTURES = {
    "LlamaForCausalLM": ("llama", True),
    "MistralForCausalLM": ("llama", True),
    "Qwen2ForCausalLM": ("qwen2", False),
}

_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


# Reading.


def describe(file: Path) -> Path:
    """Returns a folder with the config and the tokenizer of a GGUF file, as transformers saves them.

    It is made once for each content.

    Raises:
        plugin.Error: The file cannot be read, or transformers does not know its architecture.
    """
    return _made(file, "", _describe)


def unpack(file: Path) -> Path:
    """Returns a folder with the model of a GGUF file as transformers saves it, with weights that are not quantized. It is made once.

    Raises:
        plugin.Error: As for ``describe``.
    """
    return _made(file, "-weights", _unpack)


def _made(file: Path, suffix: str, make: Any) -> Path:
    folder = cache_folder() / "gguf" / (digest(file).partition(":")[2][:32] + suffix)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            with _explained(file), loading():
                make(file, Path(temporary, "made"))
            with contextlib.suppress(FileExistsError):  # another process was faster
                Path(temporary, "made").rename(folder)
    return folder


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    with open(file, "rb") as content:
        if content.read(4) != b"GGUF":
            raise plugin.Error(f"{file.name} is not a GGUF file", argument="gguf")
    try:
        yield
    except (ValueError, KeyError, NotImplementedError) as e:
        raise plugin.Error(f"transformers cannot read {file.name}\n{e}", argument="gguf") from e


def _describe(file: Path, folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    architecture: Any = AutoModelForCausalLM._model_mapping[type(config)]
    config.architectures = [architecture.__name__]
    config.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True).save_pretrained(folder)


def _unpack(file: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    # The weights are not quantized any more, but transformers still takes them for it.
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(folder)
    shutil.copytree(describe(file), folder, ignore=shutil.ignore_patterns("generation_config.json"), dirs_exist_ok=True)


# Writing.


def refusal(folder: Path) -> str:
    """Returns why the model in a folder cannot be written as a GGUF file; empty if it can. The weights are not read."""
    config = json.loads((folder / "config.json").read_text())
    architecture = (config.get("architectures") or ["?"])[0]
    if architecture not in _ARCHITECTURES:
        return f"{architecture} cannot be written as GGUF\nSupported are {', '.join(_ARCHITECTURES)}."
    rope = _rope(config)
    if rope["rope_type"] not in ("default", "linear", "llama3"):
        return f"the position encoding {rope['rope_type']!r} cannot be written as GGUF\nSupported are default, linear, and llama3."
    if config.get("quantization_config"):
        return "the weights are quantized\nOnly weights in float32, float16, or bfloat16 can be written as GGUF."
    try:
        _vocabulary(Tokenizer(folder), config["vocab_size"])
    except ValueError as e:
        return str(e)
    return ""


def write(folder: Path, file: Path, type: Type) -> None:
    """Writes the model in a folder as a GGUF file. Tensors are read one at a time.

    Matrices get the type; vectors stay in float32. With ``q8_0``, a matrix whose rows are
    no multiple of 32 has the type f16, as in llama.cpp's own converter.

    Raises:
        plugin.Error: The model is not supported; see ``refusal``.
    """
    import gguf
    import numpy as np

    if reason := refusal(folder):
        raise plugin.Error(reason)
    config = json.loads((folder / "config.json").read_text())
    architecture, interleaved = _ARCHITECTURES[config["architectures"][0]]
    writer = gguf.GGUFWriter(file, architecture)
    _write_config(writer, config, type)
    _write_tokenizer(writer, Tokenizer(folder), config, folder)
    tensors = _Tensors(folder, config, architecture, interleaved, type)
    for name, shape, kind in tensors.listed():
        dtype = np.dtype({"F32": "float32", "F16": "float16"}.get(kind.name, "uint8"))
        stored = gguf.quant_shape_to_byte_shape(shape, kind) if dtype == np.uint8 else shape
        writer.add_tensor_info(name, stored, dtype, int(np.prod(stored)) * dtype.itemsize, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for content in tensors.contents():
        writer.write_tensor_data(content)
    writer.close()


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """The position encoding, from either form of the config."""
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return {
        **given,
        "rope_type": given.get("rope_type") or given.get("type") or "default",
        "rope_theta": given.get("rope_theta") or config.get("rope_theta") or 10000.0,
    }


def _head_dim(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _write_config(writer: gguf.GGUFWriter, config: Mapping[str, Any], type: Type) -> None:
    import gguf

    rope = _rope(config)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_file_type(
        {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}[type]
    )
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config.get("num_key_value_heads") or config["num_attention_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_dimension_count(_head_dim(config))
    writer.add_key_length(_head_dim(config))
    writer.add_value_length(_head_dim(config))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def rope_factors(config: Mapping[str, Any]) -> np.ndarray | None:
    """Returns by what Llama 3 divides each frequency of its position encoding; None for other models."""
    import numpy as np

    rope = _rope(config)
    if rope["rope_type"] != "llama3":
        return None
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    context = rope["original_max_position_embeddings"]
    dim = _head_dim(config)
    out = []
    for i in range(0, dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / dim)
        smooth = (context / wavelength - low) / (high - low)
        if wavelength < context / high:
            out.append(1.0)
        elif wavelength > context / low:
            out.append(factor)
        else:
            out.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(out, np.float32)


class _Tensors:
    """The weights of a model under llama.cpp's names, in the order of the file."""

    def __init__(self, folder: Path, config: Mapping[str, Any], architecture: str, interleaved: bool, type: Type) -> None:
        import gguf

        arch = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2}[architecture]
        self._names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
        self._config, self._interleaved, self._type = config, interleaved, type
        self._files = sorted(folder.glob("*.safetensors"))
        self._factors = rope_factors(config)

    def _read(self) -> Iterator[tuple[str, Any, str]]:
        """Yields llama.cpp's name, the open file, and the name in it."""
        import safetensors

        for file in self._files:
            with safetensors.safe_open(file, "pt") as opened:
                for name in sorted(opened.keys()):
                    if name == "lm_head.weight" and self._config.get("tie_word_embeddings"):
                        continue  # llama.cpp uses the embedding
                    found = self._names.get_name(name, try_suffixes=(".weight", ".bias"))
                    if found is None:
                        raise plugin.Error(f"the tensor {name} has no place in a GGUF file")
                    yield found, opened, name

    def _kind(self, shape: list[int]) -> gguf.GGMLQuantizationType:
        import gguf

        if len(shape) < 2 or self._type == "f32":
            return gguf.GGMLQuantizationType.F32
        if self._type == "q8_0" and shape[-1] % 32 == 0:
            return gguf.GGMLQuantizationType.Q8_0
        return gguf.GGMLQuantizationType.F16

    def listed(self) -> Iterator[tuple[str, list[int], gguf.GGMLQuantizationType]]:
        """Yields name, shape, and type of each tensor."""
        if self._factors is not None:
            yield "rope_freqs.weight", list(self._factors.shape), self._kind([1])
        for name, opened, stored in self._read():
            shape = list(opened.get_slice(stored).get_shape())
            yield name, shape, self._kind(shape)

    def contents(self) -> Iterator[np.ndarray]:
        """Yields the tensors as they are in the file."""
        import gguf

        if self._factors is not None:
            yield self._factors
        for _, opened, stored in self._read():
            tensor = opened.get_tensor(stored).float()
            yield gguf.quants.quantize(self._arranged(stored, tensor).numpy(), self._kind(list(tensor.shape)))

    def _arranged(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Interleaves the halves of each head, which llama.cpp rotates as neighbors."""
        heads = {
            "q_proj": self._config["num_attention_heads"],
            "k_proj": self._config.get("num_key_value_heads") or self._config["num_attention_heads"],
        }.get(name.split(".")[-2])
        if heads is None or not self._interleaved:
            return tensor
        return tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape).contiguous()


# Tokenizers.


@dataclasses.dataclass(frozen=True)
class _Vocabulary:
    """A tokenizer in llama.cpp's terms."""

    model: Literal["llama", "gpt2"]
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]


def _vocabulary(tokenizer: Tokenizer, size: int) -> _Vocabulary:
    """Raises ValueError if llama.cpp has no such tokenizer."""
    content = json.loads(tokenizer.backend.to_str())
    model = content["model"]
    if model["type"] != "BPE":
        raise ValueError(f"a tokenizer of the type {model['type']} cannot be written as GGUF\nSupported are BPE tokenizers.")
    merges = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
    tokens = {i: t for t, i in model["vocab"].items()}
    added = {t["id"]: t for t in content["added_tokens"]}
    tokens.update({i: t["content"] for i, t in added.items()})
    sentencepiece = bool(model.get("byte_fallback"))
    types = [_type(i, tokens, added, model, sentencepiece) for i in range(size)]
    ranks = {a + b: rank for rank, (a, b) in reversed(list(enumerate(merges)))}
    return _Vocabulary(
        model="llama" if sentencepiece else "gpt2",
        pre="default" if sentencepiece else _pre(content),
        tokens=[tokens.get(i, f"[PAD{i}]") for i in range(size)],
        types=types,
        scores=[-float(ranks[tokens[i]]) if tokens.get(i) in ranks else 0.0 if types[i] != 1 else -1e6 for i in range(size)],
        merges=[] if sentencepiece else [f"{a} {b}" for a, b in merges],
    )


def _type(i: int, tokens: Mapping[int, str], added: Mapping[int, Any], model: Mapping[str, Any], sentencepiece: bool) -> int:
    import gguf

    if i not in tokens:
        return int(gguf.TokenType.UNUSED)
    if tokens[i] == model.get("unk_token"):
        return int(gguf.TokenType.UNKNOWN)
    if i in added:
        return int(gguf.TokenType.CONTROL if added[i]["special"] else gguf.TokenType.USER_DEFINED)
    byte = sentencepiece and len(tokens[i]) == 6 and tokens[i].startswith("<0x")
    return int(gguf.TokenType.BYTE if byte else gguf.TokenType.NORMAL)


def _pre(content: Mapping[str, Any]) -> str:
    """Returns llama.cpp's name for how a byte-level BPE splits text."""
    if content.get("normalizer") not in (None, {"type": "NFC"}):
        raise ValueError("the normalizer of the tokenizer cannot be written as GGUF")
    given = content.get("pre_tokenizer") or {}
    steps = given.get("pretokenizers", [given])
    kinds = [s.get("type") for s in steps]
    pattern = next((s["pattern"].get("Regex") for s in steps if s.get("type") == "Split"), None)
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and pattern == _LLAMA3:
        return "llama-bpe"
    if kinds == ["Split", "ByteLevel"] and pattern == _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"):
        return "qwen2"
    raise ValueError(
        "llama.cpp has no known name for how the tokenizer splits text\nSupported are the tokenizers of Llama, Mistral, Qwen2, SmolLM, and GPT-2."
    )


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, config: Mapping[str, Any], folder: Path) -> None:
    v = _vocabulary(tokenizer, config["vocab_size"])
    writer.add_tokenizer_model(v.model)
    writer.add_tokenizer_pre(v.pre)
    writer.add_token_list(v.tokens)
    writer.add_token_types(v.types)
    if v.model == "llama":
        writer.add_token_scores(v.scores)
    else:
        writer.add_token_merges(v.merges)
    ids = {name: tokenizer.backend.token_to_id(token) for name, token in tokenizer.special.items()}
    adders = {
        "bos_token": writer.add_bos_token_id,
        "eos_token": writer.add_eos_token_id,
        "unk_token": writer.add_unk_token_id,
        "pad_token": writer.add_pad_token_id,
    }
    for name, add in adders.items():
        if (token := ids.get(name)) is not None:
            add(token)
    for end in _more_ends(folder, ids.get("eos_token")):
        writer.add_eot_token_id(end)
    first = tokenizer.backend.encode("a").ids[:1]
    writer.add_add_bos_token(bool(first) and first[0] == ids.get("bos_token"))
    if v.model == "llama":
        writer.add_add_space_prefix(tokenizer.backend.encode("a", add_special_tokens=False).tokens[0].startswith("▁"))
    if tokenizer.template is not None:
        writer.add_chat_template(tokenizer.template.source)


def _more_ends(folder: Path, eos: int | None) -> list[int]:
    """Tokens that end an answer besides the one that ends a text; llama.cpp has a place for one."""
    file = folder / "generation_config.json"
    given = json.loads(file.read_text()).get("eos_token_id") if file.exists() else None
    ends = given if isinstance(given, list) else [given]
    return [e for e in ends if e is not None and e != eos][:1]
