"""Makes chunks.json.gz: what markdown-it-py takes for headings, and spaCy for sentences.

Usage: chunks.py TEXT...

The committed file comes from markdown-it-py 4.3.0 and spaCy 3.8.18, and from the books in
examples/corpus/data/books, which are in the public domain. Other texts are random.
"""

import gzip
import json
import random
import sys

import spacy
from markdown_it import MarkdownIt

rng = random.Random(15)

LINES = [
    "# One", "## Two #", "### Three ###", "#### *Four* `x`", "###### Six", "####### seven", "#hashtag", "#", "  # Indented", "    # code", "\t# tab",
    "Title", "=====", "---", "-----", "===", "text", "more text", "", "", "", "", "```", "```go", "~~~", "````", "- item", "  - nested", "  # in item",
    "1. one", "   two", "> quote", "> # quoted", "***", "<div>", "</div>", "<!-- # comment", "-->", "<pre>", "x </pre>", "[a]: /b", "| a | b |", "| --- | --- |",
    "\\# no heading", "# One\\", "* * *", "+ ", "`code`", "# Ünï — ☃", "Setext *too*", "two  ", "\t", "<script>", "x </script>", "<?php", "?>", "<a>", "&amp; # x",
]


def headings(text):
    tokens = MarkdownIt("commonmark").parse(text)
    return [[t.map[0], int(t.tag[1]), tokens[i + 1].content] for i, t in enumerate(tokens) if t.type == "heading_open" and t.level == 0]


WORDS = [
    "Dr.", "Mr.", "U.S.", "e.g.", "i.e.", "a.m.", "3.14", "No", "yes", "Hello", "world", "said", "\"Stop!\"", "(really?)", "...", "…", "!", "?!", ".", "?", ".\"",
    "www.example.com", "end.Start", "A.", "B.", "don't", "'Tis", "—", "\n", "\r\n", "\t", "  ", "\u00a0", "。", "！", "？", "एक।", "؟", "«Oui.»", "\u201cYes.\u201d", ":-)", "etc.",
    "v1.2.", "$5.", "x;", "№", "é.", "1.", "2.", "•", "*", "\u200b", "\x1c",
]


def random_words():
    return "".join(rng.choice(WORDS) + rng.choice(["", " ", " ", " "]) for _ in range(rng.randrange(1, 25)))


paragraphs = [p for path in sys.argv[1:] for p in open(path, encoding="utf-8").read().replace("\r\n", "\n").split("\n\n") if 40 < len(p) < 1500]
languages = {"en": spacy.blank("en"), "xx": spacy.blank("xx")}
for nlp in languages.values():
    nlp.add_pipe("sentencizer")


def sentences(text):
    return {name: [s.start_char for s in nlp(text).sents] for name, nlp in languages.items()}


documents = ["\n".join(rng.choice(LINES) for _ in range(rng.randrange(1, 20))) + rng.choice(["", "\n"]) for _ in range(4000)]
documents = [d for d in documents if not d.startswith("---")]
texts = rng.sample(paragraphs, min(300, len(paragraphs))) + [random_words() for _ in range(1500)]
out = {
    "documents": [{"text": d, "headings": headings(d)} for d in documents],
    "texts": [{"text": t, "starts": sentences(t)} for t in texts],
}
with open("chunks.json.gz", "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, compresslevel=9, mtime=0) as z:
    z.write(json.dumps(out, ensure_ascii=False, separators=(",", ":")).encode())
