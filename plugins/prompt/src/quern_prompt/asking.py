"""Calls of models, within a budget."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

from quern import plugin


class Ended(BaseException):
    """The search is over. Not an ``Exception``, so that a library does not take it for a failure of its own."""


class Spent(Ended):
    """The next calls would exceed the budget, so none of them was made."""


class Failed(Ended):
    """The search cannot continue. ``argument`` is as in ``plugin.Error``."""

    def __init__(self, text: str, argument: str = "") -> None:
        super().__init__(text)
        self.argument = argument


class Waiting(Ended):
    """Answers wait in a batch of the provider."""

    def __init__(self, error: plugin.CallError) -> None:
        super().__init__(str(error))
        self.error = error


class Asker:
    """Asks models. A request is made once, however often the search asks it, and counts once.

    What counts does not depend on which answers quern has cached, so a search that is run again takes the same course.
    """

    def __init__(self, run: plugin.Run, most: int, reserved: int, concurrency: int) -> None:
        self.reserved = reserved
        """How many calls must be left."""
        self._run, self._most = run, most
        self._answers: dict[Hashable, plugin.ChatResponse | plugin.CallError] = {}
        self._pool = ThreadPoolExecutor(concurrency)

    @property
    def calls(self) -> int:
        """The number of calls so far."""
        return len(self._answers)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def all(
        self, model: plugin.Model, requests: Sequence[plugin.ChatRequest], draw: int = 0
    ) -> list[plugin.ChatResponse | plugin.CallError]:
        """Returns the answers to requests, or why one was refused for good.

        Raises:
            Spent: The calls would exceed the budget.
            Failed: A call may succeed later.
            Waiting: Answers wait in a batch. All requests are in it.
        """
        keys = [(model.key, r.encode(), draw) for r in requests]
        new = {k: r for k, r in zip(keys, requests) if k not in self._answers}
        if self.calls + len(new) > self._most - self.reserved:
            raise Spent
        answers = list(self._pool.map(lambda r: _ask(model, r, draw), new.values()))
        for answer in answers:
            if isinstance(answer, plugin.CallError) and answer.pending:
                raise Waiting(answer)
        self._answers.update(zip(new, answers))
        self._run.check()
        self._run.progress(self.calls, self._most, "calls")
        return [self._answers[k] for k in keys]


def _ask(model: plugin.Model, request: plugin.ChatRequest, draw: int) -> plugin.ChatResponse | plugin.CallError:
    try:
        return model.chat(request, draw=draw, accept_truncated=True)
    except plugin.CallError as e:
        if e.temporary and not e.pending:
            raise Failed(f"A call of the model failed\n{e}. Apply again to continue: the answers so far are cached.") from None
        return e
