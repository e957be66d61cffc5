"""A build backend for the packages of tests: pure Python, no dependencies.

It packs the folder src, or a link to it, with what pyproject.toml says.
"""

import base64
import hashlib
import os
import tomllib
import zipfile


def read():
    with open("pyproject.toml", "rb") as f:
        return tomllib.load(f)["project"]


def wheel(folder, files):
    project = read()
    name, version = project["name"].replace("-", "_"), project["version"]
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
    if "requires-python" in project:
        metadata += f"Requires-Python: {project['requires-python']}\n"
    for requirement in project.get("dependencies", []):
        metadata += f"Requires-Dist: {requirement}\n"
    entry_points = ""
    for group, entries in {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}.items():
        entry_points += f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items())
    files[f"{info}/METADATA"] = metadata
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if entry_points:
        files[f"{info}/entry_points.txt"] = entry_points
    record = ""
    for path, text in files.items():
        sum = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={sum},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    out = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, out), "w") as z:
        for path, text in files.items():
            z.writestr(path, text)
    return out


def build_wheel(folder, settings=None, metadata=None):
    files = {}
    for at, _, names in os.walk("src"):
        for name in names:
            if not name.endswith(".pyc"):
                path = os.path.join(at, name)
                with open(path) as f:
                    files[os.path.relpath(path, "src")] = f.read()
    return wheel(folder, files)


def build_editable(folder, settings=None, metadata=None):
    return wheel(folder, {f"__editable__{read()['name']}.pth": os.path.abspath("src") + "\n"})


if __name__ == "__main__":  # backend.py FOLDER: builds the package in this folder
    import sys

    print(build_wheel(sys.argv[1]))
