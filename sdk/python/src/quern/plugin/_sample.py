"""Checks of a stage's rows while quern plans."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from . import _protocol as pb
from ._arrow import argument, received
from ._errors import diagnostic
from ._prepare import Prepare
from ._unknown import Unknown

if TYPE_CHECKING:
    from ._handles import Dataset, Prompt, Row
    from ._type import Type


@dataclasses.dataclass(frozen=True)
class Sample:
    """Some rows of a dataset: the first ones if it exists, and otherwise rows that it is expected to have, such as those before a split.

    Attributes:
        batch: The columns that ``prepare`` declared as read, and the row arguments.
        total: The number of rows of the dataset, an estimate if it does not exist yet;
            None: unknown.
        complete: These are all rows. Otherwise the dataset may have other rows, and may
            lack some of these.
    """

    batch: pa.RecordBatch
    total: int | None
    complete: bool

    @property
    def rows(self) -> int:
        """The number of rows of the sample."""
        return int(self.batch.num_rows)

    def table(self, *columns: str | Row[Any] | Prompt) -> pa.Table:
        """Returns columns and row arguments, as ``Dataset.table`` does. By default, all."""
        if not columns:
            return pa.Table.from_batches([self.batch])
        made = [self.batch.column(c) if isinstance(c, str) else argument(self.batch, c.key) for c in columns]
        return pa.table(made, names=[c if isinstance(c, str) else c.key for c in columns])


class SampleCheck:
    """One call of a Runner's ``check_sample``."""

    def __init__(self, request: pb.CheckSampleRequest, unknown: Unknown) -> None:
        self._request = request
        self._prepare = Prepare(request.instance, unknown)

    def sample(self, dataset: Dataset | None) -> Sample | None:
        """Returns rows of a dataset, or None if none is known yet or the argument is not set."""
        if dataset is None or dataset.key not in self._request.samples:
            return None
        s = self._request.samples[dataset.key]
        return Sample(received(s.rows), s.total if s.HasField("total") else None, s.complete)

    def known(self, key: str) -> bool:
        """Reports whether the argument at a key has a value already. See ``Prepare.known``."""
        return self._prepare.known(key)

    def error(self, text: str, *, argument: str = "") -> None:
        """Reports a mistake. See ``Prepare.error``. quern adds which rows were checked."""
        self._prepare.error(text, argument=argument)

    def warn(self, text: str, *, argument: str = "") -> None:
        """Reports something that may be a mistake."""
        self._prepare.warn(text, argument=argument)

    def set_estimate(
        self,
        *,
        rows: int | None = None,
        seconds: float | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        money: float | None = None,
    ) -> None:
        """Replaces the fields of the estimate of ``prepare`` that are not None."""
        self._prepare.set_estimate(rows=rows, seconds=seconds, input_tokens=input_tokens, output_tokens=output_tokens, money=money)

    def response(self) -> pb.CheckSampleResponse:
        out = self._prepare.out
        response = pb.CheckSampleResponse(diagnostics=out.diagnostics)
        if out.HasField("estimate"):
            response.estimate.CopyFrom(out.estimate)
        return response


def check(type: Type, request: pb.CheckSampleRequest) -> pb.CheckSampleResponse:
    """Calls ``check_sample`` of an instance. Raises Malformed."""
    for s in request.samples.values():
        received(s.rows)
    unknown = Unknown(request.instance.unknown)
    prepare, checked = Prepare(request.instance, unknown), SampleCheck(request, unknown)
    try:
        stage = type.decode(request.instance, unknown)
        type.declare(stage, prepare)
        if prepare.failed:
            return pb.CheckSampleResponse(diagnostics=prepare.out.diagnostics)
        stage.check_sample(checked)
    except Exception as e:
        response = checked.response()
        response.diagnostics.append(diagnostic(e, str(type)))
        return response
    return checked.response()
