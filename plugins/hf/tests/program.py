"""The plugin, with one more type that only tests have: a folder as a model that was trained."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "src"), str(Path(__file__).parents[3] / "sdk/python/src")]

from quern import plugin  # noqa: E402
from quern_hf import __main__, artifact, hf  # noqa: E402


@hf.train("hf_folder")
class Folder(plugin.Runner):
    """Makes a model of a folder."""

    dataset: plugin.Dataset
    path: str

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_model(artifact.FULL, inputs={}, outputs={})

    def run(self, run: plugin.Run) -> None:
        artifact.copy_base(Path(hf.root, self.path), run.folder(""))


if __name__ == "__main__":
    __main__.main()
