"""The plugin with stages that only tests have: they ask models and return what these answer."""

from __future__ import annotations

import dataclasses

import program  # noqa: F401 (finds the plugin)
from quern import plugin
from quern_hf import __main__, hf


@dataclasses.dataclass
class Answer:
    said: str
    finish_reason: str
    tokens: int


@hf.transform("hf_ask", concurrency=4)
class Ask(plugin.Mapper):
    """Asks a model."""

    text: plugin.Row[str]
    model: plugin.Model

    def map_row(self, text: str) -> Answer:
        answer = self.model.chat(text)
        return Answer(answer.text, answer.finish_reason, answer.usage.output)


@hf.transform("hf_vector")
class Vector(plugin.Mapper):
    """Embeds texts."""

    text: plugin.Row[str]
    model: plugin.Model

    def map_row(self, text: str) -> list[float]:
        return self.model.embed([text])[0]


if __name__ == "__main__":
    __main__.main()
