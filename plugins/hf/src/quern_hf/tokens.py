"""Chat templates and tokenizers, without transformers and torch.

Plans, training, and inference render conversations with the same function, so that a
model is asked with the text that it was trained on. Tests compare the results with
those of transformers.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    import tokenizers

Message = Mapping[str, Any]
"""A message of a conversation: ``role``, ``content``, and what else its template reads."""

Span = tuple[int, int]
"""The first character of a part of a text, and the one after its last."""

# They surround what the model writes, in templates with {% generation %}.
_OPEN, _CLOSE = "\ue000", "\ue001"


class TemplateError(ValueError):
    """A conversation cannot be rendered. The text says why, and what to do."""


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A conversation as text.

    Attributes:
        text: What the model reads.
        assistant: The parts of it that the model is to write: the messages of the
            assistant with the tokens that end them.
    """

    text: str
    assistant: Sequence[Span]


class Template:
    """A chat template.

    Args:
        source: The Jinja source.
        special: The special tokens by their names, such as ``bos_token``.
    """

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        self.source = source
        self._special = dict(special)
        self._generation = "{% generation" in source or "{%- generation" in source

    @cached_property
    def _compiled(self) -> jinja2.Template:
        import jinja2

        try:
            return _environment().from_string(self.source)
        except jinja2.TemplateSyntaxError as e:
            raise TemplateError(f"The chat template has an error in line {e.lineno}\n{e.message}") from None

    def check(self) -> None:
        """Raises TemplateError if the template has a syntax error."""
        _ = self._compiled

    def render(self, messages: Sequence[Message], *, reply: bool = False, tools: Sequence[Any] | None = None) -> str:
        """Returns the text of a conversation.

        Args:
            messages: The messages, from the first.
            reply: End with what begins a message of the assistant, so that the model continues with it.
            tools: The JSON schemas of the functions that the model can call.

        Raises:
            TemplateError: The template refuses the conversation.
        """
        return self._render(messages, reply, tools).replace(_OPEN, "").replace(_CLOSE, "")

    def _render(self, messages: Sequence[Message], reply: bool, tools: Sequence[Any] | None) -> str:
        import jinja2

        given = [{k: v for k, v in m.items() if v is not None} for m in messages]
        try:
            return self._compiled.render(messages=given, tools=tools or None, documents=None, add_generation_prompt=reply, **self._special)
        except jinja2.TemplateError as e:
            raise TemplateError(f"The chat template refuses the conversation\n{e}") from None

    def conversation(self, messages: Sequence[Message], *, last: bool = False, tools: Sequence[Any] | None = None) -> Rendered:
        """Returns the text of a finished conversation, and which parts of it the assistant wrote.

        If the template marks them with ``{% generation %}``, these are the parts. Otherwise,
        the part of a message is what it adds to the text of the conversation before it.

        Args:
            messages: The messages.
            last: Only the last message counts as the assistant's.
            tools: As in ``render``.

        Raises:
            TemplateError: The template refuses the conversation, or the parts cannot be found.
        """
        if self._generation:
            text, spans = _marked(self._render(messages, False, tools))
        else:
            text, spans = self._added(messages, last, tools)
        if not spans:
            raise TemplateError('No message of the conversation is from the role "assistant"\nThere is nothing in it to learn from.')
        return Rendered(text, spans[-1:] if last else spans)

    def _added(self, messages: Sequence[Message], last: bool, tools: Sequence[Any] | None) -> tuple[str, list[Span]]:
        text = self._render(messages, False, tools)
        spans: list[Span] = []
        for i, message in enumerate(messages):
            if message.get("role") != "assistant" or (last and i < len(messages) - 1):
                continue
            before = self._render(messages[:i], True, tools)
            after = text if i == len(messages) - 1 else self._render(messages[: i + 1], False, tools)
            if not after.startswith(before) or not text.startswith(after):
                raise TemplateError(
                    "The chat template renders a message differently if others follow it\n"
                    "So it is not clear which tokens the assistant wrote. Give a chat_template that marks them with {% generation %}, "
                    "or split the conversations so that only the last message is the assistant's."
                )
            spans.append((len(before), len(after)))
        return text, spans


