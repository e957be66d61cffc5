"""Makes ../unicode.json.gz: what the library tokenizers knows about each character; and characters.json.gz, which tests it.

Usage: unicode.py

The library has tables of several versions of Unicode: in Oniguruma, in Rust's standard library, and in the packages for
categories, normal forms, scripts, and words. Each is found out by asking the library about every character, so the file does not
depend on the Unicode version of Go. The committed files come from tokenizers 0.23.3.
"""

import gzip
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, models, processors
from tokenizers import normalizers as n
from tokenizers import pre_tokenizers as p

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co".split()
SCRIPTS = """Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Beria_Erfeh Bhaiksuki Bopomofo
Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot
Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Garay Georgian Glagolitic
Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Gurung_Khema Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana
Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi
Khitan_Small_Script Khmer Khojki Khudawadi Kirat_Rai Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam
Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro
Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Ol_Onal Old_Hungarian
Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong
Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham Sidetic SignWriting
Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Sunuwar Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Tai_Yo Takri Tamil
Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Todhri Tolong_Siki Toto Tulu_Tigalari Ugaritic Vai Vithkuqi Wancho Warang_Citi
Yezidi Yi Zanabazar_Square""".split()
FLAGS = "word added_word numeric punctuation control mark nonspacing lower normal_form extends".split()

ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
BLOCKS = [ALL[i : i + 2048] for i in range(0, len(ALL), 2048)]


def kept(pre):
    """Returns the characters that are left when a pre-tokenizer removes others."""
    return {c for block in BLOCKS for _, (start, end) in pre.pre_tokenize_str("".join(map(chr, block))) for c in block[start:end]}


def matches(pattern):
    return kept(p.Split(Regex(pattern), "removed", invert=True))


def removed(normalizer):
    return {c for c in ALL if normalizer.normalize_str(f"a{chr(c)}b") == "ab"}


def numeric():
    digits = p.Digits(individual_digits=True)
    parts = ((b, part) for b in BLOCKS for part in digits.pre_tokenize_str("".join(f"a{chr(c)}a" for c in b)))
    return {block[start // 3] for block, (_, (start, end)) in parts if end - start == 1 and start % 3 == 1}


def added_word():
    """Returns the characters next to which an added token is not a word of its own."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, "?"))
    tokenizer.add_tokens([AddedToken("X", single_word=True)])
    return {c for c in ALL if tokenizer.token_to_id("X") not in tokenizer.encode("X" + chr(c)).ids}


def mapped(normalizer):
    return {c: text for c in ALL if (text := normalizer.normalize_str(chr(c))) != chr(c)}


def ordered():
    """Returns the characters that have a combining class: they change places with some mark."""
    nfd = n.NFD()
    return {c for c in ALL if nfd.normalize_str(f"a\u0345{chr(c)}") == f"a{chr(c)}\u0345" or nfd.normalize_str(f"a{chr(c)}\u0334") == f"a\u0334{chr(c)}"}


def extends():
    """Returns the characters that belong to the grapheme cluster before them: that with a subscript j is then too long to be replaced."""
    precompiled = Tokenizer.from_buffer(gzip.open("sentencepiece.json.gz").read()).normalizer
    return {c for c in ALL if "\u0323" in precompiled.normalize_str(f"\u2c7c\u0323{chr(c)}")}


def scripts():
    """Numbers the scripts of characters as UnicodeScripts sees them. 0: it goes with any script."""
    pre = p.UnicodeScripts()
    parts = lambda text: len(pre.pre_tokenize_str(text))
    any_script = {c for c in ALL if parts(f"A{chr(c)}A") == 1 and parts(f"あ{chr(c)}あ") == 1}
    numbers, known = {}, []
    previous = 0
    for c in ALL:
        if c in any_script:
            continue
        if previous and parts(chr(previous) + chr(c)) == 1:
            numbers[c] = numbers[previous]
        else:
            same = [i for i, other in enumerate(known) if parts(chr(other) + chr(c)) == 1]
            if not same:
                known.append(c)
            numbers[c] = (same or [len(known) - 1])[0] + 1
        previous = c
    return numbers


assert matches(r"\s") == matches(r"[\p{Z}\t-\r\x{85}]")
assert set(ALL) - kept(p.WhitespaceSplit()) == {c for c in ALL if chr(c) in "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" or 0x2000 <= c <= 0x200A}
lower = mapped(n.Lowercase())
assert [c for c, text in lower.items() if len(text) > 1] == [0x130]
bert = dict(handle_chinese_chars=False, lowercase=False)
sets = {
    "word": matches(r"\w"),
    "added_word": added_word(),
    "numeric": numeric(),
    "punctuation": set(ALL) - kept(p.Punctuation("removed")),
    "control": removed(n.BertNormalizer(clean_text=True, strip_accents=False, **bert)) - {0, 0xFFFD},
    "mark": removed(n.StripAccents()),
    "nonspacing": removed(n.BertNormalizer(clean_text=False, strip_accents=True, **bert)),
    "lower": set(lower),
    "extends": extends(),
    "normal_form": set(mapped(n.NFD())) | set(mapped(n.NFKD())) | ordered(),
}
category = {c: i for i, name in enumerate(CATEGORIES, 1) for c in matches(r"\p{%s}" % name)}
named = []
in_pattern = {}
for name in SCRIPTS:
    try:
        found = matches(r"\p{%s}" % name)
    except Exception:  # the library does not know it
        continue
    named.append(name)
    in_pattern |= dict.fromkeys(found, len(named))
grouped = scripts()


def properties(c):
    return [category.get(c, 0), sum(1 << i for i, f in enumerate(FLAGS) if c in sets[f]), grouped.get(c, 0), in_pattern.get(c, 0)]


runs = []
for c in ALL:
    new = properties(c)
    if runs and runs[-1][1] == c - 1 and runs[-1][2:] == new:
        runs[-1][1] = c
    else:
        runs.append([c, c, *new])


def write(path, value):
    with open(path, "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, compresslevel=9, mtime=0) as out:
        out.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


write("../unicode.json.gz", {"flags": FLAGS, "scripts": named, "runs": runs, "lower": [[c, ord(text[0])] for c, text in lower.items()]})

# The texts have characters from the edges of all runs.
rng = random.Random(16)
edges = [chr(c) for run in runs for c in {run[0], run[1]} if c]
rng.shuffle(edges)
around = ["a", " ", "é", "1", ".", "e\u0301", "漢", "\u0323", "あ", "Я", "\u0301", ""]
texts = ["".join(c + rng.choice(around) for c in edges[i : i + 12]) for i in range(0, len(edges), 12)][::2]
tokens = {}
for name in ("bert", "bert-cased", "unigram-bytes", "wordlevel", "suffix", "prefix", "metaspace", "gpt2", "roberta", "bytes-normalizer", "sentencepiece", "llama"):
    tokenizer = Tokenizer.from_buffer(gzip.open(f"{name}.json.gz").read())
    encoded = [tokenizer.encode(text) for text in texts]
    tokens[name] = [[e.ids, [start for start, _ in e.offsets], [end for _, end in e.offsets]] for e in encoded]
write("characters.json.gz", {"texts": texts, "tokens": tokens})
