"""The process of a plugin: how it starts, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from served import Client

from quern.plugin import _protocol as pb
from quern.plugin._process import COOKIE

SOURCE = str(Path(__file__).parents[1] / "src")

PROGRAM = """
import logging, os, subprocess, sys, time
from quern import plugin

p = plugin.Plugin("proc", version="0.1.0")

@p.source("proc_it", columns={"n": int})
class It(plugin.Source):
    what: str

    def fingerprint(self, memo):
        if self.what == "child":
            self.child = subprocess.Popen(["sleep", "1000"])
            return str(self.child.pid)
        if self.what == "crash":
            os._exit(3)
        print("printed é")
        logging.getLogger("mine").warning("careful\\nin two lines")
        logging.info("more")
        return "f"

    def read(self, out):
        time.sleep(1000)

p.serve()
"""


@pytest.fixture
def start(tmp_path):
    """Starts the program, as quern does."""
    program = tmp_path / "plugin.py"
    program.write_text(PROGRAM)
    started = []

    def run(*args, **env):
        given = {**os.environ, "QUERN_PLUGIN": COOKIE, "PLUGIN_UNIX_SOCKET_DIR": str(tmp_path), "PYTHONPATH": SOURCE, **env}
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, str(program), *args], stdin=pipe, stdout=pipe, stderr=pipe, env=given, start_new_session=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def connect(process):
    line = process.stdout.readline().decode()
    assert line.startswith("1|1|unix|/") and line.endswith("|grpc|\n")
    return Client(grpc.insecure_channel("unix:" + line.split("|")[3]))


def fingerprint(client, what):
    it = pb.Instance(kind="source", type="proc_it", config_json=json.dumps({"what": what}).encode())
    return client.call("Fingerprint", pb.FingerprintRequest(instance=it))


def shut_down(client):
    empty = lambda b: b
    client.channel.unary_unary("/plugin.GRPCController/Shutdown", empty, empty)(b"")


def test_a_plugin_ends_when_it_is_asked_to(start, tmp_path):
    process = start()
    client = connect(process)
    it = pb.Instance(kind="source", type="proc_it", config_json=b'{"what": "x"}')
    client.call("Read", pb.ReadRequest(instance=it), "unary_stream")  # it never ends
    fingerprint(client, "x")
    began = time.monotonic()
    shut_down(client)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 2
    assert [p.name for p in tmp_path.iterdir()] == ["plugin.py"]


def test_output_goes_to_the_log_with_levels(start):
    process = start()
    client = connect(process)
    fingerprint(client, "x")
    shut_down(client)
    out, err = process.communicate(timeout=10)
    assert out == b""
    printed, *logged = err.decode().splitlines()
    assert printed == "printed é"
    assert [json.loads(line) for line in logged] == [
        {"@level": "warn", "@message": "careful\nin two lines", "@module": "mine"},
        {"@level": "info", "@message": "more", "@module": "root"},
    ]


def test_a_plugin_and_what_it_started_end_with_quern(start):
    process = start()
    child = int(fingerprint(connect(process), "child").fingerprint)
    process.stdin.close()
    process.stdin = None
    assert process.wait(10) == -signal.SIGKILL
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("what the plugin started goes on")


def test_a_signal_ends_the_group(start):
    process = start()
    connect(process)
    process.terminate()
    assert process.wait(10) == -signal.SIGKILL


def test_a_crash_is_the_end_of_the_call(start):
    process = start()
    with pytest.raises(grpc.RpcError) as e:
        fingerprint(connect(process), "crash")
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_plugin_that_is_started_by_hand_says_so(start):
    process = start(QUERN_PLUGIN="")
    assert b"is a plugin for quern" in process.communicate(timeout=20)[1]
    assert process.returncode == 1


def test_quern_can_attach_to_a_plugin_in_a_debugger(start):
    process = start("--debug", QUERN_PLUGIN="")
    text = ""
    while "QUERN_REATTACH_PLUGINS" not in text:
        text = process.stdout.readline().decode()
    where = json.loads(text.strip().removeprefix("QUERN_REATTACH_PLUGINS=").strip("'"))["proc"]
    assert where["Pid"] == process.pid
    client = Client(grpc.insecure_channel("unix:" + where["Addr"]["String"]))
    assert client.schema().version == "0.1.0"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_importing_is_light():
    unwanted = "import sys, quern.plugin; print([m for m in ('pyarrow', 'grpc', 'numpy', 'pandas', 'torch') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", unwanted], env={**os.environ, "PYTHONPATH": SOURCE}, capture_output=True, check=True)
    assert out.stdout == b"[]\n"
