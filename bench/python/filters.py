"""Filters texts and finds personal data with datatrove, as pipelines of its users do, one text after the other.

    filters.py ROWS.jsonl MOST LID.ftz

It applies the filters of Gopher, C4, and FineWeb, fastText's language identification with the given model, because
datatrove's own step fetches one, and its search for e-mail and IP addresses.
"""

import itertools
import json
import sys

import fasttext
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.formatters import PIIFormatter

rows, most, model = sys.argv[1:]
languages = fasttext.load_model(model)
filters = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(), FineWebQualityFilter()]
pii = PIIFormatter()
kept = 0
with open(rows, encoding="utf-8") as lines:
    for line in itertools.islice(lines, int(most)):
        row = json.loads(line)
        document = Document(text=row["text"], id=str(row["id"]))
        verdicts = [f.filter(document) is True for f in filters]
        label = languages.predict(document.text.replace("\n", " "))
        document.text = pii.format(document.text)
        kept += all(verdicts) and bool(label)
print(kept)
