"""Makes tools.json.gz: what transformers makes of conversations with calls of tools, with the templates of models.

Usage: tools.py

The committed file comes from transformers 5.24.0 and jinja2 3.1.6. The templates are those that TRL 1.16.0 (Apache-2.0) ships, with
the license of TRL; a template that cannot write a conversation has the error in place of the text.
"""

import datetime
import gzip
import importlib.metadata
import json
import pathlib

import trl
from transformers.utils import chat_template_utils

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, in \"plain\" words & °C <now>.",
        "parameters": {
            "type": "object",
            "properties": {
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "The unit"},
                "city": {"type": "string", "description": "The city"},
                "days": {"type": "integer", "default": 1, "minimum": 0.5, "maximum": 1e16},
            },
            "required": ["city"],
        },
    },
}
SEARCH = {"type": "function", "function": {"name": "search", "description": "Search\nthe web", "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, id=None):
    return ({"id": id} if id else {}) | {"type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*all):
    # Where the content is null, several templates write None. quern gives them an empty text.
    return {"role": "assistant", "content": "", "tool_calls": list(all)}


ASK = {"role": "user", "content": "Weather in Köln & \"Zürich\"?"}
CONVERSATIONS = [
    ([ASK], [WEATHER]),
    ([{"role": "system", "content": "Be brief."}, ASK, {"role": "assistant", "content": "Sunny."}], [WEATHER, SEARCH]),
    ([ASK, calls(call("get_weather", {"unit": "celsius", "city": "Köln <1>", "days": 3}, "abcdefghi"))], [WEATHER]),
    (
        [
            ASK,
            calls(call("get_weather", {"city": "Köln", "days": 1.5, "more": {"b": [1, None, True, 1e-7, 2.0], "a": {}}}, "abcdefghi")),
            {"role": "tool", "content": "18 °C", "tool_call_id": "abcdefghi", "name": "get_weather"},
            {"role": "assistant", "content": "18 °C."},
            {"role": "user", "content": "And tomorrow?"},
        ],
        [WEATHER],
    ),
    (
        [
            ASK,
            calls(call("get_weather", {"city": "Köln"}, "call00001"), call("search", {}, "call00002")),
            {"role": "tool", "content": "{\"t\": 18}", "tool_call_id": "call00001", "name": "get_weather"},
            {"role": "tool", "content": "none\n", "tool_call_id": "call00002", "name": "search"},
            {"role": "assistant", "content": "18."},
        ],
        [SEARCH, WEATHER],
    ),
    ([ASK, {"role": "assistant", "content": "Sunny."}], None),
]


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 3)


chat_template_utils.datetime = Day


def render(template, messages, tools, reply):
    try:
        # The library changes the messages of some templates, and compiles each template once.
        messages, tools = json.loads(json.dumps([messages, tools]))
        compiled = chat_template_utils._compile_jinja_template(template)
        return {"text": compiled.render(messages=messages, tools=tools, documents=None, add_generation_prompt=reply, bos_token="<s>", eos_token="</s>")}
    except Exception as e:
        return {"error": str(e)}


assert importlib.metadata.version("transformers") == "5.24.0"
folder = pathlib.Path(trl.__file__).parent / "chat_templates"
templates = {file.stem: file.read_text() for file in sorted(folder.glob("*.jinja"))}
out = [
    {"name": name, "template": t, "messages": messages, "tools": tools, "reply": reply, **render(t, messages, tools, reply)}
    for name, t in templates.items()
    for messages, tools in CONVERSATIONS
    for reply in (False, True)
]
with open("tools.json.gz", "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, compresslevel=9, mtime=0) as z:
    z.write(json.dumps(out, ensure_ascii=False, separators=(",", ":")).encode())
for row in out:
    if "error" in row:
        print(row["name"], row["error"][:100])
