"""The plugins that "quern plugin new -lang=python" writes pass their own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import quern
from quern._program import program

KINDS = ["source", "transform", "label", "train", "evaluate", "deploy", "flat_map", "model"]
SDK = str(Path(quern.__file__).parents[1])

pytestmark = pytest.mark.skipif(not (os.environ.get("QUERN") or shutil.which("quern")), reason="quern is not built")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    for kind in KINDS:
        subprocess.run(
            [program(), "plugin", "new", "-lang=python", f"-dir={folder / kind}", kind, f"new_{kind}"], check=True, capture_output=True
        )
    return folder


def in_folder(folder, *command):
    env = {**os.environ, "PYTHONPATH": SDK, "MYPYPATH": SDK, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugins_tests_pass(plugins, kind):
    in_folder(plugins / kind, "-m", "pytest")


def test_new_plugins_have_types(plugins, tmp_path):
    pytest.importorskip("mypy")
    modules = [str(module) for module in plugins.glob("*/quern_plugin_*.py")]
    assert len(modules) == len(KINDS)
    in_folder(tmp_path, "-m", "mypy", "--strict", "--ignore-missing-imports", *modules)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot read TOML")
def test_a_new_plugins_version_is_that_of_its_package(plugins):
    import tomllib

    for kind in KINDS:
        project = tomllib.loads((plugins / kind / "pyproject.toml").read_text())["project"]
        module = (plugins / kind / f"quern_plugin_new_{kind}.py").read_text()
        assert project["name"] == f"quern-plugin-new_{kind}" and f'version="{project["version"]}"' in module
        assert project["scripts"] == {f"quern-plugin-new_{kind}": f"quern_plugin_new_{kind}:p.serve"}


def test_a_new_plugin_starts_as_a_command(plugins, tmp_path):
    command = ["env", f"PYTHONPATH={SDK}", sys.executable, str(plugins / "label" / "quern_plugin_new_label.py")]
    (tmp_path / "texts.csv").write_text("text\none two\n")
    (tmp_path / "main.quern.hcl").write_text(f"""
quern {{
  required_plugins {{
    new_label = {{ command = {str(command).replace("'", '"')} }}
  }}
}}

source "csv" "texts" {{
  path = "texts.csv"
}}

label "new_label_words" "n" {{
  input = source.texts
  text  = row.text
}}
""")
    subprocess.run([program(), "init"], cwd=tmp_path, check=True, capture_output=True)
    quern.apply(tmp_path, on_event=None)
    assert quern.load("label.n", tmp_path)["n"].to_pylist() == [2]
