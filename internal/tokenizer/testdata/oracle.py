"""Makes the tokenizers and tokens that the tests compare with.

Usage: oracle.py CORPUS TEXTS

CORPUS and TEXTS are JSON lists of texts: to train on, and to tokenize. The committed files come from tokenizers 0.23.3 and
sentencepiece 0.2.1, and from 8,400 short texts in English, code, and mixed scripts. Of the tokens, IDs and offsets in characters are
written, with special tokens.
"""

import gzip
import io
import json
import sys

import sentencepiece
import sentencepiece.sentencepiece_model_pb2 as protobuf
from tokenizers import AddedToken, Regex, Tokenizer, models
from tokenizers import normalizers as n
from tokenizers import pre_tokenizers as p
from tokenizers import processors as o
from tokenizers import trainers as t

SIZE = 2000
SPECIAL = ["<s>", "</s>", "<unk>", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "<|endoftext|>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]
ALPHABET = p.ByteLevel.alphabet()

corpus, texts = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
made = {}


def train(name, model, trainer, normalizer=None, pre_tokenizer=None):
    tokenizer = made[name] = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer, tokenizer.token_to_id


tokenizer, _ = train(
    "gpt2", models.BPE(), t.BpeTrainer(vocab_size=SIZE, special_tokens=["<|endoftext|>"], initial_alphabet=ALPHABET), pre_tokenizer=p.ByteLevel(add_prefix_space=False)
)
tokenizer.post_processor = o.ByteLevel(trim_offsets=True)

tokenizer, at = train("roberta", models.BPE(), t.BpeTrainer(vocab_size=SIZE, special_tokens=SPECIAL, initial_alphabet=ALPHABET), pre_tokenizer=p.ByteLevel(add_prefix_space=True))
tokenizer.post_processor = o.RobertaProcessing(("</s>", at("</s>")), ("<s>", at("<s>")), trim_offsets=True, add_prefix_space=True)
tokenizer.add_tokens([AddedToken("[MASK]", lstrip=True, special=True), AddedToken("foo_bar", single_word=True), AddedToken("FooBar", rstrip=True)])

tokenizer, at = train("bert", models.WordPiece(unk_token="[UNK]"), t.WordPieceTrainer(vocab_size=SIZE, special_tokens=SPECIAL), n.BertNormalizer(), p.BertPreTokenizer())
tokenizer.post_processor = o.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", at("[CLS]")), ("[SEP]", at("[SEP]"))]
)

tokenizer, at = train(
    "bert-cased",
    models.WordPiece(unk_token="[UNK]"),
    t.WordPieceTrainer(vocab_size=SIZE, special_tokens=SPECIAL),
    n.BertNormalizer(lowercase=False, strip_accents=True, handle_chinese_chars=False),
    p.BertPreTokenizer(),
)
tokenizer.post_processor = o.BertProcessing(("[SEP]", at("[SEP]")), ("[CLS]", at("[CLS]")))

tokenizer, _ = train(
    "llama",
    models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
    t.BpeTrainer(vocab_size=SIZE, special_tokens=["<unk>", "<s>", "</s>", *BYTES], limit_alphabet=500),
    n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]),
)
tokenizer.add_tokens(["don't"])

train(
    "metaspace",
    models.Unigram(),
    t.UnigramTrainer(vocab_size=SIZE, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>"),
    n.Sequence([n.Nmt(), n.NFKC(), n.Replace(Regex(" {2,}"), " ")]),
    p.Metaspace(),
)
train(
    "unigram-bytes",
    models.Unigram(byte_fallback=True),
    t.UnigramTrainer(vocab_size=SIZE, special_tokens=["<unk>", "<s>", "</s>", *BYTES], unk_token="<unk>", max_piece_length=8),
    n.Sequence([n.Strip(), n.NFKD(), n.Lowercase(), n.StripAccents()]),
    p.Sequence([p.UnicodeScripts(), p.Metaspace(prepend_scheme="first")]),
)
train(
    "wordlevel",
    models.WordLevel(unk_token="[UNK]"),
    t.WordLevelTrainer(vocab_size=SIZE, special_tokens=SPECIAL),
    n.Sequence([n.NFD(), n.Lowercase(), n.StripAccents()]),
    p.Sequence([p.Whitespace(), p.Digits(individual_digits=True), p.Punctuation()]),
)
train(
    "suffix",
    models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
    t.BpeTrainer(vocab_size=SIZE, special_tokens=["<unk>"], end_of_word_suffix="</w>", limit_alphabet=300),
    n.Sequence([n.NFC(), n.Lowercase()]),
    p.Sequence([p.WhitespaceSplit(), p.Punctuation("contiguous")]),
)
train(
    "prefix",
    models.BPE(unk_token="<unk>", continuing_subword_prefix="@@", fuse_unk=True),
    t.BpeTrainer(vocab_size=SIZE, special_tokens=["<unk>"], continuing_subword_prefix="@@", limit_alphabet=300),
    n.NFKD(),
    p.Sequence([p.CharDelimiterSplit(" "), p.Digits(), p.FixedLength(7)]),
)
train("bytes-normalizer", models.BPE(), t.BpeTrainer(vocab_size=SIZE, initial_alphabet=ALPHABET), n.Sequence([n.NFC(), n.ByteLevel()]))

written = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter([text.replace("\0", " ") for text in corpus]),
    model_writer=written,
    vocab_size=SIZE,
    model_type="unigram",
    character_coverage=0.995,
    hard_vocab_limit=False,
    minloglevel=2,
)
model = protobuf.ModelProto()
model.ParseFromString(written.getvalue())
tokenizer = made["sentencepiece"] = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in model.pieces], 0, False))
tokenizer.normalizer = n.Sequence([n.Precompiled(model.normalizer_spec.precompiled_charsmap), n.Replace(Regex(" {2,}"), " ")])
tokenizer.pre_tokenizer = p.Metaspace()
tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])


def write(path, value):
    with open(path, "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, compresslevel=9, mtime=0) as out:
        out.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


for name, tokenizer in made.items():
    write(f"{name}.json.gz", json.loads(tokenizer.to_str()))
for behavior in ("isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"):
    for invert in (False, True):  # the tests make these from wordlevel
        tokenizer = made[f"split-{behavior}-{invert}"] = Tokenizer.from_str(made["wordlevel"].to_str())
        tokenizer.normalizer = None
        tokenizer.pre_tokenizer = p.Split(Regex(r"\s+|\p{P}"), behavior, invert)


def tokens(tokenizer, text):
    e = tokenizer.encode(text)
    return [e.ids, [start for start, _ in e.offsets], [end for _, end in e.offsets]]


write("expected.json.gz", {"texts": texts, "tokens": {name: [tokens(tokenizer, text) for text in texts] for name, tokenizer in made.items()}})
