# Writes random tables with the field's own writers, reads them back with
# pyarrow, and says what quern should make of them: for each NAME.parquet a
# NAME.json with the columns and, for each row, one text.
#
# usage: parquet_reference.py write FOLDER SEED COUNT
#        parquet_reference.py expect FILE…
import datetime
import decimal
import json
import math
import os
import random
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq

decimal.getcontext().prec = 100


class Refused(Exception):
    pass


# What quern makes of what pyarrow reads.


class Leaves:
    """The logical types of the leaf columns of a file, in order."""

    def __init__(self, schema):
        self.schema, self.next = schema, 0

    def take(self):
        column = self.schema.column(self.next)
        self.next += 1
        return "INTERVAL" if column.converted_type == "INTERVAL" else column.logical_type.type


def text(s):
    return json.dumps(s)


def number(f):
    return "nan" if math.isnan(f) else struct.pack(">d", f).hex()


def ints(array):
    return array.cast(pa.int64()).to_pylist()


def each(values, f):
    return [None if v is None else f(v) for v in values]


def fraction(part, digits):
    return ("." + str(part).zfill(digits).rstrip("0")) if part else ""


def clock(seconds, part, digits):
    out = ""
    if seconds >= 3600:
        out += f"{seconds // 3600}H"
    if seconds // 60 % 60:
        out += f"{seconds // 60 % 60}M"
    if seconds % 60 or part or not out:
        out += f"{seconds % 60}{fraction(part, digits)}S"
    return out


def interval(b):
    months, days, millis = struct.unpack("<III", b)
    out = "P"
    for n, unit in [(months // 12, "Y"), (months % 12, "M"), (days, "D")]:
        if n:
            out += f"{n}{unit}"
    if millis or out == "P":
        out += "T" + clock(millis // 1000, millis % 1000, 3)
    return out


units = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def duration(n, unit):
    digits = units[unit]
    u = abs(n)
    return ("-" if n < 0 else "") + "PT" + clock(u // 10**digits, u % 10**digits, digits)


def time_of_day(n, unit):
    digits = units[unit]
    s = n // 10**digits
    return f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" + fraction(n % 10**digits, digits)


def micros(n, unit):
    if unit == "ns":
        if n % 1000:
            raise Refused("more digits than the microseconds")
        return n // 1000
    n *= 10 ** (6 - units[unit])
    if not -(2**63) <= n < 2**63:
        raise Refused("beyond what timestamp can hold")
    return n


def digits(d):
    return format(d, "f")


def decimals(values, scale):
    """int64 or float64 where it holds all values, else the digits."""
    present = [v for v in values if v is not None]
    if scale == 0:
        if all(-(2**63) <= int(v) < 2**63 for v in present):
            return "int64", each(values, lambda v: str(int(v)))
    elif all(decimal.Decimal(repr(float(v))) == v for v in present):
        return "float64", each(values, lambda v: number(float(v)))
    return "string", each(values, lambda v: text(digits(v)))


def unique(names):
    taken, seen, out = set(names), set(), []

    def free(name):
        n = 1
        while f"{name}_{n}" in taken:
            n += 1
        return f"{name}_{n}"

    for i, name in enumerate(names):
        if name == "":
            name = f"column{i}"
            if name in taken:
                name = free(name)
            taken.add(name)
        if name in seen:
            name = free(name)
            taken.add(name)
        seen.add(name)
        out.append(name)
    return out


def word(name):
    plain = name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name)
    return name if plain else json.dumps(name, ensure_ascii=False)


def make(array, leaves):
    """Returns the column type and a text (None: null) for each value."""
    t = array.type
    if isinstance(t, pa.BaseExtensionType):
        name = t.extension_name
        array, t = array.storage, array.type.storage_type
        if name == "arrow.uuid":
            leaves.take()
            return "string", each(array.to_pylist(), lambda b: text(uuid(b)))
        if name == "arrow.bool8":
            leaves.take()
            return "bool", each(array.to_pylist(), lambda n: "true" if n else "false")
        return make(array, leaves)
    if pa.types.is_dictionary(t):
        return make(array.dictionary_decode(), leaves)
    if pa.types.is_struct(t):
        parts = [make(part, leaves) for part in array.flatten()]
        names = unique([t.field(i).name for i in range(t.num_fields)])
        typ = "struct<" + ",".join(f"{word(n)}:{p[0]}" for n, p in zip(names, parts)) + ">"
        rows = zip(*[p[1] for p in parts])
        valid = array.is_valid().to_pylist()
        return typ, [
            "{" + ",".join(v if v is not None else "null" for v in row) + "}" if ok else None for row, ok in zip(rows, valid)
        ]
    if pa.types.is_map(t):
        kv = pa.StructArray.from_arrays([array.keys, array.items], fields=[pa.field("key", t.key_type), pa.field("value", t.item_type)])
        lengths = [None if v is None else len(v) for v in array.to_pylist()]
        return lists(kv, lengths, leaves)
    if pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t):
        lengths = array.value_lengths().to_pylist() if not pa.types.is_fixed_size_list(t) else [t.list_size if ok else None for ok in array.is_valid().to_pylist()]
        return lists(array.flatten(), lengths, leaves)
    return scalar(array, t, leaves.take())


def lists(elements, lengths, leaves):
    typ, values = make(elements, leaves)
    out, at = [], 0
    for n in lengths:
        if n is None:
            out.append(None)
            continue
        out.append("[" + ",".join("null" if v is None else v for v in values[at : at + n]) + "]")
        at += n
    return f"list<{typ}>", out


def uuid(b):
    h = b.hex()
    return "-".join([h[:8], h[8:12], h[12:16], h[16:20], h[20:]])


def scalar(array, t, logical):
    values = None
    if pa.types.is_null(t):
        return "string", [None] * len(array)
    if pa.types.is_boolean(t):
        return "bool", each(array.to_pylist(), lambda v: "true" if v else "false")
    if pa.types.is_uint64(t):
        return decimals(each(array.to_pylist(), decimal.Decimal), 0)
    if pa.types.is_integer(t):
        return "int64", each(array.to_pylist(), str)
    if pa.types.is_floating(t):
        return "float64", each(array.to_pylist(), lambda v: number(float(v)))
    if pa.types.is_decimal(t):
        return decimals(array.to_pylist(), t.scale)
    if pa.types.is_date(t):
        return "date", each(array.cast(pa.date32()).cast(pa.int32()).to_pylist(), lambda v: f"d{v}")
    if pa.types.is_timestamp(t):
        return "timestamp", each(ints(array), lambda v: f"t{micros(v, t.unit)}")
    if pa.types.is_duration(t):
        return "string", each(ints(array), lambda v: text(duration(v, t.unit)))
    if pa.types.is_time(t):
        raw = array.cast(pa.int32()) if pa.types.is_time32(t) else array
        return "string", each(ints(raw), lambda v: text(time_of_day(v, t.unit)))
    if pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t):
        return "string", each(array.to_pylist(), text)
    if logical == "INTERVAL":
        return "string", each(array.to_pylist(), lambda b: text(interval(b)))
    if logical == "UUID":
        return "string", each(array.to_pylist(), lambda b: text(uuid(b)))
    if logical in ("JSON", "ENUM"):
        return "string", each(array.to_pylist(), lambda b: text(b.decode()))
    if pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t) or pa.types.is_binary_view(t):
        return "binary", each(array.to_pylist(), lambda b: "x" + b.hex())
    raise Refused(f"not a column type: {t}")


