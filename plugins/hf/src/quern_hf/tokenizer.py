"""train "hf_tokenizer": tokenizers."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from quern import plugin

from . import artifact, hf
from .tokens import Template, TemplateError, Tokenizer

if TYPE_CHECKING:
    import tokenizers

FORMAT = "hf-tokenizer"
"""The format of a tokenizer: a folder with ``tokenizer.json`` and ``tokenizer_config.json``."""

_SPECIAL = {
    "bpe": {"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"},
    "unigram": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
    "wordpiece": {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"},
}

# The most letters that a tokenizer of words has; the others are unknown.
_LETTERS = 1000

# The most lines that SentencePiece gets, sampled from all, and the most characters of a line.
_LINES, _LINE = 1_000_000, 10_000

# The rows that the length of tokens is measured on.
_MEASURED = 1000


@dataclass
class Values:
    """The values of the trainer.

    Attributes:
        rows: The rows that were read.
        skipped: The rows without a text.
        vocab_size: The number of tokens, with the special ones.
        characters_per_token: The mean length of a token in the first 1,000 texts.
    """

    rows: int
    skipped: int
    vocab_size: int
    characters_per_token: float


@hf.train("hf_tokenizer")
class TrainTokenizer(plugin.Runner):
    """Trains a tokenizer on texts, with the libraries tokenizers and SentencePiece.

    `bpe` works on bytes, as in GPT-2 and Llama 3, so it can write any text. `unigram` is that of SentencePiece, and `wordpiece` that of BERT.

    The stage is a folder with `tokenizer.json` and `tokenizer_config.json` that `AutoTokenizer` of transformers loads. `train "hf_sft"` gives it to a model with
    `tokenizer = train.words`; for conversations, set a `chat_template` whose messages end with the `eos_token`. The values are `rows`, `skipped`
    (rows without a text), `vocab_size`, and `characters_per_token` on the first 1,000 texts.

    Memory grows with the number of different words, not with texts; `unigram` learns from a sample of a million lines. The same texts and arguments give the
    same files.

    ```hcl
    train "hf_tokenizer" "words" {
      dataset    = source.texts
      text       = row.text
      vocab_size = 8000
    }
    ```
    """

    dataset: plugin.Dataset
    """The rows with texts."""
    text: plugin.Row[str]
    """The text. Rows without one are skipped and counted."""
    algorithm: Literal["bpe", "unigram", "wordpiece"] = "bpe"
    """How text is split into tokens."""
    vocab_size: int = 32000
    """The maximum number of tokens, with the special ones."""
    min_frequency: int = 2
    """How often a pair must occur to become a token. Not for `unigram`."""
    lowercase: bool = False
    """Whether case is ignored."""
    special_tokens: dict[str, str] = {}
    """The special tokens by their names in transformers, such as `{ eos_token = "</s>" }`. They replace those that the algorithm has by default."""
    additional_special_tokens: list[str] = []
    """Further special tokens, such as those of a chat template."""
    chat_template: str | None = None
    """A chat template in Jinja."""
    max_length: int | None = None
    """The maximum length of a text in tokens, for the models that use the tokenizer."""

    def prepare(self, p: plugin.Prepare) -> None:
        p.add_model(FORMAT, inputs={}, outputs={})
        p.set_value_type(Values)
        least = 256 if self.algorithm == "bpe" else 1
        if p.known("vocab_size") and p.known("special_tokens") and self.vocab_size < least + len(self._special()):
            p.error(
                f"vocab_size must be at least {least + len(self._special())}\n{self.algorithm} needs so many tokens.", argument="vocab_size"
            )
        if p.known("min_frequency") and self.min_frequency < 1:
            p.error("min_frequency must be at least 1", argument="min_frequency")
        for name in self.special_tokens:
            if not name.endswith("_token"):
                p.error(
                    f"{name!r} is not the name of a special token\nNames are bos_token, eos_token, unk_token, pad_token, and so on.",
                    argument="special_tokens",
                )
        if self.chat_template is not None and p.known("chat_template"):
            try:
                Template(self.chat_template, self._special()).render([{"role": "user", "content": "Hello"}], reply=True)
            except TemplateError as e:
                p.error(str(e), argument="chat_template")

    def _special(self) -> dict[str, str]:
        return {**_SPECIAL[self.algorithm], **self.special_tokens}

    def run(self, run: plugin.Run) -> Values:
        folder = Path(run.folder(""))
        texts = _Texts(self, run)
        trained = {"bpe": self._bpe, "unigram": self._unigram, "wordpiece": self._wordpiece}[self.algorithm](texts)
        run.check()
        self._finish(trained)
        trained.save(str(folder / "tokenizer.json"))
        self._describe(folder)
        encoded = Tokenizer(folder).backend.encode_batch(texts.first, add_special_tokens=False)
        return Values(
            rows=texts.rows,
            skipped=texts.skipped,
            vocab_size=trained.get_vocab_size(),
            characters_per_token=sum(map(len, texts.first)) / max(1, sum(len(e.ids) for e in encoded)),
        )

    @property
    def _reserved(self) -> list[str]:
        """All special tokens, each once."""
        return [*dict.fromkeys([*self._special().values(), *self.additional_special_tokens])]

    def _normalizer(self, *first: Any) -> tokenizers.normalizers.Normalizer:
        from tokenizers import normalizers

        return normalizers.Sequence([*first, *([normalizers.Lowercase()] if self.lowercase else [])])

    def _bpe(self, texts: _Texts) -> tokenizers.Tokenizer:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        out = Tokenizer(models.BPE())
        out.normalizer = self._normalizer(normalizers.NFC())
        out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        out.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=self._reserved,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        out.train_from_iterator(iter(texts), trainer)
        return out

    def _wordpiece(self, texts: _Texts) -> tokenizers.Tokenizer:
        """Trains in two passes. The library numbers the letters inside of words as it happens to find them, so they are numbered before."""
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        out = Tokenizer(models.WordPiece(unk_token=self._special()["unk_token"]))
        out.normalizer = self._normalizer(normalizers.BertNormalizer(lowercase=False, strip_accents=False))
        out.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        out.decoder = decoders.WordPiece()
        found = Counter[str]()
        for word, count in _words(out, texts).items():
            found.update({letter: word.count(letter) * count for letter in set(word)})
        letters = sorted(sorted(found, key=lambda c: (-found[c], c))[:_LETTERS])
        inside = [f"##{letter}" for letter in letters]
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=[*self._reserved, *inside],
            initial_alphabet=letters,
            limit_alphabet=len(letters),
            show_progress=False,
        )
        out.train_from_iterator(iter(texts), trainer)
        content = json.loads(out.to_str())
        content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] not in inside]
        return Tokenizer.from_str(json.dumps(content))

    def _unigram(self, texts: _Texts) -> tokenizers.Tokenizer:
        """Trains with SentencePiece: the trainer of tokenizers depends on the order of a hash table."""
        import sentencepiece
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

        special = self._special()
        out = Tokenizer(models.Unigram())
        out.normalizer = self._normalizer(normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "))
        out.pre_tokenizer = pre_tokenizers.Metaspace()
        out.decoder = decoders.Metaspace()
        names = ["unk_token", "bos_token", "eos_token", "pad_token"]
        reserved: dict[str, Any] = {}
        for i, name in enumerate(names):
            kind = name.removesuffix("_token")
            reserved |= {f"{kind}_id": i, f"{kind}_piece": special[name]}
        content = io.BytesIO()
        sentencepiece.set_random_generator_seed(0)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(out, texts),
            input_sentence_size=_LINES,
            shuffle_input_sentence=True,
            max_sentence_length=4 * _LINE,
            model_writer=content,
            model_type="unigram",
            vocab_size=self.vocab_size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            control_symbols=[t for t in self._reserved if t not in [special.get(n) for n in names]],
            num_threads=1,
            minloglevel=1,
            **reserved,
        )
        pieces = sentencepiece.SentencePieceProcessor(model_proto=content.getvalue())
        ids = range(pieces.get_piece_size())
        out.model = models.Unigram([(pieces.id_to_piece(i), pieces.get_score(i)) for i in ids], unk_id=0, byte_fallback=False)
        out.add_special_tokens(self._reserved)
        return out

    def _finish(self, trained: tokenizers.Tokenizer) -> None:
        """Surrounds texts with the tokens that models of the kind expect."""
        from tokenizers import processors

        special = self._special()
        if self.algorithm == "wordpiece" and {"cls_token", "sep_token"} <= special.keys():
            begin, end = special["cls_token"], special["sep_token"]
            ids = [(t, trained.token_to_id(t)) for t in (begin, end)]
            trained.post_processor = processors.TemplateProcessing(f"{begin} $A {end}", f"{begin} $A {end} $B:1 {end}:1", ids)
        elif (bos := special.get("bos_token")) is not None:
            trained.post_processor = processors.TemplateProcessing(f"{bos} $A", f"{bos} $A {bos}:1 $B:1", [(bos, trained.token_to_id(bos))])

    def _describe(self, folder: Path) -> None:
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **self._special()}
        if self.additional_special_tokens:
            config["additional_special_tokens"] = list(self.additional_special_tokens)
        if self.max_length is not None:
            config["model_max_length"] = self.max_length
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if self.chat_template is not None:
            (folder / "chat_template.jinja").write_text(self.chat_template, encoding="utf-8")
        artifact.Description(
            method="tokenizer",
            arguments={"algorithm": self.algorithm, "vocab_size": self.vocab_size},
            data={"dataset": self.dataset.digest},
            packages={name: version(name) for name in ("sentencepiece", "tokenizers")},
        ).write(folder)


class _Texts:
    """The texts of a dataset, which are read, and counted, each time that they are iterated over."""

    def __init__(self, of: TrainTokenizer, run: plugin.Run) -> None:
        self._of, self._run = of, run
        self.rows = self.skipped = 0
        self.first: list[str] = []

    def __iter__(self) -> Iterator[list[str]]:
        self.rows = self.skipped = 0
        self.first = []
        for batch in self._of.dataset.batches(self._of.text, batch_rows=1024):
            if self._run.stopping:
                return  # an exception would be lost in the library; the caller checks
            texts = [t for t in batch[0].to_pylist() if t]
            self.rows += len(texts)
            self.skipped += batch.num_rows - len(texts)
            self.first += texts[: _MEASURED - len(self.first)]
            self._run.progress(self.rows + self.skipped, self._of.dataset.rows or 0, "rows")
            yield texts
        if not self.rows:
            raise plugin.Error("No texts\nThe dataset has no row with a text.", argument="dataset")


def _lines(tokenizer: tokenizers.Tokenizer, texts: _Texts) -> Iterator[str]:
    """Yields the lines of texts, normalized."""
    normalizer = tokenizer.normalizer
    assert normalizer is not None
    for batch in texts:
        for text in batch:
            for line in text.splitlines():
                normalized = normalizer.normalize_str(line).strip()
                yield from (normalized[i : i + _LINE] for i in range(0, len(normalized), _LINE))


def _words(tokenizer: tokenizers.Tokenizer, texts: _Texts) -> Counter[str]:
    """Counts the words of texts, as a tokenizer splits them."""
    normalizer, splitter = tokenizer.normalizer, tokenizer.pre_tokenizer
    assert normalizer is not None and splitter is not None
    counted = Counter[str]()
    for batch in texts:
        for text in batch:
            counted.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    return counted