def _marked(text: str) -> tuple[str, list[Span]]:
    out: list[str] = []
    spans: list[Span] = []
    length = 0
    for i, part in enumerate(text.split(_OPEN)):
        written, close, rest = part.partition(_CLOSE) if i else ("", "", part)
        if i:
            spans.append((length, length + len(written)))
        out += [written, rest]
        length += len(written) + len(rest)
    return "".join(out), spans


def _environment() -> jinja2.Environment:
    """The environment of chat templates, as transformers has it."""
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """Surrounds what the assistant writes with marks."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("mark"), [], [], body).set_lineno(line)

        def mark(self, caller: Callable[[], str]) -> str:
            return _OPEN + caller() + _CLOSE

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def strftime_now(format: str) -> str:
        return datetime.datetime.now().strftime(format)

    def tojson(x: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    out = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    out.filters["tojson"] = tojson
    out.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return out


class Tokenizer:
    """The tokenizer of a model: ``tokenizer.json`` and what belongs to it.

    Args:
        folder: The model's folder.
        chat_template: Jinja source that replaces the model's own chat template.

    Raises:
        FileNotFoundError: The folder has no ``tokenizer.json``.
    """

    def __init__(self, folder: str | Path, chat_template: str | None = None) -> None:
        self._folder = Path(folder)
        self._file = self._folder / "tokenizer.json"
        if not self._file.exists():
            raise FileNotFoundError(f"{self._folder} has no tokenizer.json")
        config = _json(self._folder / "tokenizer_config.json")
        self.special = _special(config, _json(self._folder / "special_tokens_map.json"))
        """The special tokens by their names, such as ``eos_token``."""
        source = chat_template or self._own_template(config)
        self.template = Template(source, self.special) if source else None
        """The chat template; None if the model has none."""

    @cached_property
    def backend(self) -> tokenizers.Tokenizer:
        """The tokenizer itself, without truncation and padding."""
        import tokenizers

        out = tokenizers.Tokenizer.from_file(str(self._file))
        out.no_truncation()
        out.no_padding()
        return out

    def _own_template(self, config: Mapping[str, Any]) -> str | None:
        file = self._folder / "chat_template.jinja"
        if file.exists():
            return file.read_text(encoding="utf-8")
        own = config.get("chat_template")
        if isinstance(own, list):  # several templates by name
            own = {t["name"]: t["template"] for t in own}.get("default")
        return own

    @property
    def eos(self) -> int | None:
        """The token that ends a text; None if the model has none."""
        name = self.special.get("eos_token")
        return None if name is None else self.backend.token_to_id(name)

    def text(self, text: str) -> list[int]:
        """Returns the tokens of a plain text, with those that begin and end it."""
        ids: list[int] = self.backend.encode(text).ids
        if self.eos is not None and ids[-1:] != [self.eos]:
            ids.append(self.eos)
        return ids

    def rendered(self, rendered: Rendered) -> tuple[list[int], list[bool]]:
        """Returns the tokens of a conversation, and for each whether the assistant wrote it.

        Of what comes after the token that ends a message, such as a line break of the
        template, the model writes nothing.
        """
        encoded = self.backend.encode(rendered.text, add_special_tokens=False)
        written = [False] * len(encoded.ids)
        for begin, end in rendered.assistant:
            inside = [i for i, (first, _) in enumerate(encoded.offsets) if begin <= first < end]
            ends = [n for n, i in enumerate(inside) if encoded.ids[i] in self._special_ids]
            if ends and not rendered.text[encoded.offsets[inside[ends[-1]]][1] : end].strip():
                inside = inside[: ends[-1] + 1]
            for i in inside:
                written[i] = True
        return encoded.ids, written

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        return frozenset(i for i, t in self.backend.get_added_tokens_decoder().items() if t.special)


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _special(*configs: Mapping[str, Any]) -> dict[str, str]:
    out: dict[str, str] = {}
    for config in configs:
        for name, value in config.items():
            if name.endswith("_token") and isinstance(value, (str, dict)):
                out.setdefault(name, value if isinstance(value, str) else value["content"])
    return out