def expect(path):
    file = pq.ParquetFile(path)
    table = file.read()
    if table.num_columns == 0:
        raise Refused("has no columns")
    leaves = Leaves(file.schema)
    columns, values = [], []
    for name, column in zip(unique(table.column_names), table.columns):
        array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
        typ, texts = make(array, leaves)
        columns.append({"name": name, "type": typ})
        values.append(["null" if v is None else v for v in texts])
    rows = ["|".join(row) for row in zip(*values)]
    return {"columns": columns, "rows": rows}


def save(path):
    try:
        out = expect(path)
    except Refused as problem:
        out = {"refused": str(problem)}
    except pa.lib.ArrowException as problem:
        out = {"unreadable": str(problem)}
    with open(os.path.splitext(path)[0] + ".json", "w") as f:
        json.dump(out, f)


# Random tables.


def chance(r, p):
    return r.random() < p


words = ["", "a", "héllo", "日本語", "😀", 'q"uote', "line\nbreak", "<&>", "x" * 40, "007", "null", "\u0000"]


def random_type(r, depth):
    scalars = [
        pa.null(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
        pa.float16(), pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.binary(5),
        pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
        pa.duration(r.choice(list(units))), pa.timestamp(r.choice(list(units))),
        pa.timestamp(r.choice(list(units)), r.choice(["UTC", "Europe/Berlin", "+05:30"])),
        pa.decimal128(r.randint(1, 38), 0), pa.decimal128(38, r.randint(1, 20)), pa.decimal128(9, 2), pa.decimal256(r.randint(39, 76), r.randint(0, 30)),
        pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.int64()), pa.uuid(), pa.string_view(), pa.binary_view(),
    ]
    if depth >= 3 or chance(r, 0.6):
        t = r.choice(scalars)
        return t if depth == 0 or not pa.types.is_dictionary(t) else pa.string()
    kind = r.choice(["list", "list", "large", "fixed", "struct", "struct", "map"])
    if kind == "list":
        return pa.list_(random_type(r, depth + 1))
    if kind == "large":
        return pa.large_list(random_type(r, depth + 1))
    if kind == "fixed":
        return pa.list_(r.choice([pa.int32(), pa.float32(), pa.string(), pa.float64()]), r.randint(1, 3))
    if kind == "map":
        return pa.map_(r.choice([pa.string(), pa.int32()]), random_type(r, depth + 1))
    names = r.sample(["a", "b", "c d", "ü", "key", "value", "list", "element"], r.randint(1, 3))
    return pa.struct([pa.field(n, random_type(r, depth + 1)) for n in names])


