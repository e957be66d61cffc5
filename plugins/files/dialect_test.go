package files

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/ulikunitz/xz"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

func TestCSVAcceptsAllUsualLineEndings(t *testing.T) {
	for name, text := range map[string]string{
		"CR":                         "id,text\r1,a\r2,\"b\nb\"\r3,c\r",
		"CR, no end":                 "id,text\r1,a\r2,\"b\nb\"\r3,c",
		"LF":                         "id,text\n1,a\n2,\"b\nb\"\n3,c\n",
		"CRLF":                       "id,text\r\n1,a\r\n2,\"b\nb\"\r\n3,c\r\n",
		"CRLF and LF":                "id,text\r\n1,a\n2,\"b\nb\"\r\n3,c\n",
		"CRCRLF":                     "id,text\r\r\n1,a\r\r\n2,\"b\nb\"\r\r\n3,c\r\r\n",
		"CR with a quoted header":    "\"id\",\"text\"\r1,a\r2,\"b\nb\"\r\"3\",\"c\"\r",
		"a mark and CR":              "\ufeffid,text\r1,a\r2,\"b\nb\"\r3,c\r",
		"a mark of UTF-16":           utf16Text("\ufeffid,text\r\n1,a\r\n2,\"b\nb\"\r\n3,c\r\n", false),
		"a mark of big endian":       utf16Text("\ufeffid,text\r1,a\r2,\"b\nb\"\r3,c\r", true),
		"no line separator of texts": "id,text\n1,a\n2,\"b\nb\"\n3,c\n",
	} {
		schema, got, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": text}))
		if err != nil || describeSchema(schema) != "id int64, text string" || fmt.Sprintf("%q", got.rows) != `["1|a" "2|b\nb" "3|c"]` {
			t.Errorf("%s: %s %+v, %v", name, describeSchema(schema), got, err)
		}
	}
}

func utf16Text(text string, bigEndian bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if bigEndian {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

func TestALineBreakOfAnotherKindIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"id,text\r\n1,a\r\n2,b\r3,c\r\n": `a.csv:3: field 2, "b\r3", contains a lone carriage return (CR)`,
		"id,text\n1,a\n2,b\r3,c\n":       `a.csv:3: field 2, "b\r3", contains a lone carriage return (CR)`,
		"id,text\r1,a\r2,b\n3,c\r":       `a.csv:3: field 2, "b\n3", contains a lone line feed (LF)`,
		"id,text\n1,\"a\"\r2,b\n":        `a.csv:2: "\r2,b" comes after a closing quote`,
	} {
		_, _, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": text}))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v\nwant: %s", text, err, want)
		}
	}
}

