"""A stand-in for the Hugging Face Hub.

It follows the hub's documented HTTP API as far as downloads need it: information on a
revision (``/api/models/NAME/revision/REVISION``), the listing of files (``…/tree/…``), and
``/NAME/resolve/REVISION/FILE`` with ETag, X-Repo-Commit, X-Linked-Etag, X-Linked-Size, and
Range. The client in the tests is the real huggingface_hub.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Hub(http.server.ThreadingHTTPServer):
    """Serves repositories.

    Attributes:
        commits: The files of each commit.
        branches: The commit of each branch.
        token: Who does not send it is refused; None: everyone may read.
        cuts: Where the next responses with a large file break off, as if the connection were lost.
        asked: The method and path of each request, and its range.
    """

    daemon_threads = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.commits: dict[str, dict[str, bytes]] = {}
        self.branches: dict[str, str] = {}
        self.token: str | None = None
        self.gated = False
        self.cuts: list[int] = []
        self.asked: list[tuple[str, str, str | None]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def push(self, folder: Path, branch: str = "main", **changed: bytes) -> str:
        """Makes a commit of the files in a folder and returns it."""
        files = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()} | changed
        commit = hashlib.sha1(json.dumps({n: _sha(c) for n, c in sorted(files.items())}).encode()).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        hub, path = self.server, unquote(urlsplit(self.path).path)
        hub.asked.append((self.command, path, self.headers.get("Range")))
        match = re.fullmatch(rf"/(?:api/models/{hub.name}/(revision|tree)/([^/]+)|{hub.name}/(resolve)/([^/]+)/(.*))", path)
        if match is None:
            return self._refuse(404, "RepoNotFound")
        if hub.token is not None and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self._refuse(401, "GatedRepo" if hub.gated else "RepoNotFound")
        commit = hub.branches.get(match[2] or match[4], match[2] or match[4])
        if commit not in hub.commits:
            return self._refuse(404, "RevisionNotFound")
        if match[1] == "revision":
            siblings = [{"rfilename": name} for name in hub.commits[commit]]
            return self._json(
                {"id": hub.name, "modelId": hub.name, "sha": commit, "private": False, "siblings": siblings, "tags": []}, body
            )
        if match[1] == "tree":
            return self._json([_entry(n, c) for n, c in sorted(hub.commits[commit].items())], body)
        if match[5] not in hub.commits[commit]:
            return self._refuse(404, "EntryNotFound")
        return self._file(commit, match[5], body)

    def _json(self, content: object, body: bool) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        if body:
            self.wfile.write(encoded)

    def _file(self, commit: str, name: str, body: bool) -> None:
        content = self.server.commits[commit][name]
        etag = _sha(content) if _large(name) else hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        start = int(match[1]) if (match := re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")) else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit)
        if _large(name):
            self.send_header("X-Linked-Etag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.end_headers()
        if not body:
            return
        cut = self.server.cuts.pop(0) if _large(name) and self.server.cuts else None
        self.wfile.write(content[start:cut])
        if cut is not None:
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        encoded = json.dumps({"error": code}).encode()
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(encoded)

    def log_message(self, *_: object) -> None:
        pass


def _entry(name: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file",
        "path": name,
        "size": len(content),
        "oid": hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest(),
    }
    if _large(name):
        entry["lfs"] = {"oid": _sha(content), "size": len(content), "pointerSize": 134}
    return entry


@contextmanager
def serving(name: str) -> Iterator[Hub]:
    hub = Hub(name)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    yield hub
    hub.shutdown()
