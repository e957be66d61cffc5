"""Values in JSON: numbers keep their decimal digits, and no NaN or infinity gets through."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ._durations import format_duration
from ._errors import Fault


def loads(text: bytes) -> Any:
    """Decodes JSON. Numbers with a fraction or an exponent are Decimals."""
    return json.loads(text, parse_float=Decimal)


def anything(value: Any) -> Any:
    """Returns numbers with a fraction as floats, or as Decimals if a float does not have all their digits."""
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else value
    if isinstance(value, list):
        return [anything(v) for v in value]
    if isinstance(value, dict):
        return {k: anything(v) for k, v in value.items()}
    return value


def dumps(value: Any) -> str:
    """Encodes a plain value. What JSON cannot hold exactly is a Fault."""
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float, Decimal)):
        return _number(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dumps({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(k), ensure_ascii=False)}: {dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return "[" + ", ".join(dumps(v) for v in value) + "]"
    if isinstance(value, datetime.timedelta):
        return dumps(format_duration(value))
    if isinstance(value, (datetime.date, datetime.datetime)):
        return dumps(value.isoformat())
    if isinstance(value, os.PathLike):
        return dumps(os.fspath(value))
    if hasattr(value, "item"):  # a scalar of numpy or torch
        return dumps(value.item())
    raise Fault(f"{value!r} is a {type(value).__name__}, which a value cannot contain")


def _number(value: int | float | Decimal) -> str:
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float) and not math.isfinite(value) or isinstance(value, Decimal) and not value.is_finite():
        raise Fault(f"a value is {value}, but values cannot be NaN or infinite")
    return repr(float(value)) if isinstance(value, float) else str(value)
