"""Writes what datasketch 2.0.0 and rensa 0.5.0 say about planted pairs of texts.

pip install datasketch==2.0.0 rensa==0.5.0 && python pairs.py > pairs.json

Each pair has its true similarity, whether each tool's LSH (threshold 0.8, 128
permutations) finds it, and the similarity that each tool estimates. The test in Go
makes the same texts by the same formula.
"""

import importlib.metadata
import json

from datasketch import MinHash, MinHashLSH
from rensa import RMinHash, RMinHashLSH

PAIRS, WORDS, NGRAM, THRESHOLD = 1200, 150, 5, 0.8


def texts(pair):
    words = [f"w{(pair * 7919 + i * i * 31 + i * pair) % 20011}" for i in range(WORDS)]
    other = list(words)
    for k in range(pair % 40):
        other[(k * 37 + pair) % WORDS] = f"x{pair}y{k}"
    return words, other


def shingles(words):
    return {" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)}


def datasketch_hash(tokens):
    m = MinHash(num_perm=128)
    for t in tokens:
        m.update(t.encode())
    return m


def rensa_hash(tokens):
    m = RMinHash(num_perm=128, seed=42)
    m.update(sorted(tokens))
    return m


def main():
    sketch = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    rensa = RMinHashLSH(threshold=THRESHOLD, num_perm=128, num_bands=16)
    queries = []
    for pair in range(PAIRS):
        a, b = map(shingles, texts(pair))
        sa, sb, ra, rb = datasketch_hash(a), datasketch_hash(b), rensa_hash(a), rensa_hash(b)
        sketch.insert(pair, sa)
        rensa.insert(pair, ra)
        queries.append((len(a & b) / len(a | b), sa, sb, ra, rb))
    rows = []
    for pair, (similarity, sa, sb, ra, rb) in enumerate(queries):
        rows.append([
            round(similarity, 6),
            int(pair in sketch.query(sb)), round(sa.jaccard(sb), 6),
            int(pair in rensa.query(rb)), round(ra.jaccard(rb), 6),
        ])
    versions = {name: importlib.metadata.version(name) for name in ("datasketch", "rensa")}
    print(json.dumps({"versions": versions, "columns": ["similarity", "datasketch", "datasketch_estimate", "rensa", "rensa_estimate"], "pairs": rows}, separators=(",", ":")).replace("],[", "],\n["))


if __name__ == "__main__":
    main()
