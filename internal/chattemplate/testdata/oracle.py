"""Makes rendered.json.gz: what jinja2 makes of chat templates, with the settings of transformers.

Usage: oracle.py

The committed file comes from jinja2 3.1.6. The templates use what those of common models use: ChatML and SmolLM2 (a default
system message), Llama (trim, headers, bos_token), Qwen (namespaces, reverse loops, thoughts that are cut out), Mistral
(roles that must alternate), Gemma (system messages that join the first user message), and templates for training, which mark
what the assistant writes.
"""

import gzip
import json

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

TEMPLATES = {
    "chatml": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "default-system": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful assistant<|im_end|>
' }}{% endif %}{{ '<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}""",
    "headers": """{{- bos_token }}
{%- set date_string = date_string | default("26 Jul 2024") %}
{#- the first message #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif message.role == "tool" %}
        {{- raise_exception("There is no call of a tool before message " ~ loop.index0 ~ "!") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "thoughts": """{%- if tools %}
    {{- 'tools' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "alternating": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    "joined-system": """{{ bos_token }}
{% if messages[0]['role'] == 'system' %}
    {% set first = messages[0]['content'] ~ '\\n\\n' %}
    {% set rest = messages[1:] %}
{% else %}
    {% set first = '' %}
    {% set rest = messages %}
{% endif %}
{% for message in rest %}
<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}
{{ first if loop.first else '' }}{{ message.content | trim }}<end_of_turn>
{% endfor %}
{% if add_generation_prompt %}
<start_of_turn>model
{% endif %}
""",
    "training": """{% for message in messages %}
{% if message.role == 'assistant' %}
{{- '<|assistant|>\\n' }}{% generation %}{{ message.content ~ eos_token }}{% endgeneration %}{{ '\\n' }}
{% else %}
{{- '<|' ~ message.role | upper ~ '|>\\n' ~ message.content ~ '\\n' }}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}""",
    "json": "{% macro one(m, i) %}{{ i }}: {{ m.content | tojson }}{% endmacro %}{% for message in messages if message.role != 'system' %}{{ one(message, loop.revindex) }}{{ ', ' if not loop.last }}{% endfor %}",
}

CONVERSATIONS = [
    [("user", "Hi")],
    [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello!")],
    [("user", "a\n b <|im_end|> \"q\" 'é' \\n & <b>"), ("assistant", "<think>\nhm\n</think>\n\nyes"), ("user", "  and? "), ("assistant", " no \n")],
    [("system", ""), ("user", "1"), ("assistant", "2"), ("user", "3")],
    [("system", " s\n"), ("user", "{{ x }} {% if %}"), ("assistant", "<think>a</think>b")],
    [("user", "x"), ("user", "y")],
    [("user", "☃ 𝕏 \u2028 \u0000 \r\n"), ("assistant", "")],
    [("user", "<tool_response>1</tool_response>"), ("assistant", "ok"), ("tool", "2")],
]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("mark"), [], [], body).set_lineno(lineno)

    def mark(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.TemplateError(message)


env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
env.filters["tojson"] = lambda x: json.dumps(x, ensure_ascii=False)
env.globals["raise_exception"] = raise_exception


def render(template, conversation, reply):
    messages = [{"role": role, "content": content} for role, content in conversation]
    try:
        return {"text": env.from_string(template).render(messages=messages, add_generation_prompt=reply, tools=None, documents=None, bos_token="<s>", eos_token="</s>")}
    except jinja2.TemplateError as e:
        return {"error": str(e)}


out = [
    {"name": name, "template": t, "messages": [{"role": r, "content": c} for r, c in conversation], "reply": reply, **render(t, conversation, reply)}
    for name, t in TEMPLATES.items()
    for conversation in CONVERSATIONS
    for reply in (False, True)
]
with open("rendered.json.gz", "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, compresslevel=9, mtime=0) as z:
    z.write(json.dumps(out, ensure_ascii=False, separators=(",", ":")).encode())
