"""Trains the small models of this folder and writes what fastText predicts with them.

Run it with Python 3.11, fasttext-wheel 0.9.2, and numpy 1:

    python train.py sentences.jsonl

sentences.jsonl contains sentences of the Universal Declaration of Human Rights in many
languages; see README.md.
"""

import json
import random
import sys
import tempfile

import fasttext

LANGUAGES = ["ar", "de", "el", "en", "es", "fi", "hi", "hu", "ja", "pl", "ru", "tr"]
COMMON = dict(lr=0.5, epoch=30, minCount=4, bucket=600, seed=7, thread=1, verbose=0)

MODELS = {
    "softmax.bin": dict(dim=6, loss="softmax", minn=2, maxn=3, wordNgrams=2),
    "hierarchical.bin": dict(dim=5, loss="hs", minn=1, maxn=4, wordNgrams=1),
    "words.bin": dict(dim=4, loss="softmax", minn=0, maxn=0, wordNgrams=1),
    "onevsall.bin": dict(dim=6, loss="ova", minn=3, maxn=3, wordNgrams=3),
    "negative.bin": dict(dim=4, loss="ns", minn=0, maxn=0, wordNgrams=2),
    "quantized.ftz": dict(dim=7, loss="softmax", minn=2, maxn=3, wordNgrams=2),
    "pruned.ftz": dict(dim=6, loss="hs", minn=2, maxn=4, wordNgrams=2),
    "output.ftz": dict(dim=7, loss="softmax", minn=2, maxn=2, wordNgrams=1),
}
QUANTIZE = {
    "quantized.ftz": dict(dsub=2),
    "pruned.ftz": dict(cutoff=400, qnorm=True, dsub=3, retrain=True, epoch=2, lr=0.1, thread=1),
    "output.ftz": dict(qout=True, dsub=2),
}


def main(path):
    rows = [json.loads(line) for line in open(path, encoding="utf-8")]
    rows = [r for r in rows if r["language"] in LANGUAGES]
    training, held_out = [], []
    for i, r in enumerate(rows):
        (held_out if i % 3 == 2 else training).append(r)
    for name, settings in MODELS.items():
        # Only a matrix of at least 256 labels can be quantized.
        kinds = 25 if name == "output.ftz" else 1
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
            for i, r in enumerate(training):
                kind = f"_{i % kinds}" if kinds > 1 else ""
                f.write(f"__label__{r['language']}{kind} {r['text']}\n")
            f.flush()
            model = fasttext.train_supervised(f.name, **COMMON, **settings)
            if name in QUANTIZE:
                model.quantize(f.name, **QUANTIZE[name])
            model.save_model(name)
    texts = list(questions(held_out))
    with open("expected.jsonl", "w", encoding="utf-8") as out:
        for name in MODELS:
            model = fasttext.load_model(name)
            for text in texts:
                found = model.f.predict(text.replace("\n", " ") + "\n", 3, 0.0, "strict")
                json.dump({"model": name, "text": text, "labels": [l for _, l in found], "probabilities": [p for p, _ in found]}, out)
                out.write("\n")


def questions(rows):
    """Parts of sentences, and texts that are unusual."""
    yield from ["", " ", "\n", "</s>", "a </s> der die das", "__label__en", "__label__xx the right", "the__label__en", "🎉", "a\tb\rc\vd\fe",
                "der\0die", "\u00a0", "the " * 500, "ÿ" * 300, "<>", "< >", "everyone\nhas\nthe\nright"]
    choose = random.Random(5)
    for r in choose.sample(rows, 60):
        text = r["text"]
        start = choose.randrange(len(text))
        yield text[start : start + choose.choice([4, 12, 40, 200])]


main(sys.argv[1])
