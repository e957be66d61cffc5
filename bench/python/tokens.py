"""Tokenizes the texts of a file of JSON lines with the library tokenizers.

Usage: tokens.py ROWS TOKENIZER
"""

import itertools
import json
import sys

from tokenizers import Tokenizer

rows, path = sys.argv[1:]
tokenizer = Tokenizer.from_file(path)
count = 0
with open(rows, encoding="utf-8") as lines:
    while batch := [json.loads(line)["text"] for line in itertools.islice(lines, 10_000)]:
        count += sum(len(e.ids) for e in tokenizer.encode_batch_fast(batch))
print(count)
