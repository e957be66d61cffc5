"""What the methods of a Deployment take and return."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal

from . import _protocol as pb
from ._errors import Error, warning
from ._unknown import Unknown


@dataclasses.dataclass
class State:
    """What the plugin must remember to find its deployment again. It must not contain secrets.

    Attributes:
        value: The attributes that users can refer to, as ``prepare`` declared them.
            An attribute that is newer than the state is None.
        private: For the plugin alone.
    """

    value: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    private: bytes = b""


@dataclasses.dataclass(frozen=True)
class Change:
    """One difference, for the user.

    Attributes:
        argument: The key of the argument.
        before: What it was.
        after: What it will be.
        forces_replacement: The deployment must be replaced because of it.
    """

    argument: str
    before: str
    after: str
    forces_replacement: bool = False


@dataclasses.dataclass(frozen=True)
class DeploymentPlan:
    """What ``apply`` would do.

    Attributes:
        action: What to do.
        changes: The differences, for the user.
        coexists: A deployment created from the arguments can exist together with the
            prior one, for example because it has another name. If the prior one is
            replaced, quern then calls ``apply`` without a prior state first and ``delete``
            with the prior state last, which must leave the new one as it is. Otherwise
            quern deletes the prior one first, so that for a while neither exists.
    """

    action: Literal["none", "create", "update", "replace"]
    changes: Sequence[Change] = ()
    coexists: bool = False


class Plan:
    """The request of ``Deployment.plan``. The handles of the deployment give the inputs that exist."""

    def __init__(self, prior: State | None, digests: Mapping[str, str], inputs: Set[str], unknown: Unknown) -> None:
        self.prior = prior
        """The current state; None if nothing is deployed."""
        self._digests = digests
        self._inputs = inputs
        self._unknown = unknown

    def digest(self, key: str) -> str | None:
        """Returns the digest of the artifact to deploy at a key; None if it is not known yet."""
        return self._digests.get(key)

    def exists(self, key: str) -> bool:
        """Reports whether the files of the model or report at a key can be read through its handle.

        If not, it may still have to be computed, or its files may not be on this
        machine yet. ``apply`` has to check again what ``plan`` checks about it.
        """
        return key in self._inputs

    def known(self, key: str) -> bool:
        """Reports whether the argument at a key has a value already."""
        return self._unknown.known(key)


class _Warnings:
    def __init__(self) -> None:
        self.warnings: list[pb.Diagnostic] = []

    def warn(self, text: str, *, argument: str = "") -> None:
        """Shows the user a warning. The first line of the text is the summary."""
        self.warnings.append(warning(text, argument))


class Apply(_Warnings):
    """The request of ``Deployment.apply``. The handles of the deployment give its inputs."""

    def __init__(self, prior: State | None, work_dir: str) -> None:
        super().__init__()
        self.prior = prior
        """The current state; None if nothing is deployed."""
        self.work_dir = work_dir
        """The absolute path of a folder for temporary files."""


class Delete(_Warnings):
    """The request of ``Deployment.delete``."""

    def __init__(self, state: State | None) -> None:
        super().__init__()
        self.state = state
        """The current state."""


class PartlyApplied(Error):
    """``apply`` failed after it had created something, which the state describes."""

    def __init__(self, text: str, state: State, *, argument: str = "") -> None:
        super().__init__(text, argument=argument)
        self.state = state
