"""A stand-in for a vLLM server with a real model: stories260K, computed with numpy.

It follows vLLM's documented HTTP API as far as the tests need it: /v1/completions with
echo and logprobs, for texts and for tokens, and /tokenize, /detokenize, and /tokenizer_info.
The model is that of plugins/hf/tests/testdata/stories260K (MIT; see the README there).
"""

from __future__ import annotations

import http.server
import json
import pathlib
import struct
import threading
from typing import Any

import numpy as np

DATA = pathlib.Path(__file__).parents[2] / "hf/tests/testdata/stories260K"


class Tokenizer:
    """SentencePiece-like BPE. A text begins with a space that it does not have."""

    def __init__(self) -> None:
        content = (DATA / "tok512.bin").read_bytes()
        at = 4
        self.pieces: list[bytes] = []
        self.scores: list[float] = []
        while at < len(content):
            score, length = struct.unpack_from("<fi", content, at)
            self.pieces.append(content[at + 8 : at + 8 + length])
            self.scores.append(score)
            at += 8 + length
        self.index = {piece: i for i, piece in reversed(list(enumerate(self.pieces)))}

    def encode(self, text: str) -> list[int]:
        tokens: list[int] = []
        for character in " " + text if text else "":
            piece = character.encode()
            tokens += [self.index[piece]] if piece in self.index else [b + 3 for b in piece]
        while True:
            pairs = [
                (self.scores[self.index[p]], -i)
                for i in range(len(tokens) - 1)
                if (p := self.piece(tokens[i]) + self.piece(tokens[i + 1])) in self.index
            ]
            if not pairs:
                return tokens
            i = -max(pairs)[1]
            tokens[i : i + 2] = [self.index[self.piece(tokens[i]) + self.piece(tokens[i + 1])]]

    def piece(self, token: int) -> bytes:
        return bytes([token - 3]) if 3 <= token < 259 else self.pieces[token]

    def text(self, token: int, first: bool) -> str:
        text = self.piece(token).decode(errors="replace")
        return text.removeprefix(" ") if first else text


class Model:
    """Llama 2 with the weights of llama2.c's first layout."""

    def __init__(self) -> None:
        content = (DATA / "stories260K.bin").read_bytes()
        self.dim, hidden, self.layers, self.heads, self.kv_heads, vocabulary, _ = struct.unpack("<7i", content[:28])
        rest = np.frombuffer(content, "<f4", offset=28).astype(np.float64)
        at = 0

        def take(*shape: int) -> np.ndarray:
            nonlocal at
            size = int(np.prod(shape))
            at += size
            return rest[at - size : at].reshape(shape)

        d, n, kv = self.dim, self.layers, self.dim // self.heads * self.kv_heads
        self.embedding = take(vocabulary, d)
        self.norm1, self.q, self.k, self.v, self.o = take(n, d), take(n, d, d), take(n, kv, d), take(n, kv, d), take(n, d, d)
        self.norm2, self.gate, self.down, self.up = take(n, d), take(n, hidden, d), take(n, d, hidden), take(n, hidden, d)
        self.norm = take(d)

    def logprobs(self, tokens: list[int]) -> np.ndarray:
        """The log-probabilities of all tokens after each token: [position, token]."""
        x, t, size = self.embedding[tokens], len(tokens), self.dim // self.heads
        angle = np.arange(t)[:, None] / 10000 ** (np.arange(0, size, 2) / size)
        mask = np.triu(np.full((t, t), -np.inf), 1)
        for i in range(self.layers):
            h = _norm(x, self.norm1[i])
            q = _rotate((h @ self.q[i].T).reshape(t, self.heads, size), angle)
            k = _rotate((h @ self.k[i].T).reshape(t, self.kv_heads, size), angle).repeat(self.heads // self.kv_heads, 1)
            v = (h @ self.v[i].T).reshape(t, self.kv_heads, size).repeat(self.heads // self.kv_heads, 1)
            weights = _log_softmax(np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + mask)
            x = x + np.einsum("hqk,khd->qhd", np.exp(weights), v).reshape(t, -1) @ self.o[i].T
            h = _norm(x, self.norm2[i])
            gate = h @ self.gate[i].T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ self.up[i].T)) @ self.down[i].T
        return _log_softmax(_norm(x, self.norm) @ self.embedding.T)


def _norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def _rotate(x: np.ndarray, angle: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    even, odd = x[..., ::2], x[..., 1::2]
    return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)


def _log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Server(http.server.ThreadingHTTPServer):
    """Serves the model. ``asked`` has the bodies of the requests to /v1/completions."""

    daemon_threads = True

    def __init__(self) -> None:
        self.tokenizer, self.model = Tokenizer(), Model()
        self.asked: list[dict[str, Any]] = []
        self.wanted: tuple[int, threading.Event] | None = None
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def when(self, calls: int, reached: threading.Event) -> None:
        """Sets an event once so many requests are answered."""
        self.wanted = calls, reached

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        if self.wanted and len(self.asked) == self.wanted[0]:
            self.wanted[1].set()
        prompts = body["prompt"]
        if isinstance(prompts, str) or prompts and isinstance(prompts[0], int):
            prompts = [prompts]
        given = [self.tokenizer.encode(p) if isinstance(p, str) else p for p in prompts]
        return {
            "object": "text_completion",
            "model": body["model"],
            "choices": [{"index": i, **self.choice(tokens, body)} for i, tokens in enumerate(given)],
            "usage": {"prompt_tokens": sum(map(len, given)), "completion_tokens": len(given) * body["max_tokens"]},
        }

    def choice(self, prompt: list[int], body: dict[str, Any]) -> dict[str, Any]:
        tokens = list(prompt)
        for _ in range(body["max_tokens"]):
            tokens.append(int(self.model.logprobs(tokens)[-1].argmax()))
        after = self.model.logprobs(tokens)
        scores = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        at = 0
        for i, token in enumerate(tokens):
            text = self.tokenizer.text(token, i == 0)
            if i >= len(prompt) or body.get("echo"):
                p = float(after[i - 1][token]) if i else None
                best = int(after[i - 1].argmax()) if i else 0
                scores["tokens"].append(text)
                scores["token_logprobs"].append(p)
                scores["top_logprobs"].append({text: p, self.tokenizer.text(best, False): float(after[i - 1][best])} if i else None)
                scores["text_offset"].append(at)
            at += len(text)
        text = b"".join(map(self.tokenizer.piece, tokens)).decode(errors="replace").removeprefix(" ")
        if not body.get("echo"):
            text = "".join(scores["tokens"])
        for stop in body.get("stop") or []:
            text = text.partition(stop)[0]
        return {"text": text, "finish_reason": "length", "logprobs": scores if body.get("logprobs") is not None else None}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply({"tokenizer_class": "stories", "eos_token": "\n", "bos_token": "\n", "pad_token": None, "chat_template": None})

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        paths = {
            "/v1/completions": server.complete,
            "/tokenize": lambda b: {"tokens": server.tokenizer.encode(b["prompt"])},
            "/detokenize": lambda b: {"prompt": "".join(server.tokenizer.text(t, i == 0) for i, t in enumerate(b["tokens"]))},
        }
        self.reply(paths[self.path](body))

    def reply(self, answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass
