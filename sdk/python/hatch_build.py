"""Adds quern's programs to the wheels of a release.

"make wheels" names the unpacked archive of a release in QUERN_RELEASE. Otherwise, the wheel has only the SDK.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ReleaseHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if "QUERN_RELEASE" not in os.environ:
            return
        release = Path(os.environ["QUERN_RELEASE"])
        build_data["pure_python"] = False
        build_data["tag"] = os.environ["QUERN_WHEEL_TAG"]
        # pip installs scripts in one folder, where quern finds the plugins that come with it.
        build_data["shared_scripts"] = {str(path): path.name for path in sorted(release.glob("quern*"))}
        build_data["sbom_files"] = [str(path) for path in sorted(release.glob("sbom/*"))]
        build_data["extra_metadata"] = {str(release / "THIRD_PARTY_LICENSES.txt"): "THIRD_PARTY_LICENSES.txt"}
