"""stories260K as transformers saves a model: the real, tiny language model of these tests.

The weights are those of Karpathy's llama2.c in its first layout, and the tokenizer
is its SentencePiece-like BPE (testdata/stories260K).
"""

from __future__ import annotations

import pathlib
import struct

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, processors
from tokenizers.models import BPE
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

DATA = pathlib.Path(__file__).parent / "testdata/stories260K"

# Marks what the assistant says, as trainers need it. The space before it belongs to its first token.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}Tale:{% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ message['role'].capitalize() + ': ' + message['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Tale:{% endif %}"
)


def save(folder: pathlib.Path) -> pathlib.Path:
    """Writes the model into a folder and returns it."""
    model().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def model() -> LlamaForCausalLM:
    content = (DATA / "stories260K.bin").read_bytes()
    dim, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("<7i", content[:28])
    rest = np.frombuffer(content, "<f4", offset=28)

    def take(*shape: int) -> torch.Tensor:
        nonlocal rest
        size = int(np.prod(shape))
        taken, rest = rest[:size], rest[size:]
        return torch.from_numpy(taken.reshape(shape).copy())

    kv = dim // heads * kv_heads
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=context,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        dtype="float32",
    )
    out = LlamaForCausalLM(config)
    embedding = take(vocabulary, dim)
    weights = {"model.embed_tokens.weight": embedding, "lm_head.weight": embedding}
    shapes = [
        ("input_layernorm", (dim,)),
        ("self_attn.q_proj", (dim, dim)),
        ("self_attn.k_proj", (kv, dim)),
        ("self_attn.v_proj", (kv, dim)),
        ("self_attn.o_proj", (dim, dim)),
        ("post_attention_layernorm", (dim,)),
        ("mlp.gate_proj", (hidden, dim)),
        ("mlp.down_proj", (dim, hidden)),
        ("mlp.up_proj", (hidden, dim)),
    ]
    for name, shape in shapes:
        for layer, weight in enumerate(take(layers, *shape)):
            if name.endswith(("q_proj", "k_proj")):
                weight = _halves(weight, heads if name.endswith("q_proj") else kv_heads)
            weights[f"model.layers.{layer}.{name}.weight"] = weight
    weights["model.norm.weight"] = take(dim)
    out.load_state_dict(weights)
    out.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2)
    return out


def _halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorders the rows of each head: llama2.c rotates neighbors, transformers the two halves."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns).contiguous()


def tokenizer() -> PreTrainedTokenizerFast:
    pieces = _pieces()
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    # A merge is better the earlier its result is in the vocabulary.
    merges = [
        (piece[:i], piece[i:])
        for piece in pieces[259:]
        for i in range(1, len(piece))
        if piece[:i] in vocabulary and piece[i:] in vocabulary
    ]
    bpe = Tokenizer(BPE(vocab=vocabulary, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    bpe.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    bpe.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")])
    out = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>")
    out.model_max_length = 512
    out.chat_template = CHAT_TEMPLATE
    return out


def _pieces() -> list[str]:
    content = (DATA / "tok512.bin").read_bytes()
    pieces, at = [], 4
    while at < len(content):
        _, length = struct.unpack_from("<fi", content, at)
        pieces.append(content[at + 8 : at + 8 + length].decode().replace(" ", "▁"))
        at += 8 + length
    pieces[0], pieces[1], pieces[2] = "<unk>", "<s>", "</s>"
    return pieces