func TestOnlyLineBreaksEndLines(t *testing.T) {
	const text = "a\u2028b\u2029c\u0085d\ve\ff\x00g"
	_, got, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": "id,text\n1," + text + "\n"}))
	if err != nil || len(got.rows) != 1 || got.rows[0] != "1|"+text {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheDelimiterIsDetected(t *testing.T) {
	for text, want := range map[string]string{
		"id;text\n1;a\n2;b\n":                            "id int64, text string [1|a 2|b]",
		"id\ttext\n1\ta, b\n2\tb; c\n":                   "id int64, text string [1|a, b 2|b; c]",
		"id|text\n1|a\n":                                 "id int64, text string [1|a]",
		"id;price\n1;2,5\n2;3,5\n":                       "id int64, price string [1|2,5 2|3,5]",
		"id,tags\n1,a;b\n2,c;d\n":                        "id int64, tags string [1|a;b 2|c;d]",
		"text\none; two\nthree; four\n":                  "text string [one; two three; four]",
		"id\ttext, long\tn\n1\ta, b, c\t2\n3\td, e\t4\n": "id int64, text, long string, n int64 [1|a, b, c|2 3|d, e|4]",
		"\"a;b\";c\n\"x;y\";\"1\n2\"\n":                  "a;b string, c string [x;y|1\n2]",
		"id;text\r1;a\r":                                 "id int64, text string [1|a]",
	} {
		schema, got, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": text}))
		if err != nil || describeSchema(schema)+" "+fmt.Sprint(got.rows) != want {
			t.Errorf("%q: %s %+v, %v\nwant: %s", text, describeSchema(schema), got, err, want)
		}
	}
	_, _, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": "last, first;age\nDoe, J;5\nRoe, R;6\n"}))
	if err == nil || !strings.Contains(err.Error(), "the delimiter is ambiguous") || !strings.Contains(err.Error(), "Set delimiter") {
		t.Errorf("error: %v", err)
	}
	a := usualCSV()
	a.Delimiter = new(";")
	if _, got, err := readCSV(t, a, folder(t, map[string]string{"a.csv": "last, first;age\nDoe, J;5\nRoe, R;6\n"})); err != nil || fmt.Sprint(got.rows) != "[Doe, J|5 Roe, R|6]" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFilesOfOneSourceCanHaveDifferentDialects(t *testing.T) {
	p := folder(t, map[string]string{"a.csv": "id,text\n1,a\n", "b.csv": "", "c.csv": "text;id\rc;3\r", "d.csv": "\ufeff"})
	_, got, err := readCSV(t, usualCSV(), p)
	if err != nil || fmt.Sprint(got.rows) != "[1|a 3|c]" {
		t.Errorf("%+v, %v", got, err)
	}
	_, _, err = readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": "", "b.csv": ""}))
	if err == nil || !strings.HasPrefix(err.Error(), "All 2 files are empty") {
		t.Errorf("error: %v", err)
	}
}

func TestOnlyNumbersThatAColumnCanStoreExactlyAreInferred(t *testing.T) {
	for text, want := range map[string]string{
		"0.1":                     "float64",
		"0.12345678901234568":     "float64", // as Python writes it
		"0.33333333333333331483":  "float64", // as C writes it
		"1e22":                    "float64",
		"-1.7976931348623157e308": "float64",
		"0.00":                    "float64",
		"9007199254740993":        "int64",
		"9007199254740993.0":      "string",
		"12345678901234567890":    "string",
		"0.1234567890123456789":   "string",
		"12345678901234567.25":    "string",
		"1e400":                   "string",
		"1e-400":                  "string",
		"-0":                      "float64",
	} {
		g := &guess{}
		g.add([]byte(text))
		if g.typ() != want {
			t.Errorf("%s is %s, want %s", text, g.typ(), want)
		}
	}
	for _, c := range []struct{ values, want string }{
		{"1,9007199254740993,0.5", "string"},
		{"1,9007199254740992,0.5", "float64"},
		{"1,nan", "float64"},
		{"1.5,-inf,Infinity", "float64"},
		{"9007199254740993,NaN", "string"},
		{"nan,inf", "string"},
		{"2026-01-31T10:00:00.123456", "timestamp"},
		{"2026-01-31T10:00:00.123456789", "string"},
	} {
		g := &guess{}
		for _, v := range strings.Split(c.values, ",") {
			g.add([]byte(v))
		}
		if g.typ() != c.want {
			t.Errorf("%s are %s, want %s", c.values, g.typ(), c.want)
		}
	}
}

func TestAValueOfAnotherTypeIsAnErrorThatSaysHowToKeepTheRow(t *testing.T) {
	text := "n\n" + strings.Repeat("1\n", 30_000) + "x\n"
	_, _, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": text}))
	for _, want := range []string{`a.csv:30002: column "n": "x" is not a valid int64`, "Raise sample_rows", `schema = { n = "string" }`, "null_values"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error: %v\nwant: %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "quarantine") {
		t.Errorf("the error advises to throw rows away: %v", err)
	}
	text = "n\n" + strings.Repeat("1.5\n", 30_000) + "9007199254740993\n"
	if _, _, err = readCSV(t, usualCSV(), folder(t, map[string]string{"a.csv": text})); err == nil || !strings.Contains(err.Error(), "cannot represent all digits") {
		t.Errorf("error: %v", err)
	}
}

func TestMalformedRowsAtTheBeginningAreFoundWhenPlanning(t *testing.T) {
	for text, want := range map[string]string{
		"a,b\n1,x\n2\n":           "a.csv:3: the row has 1 field",
		"a,b\n1,x\n2,stra\xdfe\n": "a.csv:3: the text is not UTF-8",
		"a,b\n1,x\nzwei,y\n":      `a.csv:3: column "a": "zwei" is not a valid int64`,
		"a,b\n1,x\n2,\"y\n":       "a.csv:3: a quote is opened and never closed",
	} {
		a := usualCSV()
		a.Path, a.Schema = "a.csv", map[string]string{"a": "int64", "b": "string"}
		p := folder(t, map[string]string{"a.csv": text})
		s := source[csvArgs, *csvArgs]{root: func() string { return p.root }}
		if _, _, err := s.schema(t.Context(), a); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v\nwant: %s", text, err, want)
		}
		a.OnError = "quarantine"
		if _, _, err := s.schema(t.Context(), a); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestEncodingsHaveTheirCommonNames(t *testing.T) {
	for _, name := range []string{
		"utf-8", "UTF8", "utf-8-sig", "utf-16", "utf-16le", "UTF-16BE", "utf-32", "latin-1", "latin1", "ISO-8859-1", "iso-8859-15",
		"windows-1252", "cp1252", "cp1251", "macintosh", "mac_roman", "mac-cyrillic", "gbk", "GB2312", "cp936", "gb18030", "big5", "cp950",
		"shift_jis", "Shift-JIS", "sjis", "cp932", "euc-jp", "euc_kr", "cp949", "koi8-r", "cp437", "cp850", "cp866", "ascii", "tis-620",
	} {
		if _, err := charsetNamed(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := charsetNamed("utf-7")
	if argument := new(plugin.ArgumentError); !errors.As(err, &argument) || argument.Argument != "encoding" {
		t.Errorf("error: %v", err)
	}
}

func TestTextIsDecodedFromItsEncoding(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("id,text\n1,今天天气很好\n")
	if err != nil {
		t.Fatal(err)
	}
	sjis, err := japanese.ShiftJIS.NewEncoder().String("id,text\n1,表示ソ能\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ encoding, text, want string }{
		{"gbk", gbk, "1|今天天气很好"},
		{"shift_jis", sjis, "1|表示ソ能"},
		{"macintosh", "id,text\n1,caf\x8e\n", "1|café"},
		{"latin-1", "id,text\n1,caf\xe9\n", "1|café"},
		{"utf-16le", utf16Text("id,text\n1,\U0001f600\ufffd\n", false), "1|\U0001f600\ufffd"},
		{"utf-16be", utf16Text("id,text\n1,x\n", true), "1|x"},
		{"utf-8", "\xff\xfe\x00\x00i\x00\x00\x00d\x00\x00\x00\n\x00\x00\x001\x00\x00\x00", "1"},
		{"utf-8", "id,text\n1,\ufffd\n", "1|\ufffd"},
	} {
		a := usualCSV()
		a.Encoding = c.encoding
		_, got, err := readCSV(t, a, folder(t, map[string]string{"a.csv": c.text}))
		if err != nil || fmt.Sprint(got.rows) != "["+c.want+"]" {
			t.Errorf("%s: %+v, %v", c.encoding, got, err)
		}
	}
}

func TestTextInAnotherEncodingIsRefusedAndShownInLikelyEncodings(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("id,text\n1,今天天气很好\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ encoding, text, want string }{
		{"utf-8", gbk, `"今天天气很好" as gb`},
		{"utf-8", "id,text\n1,caf\x8e\n", `"café" as macintosh`},
		{"utf-8", "id,text\n1,caf\xe9\n", `"café" as windows-1252`},
		{"gbk", "id,text\n1,caf\xff\xe9\n", "a.csv:2: the text is not gbk"},
		{"utf-16le", utf16Text("id\n1", false) + "\x3d\xd8" + utf16Text("x\n", false), "a.csv:2: the text is not utf-16le: half of a surrogate pair"},
		{"utf-8", utf16Text("id,text\n1,x\n", false), `Set encoding = "utf-16le"`},
	} {
		a := usualCSV()
		a.Encoding = c.encoding
		_, _, err := readCSV(t, a, folder(t, map[string]string{"a.csv": c.text}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant: %s", c.encoding, err, c.want)
		}
	}
}

// bzipped is "id,text
// 1,a
// ", compressed with bzip2.
const bzipped = "QlpoOTFBWSZTWenqOIYAAARZgAAQAAQgACYgBEAgADEGTEEB6TQwQnucd4u5IpwoSHT1HEMA"

func TestAllUsualCompressionFormatsAreRead(t *testing.T) {
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "id,text\n1,a\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	gz, zst := compressed(t, "id,text\n1,a\n")
	bz, err := base64.StdEncoding.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"xz": b.String(), "gzip": gz, "zstd": zst, "bzip2": string(bz)} {
		_, got, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a": content}))
		if err != nil || fmt.Sprint(got.rows) != "[1|a]" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, _, err := readCSV(t, usualCSV(), folder(t, map[string]string{"a.xz": b.String()[:b.Len()-30]})); err == nil {
		t.Error("half a file is read without an error")
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestADecompressionBombIsRefused(t *testing.T) {
	u := &unpacking{plain: zeros{}, packed: &counted{own: 1 << 20}}
	n, err := io.CopyBuffer(io.Discard, u, make([]byte, 1<<20))
	if err == nil || !strings.Contains(err.Error(), "decompression bomb") || n > bombSize {
		t.Errorf("%d bytes, %v", n, err)
	}
	large := &unpacking{plain: io.LimitReader(zeros{}, bombSize+1), packed: &counted{own: bombSize / 200}}
	if _, err := io.CopyBuffer(io.Discard, large, make([]byte, 1<<20)); err != nil {
		t.Errorf("what shrinks by a factor of 200: %v", err)
	}
}
