"""What training reads: rendered conversations, their tokens, and which of them are learned. Needs no torch."""

from __future__ import annotations

import json
import pathlib

import pyarrow as pa
import pytest
from conftest import CHATML, tiny_tokenizer
from quern import plugin
from quern_hf import data
from quern_hf.tokens import Template, TemplateError, Tokenizer

# Templates as they occur: end tokens before a line break, a begin token, text after the content, and marks of what is generated.
TEMPLATES = {
    "chatml": CHATML,
    "begin": "{{ '<|pad|>' }}" + CHATML,
    "marked": (
        "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n"
        "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "plain": (
        "{% for m in messages %}{% if m.role == 'assistant' %}A: {{ m.content }}<|im_end|>{% else %}Q: {{ m.content }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}A: {% endif %}"
    ),
}


def conversations(count: int) -> list[list[dict[str, str]]]:
    """Conversations with one to three turns, some with a system message, with letters of several bytes and with spaces at the ends."""
    out = []
    for i in range(count):
        made = [{"role": "system", "content": f"Be brief, {i}."}] if i % 3 == 0 else []
        for turn in range(1 + i % 3):
            made.append({"role": "user", "content": f"Was ist {i} + {turn}? äöü" + " " * (i % 2)})
            made.append({"role": "assistant", "content": f"It is {i + turn}.\n→ Sure, {'x' * (i % 7)}!" + "\n" * (i % 2)})
        out.append(made)
    return out


@pytest.mark.parametrize("name", TEMPLATES)
def test_exactly_the_tokens_of_the_assistant_and_its_end_are_learned(tmp_path, name):
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path, TEMPLATES[name]))
    for messages in conversations(100):
        example = data.chat(tokenizer, messages)
        labels = example.row["labels"]
        learned = tokenizer.backend.decode([i for i in labels if i != data.IGNORED], skip_special_tokens=False)
        assert learned == "".join(m["content"] + "<|im_end|>" for m in messages if m["role"] == "assistant")
        assert tokenizer.backend.decode(example.ids, skip_special_tokens=False) == tokenizer.template.render(messages)
        assert all(label in (data.IGNORED, i) for label, i in zip(labels, example.ids))


def test_only_the_target_of_a_prompt_is_learned_and_the_model_is_asked_with_the_same_text(tmp_path):
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path))
    turns = [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "one"}, {"role": "user", "content": "2?"}]
    messages, tools = data.prompted(json.dumps({"messages": turns, "temperature": 0}), "two")
    example = data.chat(tokenizer, messages, last=True, tools=tools)
    asked = tokenizer.backend.decode([i for i, w in zip(example.ids, example.written) if not w][:-1], skip_special_tokens=False)
    assert asked == tokenizer.template.render(turns, reply=True)
    learned = tokenizer.backend.decode([i for i, w in zip(example.ids, example.written) if w], skip_special_tokens=False)
    assert learned == "two<|im_end|>"


def test_all_tokens_of_a_text_are_learned_and_it_ends(tmp_path):
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path))
    example = data.plain(tokenizer, "once upon")
    assert tokenizer.backend.decode(example.row["labels"], skip_special_tokens=False) == "once upon<|im_end|>"


def test_a_template_that_changes_earlier_messages_is_refused(tmp_path):
    forgets = "{% for m in messages %}{% if m.role != 'assistant' or loop.last %}{{ m.role }}: {{ m.content }}\n{% endif %}{% endfor %}"
    with pytest.raises(TemplateError, match="renders a message differently"):
        Template(forgets, {}).conversation(conversations(3)[2])


def test_conversations_without_an_answer_and_models_without_a_template_are_refused(tmp_path):
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path))
    with pytest.raises(TemplateError, match="assistant"):
        data.chat(tokenizer, [{"role": "user", "content": "?"}])
    with pytest.raises(TemplateError, match="no chat template"):
        data.chat(Tokenizer(tiny_tokenizer(tmp_path / "other", None)), conversations(1)[0])


def test_members_that_are_null_are_as_if_they_were_missing(tmp_path):
    source = "{% for m in messages %}{{ m.content }}{% if m.tool_calls is defined %}!{% endif %}{% endfor %}"
    assert Template(source, {}).render([{"role": "user", "content": "a", "tool_calls": None}]) == "a"


def batches(*lengths: int) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_pydict({"text": ["x" * (n - 1) for n in lengths]})]


def written(tmp_path: pathlib.Path, longer: data.Longer, *lengths: int) -> tuple[data.Counts, list[int]]:
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path))
    path = tmp_path / "rows.arrow"
    with data.RowsFile(path, ("input_ids", "labels")) as out:
        counts = data.write_items(
            batches(*lengths), lambda row: [data.plain(tokenizer, row["text"])], out, max_length=10, longer=longer, dataset="dataset"
        )
    with pa.OSFile(str(path)) as file:
        table = pa.ipc.open_stream(file).read_all()
    return counts, [len(ids) for ids in table["input_ids"].to_pylist()]


def test_rows_that_are_too_long_are_an_error_or_cut_or_left_out(tmp_path):
    with pytest.raises(plugin.Error, match=r"2 of 4 rows \(50\.0%\) have more than max_length = 10 tokens\n.*row 3, with 30"):
        written(tmp_path, "error", 5, 11, 30, 10)
    assert not list(tmp_path.glob("rows.arrow"))
    counts, lengths = written(tmp_path, "truncate", 5, 11, 30, 10)
    assert lengths == [5, 10, 10, 10] and counts.longer == 2 and counts.tokens == 35
    counts, lengths = written(tmp_path, "drop", 5, 11, 30, 10)
    assert lengths == [5, 10] and counts.dropped == 2 and counts.read == 4


def test_a_row_whose_answer_is_cut_off_is_left_out(tmp_path):
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path))
    long = [{"role": "user", "content": "x" * 200}, {"role": "assistant", "content": "y"}]
    rows = pa.RecordBatch.from_pylist([{"messages": long}, {"messages": conversations(1)[0]}])
    with data.RowsFile(tmp_path / "a", ("input_ids", "labels")) as out:
        counts = data.write_items(
            [rows], lambda r: [data.chat(tokenizer, r["messages"])], out, max_length=150, longer="truncate", dataset="dataset"
        )
    assert (counts.rows, counts.dropped) == (1, 1)


def test_an_error_names_the_row(tmp_path):
    tokenizer = Tokenizer(tiny_tokenizer(tmp_path))
    rows = pa.RecordBatch.from_pylist([{"messages": conversations(1)[0]}, {"messages": [{"role": "user", "content": "?"}]}])
    said = 'Row 2 cannot be trained on\nNo message of the conversation is from the role "assistant"'
    with pytest.raises(plugin.Error, match=said), data.RowsFile(tmp_path / "a", ("input_ids", "labels")) as out:
        data.write_items([rows], lambda r: [data.chat(tokenizer, r["messages"])], out, max_length=99, longer="error", dataset="d")
