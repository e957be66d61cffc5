"""What the tests of the Python plugins share: the real quern, and a real model behind a proxy that counts requests.

Environment: QUERN (the program), QUERN_TEST_LLM (a Python that can serve the model of examples/support-triage).
"""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MODEL = "smollm2-135m-instruct"


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to a server and counts them. ``asked`` has their bodies."""

    daemon_threads = True

    def __init__(self, to: str) -> None:
        self.to = to
        self.asked: list[str] = []
        self.wanted: tuple[int, threading.Event] | None = None
        super().__init__(("127.0.0.1", 0), Handler)

    def when(self, calls: int, reached: threading.Event) -> None:
        """Sets an event once so many requests are answered."""
        self.wanted = calls, reached

    def count(self, body: str) -> None:
        self.asked.append(body)
        if self.wanted and len(self.asked) == self.wanted[0]:
            self.wanted[1].set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        proxy = self.server
        assert isinstance(proxy, Proxy)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = urllib.request.Request(proxy.to + self.path.removeprefix("/v1"), body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            content = answer.read()
        proxy.count(body.decode())
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def model() -> Iterator[str]:
    """The URL of a real language model that answers one request at a time, so that its answers can be repeated."""
    command = [os.environ["QUERN_TEST_LLM"], str(ROOT / "examples/support-triage/serve.py"), "--port=0", "--parallel=1", "--attended"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


@pytest.fixture
def proxy(model: str) -> Iterator[Proxy]:
    server = Proxy(model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


class Pipeline:
    """A folder with a configuration, and quern in it. Blocks can refer to ``model.small`` and ``model.other``, which has another temperature."""

    def __init__(self, folder: pathlib.Path, plugin: str, url: str) -> None:
        self.folder = folder
        self.head = f"""
quern {{
  required_plugins {{
    {plugin} = {{ command = ["{sys.executable}", "{ROOT}/plugins/{plugin}/src/quern_{plugin}/__main__.py"] }}
  }}
}}
model "openai" "small" {{
  name            = "{MODEL}"
  base_url        = "{url}"
  max_concurrency = 1
}}
model "openai" "other" {{
  name            = "{MODEL}"
  base_url        = "{url}"
  top_p           = 0.5
  max_concurrency = 1
}}
"""

    def write(self, blocks: str) -> None:
        (self.folder / "main.quern.hcl").write_text(self.head + blocks)

    def quern(self, *arguments: str, fails: bool = False) -> str:
        """Runs quern and returns what it prints, in full if it fails."""
        command = [os.environ["QUERN"], f"-chdir={self.folder}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr if fails else done.stdout

    def apply(self) -> None:
        self.quern("apply", "-auto-approve")

    def killed(self, when: threading.Event) -> None:
        """Applies, and kills quern and everything that it started when the event is set."""
        command = [os.environ["QUERN"], f"-chdir={self.folder}", "apply", "-auto-approve"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            assert when.wait(600), "quern was to be killed, but it never got so far"
            os.killpg(process.pid, signal.SIGKILL)

    def outputs(self) -> dict:
        return {name: value.get("value", value) for name, value in json.loads(self.quern("output", "-json")).items()}


@pytest.fixture
def pipeline(tmp_path: pathlib.Path, proxy: Proxy, request: pytest.FixtureRequest) -> Pipeline:
    """The pipeline of a test of the plugin in whose folder the test is."""
    plugin = pathlib.Path(request.path).parent.parent.name
    made = Pipeline(tmp_path, plugin, proxy.url)
    made.write("")
    made.quern("init")
    return made
