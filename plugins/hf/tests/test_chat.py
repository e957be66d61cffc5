"""Requests of quern, answered by a real model."""

from __future__ import annotations

from pathlib import Path

import pytest
import stories
import torch
from quern import plugin
from quern_hf.chat import Defaults, answer, strip_thinking, with_schema
from quern_hf.serve import Model, Source
from quern_hf.tokens import Tokenizer
from transformers import AutoModelForCausalLM

MESSAGES = [
    plugin.Message("system", "Tell stories."),
    plugin.Message("user", "Who is Lily?"),
    plugin.Message("assistant", "Lily is a girl."),
    plugin.Message("user", "And Tom?"),
    plugin.Message("assistant", "Tom is her friend."),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return stories.save(tmp_path_factory.mktemp("stories"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Model(Source(folder, "chat"), Tokenizer(folder))


@pytest.fixture(scope="module")
def plain(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder)


def test_a_prompt_is_continued_as_it_is(model):
    got = answer(model, plugin.ChatRequest(prompt="Once upon a time", max_tokens=12, logprobs=True), Defaults())
    assert got.text.startswith(", there was a little girl named")
    assert "".join(t.token for t in got.logprobs) == got.text
    assert (got.usage.input, got.usage.output, got.finish_reason) == (5, 12, "length")


def test_the_tokens_of_a_prompt_are_its_text_with_their_log_probabilities(model, plain):
    prompt = "Once upon a time é 中, Lily\nran."
    got = answer(model, plugin.ChatRequest(prompt=prompt, prompt_logprobs=True, max_tokens=0), Defaults())
    assert got.text == "" and got.usage.output == 0
    assert "".join(t.token for t in got.prompt_logprobs) == prompt
    ids = model.tokenizer.backend.encode(prompt).ids
    want = torch.log_softmax(plain(torch.tensor([ids])).logits[0].detach(), -1)
    assert [t.logprob for t in got.prompt_logprobs] == [None, *(pytest.approx(float(want[i, t]), abs=1e-4) for i, t in enumerate(ids[1:]))]
    assert [t.top.logprob for t in got.prompt_logprobs[1:]] == [pytest.approx(float(w.max()), abs=1e-4) for w in want[:-1]]
    assert all(t.message is None for t in got.prompt_logprobs)


def test_tokens_of_messages_say_which_message_they_belong_to(model):
    got = answer(model, plugin.ChatRequest(MESSAGES, prompt_logprobs=True, max_tokens=0), Defaults())
    text = "".join(t.token for t in got.prompt_logprobs)
    assert text == model.tokenizer.template.render([{"role": m.role, "content": m.content} for m in MESSAGES])
    parts = {i: "".join(t.token for t in got.prompt_logprobs if t.message == i) for i in range(len(MESSAGES))}
    # Those of the assistant have the tokens that training learns from: with the end, and without the template's words.
    for i, message in enumerate(MESSAGES):
        assert parts[i].strip() == message.content + ("</s>" if message.role == "assistant" else "")


def test_the_last_message_of_the_assistant_is_continued(model):
    begun = [plugin.Message("user", "Hello"), plugin.Message("assistant", "Once upon a time")]
    got = answer(model, plugin.ChatRequest(begun, max_tokens=8), Defaults())
    prompt = model.tokenizer.template.render([{"role": "user", "content": "Hello"}], reply=True) + " Once upon a time"
    ids = model.tokenizer.backend.encode(prompt, add_special_tokens=False).ids
    assert got.usage.input == len(ids)
    assert got.text.startswith(", there was a")


def test_the_block_decides_what_a_request_leaves_open(model):
    request = plugin.ChatRequest(prompt="Once upon a time")
    assert answer(model, request, Defaults(max_tokens=3)).usage.output == 3
    assert answer(model, request, Defaults(max_tokens=40, stop=["named"])).text == ", there was a little girl "
    drawn = [answer(model, request, Defaults(temperature=2.0, max_tokens=8, seed=s)).text for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    whole = answer(model, plugin.ChatRequest(prompt="One", max_tokens=9999), Defaults())
    assert whole.usage.input + whole.usage.output <= 512


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (plugin.ChatRequest([plugin.Message("user", "x " * 600)]), "context has only 512"),
        (plugin.ChatRequest([plugin.Message("user", "x")], tools=[plugin.Tool("f")]), "cannot call tools"),
        (plugin.ChatRequest([plugin.Message("tool", "x")]), "cannot call tools"),
    ],
)
def test_what_the_model_cannot_do_fails_the_request_for_good(model, request_, says):
    with pytest.raises(plugin.CallError, match=says) as failed:
        answer(model, request_, Defaults())
    assert not failed.value.temporary and failed.value.status == 400


def test_without_a_template_only_prompts_are_answered(folder, tmp_path):
    for file in folder.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).symlink_to(file)
    bare = Model(Source(tmp_path, "chat"), Tokenizer(tmp_path))
    with pytest.raises(plugin.CallError, match="no chat template"):
        answer(bare, plugin.ChatRequest([plugin.Message("user", "Hello")]), Defaults())
    assert answer(bare, plugin.ChatRequest(prompt="Once", max_tokens=2), Defaults()).usage.output == 2


def test_a_schema_becomes_an_instruction():
    schema = plugin.OutputSchema({"type": "object"})
    alone = with_schema(plugin.ChatRequest([plugin.Message("user", "Hi")], output=schema))
    assert alone[0].role == "system" and '{"type":"object"}' in alone[0].content
    added = with_schema(plugin.ChatRequest([plugin.Message("system", "Be brief.\n"), plugin.Message("user", "Hi")], output=schema))
    assert added[0].content.startswith("Be brief.\n\nAnswer with a JSON object") and len(added) == 2


@pytest.mark.parametrize(
    ("text", "thinking", "rest"),
    [
        ("<think>a</think>b", "a", "b"),
        ("<think>a</think>\n<reasoning>c</reasoning> b", "a\nc", "b"),
        ("a\nc\n</think>\n\nb", "a\nc", "b"),
        ("b <think>a</think>", "", "b <think>a</think>"),
        ("<think>unfinished", "", "<think>unfinished"),
    ],
)
def test_reasoning_is_set_apart(text, thinking, rest):
    response = plugin.ChatResponse(text)
    strip_thinking(response)
    assert (response.thinking, response.text) == (thinking, rest)
