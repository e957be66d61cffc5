"""The trivial row-wise plugin of the benchmark in Python: by batches, and by rows."""

import pyarrow as pa
import pyarrow.compute as pc

from quern import plugin

p = plugin.Plugin("pybench", version="1.0.0")

LABELS = pa.array(["card", "cash", "transfer", "identity"])


@p.transform("pybench_batches", columns={"topic": str})
class Batches(plugin.Mapper):
    """Labels a text by its length, with Arrow's functions."""

    text: plugin.Row[str]

    def map_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        number = pc.bit_wise_and(pc.binary_length(batch["text"]), 3)
        return pa.record_batch({"topic": LABELS.take(number)})


@p.transform("pybench_rows")
class Rows(plugin.Mapper):
    """Labels a text by its middle letter, with a function of one row."""

    text: plugin.Row[str]

    def map_row(self, text: str) -> str:
        return ("card", "cash", "transfer", "identity")[ord(text[len(text) // 2]) % 4 if text else 0]


if __name__ == "__main__":
    p.serve()
