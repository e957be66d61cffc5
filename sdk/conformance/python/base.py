"""The plugin that the other files add their types to."""

from __future__ import annotations

import dataclasses

from quern import plugin


@dataclasses.dataclass
class Settings:
    greeting: str = "hello"
    """What conform_values returns."""


p = plugin.Plugin("conform", version="1.0.0", config=Settings)


@p.configure
def configure() -> None:
    if not p.settings.greeting:
        raise plugin.Error("there is no greeting\nWrite one.", argument="greeting")
