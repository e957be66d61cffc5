"""A student and a teacher whose answers depend on the prompt in a known way.

Rows are "item N of kind K". The student answers "label K" if its system message has the rule "K is label K" or an example of
that kind, and "unknown" otherwise. The teacher adds the rule for the first wrong answer that it is shown; but every third
instruction, by its hash, loses a rule in addition. So the best instruction has a rule for every kind. Items of the kind "z" have
labels that nobody can know: the student is always wrong.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
import zlib
from typing import Any


class Mock(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.finish_reason = "stop"
        self.last: int | None = None
        self.reached = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def stop_after(self, calls: int | None) -> threading.Event:
        """Leaves all requests without an answer once so many in all are answered. The event is set when the first of them arrives."""
        self.last, self.reached = calls, threading.Event()
        return self.reached


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        mock = self.server
        assert isinstance(mock, Mock)
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if mock.last is not None and len(mock.asked) >= mock.last:
            mock.reached.set()
            self.close_connection = True
            return
        content = json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "model": request["model"],
                "choices": [
                    {"index": 0, "finish_reason": mock.finish_reason, "message": {"role": "assistant", "content": answer(request)}}
                ],
                "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
            }
        ).encode()
        mock.asked.append(request)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


def answer(request: dict[str, Any]) -> str:
    messages = [(m["role"], m["content"]) for m in request["messages"]]
    return {"teacher": teach, "judge": judge}.get(request["model"], lambda _: student(messages))(messages[-1][1])


def judge(prompt: str) -> str:
    """Answers the request of a judge: an answer that knows the label is worth 0.9."""
    return json.dumps({"explanation": "It is what it is.", "score": 0.9 if "<answer>\nlabel" in prompt else 0.1})


def student(messages: list[tuple[str, str]]) -> str:
    kind = messages[-1][1].split()[-1]
    system = messages[0][1] if messages[0][0] == "system" else ""
    shown = [content for role, content in messages[:-1] if role == "user" and content.endswith(f"of kind {kind}")]
    if kind == "z":
        return "unknown"
    return f"label {kind}" if f"{kind} is label {kind}" in system or shown else "unknown"


def teach(prompt: str) -> str:
    """Answers GEPA's reflection prompt."""
    current = prompt.split("```")[1].strip()
    wrong = re.findall(r"The answer scores 0(?:\.1)?\.\nThe correct answer is: (label \w+)", prompt)
    rules = re.findall(r"\w+ is label \w+", current)
    if zlib.crc32(current.encode()) % 3 == 0:
        rules = rules[1:]
    if wrong:
        rules.append(f"{wrong[0].split()[-1]} is {wrong[0]}")
    return "```\nLabel items: " + ", ".join(dict.fromkeys(rules)) + ".\n```"
