"""A plugin that tests run with the real quern. The variable in what a text says makes it break a promise."""

from __future__ import annotations

import os
import time

from quern import plugin

p = plugin.Plugin("sample", version="0.1.0")


@p.source("sample_numbers", columns={"n": int})
class Numbers(plugin.Source):
    rows: int

    def fingerprint(self, memo: bytes) -> str:
        return str(self.rows)

    def read(self, out: plugin.RowWriter) -> None:
        for n in range(self.rows):
            out.write({"n": n})


@p.transform("sample_double", batch_rows=50)
class Double(plugin.Mapper):
    n: plugin.Row[int]
    fault: str = ""

    def map_row(self, n: int) -> int:
        time.sleep(0.002)
        return os.getpid() if self.fault == "process" and n == 7 else 2 * n


@p.evaluate("sample_sum")
class Sum(plugin.Runner):
    dataset: plugin.Dataset
    value: plugin.Row[int]

    def prepare(self, p: plugin.Prepare) -> None:
        p.set_value_type({"sum": int})

    def run(self, run: plugin.Run) -> None:
        """Adds in steps that a checkpoint survives."""
        checkpoint = os.path.join(run.work_dir, "sum")
        done, total = 0, 0
        if os.path.exists(checkpoint):
            done, total = map(int, open(checkpoint).read().split())
        values = self.dataset.table(self.value).column(0).to_pylist()
        for i, value in enumerate(values[done:], done):
            if run.stopping:
                with open(checkpoint, "w") as file:
                    file.write(f"{i} {total}")
                run.check()
            time.sleep(0.002)
            total += value
        run.set_value({"sum": total})


if __name__ == "__main__":
    p.serve()
