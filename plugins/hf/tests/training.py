"""Training in the process of a test, without quern: faster than through it."""

from __future__ import annotations

import hashlib
import importlib
import pathlib
from collections.abc import Sequence
from typing import Any

from quern.testing import new
from quern_hf.data import Longer, RowsFile, chat, write_items
from quern_hf.job import Job
from quern_hf.sft import Sft
from quern_hf.tokens import Tokenizer


def sft_job(
    folder: pathlib.Path,
    base: pathlib.Path,
    conversations: Sequence[Any],
    *,
    validation: Sequence[Any] | None = None,
    evaluate_steps: int | None = None,
    patience: int | None = None,
    checkpoint_steps: int | None = None,
    max_length: int = 256,
    longer: Longer = "error",
    **arguments: Any,
) -> Job:
    """A job of hf_sft over conversations."""
    import pyarrow as pa

    tokenizer = Tokenizer(base)
    (folder / "output").mkdir(parents=True)

    def write(rows: Sequence[Any], name: str) -> str:
        batch = pa.RecordBatch.from_pylist([{"messages": m} for m in rows])
        path = folder / name
        with RowsFile(path, ("input_ids", "labels")) as out:
            write_items([batch], lambda r: [chat(tokenizer, r["messages"])], out, max_length=max_length, longer=longer, dataset="dataset")
        return str(path)

    stage = new(Sft, max_length=max_length, **{"precision": "float32", "gradient_checkpointing": False, **arguments})
    return Job(
        module="quern_hf.sft",
        method="sft",
        base=str(base),
        output=str(folder / "output"),
        work_dir=str(folder),
        data=write(conversations, "train.arrow"),
        validation=write(validation, "validation.arrow") if validation else None,
        evaluate_steps=evaluate_steps,
        patience=patience,
        checkpoint_steps=checkpoint_steps,
        checkpoint_seconds=3600,
        arguments=stage.arguments(),
        description={"method": "sft"},
    )


def train(job: Job) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Trains, and returns the curves and the metrics."""
    import transformers

    transformers.set_seed(job.arguments["seed"])
    importlib.import_module(job.module).train(job)
    return job.results()


def sha256(job: Job, name: str = "model.safetensors") -> str:
    """The digest of a file of the finished model."""
    return hashlib.sha256(pathlib.Path(job.output, name).read_bytes()).hexdigest()
