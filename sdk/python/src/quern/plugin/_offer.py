"""What a plugin offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _protocol as pb
from ._arguments import Body
from ._errors import diagnostic
from ._function import Function
from ._handles import Scope
from ._json import loads
from ._type import Type
from ._unknown import Unknown


class Offer:
    """The types, functions, and settings of a plugin, as quern asks for them."""

    def __init__(self, name: str, *, version: str, config: type | None = None) -> None:
        self.name = name
        self.version = version
        self.settings: Any = None
        """The settings, an instance of ``config``, once quern has sent them."""
        self.root = ""
        """The folder that relative paths in configurations start from."""
        self.types: dict[tuple[str, str], Type] = {}
        self.functions: dict[str, Function] = {}
        self._config = Body(config) if config else None
        self._configured: list[Callable[[], None]] = []

    def schema(self) -> pb.GetSchemaResponse:
        """Returns what quern learns about the plugin."""
        return pb.GetSchemaResponse(
            version=self.version,
            config=self._config.proto() if self._config else pb.Body(),
            types=[t.schema() for t in self.types.values()],
            json_values=True,
            functions=[f.schema() for f in self.functions.values()],
        )

    def set_up(self, request: pb.ConfigureRequest) -> list[pb.Diagnostic]:
        """Fills the settings."""
        try:
            self.root = request.root
            if self._config is not None:
                self.settings = self._config.decode(loads(request.config_json or b"{}"), "", "", Scope(pb.Instance()), Unknown())
            for function in self._configured:
                function()
        except Exception as e:
            return [diagnostic(e, f"plugin {self.name!r}")]
        return []
