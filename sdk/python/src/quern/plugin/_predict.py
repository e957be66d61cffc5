"""Predictions with the models that a plugin trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from . import _protocol as pb
from ._arrow import conform, cut, received, schema_of
from ._errors import Error, Fault
from ._map import row_errors
from ._stages import ModelFiles
from ._type import Type


def find(types: Iterable[Type], format: str) -> Type:
    """Returns the type that loads models of a format."""
    for t in types:
        if format in t.options.models:
            return t
    raise Error(f'no type of the plugin can predict with models of format "{format}"')


def serve_predict(type: Type, artifact: pb.Artifact, requests: Iterator[pb.PredictRequest]) -> Iterator[pb.PredictResponse]:
    """Loads a model and answers the batches in order."""
    cls: Any = type.cls
    files = ModelFiles(artifact)
    predictor = cls.load_model(files)
    try:
        schema = schema_of(files.signature.outputs)
        for request in requests:
            batch = received(request.rows)
            given = predictor.predict(batch)
            rows, errors = given if isinstance(given, tuple) else (given, ())
            rows = conform(rows, schema)
            if rows.num_rows != batch.num_rows:
                raise Fault(f"predict returned {rows.num_rows} rows for a batch of {batch.num_rows} rows")
            for piece in cut(rows):
                yield pb.PredictResponse(rows=piece.rows, errors=row_errors(piece, errors), more=piece.end < rows.num_rows)
    finally:
        close = getattr(predictor, "close", None)
        if close is not None:
            close()
