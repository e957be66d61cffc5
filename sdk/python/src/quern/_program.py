"""The program quern: where it is, and how its commands are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from typing import Any

from ._records import Diagnostic, Run


class Failed(Exception):
    """A command of quern failed. The text is what quern prints in a terminal.

    Attributes:
        diagnostics: The errors and warnings.
        run: What ``apply`` did before it failed; None for other commands, or if no run began.
    """

    def __init__(self, text: str, diagnostics: Iterable[Diagnostic] = (), run: Run | None = None) -> None:
        super().__init__(text)
        self.diagnostics = tuple(diagnostics)
        self.run = run


def program() -> str:
    """Returns the path of quern: from the variable QUERN, this environment's scripts, or PATH."""
    given = os.environ.get("QUERN")
    if given:
        return os.path.abspath(given)
    folders = (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
    found = shutil.which("quern", path=os.pathsep.join(folders)) or shutil.which("quern")
    if found is None:
        raise FileNotFoundError(
            "the program quern was not found in this Python's scripts folder or in PATH: install quern-dev, or set the variable QUERN to its path"
        )
    return os.path.abspath(found)


def environment() -> dict[str, str]:
    """Returns the variables for a command whose output is read."""
    return {**os.environ, "NO_COLOR": "1"}


def document(folder: str | os.PathLike[str], *command: str) -> Any:
    """Runs a command with -json in a folder and returns the document that it prints.

    Raises:
        Failed: The command failed.
    """
    done = subprocess.run([program(), *command], cwd=folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True)
    errors = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise Failed(reason(command[0], done.returncode, errors), diagnostics(done.stdout))
    sys.stderr.write(errors)
    return json.loads(done.stdout)


def reason(command: str, code: int, errors: str) -> str:
    """Returns the text of the error for a command that failed."""
    if errors.strip():
        # A notebook puts the name of the exception before the first line.
        return "\n" + errors.strip("\n")
    if code < 0:
        return f"quern {command} was ended by signal {-code}"
    return f"quern {command} ended with the exit code {code}"


def diagnostics(output: bytes) -> list[Diagnostic]:
    """Returns the diagnostics in the output of a command that failed."""
    try:
        found = json.loads(output)
    except ValueError:
        return []
    return diagnostics_of(found.get("diagnostics", [])) if isinstance(found, dict) else []


def diagnostics_of(found: Iterable[Mapping[str, Any]]) -> list[Diagnostic]:
    """Returns the diagnostics in a document or an event."""
    made = []
    for d in found:
        place = d.get("range") or {}
        made.append(
            Diagnostic(
                d["severity"],
                d["summary"],
                d.get("detail", ""),
                place.get("file", ""),
                place.get("start", {}).get("line", 0),
                d.get("address", ""),
            )
        )
    return made
