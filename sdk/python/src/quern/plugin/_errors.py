"""Errors of stages, and how users see them."""

from __future__ import annotations

import errno
import logging
import os
import traceback

from . import _protocol as pb

_log = logging.getLogger("quern.plugin")

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Error(Exception):
    """A failure that users can fix.

    The first line of the text is the summary; the rest says how to fix it. quern
    shows it at the argument of the user's configuration. Any other exception is a
    bug in the plugin and is shown with its traceback.

    Args:
        text: What went wrong.
        argument: The key of the argument at fault, such as ``"limit"`` or
            ``"rule.spam.when"``; empty: the whole block.
    """

    def __init__(self, text: str, *, argument: str = "") -> None:
        super().__init__(text)
        self.argument = argument


class RowError(Exception):
    """A row that failed. The other rows continue.

    Raise it from a function that works on one row. A function that works on a
    batch returns a list of them, each with its ``row``.

    Args:
        message: Why the row has no result.
        row: The row's index in its batch.
        temporary: Another attempt may succeed.
    """

    def __init__(self, message: str, *, row: int = -1, temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.row = row
        self.temporary = temporary


class Pending(RowError):
    """A row or a stage that has no result yet, because it waits for something outside: a person, a batch API, a hosted job.

    Raise it from ``map_row`` or ``run``, or return it like a RowError. The next apply
    asks again: about a row with its token, about a stage with the same ``work_dir``.

    Args:
        message: What it waits for, in one line for people.
        row: The row's index in its batch.
        token: What is needed to ask about the row again instead of submitting it
            again, such as the ID of a batch job; at most 4,096 bytes, and no secret.
        check_after: When it is worth asking again, in seconds from now.
    """

    def __init__(self, message: str, *, row: int = -1, token: bytes = b"", check_after: float | None = None) -> None:
        super().__init__(message, row=row)
        self.token = token
        self.check_after = check_after


class CallError(Exception):
    """A single request to a model failed.

    A provider raises it from ``chat`` and ``embed``. A stage that asks a model
    gets it; if a row's function does not catch it, the row fails.

    Args:
        message: For users; without keys or complete requests.
        status: The HTTP status; 0: none.
        temporary: Another attempt may succeed.
        retry_after: How many seconds the provider asked to wait.
        pending: The request has not failed, but waits in a batch. Only a stage gets
            such an error. A row that lets it pass is pending. A whole-dataset stage
            that gets one makes its other requests, so that they are in the batch, too;
            whatever it then does, it is pending.
        check_after: When it is worth asking again if it is pending, in seconds from now.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        temporary: bool = False,
        retry_after: float | None = None,
        pending: bool = False,
        check_after: float | None = None,
    ) -> None:
        super().__init__(message if status == 0 else f"status {status}: {message}")
        self.message = message
        self.status = status
        self.temporary = temporary
        self.retry_after = retry_after
        self.pending = pending
        self.check_after = check_after

    def of_row(self) -> RowError:
        """Returns what the error means for the row that needs the answer."""
        if self.pending:
            return Pending(self.message, check_after=self.check_after)
        return RowError(str(self), temporary=self.temporary)


class Stopped(BaseException):
    """quern asked the work to end. Save a checkpoint, and let it pass.

    It is not an ``Exception``, so that ``except Exception`` does not hold it back.
    """


class Malformed(Exception):
    """A request is not as the protocol requires."""


class Fault(Exception):
    """The plugin's author made a mistake that only they can fix."""


def legible(text: str) -> str:
    """Returns a text that UTF-8 can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def split(text: str) -> tuple[str, str]:
    """Splits a text into its summary and the rest."""
    summary, _, detail = legible(text).partition("\n")
    return summary, detail.strip()


def error(summary: str, detail: str = "", argument: str = "") -> pb.Diagnostic:
    return pb.Diagnostic(severity=pb.Diagnostic.SEVERITY_ERROR, summary=summary, detail=detail, argument=argument)


def warning(text: str, argument: str = "") -> pb.Diagnostic:
    summary, detail = split(text)
    return pb.Diagnostic(severity=pb.Diagnostic.SEVERITY_WARNING, summary=summary, detail=detail, argument=argument)


def diagnostic(e: BaseException, doing: str = "") -> pb.Diagnostic:
    """Returns what the user sees of an exception.

    Args:
        e: The exception.
        doing: Who reports it, for example ``label "acme_length"``.
    """
    if _is_full_disk(e):
        what = legible(str(e)).replace("\n", " ")
        return error(
            "the disk is full", f"{what}. Free some space and run the command again: completed work is kept.", getattr(e, "argument", "")
        )
    if isinstance(e, Error):
        return error(*split(str(e)), e.argument)
    if isinstance(e, (RowError, CallError)):
        return error(*split(str(e)))
    if isinstance(e, Fault):
        return error("the plugin is faulty", legible(f"{doing}: {e}. Report it to the plugin's author."))
    _log.error("%s", doing, exc_info=e)
    return error(*split("".join(traceback.format_exception_only(type(e), e)).strip() + "\n" + authors_traceback(e)))


def _is_full_disk(e: BaseException | None) -> bool:
    """Reports whether an exception, or one that it was raised from, says that the disk or a quota is full."""
    while e is not None:
        if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        e = e.__cause__
    return False


def authors_traceback(e: BaseException) -> str:
    """Returns the traceback without the frames of the SDK."""
    frames = traceback.StackSummary.from_list(
        [frame for frame in traceback.extract_tb(e.__traceback__) if not frame.filename.startswith(_HERE)]
    )
    return "Traceback (most recent call last):\n" + "".join(frames.format()).rstrip() if frames else ""
