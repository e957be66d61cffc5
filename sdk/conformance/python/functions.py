"""Functions."""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated

import pyarrow as pa
from base import p
from quern import plugin


@p.function("join", behavior_version=2, deprecated="Write a template instead.")
def join(separator: str, *texts: str | None) -> str | None:
    """Joins texts.

    Null is left out.

    Args:
        separator: What is put between the texts.
        texts: The texts.
    """
    if separator == "?":
        raise plugin.Error("it is a question", argument="separator")
    if separator == "!":
        raise plugin.Error("it is an order")
    if separator == "crash":
        os._exit(7)
    given = [t for t in texts if t is not None]
    return separator.join(given) if given else None


@dataclasses.dataclass
class Tagged:
    name: str
    tags: list[str]


@dataclasses.dataclass
class All:
    flag: bool
    whole: int
    real: float
    name: str
    tags: list[str]


@p.function("same")
def same(flag: bool, whole: int, real: float, item: Tagged) -> All:
    """Returns its arguments."""
    return All(flag, whole, real, item.name, item.tags)


@p.function("repeat")
def repeat(text: Annotated[pa.Array, str], times: Annotated[pa.Array, int]) -> Annotated[pa.Array, str]:
    """Repeats a text."""
    return pa.array([t * n for t, n in zip(text.to_pylist(), times.to_pylist())], pa.string())
