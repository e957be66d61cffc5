package files

import (
	"compress/bzip2"
	_ "embed"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"github.com/quern-dev/quern/internal/reference"
	"github.com/quern-dev/quern/sdk/go/data"
)

//go:embed testdata/avro_reference.py
var avroReference string

func TestHuntAvroFilesAreReadAsTheyWereWritten(t *testing.T) {
	const atOnce = 100
	for seed := range reference.Rounds(1, 40) {
		dir := t.TempDir()
		reference.Python(t, avroReference, dir, strconv.Itoa(seed), strconv.Itoa(atOnce))
		files, err := filepath.Glob(filepath.Join(dir, "*.avro"))
		if err != nil || len(files) < atOnce {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, path := range files {
			compareWithReference(t, &avroArgs{}, path)
		}
	}
}

// avroFile returns a file with these values.
func avroFile(t testing.TB, schema string, values ...any) string {
	t.Helper()
	parsed, err := avro.Parse(schema)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	w, err := ocf.NewWriter(&out, parsed, ocf.WithCodec(ocf.SnappyCodec()))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if err := w.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// avroRecord returns the schema of records with these fields.
func avroRecord(fields string) string {
	return `{"type": "record", "name": "com.example.Row", "fields": [` + fields + `]}`
}

func readAvro(t testing.TB, a *avroArgs, p place) (data.Schema, *collected, error) {
	t.Helper()
	return readSource(t, a, p)
}

func TestOnlySelectedColumnsOfAvroFilesAreDecoded(t *testing.T) {
	fields := `{"name": "id", "type": "long"}, {"name": "again", "type": ["null", "com.example.Row"]},
		{"name": "at", "type": {"type": "long", "logicalType": "timestamp-nanos"}}, {"name": "a.b", "type": {"type": "map", "values": "int"}}`
	parsed, err := avro.Parse(avroRecord(fields), avro.WithLaxNames(nil))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	w, err := ocf.NewWriter(&out, parsed)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Encode(map[string]any{"id": 7, "again": nil, "at": int64(1_000_000_001), "a.b": map[string]any{"y": 2, "x": 1}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p := folder(t, map[string]string{"a.avro": out.String()})
	for name, c := range map[string]struct {
		args avroArgs
		want string
	}{
		"recursive": {avroArgs{}, `Column "again" of a.avro cannot be read: the type com.example.Row contains itself`},
		"precise":   {avroArgs{Columns: []string{"at"}}, "1970-01-01T00:00:01.000000001Z is more precise than a timestamp"},
		"selected":  {avroArgs{Columns: []string{"id", "a.b"}}, `7|[{"key":"x","value":1},{"key":"y","value":2}]`},
		"asked":     {avroArgs{Columns: []string{"at", "id"}, Schema: map[string]string{"at": "string", "id": "float64"}}, "1970-01-01T00:00:01.000000001Z|7"},
		"truncated": {avroArgs{Columns: []string{"at"}, Schema: map[string]string{"at": "timestamp"}}, "1970-01-01T00:00:01Z"},
		"refused":   {avroArgs{Columns: []string{"id"}, Schema: map[string]string{"id": "list<int64>"}}, `Column "id" of a.avro: int64 cannot be read as list<int64>`},
		"missing":   {avroArgs{Columns: []string{"none"}}, `No column is named "none"`},
	} {
		_, got, err := readAvro(t, &c.args, p)
		if err == nil && strings.Join(got.rows, " ") != c.want {
			t.Errorf("%s: %s", name, got.rows)
		}
		if err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAvroFilesWithDifferentFieldsAreJoinedByName(t *testing.T) {
	p := folder(t, map[string]string{
		"lang=en/a.avro": avroFile(t, avroRecord(`{"name": "id", "type": "int"}, {"name": "x", "type": "long"}`), map[string]any{"id": 1, "x": 2}),
		"lang=fr/b.avro": avroFile(t, avroRecord(`{"name": "x", "type": "double"}, {"name": "id", "type": ["null", "long"]}, {"name": "new", "type": "string"}`),
			map[string]any{"id": nil, "x": 2.5, "new": "é"}),
	})
	p.path = "*/*.avro"
	schema, got, err := readAvro(t, &avroArgs{}, p)
	if err != nil {
		t.Fatal(err)
	}
	if want := "id int64, x float64, new string, lang string"; describeSchema(schema) != want {
		t.Errorf("columns %s", describeSchema(schema))
	}
	if want := "1|2|∅|en ∅|2.5|é|fr"; strings.Join(got.rows, " ") != want {
		t.Errorf("rows %s", got.rows)
	}
}

func TestAUnionOfSeveralTypesIsAStruct(t *testing.T) {
	content := avroFile(t, avroRecord(`{"name": "u", "type": ["null", "string", {"type": "enum", "name": "Color", "symbols": ["RED"]},
		{"type": "record", "name": "org.other.Point", "fields": [{"name": "x", "type": "int"}]}]}`),
		map[string]any{"u": nil}, map[string]any{"u": "text"}, map[string]any{"u": map[string]any{"org.other.Point": map[string]any{"x": 3}}})
	schema, got, err := readAvro(t, &avroArgs{}, folder(t, map[string]string{"a.avro": content}))
	if err != nil {
		t.Fatal(err)
	}
	if want := "u struct<string:string,Color:string,Point:struct<x:int64>>"; describeSchema(schema) != want {
		t.Errorf("columns %s", describeSchema(schema))
	}
	want := `∅ {"Color":null,"Point":null,"string":"text"} {"Color":null,"Point":{"x":3},"string":null}`
	if strings.Join(got.rows, " ") != want {
		t.Errorf("rows %s", got.rows)
	}
}

func TestWhatIsNotAnAvroFileOfRecordsIsRefused(t *testing.T) {
	whole := avroFile(t, avroRecord(`{"name": "text", "type": "string"}`), map[string]any{"text": strings.Repeat("abc", 1000)}, map[string]any{"text": "\xff"}, map[string]any{"text": "z"})
	flipped := []byte(whole)
	flipped[len(flipped)-20] ^= 1 // in the checksum of the block
	for name, c := range map[string]struct{ content, want string }{
		"empty":     {"", "a.avro is empty"},
		"other":     {"PAR1\x15\x00", "a.avro is a Parquet file"},
		"message":   {"\xc3\x01", "a.avro is not an Avro file"},
		"values":    {avroFile(t, `"string"`, "x"), `its values have the type "string"`},
		"header":    {whole[:20], "a.avro cannot be read"},
		"cut off":   {whole[:len(whole)-1], "a.avro is damaged or incomplete: row"},
		"flipped":   {string(flipped), "a.avro is damaged or incomplete: row 0"},
		"not UTF-8": {whole, `a.avro:1: column "text": the text is not UTF-8`},
		"no fields": {avroFile(t, avroRecord("")), "a.avro has no columns"},
		"pointer":   {LFSPointer + "v1\noid sha256:00\nsize 1\n", "a.avro is a Git LFS pointer"},
	} {
		if _, _, err := readAvro(t, &avroArgs{}, folder(t, map[string]string{"a.avro": c.content})); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, got, err := readAvro(t, &avroArgs{OnError: "quarantine"}, folder(t, map[string]string{"a.avro": whole}))
	if err != nil || len(got.rows) != 2 || len(got.aside) != 1 {
		t.Errorf("%v: %d rows, %d set aside", err, len(got.rows), len(got.aside))
	}
	none, got, err := readAvro(t, &avroArgs{}, folder(t, map[string]string{"a.avro": avroFile(t, avroRecord(`{"name": "n", "type": "null"}`))}))
	if err != nil || describeSchema(none) != "n string" || len(got.rows) != 0 {
		t.Errorf("%v: %s, %d rows", err, describeSchema(none), len(got.rows))
	}
}

func TestABlockThatDecompressesToTooMuchIsRefused(t *testing.T) {
	block, err := exec.Command("sh", "-c", "head -c 100000 /dev/zero | bzip2").Output()
	if err != nil {
		t.Skip(err)
	}
	codec := avroCodec{"bzip2", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }}
	if plain, err := codec.DecompressBounded(block, 100_000); err != nil || len(plain) != 100_000 {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
	if _, err := codec.DecompressBounded(block, 99_999); err == nil {
		t.Error("a block that is too large was decompressed")
	}
}

func TestDecimalsOfAnySizeKeepAllDigits(t *testing.T) {
	for _, c := range []struct {
		bytes []byte
		scale int
		want  string
	}{
		{nil, 2, "0.00"}, {[]byte{5}, 0, "5"}, {[]byte{0xff}, 2, "-0.01"}, {[]byte{0xff, 0x80}, 1, "-12.8"}, {[]byte{0, 0x80}, 3, "0.128"},
		{[]byte{0x80, 0, 0, 0, 0, 0, 0, 0}, 0, strconv.FormatInt(math.MinInt64, 10)}, {append([]byte{1}, make([]byte, 8)...), 4, "1844674407370955.1616"},
		{append([]byte{0xff}, make([]byte, 8)...), 0, "-18446744073709551616"},
	} {
		if got := decimalText(c.bytes, c.scale); got != c.want {
			t.Errorf("%x, scale %d: %s, want %s", c.bytes, c.scale, got, c.want)
		}
	}
}

func FuzzReadingAvroNeverPanics(f *testing.F) {
	f.Add([]byte(avroFile(f, avroRecord(`{"name": "a", "type": ["null", "string", {"type": "array", "items": "double"}]},
		{"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}}, {"name": "t", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
		{"name": "m", "type": {"type": "map", "values": {"type": "enum", "name": "E", "symbols": ["A", "B"]}}}`),
		map[string]any{"a": "x", "d": []byte{1}, "t": int64(5), "m": map[string]any{"k": "A"}}, map[string]any{"a": []any{1.5}, "d": []byte{0xff}, "t": int64(-1), "m": map[string]any{}})))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "a.avro")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, _ = readAvro(t, &avroArgs{OnError: "quarantine"}, place{filepath.Dir(path), "a.avro"})
	})
}
