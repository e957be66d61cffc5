"""Writes refinedweb.jsonl.gz: what DCLM's corrections of RefinedWeb make of 4,000 texts.

Run it in a clone of github.com/mlfoundations/dclm (here at 361714b), with its folder baselines on the path:

    PYTHONPATH=dclm:dclm/baselines python refinedweb.py

A text consists of parts (numbers are lines of parts.jsonl.gz, texts are themselves) that are joined. A line of the
result has the parts, what joins them, whether DCLM keeps the text, and a digest of the text that it leaves.
"""

import gzip
import hashlib
import json
import random

from baselines.mappers import modifiers
from baselines.mappers.enrichers.enrichers import word_counter_enricher
from baselines.mappers.filters.content_filters import word_removal_ratio_filter

STEPS = [
    lambda p: modifiers.uppercase_ratio_line_modifier(p, max_ratio=0.5),
    lambda p: modifiers.numeric_ratio_line_modifier(p, max_ratio=0.999999),
    modifiers.counter_line_modifier(),
    lambda p: modifiers.line_length_modifier(p, min_length=2),
    # DCLM does not escape the points in its pattern, so that any three characters end a line.
    modifiers.substring_line_modifier(banlist="items in cart", max_length=10, remove_substring_only=True),
    modifiers.substring_line_modifier(banlist=r"Read more\.\.\.", max_length=10, location="suffix", remove_substring_only=True),
    modifiers.substring_line_modifier(banlist="Sign-in", max_length=10, location="prefix", remove_substring_only=True),
]
LINES = [
    "3 likes", "1,234 views", "• 1.2K Shares!", "12 likes and more", "٣ likes", "7  comments", "2024", "12 34", "²³", "HELLO WORLD", "HELLO world", "ÄÖÜ ÉÈ ẞ", "Ⓐ Ⅷ",
    "word", "two words", "Sign-in", "Sign-in to read this text", "sign-in  now", "Please Sign-in", "Read more...", "The weather is fine. Read more...",
    "read more…", "Read more... or not", "0 items in cart", "You have 3 Items in Cart today", "items in cart items in cart", "items items in cart in cart",
    "one two three four five six seven eight nine ten items in cart", "", "   ", "\t", " - ", "…", "a\u00a0b", "中文字符", "\u20283 likes", "(5 downloads)", "5 k views", "5k views",
]  # fmt: skip


def recipe(choose, parts):
    pool = [choose.randrange(parts) if choose.random() < choose.choice([0.2, 0.6, 0.95]) else choose.choice(LINES) for _ in range(choose.randint(0, 14))]
    return pool, choose.choice(["\n", "\n", "\n\n", "\r\n", " ", "\n \n"])


def corrected(text):
    page = {"text": text}
    page = word_counter_enricher(page, key="before")[0]
    for step in STEPS:
        page = (step(page) or [None])[0]
        if page is None:
            return False, ""
    return bool(word_removal_ratio_filter(dict(page), "before", max_removed_ratio=0.05)), page["text"]


def main():
    with gzip.open("parts.jsonl.gz", "rt", encoding="utf-8") as f:
        parts = [json.loads(line) for line in f]
    choose = random.Random(12)
    with gzip.GzipFile("refinedweb.jsonl.gz", "wb", mtime=0) as out:
        for _ in range(4_000):
            pool, separator = recipe(choose, len(parts))
            text = separator.join(parts[p] if isinstance(p, int) else p for p in pool)
            keeps, left = corrected(text)
            out.write((json.dumps([pool, separator, keeps, hashlib.sha256(left.encode()).hexdigest()[:16]]) + "\n").encode())


main()