def random_value(r, t, nulls):
    if chance(r, nulls) or pa.types.is_null(t):
        return None
    if isinstance(t, pa.BaseExtensionType):
        return bytes(r.getrandbits(8) for _ in range(16))
    if pa.types.is_dictionary(t):
        return r.choice(words) if pa.types.is_string(t.value_type) else r.randint(-3, 3)
    if pa.types.is_boolean(t):
        return chance(r, 0.5)
    if pa.types.is_integer(t):
        bits, signed = t.bit_width, pa.types.is_signed_integer(t)
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return r.choice([low, high, 0, 1, r.randint(max(low, -1000), min(high, 1000))])
    if pa.types.is_float16(t):
        return float(r.randint(-100, 100)) / 4
    if pa.types.is_floating(t):
        return r.choice([0.0, -0.0, math.inf, -math.inf, math.nan, r.uniform(-1e6, 1e6), 5e-324, 1.5])
    if pa.types.is_decimal(t):
        size = r.choice([t.precision, t.precision, min(3, t.precision), min(15, t.precision)])
        return decimal.Decimal(r.randint(-(10**size) + 1, 10**size - 1)).scaleb(-t.scale)
    if pa.types.is_date(t):
        return datetime.date(1970, 1, 1) + datetime.timedelta(days=r.randint(-30000, 30000))
    if pa.types.is_time(t):
        step = 1 if t.unit != "ms" else 1
        n = r.randint(0, 86400 * 10 ** units[t.unit] - 1)
        return n * step
    if pa.types.is_duration(t):
        return r.choice([0, 1, -1, r.randint(-(10**12), 10**12)])
    if pa.types.is_timestamp(t):
        n = r.randint(-(10**9), 2 * 10**9) * 10 ** units[t.unit] + r.randint(0, 10 ** units[t.unit] - 1)
        return n - n % 1000 if t.unit == "ns" and not chance(r, 0.01) else n
    if pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t):
        return r.choice(words)
    if pa.types.is_fixed_size_binary(t):
        return bytes(r.getrandbits(8) for _ in range(t.byte_width))
    if pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t):
        return bytes(r.getrandbits(8) for _ in range(r.randint(0, 6)))
    if pa.types.is_fixed_size_list(t):
        return [random_value(r, t.value_type, nulls) for _ in range(t.list_size)]
    if pa.types.is_map(t):
        keys = words if pa.types.is_string(t.key_type) else list(range(10))
        return [(k, random_value(r, t.item_type, nulls)) for k in r.sample(keys, r.randint(0, 3))]
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        return [random_value(r, t.value_type, nulls) for _ in range(r.choice([0, 1, 2, 5]))]
    return {t.field(i).name: random_value(r, t.field(i).type, nulls) for i in range(t.num_fields)}


