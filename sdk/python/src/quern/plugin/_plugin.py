"""How an author declares a plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ._columns import Columns
from ._errors import Fault
from ._function import Function
from ._offer import Offer
from ._stages import Stage
from ._type import Options, Type

S = TypeVar("S", bound=type[Stage])
F = TypeVar("F", bound=Callable[..., Any])


class Plugin(Offer):
    """A plugin program and the types that it offers.

    Args:
        name: The plugin's usual local name. The names of its types begin with it
            and an underscore.
        version: A semantic version. While it ends in ``-dev``, quern recomputes
            results whenever the program changes.
        config: A dataclass with the settings of the plugin's own block; see ``settings``.
    """

    def source(self, name: str, *, behavior_version: int = 1, columns: Columns | None = None) -> Callable[[S], S]:
        """Registers a Source.

        Args:
            name: The type's name, the first label of the block.
            behavior_version: Part of every cache key. Raise it if, and only if, the
                same arguments and content now give different rows.
            columns: The columns, if they are always the same: a dataclass, or a
                dict of names and types.
        """
        return self._register("source", name, Options(behavior_version, columns))

    def transform(
        self,
        name: str,
        *,
        behavior_version: int = 1,
        columns: Columns | None = None,
        batch_rows: int = 0,
        concurrency: int = 1,
        stop_seconds: float = 0,
    ) -> Callable[[S], S]:
        """Registers a Mapper, a FlatMapper, or a Runner.

        Args:
            name: The type's name, the first label of the block.
            behavior_version: Part of every cache key. Raise it if, and only if, the
                same arguments and inputs now give different results.
            columns: The new columns or, for a Runner, those of its dataset.
            batch_rows: The maximum number of rows in a batch. Use few if each row
                takes long, so that results are saved early; 0: quern decides.
            concurrency: How many rows (``map_row``) or batches (``map_batch``) are
                worked on at the same time, in threads. Use more than one if they
                wait for something, such as a model.
            stop_seconds: For a Runner: how long it may take to save a checkpoint
                and return; 0: 30 seconds.
        """
        return self._register("transform", name, Options(behavior_version, columns, batch_rows, concurrency, stop_seconds))

    def label(
        self,
        name: str,
        *,
        behavior_version: int = 1,
        columns: Columns | None = None,
        batch_rows: int = 0,
        concurrency: int = 1,
        stop_seconds: float = 0,
    ) -> Callable[[S], S]:
        """Registers a Mapper or a Runner that labels rows. See ``transform``.

        A labeler's columns are named after the block: the first has the block's name,
        and the others begin with it and an underscore.
        """
        return self._register("label", name, Options(behavior_version, columns, batch_rows, concurrency, stop_seconds))

    def train(self, name: str, *, behavior_version: int = 1, models: Sequence[str] = (), stop_seconds: float = 0) -> Callable[[S], S]:
        """Registers a Runner that trains models. ``models`` are the formats that its ``load_model`` accepts."""
        return self._register("train", name, Options(behavior_version, stop_seconds=stop_seconds, models=models))

    def evaluate(self, name: str, *, behavior_version: int = 1, stop_seconds: float = 0) -> Callable[[S], S]:
        """Registers a Runner that evaluates."""
        return self._register("evaluate", name, Options(behavior_version, stop_seconds=stop_seconds))

    def model(self, name: str, *, behavior_version: int = 1) -> Callable[[S], S]:
        """Registers a Provider."""
        return self._register("model", name, Options(behavior_version))

    def deploy(self, name: str, *, behavior_version: int = 1, state_version: int = 0) -> Callable[[S], S]:
        """Registers a Deployment. Raise ``state_version`` if older states must be converted before they can be read."""
        return self._register("deploy", name, Options(behavior_version, state_version=state_version))

    def function(self, name: str, *, behavior_version: int = 1, deprecated: str = "") -> Callable[[F], F]:
        """Registers a function that expressions can call as ``acme::name(…)``.

        Its parameters and its result have types, as those of ``map_row`` do. A parameter
        with the type ``T | None`` can be null; for null in any other one, the function
        is not called. ``*texts: str`` takes any number of further arguments. If all
        types are ``Annotated[pa.Array, T]``, the function gets the values of many calls at a time.

        It must be pure: the same arguments give the same result. quern caches results, and
        calls it from several threads, also for values that nobody needs in the end. An
        ``Error``, which can name a parameter, fails the expression, or one row of it.

        The first line of the docstring is the summary, and its section ``Args:``
        describes the parameters.

        Args:
            name: What follows the plugin's local name and two colons.
            behavior_version: Part of the cache keys of the stages that use the
                function. Raise it if, and only if, the same arguments now give different
                results.
            deprecated: Why the function should no longer be called, and what to use instead.
        """

        def register(function: F) -> F:
            try:
                if name in self.functions:
                    raise Fault("it is declared twice")
                self.functions[name] = Function(name, function, behavior_version=behavior_version, deprecated=deprecated)
            except Fault as e:
                raise TypeError(f'function "{name}": {e}') from None
            return function

        return register

    def configure(self, function: Callable[[], None]) -> Callable[[], None]:
        """Registers a function that is called once, when ``settings`` and ``root`` are set. Its errors are shown at the plugin's block."""
        self._configured.append(function)
        return function

    def _register(self, kind: str, name: str, options: Options) -> Callable[[S], S]:
        def register(cls: S) -> S:
            try:
                if (kind, name) in self.types:
                    raise Fault("it is declared twice")
                self.types[kind, name] = Type(kind, name, cls, options, self.types)
            except Fault as e:
                raise TypeError(f'{kind} "{name}": {e}') from None
            return cls

        return register

    def serve(self, *, workers: int = 1) -> None:
        """Serves the plugin: the last line of the program. It returns when quern no longer needs the plugin.

        Args:
            workers: The number of processes that work on rows and predictions. More
                than one uses several processors for functions in pure Python; each
                takes the memory and the start of another interpreter.

        Nothing may be printed to stdout before it is called. Later output, and that
        of ``logging``, goes to the log of the run.
        """
        from ._process import serve

        serve(self, workers)
