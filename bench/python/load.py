"""Prints how many seconds it takes to load a dataset, to load it without verifying files, and to read a file with the same rows by pyarrow.

Each is the best of some.
"""

import sys
import time

import pyarrow.parquet as pq

import quern

dataset, file = sys.argv[1:]
best = {}
for _ in range(7):
    for what, read in (
        ("load", lambda: quern.load(dataset)),
        ("unverified", lambda: quern.load(dataset, verify=False)),
        ("read", lambda: pq.read_table(file)),
    ):
        began = time.perf_counter()
        rows = read().num_rows
        best[what] = min(best.get(what, float("inf")), time.perf_counter() - began)
print(best["load"], best["unverified"], best["read"])
