# Writes random Avro files with fastavro and polars, and says what quern should make
# of them: for each NAME.avro a NAME.json with the columns and, for each row, one
# text.
#
# usage: avro_reference.py FOLDER SEED COUNT
import datetime
import decimal
import json
import math
import os
import random
import struct
import sys
import uuid

import fastavro
import polars

decimal.getcontext().prec = 100
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def number(f):
    return "nan" if math.isnan(f) else struct.pack(">d", f).hex()


def fraction(part, digits):
    return ("." + str(part).zfill(digits).rstrip("0")) if part else ""


def words(r):
    return "".join(r.choice('abc é"\\\n\t日本🙂0') for _ in range(r.choice([0, 1, 5, 40])))


class Files:
    """Makes random schemas. Each kind returns a schema, quern's type, and a
    function that makes a value to write and the text that quern should read."""

    def __init__(self, r):
        self.r, self.names = r, 0

    def name(self, kind):
        self.names += 1
        return f"{kind}{self.names}"

    def any(self, depth):
        kinds = [self.boolean, self.int, self.long, self.float, self.double, self.string, self.bytes, self.fixed, self.enum, self.date, self.time, self.timestamp, self.decimal, self.uuid, self.duration]
        if depth < 3:
            kinds += [self.array, self.map, self.record, self.nullable, self.nullable, self.union, self.null] * 2
        kind = self.r.choice(kinds)
        return kind(depth) if kind in (self.array, self.map, self.record, self.nullable, self.union) else kind()

    def null(self):
        return "null", "null", lambda: (None, "null")

    def boolean(self):
        return "boolean", "bool", lambda: (lambda v: (v, "true" if v else "false"))(self.r.random() < 0.5)

    def whole(self, bits):
        v = self.r.choice([0, -1, 1, 63, 64, -64, -65, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), self.r.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))])
        return v, str(v)

    def int(self):
        return "int", "int64", lambda: self.whole(32)

    def long(self):
        return "long", "int64", lambda: self.whole(64)

    def float(self):
        def make():
            v = struct.unpack("<f", struct.pack("<f", self.r.choice([0.0, -0.0, 1.5, 0.1, math.inf, math.nan, self.r.gauss(0, 1e6)])))[0]
            return v, number(v)

        return "float", "float64", make

    def double(self):
        def make():
            v = self.r.choice([0.0, -0.0, 0.1, 1e308, -math.inf, math.nan, self.r.gauss(0, 1e6)])
            return v, number(v)

        return "double", "float64", make

    def string(self):
        return "string", "string", lambda: (lambda v: (v, json.dumps(v)))(words(self.r))

    def bytes(self):
        return "bytes", "binary", lambda: (lambda v: (v, "x" + v.hex()))(self.r.randbytes(self.r.choice([0, 1, 7, 200])))

    def fixed(self):
        size = self.r.choice([1, 5, 16])
        return {"type": "fixed", "name": self.name("Fixed"), "size": size}, "binary", lambda: (lambda v: (v, "x" + v.hex()))(self.r.randbytes(size))

    def enum(self):
        symbols = ["RED", "GREEN", "Blue_1"]
        return {"type": "enum", "name": self.name("Color"), "symbols": symbols}, "string", lambda: (lambda v: (v, json.dumps(v)))(self.r.choice(symbols))

    def date(self):
        days = lambda: self.r.choice([0, -1, 20000, self.r.randrange(-700000, 2900000)])
        return {"type": "int", "logicalType": "date"}, "date", lambda: (lambda n: ((EPOCH + datetime.timedelta(n)).date(), f"d{n}"))(days())

    def time(self):
        unit, base, per, digits = self.r.choice([("time-millis", "int", 1000, 3), ("time-micros", "long", 1000000, 6)])

        def make():
            n = self.r.randrange(24 * 3600 * per)
            s, part = divmod(n, per)
            return datetime.time(s // 3600, s // 60 % 60, s % 60, part * (1000000 // per)), f'"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}{fraction(part, digits)}"'

        return {"type": base, "logicalType": unit}, "string", make

    def timestamp(self):
        unit, per = self.r.choice([("timestamp-millis", 1000), ("timestamp-micros", 1), ("local-timestamp-millis", 1000), ("local-timestamp-micros", 1), ("timestamp-nanos", 1)])

        def make():
            n = self.r.choice([0, -1, 1, self.r.randrange(-(10**12), 10**12)]) * per
            if unit == "timestamp-nanos":
                return n * 1000, f"t{n}"
            v = EPOCH + datetime.timedelta(microseconds=n)
            return v.replace(tzinfo=None) if unit.startswith("local") else v, f"t{n}"

        return {"type": "long", "logicalType": unit}, "timestamp", make

    def decimal(self):
        precision = self.r.choice([1, 9, 15, 16, 18, 19, 38])
        scale = self.r.choice([0, 0, 1, precision // 2, precision])
        if scale > precision:
            scale = precision
        schema = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
        if self.r.random() < 0.5:
            schema |= {"type": "fixed", "name": self.name("Decimal"), "size": 17}
        kind = "int64" if scale == 0 and precision <= 18 else "float64" if scale and precision <= 15 else "string"

        def make():
            unscaled = self.r.choice([0, 1, -1, 10**precision - 1, -(10**precision - 1), self.r.randrange(-(10**precision) + 1, 10**precision), -128, 255]) % (10**precision)
            unscaled *= self.r.choice([1, -1])
            v = decimal.Decimal(unscaled).scaleb(-scale)
            if kind == "int64":
                return v, str(unscaled)
            if kind == "float64":
                return v, number(float(v) if unscaled else 0.0)
            text = str(abs(unscaled)).zfill(scale + 1)
            text = ("-" if unscaled < 0 else "") + (text[:-scale] + "." + text[-scale:] if scale else text)
            return v, json.dumps(text)

        return schema, kind, make

    def uuid(self):
        def make():
            v = uuid.UUID(int=self.r.getrandbits(128))
            return v, json.dumps(str(v))

        if self.r.random() < 0.3:
            return {"type": "fixed", "name": self.name("Uuid"), "size": 16, "logicalType": "uuid"}, "string", lambda: (lambda v: (v[0].bytes, v[1]))(make())
        return {"type": "string", "logicalType": "uuid"}, "string", make

    def duration(self):
        return {"type": "fixed", "name": self.name("Duration"), "size": 12, "logicalType": "duration"}, "string", lambda: (struct.pack("<III", 14, 3, 4005006), '"P1Y2M3DT1H6M45.006S"')

    def array(self, depth):
        schema, kind, make = self.any(depth + 1)

        def several():
            values = [make() for _ in range(self.r.choice([0, 1, 3]))]
            return [v for v, _ in values], "[" + ",".join(t for _, t in values) + "]"

        return {"type": "array", "items": schema}, f"list<{kind}>", several

    def map(self, depth):
        schema, kind, make = self.any(depth + 1)

        def several():
            values = {k: make() for k in self.r.sample(["b", "a", "é", ""], self.r.choice([0, 1, 3]))}
            return {k: v for k, (v, _) in values.items()}, "[" + ",".join(f"{{{json.dumps(k)},{values[k][1]}}}" for k in sorted(values, key=str.encode)) + "]"

        return {"type": "map", "values": schema}, f"list<struct<key:string,value:{kind}>>", several

    def record(self, depth, most=3):
        fields = [(f"f{i}", *self.any(depth + 1)) for i in range(self.r.randrange(1, most + 1))]
        schema = {"type": "record", "name": self.name("Record"), "fields": [{"name": n, "type": s} for n, s, _, _ in fields]}
        if self.r.random() < 0.3:
            schema["namespace"] = "com.example"

        def make():
            values = {n: m() for n, _, _, m in fields}
            return {n: v for n, (v, _) in values.items()}, "{" + ",".join(t for _, t in values.values()) + "}"

        return schema, "struct<" + ",".join(f"{n}:{k}" for n, _, k, _ in fields) + ">", make

    def nullable(self, depth):
        schema, kind, make = self.any(depth + 1)
        if schema == "null" or isinstance(schema, list):
            return schema, kind, make
        branches = [schema, "null"] if self.r.random() < 0.3 else ["null", schema]
        return branches, kind, lambda: make() if self.r.random() < 0.7 else (None, "null")

    def union(self, depth):
        """Types that Python's values tell apart."""
        kinds = self.r.sample([self.string, self.long, self.double, self.bytes, self.boolean], self.r.choice([2, 3]))
        if self.long in kinds and self.double in kinds:
            kinds.remove(self.double)
            kinds = kinds if len(kinds) > 1 else kinds + [self.string]
        made = [k() for k in kinds]
        branches = [s for s, _, _ in made]
        if self.r.random() < 0.5:
            branches.insert(0, "null")

        def make():
            if "null" in branches and self.r.random() < 0.3:
                return None, "null"
            i = self.r.randrange(len(made))
            v, text = made[i][2]()
            return v, "{" + ",".join(text if k == i else "null" for k in range(len(made))) + "}"

        return branches, "struct<" + ",".join(f"{s}:{k}" for s, k, _ in made) + ">", make


def final(kind):
    """Columns that contain only nulls are strings."""
    return kind.replace("null", "string")


def write(folder, seed, i):
    r = random.Random(f"{seed} {i}")
    files = Files(r)
    fields = [(f"c{k}", *files.any(0)) for k in range(r.randrange(1, 6))]
    schema = {"type": "record", "name": "Row", "fields": [{"name": n, "type": s} for n, s, _, _ in fields]}
    rows = [[m() for _, _, _, m in fields] for _ in range(r.choice([0, 1, 3, 200]))]
    codec = r.choice(["null", "deflate", "snappy", "zstandard", "bzip2", "xz"])
    path = os.path.join(folder, f"{seed}-{i}-{codec}.avro")
    with open(path, "wb") as out:
        fastavro.writer(out, fastavro.parse_schema(schema), [dict(zip((n for n, *_ in fields), (v for v, _ in row))) for row in rows], codec=codec, sync_interval=r.choice([16, 1000, 16000]))
    with open(path, "rb") as back:
        assert len(list(fastavro.reader(back))) == len(rows)
    expect(path, [{"name": n, "type": final(k)} for n, _, k, _ in fields], ["|".join(t for _, t in row) for row in rows])


def write_polars(folder, seed, codec):
    r = random.Random(seed)
    rows = [(i, words(r), r.choice([None, r.random()]), [1, i]) for i in range(1000)]
    frame = polars.DataFrame(rows, schema={"id": polars.Int64, "text": polars.String, "score": polars.Float64, "list": polars.List(polars.Int32)}, orient="row")
    path = os.path.join(folder, f"polars-{seed}-{codec}.avro")
    frame.write_avro(path, compression=codec)
    columns = [{"name": "id", "type": "int64"}, {"name": "text", "type": "string"}, {"name": "score", "type": "float64"}, {"name": "list", "type": "list<int64>"}]
    expect(path, columns, [f"{i}|{json.dumps(t)}|{'null' if f is None else number(f)}|[1,{i}]" for i, t, f, _ in rows])


def expect(path, columns, rows):
    with open(path[: -len("avro")] + "json", "w") as out:
        json.dump({"columns": columns, "rows": rows}, out)


folder, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for i in range(count):
    write(folder, seed, i)
for codec in ["uncompressed", "snappy", "deflate"]:
    write_polars(folder, seed, codec)
