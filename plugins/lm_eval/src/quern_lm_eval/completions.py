"""The harness's own command line with one more model: quern's completions, whose scores need no tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from lm_eval.api.registry import register_model  # type: ignore[import-untyped]
from lm_eval.models.openai_completions import LocalCompletionsAPI  # type: ignore[import-untyped]
from tqdm import tqdm


@register_model("quern-completions")
class Completions(LocalCompletionsAPI):  # type: ignore[misc]
    """Completions with texts in place of tokens.

    The harness's model tokenizes a context itself to find out how many of the tokens that
    it gets back belong to it. quern says where each token begins in the text.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(tokenizer_backend=None, tokenized_requests=False, **arguments)

    def loglikelihood(self, instances: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Returns the log-likelihood of each continuation, and whether it is the most likely one."""
        given = [instance.args for instance in instances]
        scores = self._scores([context + continuation for context, continuation in given], disable_tqdm)
        return [_of(score, len(context)) for score, (context, _) in zip(scores, given, strict=True)]

    def loglikelihood_rolling(self, instances: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Returns the log-likelihood of each text."""
        scores = self._scores([instance.args[0] for instance in instances], disable_tqdm)
        return [_of(score, 0)[0] for score in scores]

    def _scores(self, texts: Sequence[str], quiet: bool) -> Iterable[dict[str, Any]]:
        with ThreadPoolExecutor(max(1, self._concurrent)) as pool, requests.Session() as session:

            def score(text: str) -> dict[str, Any]:
                body = {"model": self.model, "prompt": text, "max_tokens": 0, "logprobs": 1, "echo": True}
                answer = session.post(self.base_url, json=body, headers=self.header, timeout=self.timeout)
                if not answer.ok:
                    raise RuntimeError(f"The model did not score a text: {answer.text}")
                scored: dict[str, Any] = answer.json()["choices"][0]["logprobs"]
                return scored

            yield from tqdm(pool.map(score, texts), total=len(texts), disable=quiet, desc="Requesting API")


def _of(score: dict[str, Any], begin: int) -> tuple[float, bool]:
    """Returns the sum of the tokens that begin at a character or later, and whether each is the most likely one."""
    total, greedy = 0.0, True
    for token, p, top, offset in zip(score["tokens"], score["token_logprobs"], score["top_logprobs"], score["text_offset"], strict=True):
        if offset < begin or p is None and not token:
            continue
        if p is None:
            raise RuntimeError(
                f"The model gives the first token, {token!r}, no log-probability: it does not begin a text with a token of its own."
            )
        total += p
        greedy = greedy and p == max(top.values())
    return total, greedy


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate  # type: ignore[import-untyped]

    cli_evaluate()