def array_of(values, t):
    if isinstance(t, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(t, pa.array(values, t.storage_type))
    return pa.array(values, t)


def contains(t, test):
    if test(t):
        return True
    if isinstance(t, pa.BaseExtensionType) or pa.types.is_dictionary(t):
        return False
    return any(contains(t.field(i).type, test) for i in range(t.num_fields))


def write_pyarrow(r, path, rows):
    fields, arrays = [], []
    for i in range(r.choice([0, 1, 2, 3, 5]) if chance(r, 0.1) else r.randint(1, 5)):
        t = random_type(r, 0)
        nulls = r.choice([0, 0.2, 0.9, 1])
        values = [random_value(r, t, nulls) for _ in range(rows)]
        name = r.choice(["x", "y", f"c{i}", f"c{i}", f"c{i}", f"c{i}", ""])
        fields.append(pa.field(name, t))
        arrays.append(array_of(values, t))
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    nanos = any(contains(f.type, lambda t: pa.types.is_timestamp(t)) for f in fields)
    pq.write_table(
        table, path,
        row_group_size=r.choice([None, 1, 7, 100]) or max(rows, 1),
        use_dictionary=chance(r, 0.5),
        compression=r.choice(["none", "snappy", "zstd", "gzip", "lz4", "brotli"]),
        data_page_version=r.choice(["1.0", "2.0"]),
        version=r.choice(["1.0", "2.4", "2.6"]),
        use_deprecated_int96_timestamps=nanos and chance(r, 0.3),
        write_statistics=chance(r, 0.7),
        store_schema=chance(r, 0.7),
        use_compliant_nested_type=chance(r, 0.7),
        data_page_size=r.choice([None, 100]),
        store_decimal_as_integer=chance(r, 0.5),
        write_page_index=chance(r, 0.3),
    )


def write_pandas(r, path, rows):
    import numpy as np
    import pandas as pd

    def some(make, gap=None):
        return [gap if chance(r, 0.2) else make() for _ in range(rows)]

    columns = {
        "i": pd.Series(some(lambda: r.randint(-5, 5)), dtype="Int64"),
        "gap": pd.Series(some(lambda: r.randint(-5, 5), None), dtype="float64"),
        "u": pd.Series([r.choice([0, 2**64 - 1 if chance(r, 0.1) else 5]) for _ in range(rows)], dtype="uint64"),
        "none": pd.Series([None] * rows, dtype="object"),
        "text": pd.Series(some(lambda: r.choice(words)), dtype="object"),
        "str": pd.Series(some(lambda: r.choice(words)), dtype="str"),
        "cat": pd.Series(some(lambda: r.choice(["red", "blue"])), dtype="category"),
        "when": pd.Series(some(lambda: pd.Timestamp(r.randint(0, 10**9), unit="s", tz=r.choice(["UTC"]))), dtype="datetime64[ns, UTC]"),
        "naive": pd.Series(some(lambda: pd.Timestamp(r.randint(0, 10**9), unit="s")), dtype="datetime64[us]"),
        "delta": pd.Series(some(lambda: pd.Timedelta(r.randint(-(10**6), 10**6), unit="ms")), dtype="timedelta64[ns]"),
        "flag": pd.Series(some(lambda: chance(r, 0.5)), dtype="boolean"),
        "bytes": pd.Series(some(lambda: b"\xff\x00"), dtype="object"),
        "list": pd.Series(some(lambda: [r.choice(words) for _ in range(r.randint(0, 3))]), dtype="object"),
        "vector": pd.Series(some(lambda: np.array([0.5, 1.5], dtype="float32")), dtype="object"),
        "dict": pd.Series(some(lambda: {"a": r.randint(0, 3), "b": None}), dtype="object"),
        "f16": pd.Series([0.5] * rows, dtype="float32"),
    }
    chosen = r.sample(sorted(columns), r.randint(1, 8))
    df = pd.DataFrame({name: columns[name] for name in chosen})
    if chance(r, 0.3) and rows:
        df = df.set_index(pd.Index([f"row {i}" for i in range(rows)], name=r.choice([None, "key"])))
    df.to_parquet(path, compression=r.choice([None, "snappy", "zstd"]), index=r.choice([None, True]))


def write_polars(r, path, rows):
    import polars as pl

    types = [
        pl.Null, pl.Boolean, pl.Int8, pl.Int64, pl.UInt8, pl.UInt64, pl.Float32, pl.Float64, pl.String, pl.Binary, pl.Date, pl.Time,
        pl.Datetime("ms"), pl.Datetime("us", "Europe/Berlin"), pl.Datetime("ns"), pl.Duration("us"), pl.Categorical, pl.Decimal(38, 0), pl.Decimal(20, 4),
        pl.List(pl.Int32), pl.List(pl.String), pl.Array(pl.Float32, 2), pl.Struct({"a": pl.Int64, "b": pl.List(pl.String)}), pl.List(pl.Struct({"x": pl.Null, "y": pl.Int8})),
        pl.Int128, pl.Enum(["red", "blue"]),
    ]

    def value(t):
        if chance(r, 0.2) or t == pl.Null:
            return None
        if isinstance(t, pl.List):
            return [value(t.inner) for _ in range(r.randint(0, 3))]
        if isinstance(t, pl.Array):
            return [value(t.inner) for _ in range(2)]
        if isinstance(t, pl.Struct):
            return {f.name: value(f.dtype) for f in t.fields}
        if t == pl.Boolean:
            return chance(r, 0.5)
        if t == pl.UInt64:
            return r.choice([0, 7, 2**63, 2**64 - 1]) if chance(r, 0.1) else r.randint(0, 9)
        if t == pl.Int128:
            return r.randint(-9, 9)
        if t.is_integer():
            return r.randint(0, 100)
        if t.is_float():
            return r.choice([1.5, math.nan, math.inf, -0.0])
        if t.is_decimal():
            return decimal.Decimal(r.randint(-(10**17), 10**17)).scaleb(-t.scale)
        if isinstance(t, pl.Enum):
            return r.choice(["red", "blue"])
        if t == pl.String or t == pl.Categorical:
            return r.choice(words)
        if t == pl.Binary:
            return b"\xff" * r.randint(0, 3)
        if t == pl.Date:
            return datetime.date(2000, 1, 1) + datetime.timedelta(days=r.randint(0, 9999))
        if t == pl.Time:
            return datetime.time(r.randint(0, 23), r.randint(0, 59), r.randint(0, 59), r.choice([0, 123456]))
        if isinstance(t, pl.Duration):
            return datetime.timedelta(seconds=r.randint(-(10**6), 10**6))
        return datetime.datetime(2000, 1, 1) + datetime.timedelta(seconds=r.randint(0, 10**9))

    chosen = r.sample(types, r.randint(1, 5))
    df = pl.DataFrame(
        [pl.Series(f"c{i}", [value(t) if not isinstance(t, type) else value(t()) for _ in range(rows)], dtype=t, strict=False) for i, t in enumerate(chosen)]
    )
    df.write_parquet(path, compression=r.choice(["zstd", "snappy", "uncompressed", "lz4"]), statistics=chance(r, 0.5), row_group_size=r.choice([None, 10]))


def write_duckdb(r, path, rows):
    import duckdb

    expressions = [
        "null", "i % 2 = 0", "i::tinyint", "i::utinyint", "i::bigint", "i::ubigint", "(18446744073709551615 - i)::ubigint", "i::hugeint", "i / 7.0", "(i / 7)::float",
        "i::decimal(4,1)", "(i / 3)::decimal(18,3)", "i::decimal(38,0)", "99999999999999999999::decimal(38,0) + i", "'text ' || i", "('b' || i)::blob",
        "date '2026-01-31' + i::int", "time '10:20:30.5' + to_seconds(i)", "timestamp '2026-01-31 10:00:00.5' + to_seconds(i)",
        "(timestamp '2026-01-31 10:00:00' + to_seconds(i))::timestamp_s", "(timestamp '2026-01-31 10:00:00' + to_seconds(i))::timestamp_ms",
        "(timestamp '2026-01-31 10:00:00' + to_seconds(i))::timestamp_ns", "timestamptz '2026-01-31 10:00:00+02' + to_seconds(i)",
        "to_months(i::int) + to_days(i::int) + to_milliseconds(i * 1001)", "uuid()", "case i % 2 when 0 then 'a' else 'b' end::enum('a', 'b')",
        "[i, null, i + 1]", "[]::int[]", "{'a': i, 'b': [{'c': null::int, 'd': 'x' || i}]}", "map {'k' || i: i, 'l': null}", "('{\"a\": ' || i || '}')::json",
        "[to_days(i::int)]", "{'u': uuid(), 'j': '[1]'::json}", "i::bit", "array_value(i::float, 2)",
    ]
    chosen = r.sample(expressions, r.randint(1, 6))
    select = ", ".join(f"case when hash(i, {n}) % 5 = 0 then null else {e} end as c{n}" for n, e in enumerate(chosen))
    connection = duckdb.connect()
    connection.execute(
        f"copy (select {select} from range({rows}) t(i)) to '{path}' (format parquet, compression {r.choice(['zstd', 'snappy', 'uncompressed'])}, parquet_version {r.choice(['v1', 'v2'])}, row_group_size 2048)"
    )


writers = {"pyarrow": write_pyarrow, "pandas": write_pandas, "polars": write_polars, "duckdb": write_duckdb}


def main():
    if sys.argv[1] == "expect":
        for path in sys.argv[2:]:
            save(path)
        return
    folder, seed, count = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    for i in range(count):
        r = random.Random(seed * 1000003 + i)
        name = r.choice(["pyarrow", "pyarrow", "pyarrow", "pandas", "polars", "duckdb"])
        path = os.path.join(folder, f"{i:05}-{name}.parquet")
        try:
            writers[name](r, path, r.choice([0, 1, 2, 10, 100]))
        except (pa.lib.ArrowNotImplementedError, pa.lib.ArrowInvalid) as problem:
            # Not every type can be written with every setting.
            if os.path.exists(path):
                os.remove(path)
            print("not written:", problem, file=sys.stderr)
            continue
        save(path)


main()
