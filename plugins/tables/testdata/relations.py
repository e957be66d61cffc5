"""Writes relations.json: random tables, and what DuckDB and pandas make of them.

Run it with duckdb and pandas installed: python relations.py > relations.json
"""
import json
import math
import random

import duckdb
import pandas

random.seed(84)
COUNT = 120
names = ["a", "b", "B", "", "ä", "a ", "aa", None]
numbers = [0.0, 1.5, -2.25, 1e300, -1e-300, 3.0, None]


def table(n):
    return [
        {"id": i, "k": random.choice(names), "n": random.choice([1, 2, 3, -7, 2**62, None]), "f": random.choice(numbers)}
        for i in range(n)
    ]


left, right = table(COUNT), table(40)
db = duckdb.connect()
for name, rows in [("l", left), ("r", right)]:
    db.execute(f"create table {name} (id bigint, k varchar, n bigint, f double)")
    db.executemany(f"insert into {name} values (?, ?, ?, ?)", [tuple(x.values()) for x in rows])


def query(sql):
    return [list(x) for x in db.execute(sql).fetchall()]


small = "case when abs(n) < 1000 then n end"
out = {
    "versions": {"duckdb": duckdb.__version__, "pandas": pandas.__version__},
    "left": [list(x.values()) for x in left],
    "right": [list(x.values()) for x in right],
    "sort": [x[0] for x in query("select id from l order by k asc nulls last, f desc nulls last, id")],
    "sort_nulls_first": [x[0] for x in query("select id from l order by n desc nulls first, k nulls first, id")],
    "group": query(
        "select k, count(*), sum(f), avg(f), median(f), min(f), max(f), min(n), max(n), count(distinct n), "
        "list(id order by n nulls last, id), first(id order by n nulls last, id), last(id order by n nulls last, id), "
        f"list_sort(list(distinct n) filter (n is not null)), sum({small})::bigint, avg({small}) "
        "from l group by k order by k nulls last"
    ),
    "join": {
        kind: query(f"select l.id, r.id from l {kind} join r on l.k = r.k and l.n = r.n order by l.id nulls last, r.id nulls last")
        for kind in ["inner", "left", "right", "full"]
    },
    "semi": [x[0] for x in query("select id from l where exists (from r where l.k = r.k and l.n = r.n) order by id")],
    "anti": [x[0] for x in query("select id from l where not exists (from r where l.k = r.k and l.n = r.n) order by id")],
}
# pandas, as a second opinion.
frame = pandas.DataFrame(left)
frame["n"] = frame["n"].astype("Int64")
groups = frame.groupby("k", dropna=False)
mean, median = groups["f"].mean(), groups["f"].median()
for row in out["group"]:
    key = float("nan") if row[0] is None else row[0]
    for value, series in [(row[3], mean), (row[4], median)]:
        theirs = [v for k, v in series.items() if k == row[0] or row[0] is None and isinstance(k, float)][0]
        assert (value is None and math.isnan(theirs)) or math.isclose(value, theirs, rel_tol=1e-12), (row, theirs)
print(json.dumps(out, ensure_ascii=False))
