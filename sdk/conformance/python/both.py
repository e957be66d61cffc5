"""A stage whose dataset has rows of two inputs."""

from __future__ import annotations

from base import p
from quern import plugin


@p.transform("conform_both")
class Both(plugin.Runner):
    """Declares that its dataset has rows of two inputs."""

    first: plugin.Dataset
    """The first rows."""
    second: plugin.Dataset
    """The other rows."""
    size: plugin.Row[float] = plugin.argument(rows_of="second")
    """What a row of second takes of the total."""
    total: float | None = None
    """The size of all rows of second. By default, there are as many as of first."""

    def prepare(self, p: plugin.Prepare) -> None:
        if self.total is None:
            selections = [plugin.Selection(rows_of="first", weight=1), plugin.Selection(rows_of="second", weight=1)]
        else:
            selections = [
                plugin.Selection(rows_of="first", where="*", share=0.5, most=7, most_of="second"),
                plugin.Selection(rows_of="second", exactly=self.total, size="size"),
            ]
        columns = {c.name: c.type for c in self.first.columns}
        p.add_dataset(columns, selection=selections)
        for name in columns:
            p.set_lineage(name, *(plugin.LineageSource(input=i, column=name, unchanged=True) for i in ("first", "second")))

    def run(self, run: plugin.Run) -> None:
        pass
