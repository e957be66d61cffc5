"""A stage whose dataset has the rows of its input."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from base import p
from quern import plugin


@p.transform("conform_first")
class First(plugin.Runner):
    """Counts how often a text has occurred."""

    dataset: plugin.Dataset
    """The rows."""
    text: plugin.Row[str]
    """The text."""
    column: str | None = None
    """The column of the count."""
    drop: bool = False
    """Drops the rows whose text has occurred before."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.keep_input("dataset", selection=plugin.Selection(rows_of="dataset") if self.drop else None)
        if self.column:
            p.add_column(self.column, int)
        if self.drop:
            p.note("keeps the first row of each text")
        p.set_value_type({"known": int})

    def run(self, run: plugin.Run) -> None:
        run.set_value({"known": self.remember(run)})
        seen: dict[str, int] = {}
        for batch in self.dataset.batches(self.text):
            nth = []
            for text in batch.column(0).to_pylist():
                seen[text] = seen.get(text, 0) + 1
                nth.append(seen[text])
            rows = pa.record_batch({self.column: pa.array(nth, pa.int64())}) if self.column else None
            if self.drop:
                run.write_selected(rows, [n == 1 for n in nth])
            elif rows is not None:
                run.write(rows)

    def remember(self, run: plugin.Run) -> int:
        """Keeps a file for each shard, and returns for how many shards the last run has kept one."""
        folder, known = Path(run.keep_folder()), 0
        for shard in self.dataset.shards:
            name = shard.digest(self.text).replace(":", "-")
            if name in run.kept:
                run.keep_again(name)
                known += 1
            else:
                Path(folder, name).write_text(f"{shard.rows} rows\n")
        return known
