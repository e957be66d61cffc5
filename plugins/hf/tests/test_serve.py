"""Answers are those of transformers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import stories
import torch
from quern_hf.pooling import Pooling
from quern_hf.serve import Base, Continuation, Model, Source, token_texts
from quern_hf.tokens import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

PROMPTS = ["Once upon a time", "Lily and Tom went to the park. They", "The big dog", "One day, a bird"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return stories.save(tmp_path_factory.mktemp("stories"))


@pytest.fixture(scope="session")
def model(folder: Path) -> Model:
    return Model(Source(folder, "stories"), Tokenizer(folder))


@pytest.fixture(scope="session")
def reference(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def encoded(model: Model, text: str) -> list[int]:
    return model.tokenizer.backend.encode(text).ids


def generated(reference, text: str, tokens: int) -> list[int]:
    plain, tokenizer = reference
    given = tokenizer(text, return_tensors="pt")
    return plain.generate(**given, max_new_tokens=tokens, do_sample=False)[0, given["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tokens_equal_those_of_generate_at_temperature_0(model, reference, prompt):
    got = model.generate(Continuation(encoded(model, prompt), max_tokens=80))
    want = generated(reference, prompt, 80)
    ended = want[-1] == 2
    assert list(got.tokens) == (want[:-1] if ended else want)
    assert got.finish_reason == ("stop" if ended else "length")
    assert reference[1].decode(encoded(model, prompt) + list(got.tokens), skip_special_tokens=True) == prompt + got.text


def test_a_batch_answers_as_single_requests_do(folder, reference, monkeypatch):
    batched = Model(Source(folder, "stories, in batches"), Tokenizer(folder), batch_size=4)
    lengths, sizes, plain = [40, 25, 60, 33], [], Base.generate

    def counted(base, batch):
        sizes.append(len(batch))
        return plain(base, batch)

    monkeypatch.setattr(Base, "generate", counted)
    gate = threading.Barrier(len(PROMPTS))

    def ask(i: int):
        gate.wait()
        return batched.generate(Continuation(encoded(batched, PROMPTS[i]), max_tokens=lengths[i]))

    with ThreadPoolExecutor(len(PROMPTS)) as pool:
        answers = list(pool.map(ask, range(len(PROMPTS))))
    # While the first request loads the model, the others queue up.
    assert max(sizes) > 1
    for prompt, length, got in zip(PROMPTS, lengths, answers, strict=True):
        assert list(got.tokens) == generated(reference, prompt, length)


def test_a_seed_repeats_a_sample_and_another_does_not(model):
    def draw(seed: int | None, **more) -> list[int]:
        return list(model.generate(Continuation(encoded(model, PROMPTS[0]), max_tokens=30, temperature=1.0, seed=seed, **more)).tokens)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert draw(None) != draw(None)
    # Of the tokens that reach a share of almost nothing, only the most likely one is left.
    assert draw(1, top_p=1e-9) == list(model.generate(Continuation(encoded(model, PROMPTS[0]), max_tokens=30)).tokens)


def test_samples_have_the_distribution_of_the_model(model, reference):
    prompt = encoded(model, "Once upon a time, there was a little")
    probabilities = torch.softmax(reference[0](torch.tensor([prompt])).logits[0, -1].detach() / 2, -1)
    drawn = torch.zeros(512)
    for seed in range(400):
        [token] = model.generate(Continuation(prompt, max_tokens=1, temperature=2, seed=seed)).tokens or [2]
        drawn[token] += 1
    expected = probabilities * 400
    large = expected >= 5
    chi2 = float(((drawn - expected) ** 2 / expected)[large].sum())
    # With k cells, the mean is about k and the standard deviation the root of 2k.
    k = int(large.sum())
    assert k >= 5 and chi2 < k + 4 * (2 * k) ** 0.5


def test_a_text_ends_before_a_stop_string(model):
    whole = model.generate(Continuation(encoded(model, PROMPTS[0]), max_tokens=60)).text
    got = model.generate(Continuation(encoded(model, PROMPTS[0]), max_tokens=60, stop=("named L", "She loved")))
    assert got.text == whole[: whole.index("named L")]
    assert got.finish_reason == "stop"
    assert len(got.tokens) < 30


def test_log_probabilities_are_those_of_the_logits(model, reference):
    plain, _ = reference
    text = "Once upon a time, there was a little girl named Lily."
    tokens = encoded(model, text)
    want = torch.log_softmax(plain(torch.tensor([tokens])).logits[0].detach(), -1)
    got = model.score(tokens)
    assert got.logprobs[0] is None and got.top[0] is None
    for i, (logprob, top) in enumerate(zip(got.logprobs[1:], got.top[1:], strict=True)):
        assert logprob == pytest.approx(float(want[i, tokens[i + 1]]), abs=1e-5)
        assert top == (int(want[i].argmax()), pytest.approx(float(want[i].max()), abs=1e-5))
    # The same numbers come with a generated text.
    answer = model.generate(Continuation(tokens, max_tokens=20))
    scored = model.score(tokens + list(answer.tokens)).logprobs[len(tokens) :]
    assert list(answer.logprobs) == pytest.approx(scored, abs=1e-4)


def test_the_texts_of_tokens_are_the_text(model):
    tokens = encoded(model, "Once upon a time")
    answer = model.generate(Continuation(tokens, max_tokens=30))
    assert "".join(token_texts(model.tokenizer, tokens, answer.tokens)) == answer.text


@pytest.mark.parametrize("mode", ["mean", "cls", "lasttoken", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_embeddings_are_pooled_as_the_description_says(folder, tmp_path, mode, normalize):
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    Pooling(mode, normalize, 8).write(tmp_path, 64)
    assert Pooling.of(tmp_path) == Pooling(mode, normalize, 8)
    model = Model(Source(tmp_path, f"{mode} {normalize}", head="embedding"), Tokenizer(tmp_path), batch_size=2)
    texts = ["Lily", "The dog ran to the big red ball and was happy", ""]
    vectors, tokens = model.embed(texts)
    plain, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    count = 0
    for text, vector in zip(texts, vectors, strict=True):
        ids = tokenizer(text, truncation=True, max_length=8)["input_ids"]
        count += len(ids)
        states = plain(torch.tensor([ids])).last_hidden_state[0].detach()
        want = {"mean": states.mean(0), "cls": states[0], "lasttoken": states[-1], "max": states.amax(0)}[mode]
        want = torch.nn.functional.normalize(want, dim=0) if normalize else want
        assert vector == pytest.approx(want.tolist(), abs=1e-5)
    assert tokens == count


def test_a_layer_that_is_not_supported_is_an_error(tmp_path):
    (tmp_path / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Dense"}]')
    with pytest.raises(ValueError, match="Dense"):
        Pooling.of(tmp_path)
