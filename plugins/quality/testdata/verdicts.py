"""Writes verdicts.jsonl.gz: what datatrove's filters say about 10,000 texts.

Run it with datatrove 0.10.1 and spaCy 3.8.18:

    python verdicts.py

A text consists of parts (parts.jsonl.gz) that are joined. A line of the result has the
numbers of the parts, what joins them, the reason of each filter to drop the text or "",
and a digest of the text that C4 leaves.
"""

import gzip
import hashlib
import json
import random

from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

FILTERS = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(), FineWebQualityFilter()]
SEPARATORS = ["\n", "\n\n", " ", "\n", "\r\n", "\u2028", "\n\n\n"]


def recipe(choose, parts):
    """Numbers of parts: varied, repetitive, or both."""
    kind = choose.random()
    pool = choose.sample(range(parts), choose.choice([1, 2, 3, 8, 20, 60]))
    n = choose.choice([1, 2, 4, 8, 16, 32]) if kind < 0.7 else len(pool)
    if kind < 0.35:
        return [choose.choice(pool) for _ in range(n)]
    if kind < 0.7:
        return (pool * n)[: choose.randrange(1, 60)]
    return pool


def main():
    with gzip.open("parts.jsonl.gz", "rt", encoding="utf-8") as f:
        parts = [json.loads(line) for line in f]
    choose = random.Random(11)
    with gzip.GzipFile("verdicts.jsonl.gz", "wb", mtime=0) as out:
        for _ in range(10_000):
            numbers, separator = recipe(choose, len(parts)), choose.choice(SEPARATORS)
            text = separator.join(parts[i] for i in numbers)
            reasons, left = [], ""
            for f in FILTERS:
                document = Document(text=text, id="0")
                verdict = f.filter(document)
                reasons.append("" if verdict is True else verdict[1])
                if isinstance(f, C4QualityFilter) and verdict is True:
                    left = hashlib.sha256(document.text.encode()).hexdigest()[:16]
            out.write((json.dumps([numbers, separator, reasons, left]) + "\n").encode())


main()
