"""Requests of quern, answered by a model of transformers."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any

from quern import plugin

from .serve import Continuation, Model, token_texts
from .tokens import TemplateError


@dataclasses.dataclass(frozen=True)
class Defaults:
    """What applies to requests that do not say otherwise.

    Attributes:
        temperature: 0: always the most likely token.
        top_p: The probability that the tokens to draw from have together.
        max_tokens: None: what fits the model's context.
        seed: None: answers with a temperature above 0 cannot be repeated.
        stop: Strings at which an answer ends.
        strip_thinking: Reasoning before the answer is set apart.
    """

    temperature: float = 0
    top_p: float = 1
    max_tokens: int | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    strip_thinking: bool = True


def answer(model: Model, request: plugin.ChatRequest, defaults: Defaults) -> plugin.ChatResponse:
    """Answers a request. Raises plugin.CallError if the model cannot."""
    if request.tools:
        raise plugin.CallError('models of the type "hf" cannot call tools', status=400)
    prompt = _prompt(model, request)
    out = plugin.ChatResponse("", usage=plugin.Usage(input=len(prompt.tokens)))
    if request.prompt_logprobs:
        out.prompt_logprobs = _scored(model, request, prompt)
    if request.max_tokens != 0:
        _generate(model, request, prompt.tokens, defaults, out)
    return out


def _generate(model: Model, request: plugin.ChatRequest, prompt: Sequence[int], defaults: Defaults, out: plugin.ChatResponse) -> None:
    continued = model.generate(
        Continuation(
            prompt,
            max_tokens=_room(model, len(prompt), request.max_tokens, defaults),
            temperature=defaults.temperature if request.temperature is None else request.temperature,
            top_p=defaults.top_p if request.top_p is None else request.top_p,
            seed=defaults.seed if request.seed is None else request.seed,
            stop=tuple(request.stop or defaults.stop),
        )
    )
    out.text, out.finish_reason, out.usage.output = continued.text, continued.finish_reason, len(continued.tokens)
    if request.logprobs:
        texts = token_texts(model.tokenizer, prompt, continued.tokens)
        out.logprobs = [plugin.TokenLogprob(t, p) for t, p in zip(texts, continued.logprobs, strict=True)]
    if defaults.strip_thinking and not request.prompt:
        strip_thinking(out)


@dataclasses.dataclass(frozen=True)
class _Prompt:
    """What the model reads: a text, its tokens, and the first and last character of each."""

    text: str
    tokens: list[int]
    offsets: list[tuple[int, int]]

    def pieces(self) -> list[str]:
        """Returns the parts of the text that the tokens stand for. A token that ends inside of a character has none."""
        out, at = [], 0
        for i, (_, end) in enumerate(self.offsets):
            if i == len(self.offsets) - 1:
                end = len(self.text)
            elif self.offsets[i + 1] != (0, 0) and self.offsets[i + 1][0] < end:
                end = at
            out.append(self.text[at : max(at, end)])
            at = max(at, end)
        return out


def _prompt(model: Model, request: plugin.ChatRequest) -> _Prompt:
    text = request.prompt or conversation(model, request)
    # A template writes the tokens that begin a text; a prompt gets them from the tokenizer.
    encoded = model.tokenizer.backend.encode(text, add_special_tokens=bool(request.prompt))
    if model.context and len(encoded.ids) > model.context:
        raise plugin.CallError(f"the request has {len(encoded.ids)} tokens, but the model's context has only {model.context}", status=400)
    return _Prompt(text, encoded.ids, encoded.offsets)


def _scored(model: Model, request: plugin.ChatRequest, prompt: _Prompt) -> list[plugin.PromptLogprob]:
    scores = model.score(prompt.tokens)
    messages = _owners(model, request, prompt) if not request.prompt else [None] * len(prompt.tokens)
    decode = model.tokenizer.backend.decode
    return [
        plugin.PromptLogprob(text, logprob, top and plugin.TokenLogprob(decode([top[0]], skip_special_tokens=False), top[1]), message)
        for text, logprob, top, message in zip(prompt.pieces(), scores.logprobs, scores.top, messages, strict=True)
    ]


def _owners(model: Model, request: plugin.ChatRequest, prompt: _Prompt) -> list[int | None]:
    """Returns for each token the message that it belongs to; None for tokens of the template.

    A message of the assistant has the tokens that training learns from. Of other
    messages, it is the content.
    """
    owners: list[int | None] = [None] * len(prompt.tokens)
    at = 0
    for i, message in enumerate(request.messages):
        content = message.content.strip()
        begin = prompt.text.find(content, at)
        if begin >= 0 and message.role != "assistant":
            _own(owners, prompt, i, begin, begin + len(content))
        at = max(at, begin + len(content))
    assistants = [i for i, m in enumerate(request.messages) if m.role == "assistant"]
    template = model.tokenizer.template
    if not assistants or template is None:
        return owners
    try:
        rendered = template.conversation([_message(m) for m in request.messages])
    except TemplateError:
        return owners
    _, written = model.tokenizer.rendered(rendered)
    if prompt.text.startswith(rendered.text) and len(rendered.assistant) == len(assistants):
        for i, (begin, end) in zip(assistants, rendered.assistant, strict=True):
            _own(owners, prompt, i, begin, end, written)
    return owners


def _own(owners: list[int | None], prompt: _Prompt, message: int, begin: int, end: int, only: Sequence[bool] | None = None) -> None:
    for i, (first, last) in enumerate(prompt.offsets):
        # A token can begin with a space of the template.
        if first < end and last > begin and (only is None or i < len(only) and only[i]):
            owners[i] = message


def conversation(model: Model, request: plugin.ChatRequest) -> str:
    """Returns the text of a conversation, up to where the model goes on.

    If the last message is the assistant's, the model continues it; if nothing is to be
    generated, the conversation is complete.
    """
    template = model.tokenizer.template
    if template is None:
        raise plugin.CallError(
            "the model has no chat template\nIt is a base model: use a prompt in place of messages, or set chat_template.", status=400
        )
    messages = [_message(m) for m in with_schema(request)]
    try:
        if request.max_tokens == 0:
            return template.render(messages)
        if messages and messages[-1]["role"] == "assistant":
            written = messages[-1]["content"].strip()
            text = template.render(messages)
            return text[: text.rindex(written) + len(written)]
        return template.render(messages, reply=True)
    except TemplateError as e:
        raise plugin.CallError(str(e), status=400) from e


def _message(message: plugin.Message) -> dict[str, Any]:
    if message.tool_calls or message.role == "tool":
        raise plugin.CallError('models of the type "hf" cannot call tools', status=400)
    return {"role": message.role, "content": message.content}


def with_schema(request: plugin.ChatRequest) -> list[plugin.Message]:
    """Returns the messages, with the schema of the answer in the instructions if there is one."""
    messages = list(request.messages)
    if request.output is None:
        return messages
    schema = json.dumps(request.output.schema, ensure_ascii=False, separators=(",", ":"))
    text = f"Answer with a JSON object that fits this JSON schema, and nothing else:\n{schema}"
    if messages and messages[0].role == "system":
        return [dataclasses.replace(messages[0], content=messages[0].content.rstrip("\n") + "\n\n" + text), *messages[1:]]
    return [plugin.Message("system", text), *messages]


def _room(model: Model, prompt: int, wanted: int | None, defaults: Defaults) -> int:
    """Returns how many tokens an answer can have."""
    limit = defaults.max_tokens if wanted is None else wanted
    if not model.context:
        return limit or 1024
    left = model.context - prompt
    if left < 1:
        raise plugin.CallError(f"the request has {prompt} tokens, but the model's context has only {model.context}", status=400)
    return left if limit is None else min(limit, left)


_BLOCK = re.compile(r"\s*<(think|thinking|thought|reasoning|reflection)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
# The template opened the block, so the answer only closes it.
_CLOSED = re.compile(r"\s*(?P<thought>(?:(?!<think>).)*?)(?:^|\n)</think>\n", re.DOTALL)


def strip_thinking(response: plugin.ChatResponse) -> None:
    """Sets the reasoning before an answer apart, as quern's other models do."""
    thoughts = []
    while found := _BLOCK.match(response.text):
        thoughts.append(found[2].strip())
        response.text = response.text[found.end() :].strip()
    if not thoughts and (found := _CLOSED.match(response.text)):
        thoughts.append(found["thought"].strip())
        response.text = response.text[found.end() :].strip()
    if thoughts:
        response.thinking = "\n".join(thoughts)
        response.logprobs = ()  # they are those of the whole text
