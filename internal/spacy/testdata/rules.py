"""Writes rules.json: the rules of spaCy's tokenizers for English and for any language.

Run it with spaCy 3.8.18:

    python rules.py > ../rules.json
"""

import json
import re
import sys

import spacy
from spacy.lang import char_classes as c
from spacy.lang.tokenizer_exceptions import URL_PATTERN
from spacy.pipeline import Sentencizer


def main():
    english, any_language = spacy.blank("en").tokenizer, spacy.blank("xx").tokenizer
    json.dump(
        {
            "classes": runs(english),
            "currencies": [x.replace("\\", "") for x in c.LIST_CURRENCY],
            "units": c.LIST_UNITS,
            "hyphens": c.LIST_HYPHENS,
            "sentence_ends": "".join(sorted(set(Sentencizer.default_punct_chars))),
            "en": exceptions(english),
            "xx": exceptions(any_language),
        },
        sys.stdout,
        ensure_ascii=True,
        separators=(",", ":"),
    )


def runs(t):
    """Ranges of characters of the same classes, as bits in the order of the list below."""
    of = lambda pattern: re.compile(f"[{pattern}]").match
    infix_icons = of(c.CONCAT_ICONS)
    classes = [
        lambda x: (m := t.prefix_search(x + "a")) and len(m.group()) == 1,
        lambda x: x not in ".+" and (m := t.suffix_search("a" + x)) and len(m.group()) == 1,
        lambda x: (m := t.suffix_search(x + ".")) and m.group() == ".",
        of(c.ALPHA_UPPER),
        of(c.ALPHA_LOWER + c.CONCAT_QUOTES),
        of(c.ALPHA_UPPER + c.CONCAT_QUOTES),
        of(c.ALPHA),
        lambda x: x == "…" or infix_icons(x),
    ]
    out, start, last = [], 0, 0
    for code in range(0x110001):
        bits = 0
        if code < 0x110000 and not 0xD800 <= code < 0xE000:
            bits = sum(1 << i for i, f in enumerate(classes) if f(chr(code)))
        if bits != last:
            if last:
                out.append([start, code - 1, last])
            start, last = code, bits
    return out


def exceptions(t):
    return {text: [p[spacy.symbols.ORTH] for p in pieces] for text, pieces in sorted(t.rules.items())}


main()
