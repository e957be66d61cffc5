"""Makes 10,000 texts in many scripts, and checksums of their tokens, which the tests compare with.

Usage: scripts.py SPACY FAKER DATA

SPACY and FAKER are folders with the unpacked wheels of spaCy 3.8.18 and Faker 40.63.0, both under the MIT license: the example
sentences of 60 languages, and sentences of words, names, addresses, and times in 90 locales. DATA is a folder with problems of GSM8K
and HumanEval, both under the MIT license by OpenAI, and messages of BANKING77 by PolyAI, under CC BY 4.0; long texts are cut. The
committed file comes from tokenizers 0.23.3, for the tokenizers that oracle.py has made, and from tiktoken 0.14.0.
"""

import ast
import csv
import gzip
import importlib
import json
import pathlib
import sys
import zlib

import tiktoken
from tokenizers import Tokenizer

FAMILIES = ["gpt2", "bert", "metaspace", "sentencepiece", "llama"]
LONGEST = 160
COUNT = 10_000


def sentences(folder):
    for file in sorted(folder.glob("spacy/lang/*/examples.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and node.targets[0].id == "sentences":
                yield from ast.literal_eval(node.value)


def made(folder):
    sys.path.insert(0, str(folder))
    from faker import Faker
    from faker.config import AVAILABLE_LOCALES

    for locale in sorted(AVAILABLE_LOCALES):
        fake = Faker(locale)
        fake.seed_instance(0)
        try:
            importlib.import_module(f"faker.providers.lorem.{locale}")
        except ModuleNotFoundError:
            continue  # has the words of Latin
        for i in range(110):
            yield fake.sentence(nb_words=6 + i % 19) if i % 3 else f"{fake.name()}, {fake.address()}, {fake.date()} {fake.time()}"


def published(folder):
    for path, key in (("gsm8k/train-1000.jsonl", "question"), ("humaneval/humaneval-100.jsonl", "prompt")):
        for line in (folder / path).open(encoding="utf-8"):
            yield json.loads(line)[key]
    with (folder / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["text"]


def read(path):
    with gzip.open(path) as file:
        return json.load(file)


def checksum(*lists):
    return zlib.crc32(";".join(",".join(map(str, of)) for of in lists).encode()) & 0xFFFF


def tokens(encoding):
    return checksum(encoding.ids, [start for start, _ in encoding.offsets], [end for _, end in encoding.offsets])


spacy, faker, data = map(pathlib.Path, sys.argv[1:])
texts = list(dict.fromkeys(text[:LONGEST] for text in [*sentences(spacy), *made(faker), *published(data)] if text))[:COUNT]
families = {name: Tokenizer.from_str(json.dumps(read(f"{name}.json.gz"))) for name in FAMILIES}
encodings = {name: tiktoken.get_encoding(name) for name in ("cl100k_base", "o200k_base")}
checksums = {name: [tokens(t.encode(text)) for text in texts] for name, t in families.items()} | {
    name: [checksum(e.encode(text, disallowed_special=())) for text in texts] for name, e in encodings.items()
}
with open("scripts.json.gz", "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, compresslevel=9, mtime=0) as out:
    out.write(json.dumps({"texts": texts, "checksums": checksums}, ensure_ascii=False, separators=(",", ":")).encode())
print(len(texts))
