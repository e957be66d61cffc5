"""Adds one of quern's programs to a wheel of a release.

"make wheels" names the unpacked archive of a release in QUERN_RELEASE and the program in QUERN_WHEEL_PROGRAM. Otherwise,
the wheel has only the SDK.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface


class ReleaseHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if "QUERN_RELEASE" not in os.environ:
            return
        release, program = Path(os.environ["QUERN_RELEASE"]), os.environ["QUERN_WHEEL_PROGRAM"]
        build_data["pure_python"] = False
        build_data["tag"] = os.environ["QUERN_WHEEL_TAG"]
        # pip installs scripts in one folder, where quern finds the plugins that come with it.
        build_data["shared_scripts"] = {str(release / program): program}
        build_data["sbom_files"] = [str(release / "sbom" / f"{program}.cdx.json")]
        build_data["extra_metadata"] = {str(release / "THIRD_PARTY_LICENSES.txt"): "THIRD_PARTY_LICENSES.txt"}


class Requirements(MetadataHookInterface):
    """Makes the wheel of a release require the programs that have wheels of their own."""

    def update(self, metadata: dict[str, Any]) -> None:
        extras = {"stats": self.config["stats"]}
        metadata["dependencies"] = [*self.config["dependencies"]]
        if programs := os.environ.get("QUERN_WHEEL_REQUIRES"):
            required = {r.partition("==")[0].removeprefix("quern-plugin-"): r for r in programs.split()}
            metadata["dependencies"].append(required["sql"])
            extras |= {name: [r] for name, r in required.items()} | {"all": [*required.values()]}
        metadata["optional-dependencies"] = extras
