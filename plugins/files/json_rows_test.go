package files

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJSONIsReadInAnyLayout(t *testing.T) {
	for name, text := range map[string]string{
		"lines":                   "{\"a\": 1}\n{\"a\": 2}\n",
		"lines of Windows":        "{\"a\": 1}\r\n{\"a\": 2}\r\n",
		"lines that end with CR":  "{\"a\": 1}\r{\"a\": 2}\r",
		"a list":                  `[{"a": 1}, {"a": 2}]`,
		"a pretty list":           "[\n  {\n    \"a\": 1\n  },\n  {\n    \"a\": 2\n  }\n]\n",
		"a list of lines":         "[\n{\"a\": 1},\n{\"a\": 2}\n]",
		"pretty objects":          "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n",
		"objects on one line":     `{"a": 1}{"a": 2}`,
		"lists one after another": "[{\"a\": 1}]\n[{\"a\": 2}]\n",
		"a mark":                  "\ufeff[{\"a\": 1}, {\"a\": 2}]",
		"UTF-16":                  utf16Text("\ufeff{\"a\": 1}\r\n{\"a\": 2}\r\n", false),
	} {
		schema, got, err := readJSONL(t, usualJSONL(), folder(t, map[string]string{"a.json": text}))
		if err != nil || describeSchema(schema)+" "+fmt.Sprint(got.rows) != "a int64 [1 2]" {
			t.Errorf("%s: %s %+v, %v", name, describeSchema(schema), got, err)
		}
	}
}

func TestAListLongerThanTheWindowIsReadRowByRow(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("[")
	const rows = 100_000
	for i := range rows {
		if i > 0 {
			text.WriteString(",\n")
		}
		fmt.Fprintf(&text, "{\n  \"a\": %d, \"b\": \"%s\"\n}", i, strings.Repeat("]", i%50))
	}
	text.WriteString("]")
	_, got, err := readJSONL(t, usualJSONL(), folder(t, map[string]string{"a.json": text.String()}))
	if err != nil || len(got.rows) != rows || got.rows[rows-1] != fmt.Sprintf("%d|%s", rows-1, strings.Repeat("]", (rows-1)%50)) {
		t.Errorf("%d rows, %v", len(got.rows), err)
	}
}

func TestADocumentThatIsNotJSONIsAnErrorAtItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"[\n{\"a\": 1}\n{\"a\": 2}\n]":            `a.json:3: the file is not JSON: "{\"a\": 2}"`,
		"[\n{\"a\": 1},\n]":                       `a.json:3: the file is not JSON: "]" where a row should be`,
		"[\n{\"a\": 1},\n{\"a\": 2}":              `a.json:3: the file is not JSON: the list ends early`,
		"[\n{\"a\": 1},\n{\"a\" 2}]":              `a.json:3: the file is not JSON: "2}]" where ":" should be (character 6`,
		"{\n \"a\": 1,,\n \"b\":\n {\"x\": 1}\n}": `a.json:2: the file is not JSON: ",`,
		"{\n \"a\": 1\n":                          `a.json:3: the file is not JSON: it ends in the middle of an object`,
		"[1, 2]":                                  `a.json:1: the row is a number, but it must be an object`,
	} {
		p := folder(t, map[string]string{"a.json": text})
		for _, onError := range []string{"fail", "quarantine"} {
			a := usualJSONL()
			a.OnError = onError
			_, got, err := readJSONL(t, a, p)
			if onError == "quarantine" && strings.Contains(want, "the row is") {
				want = "None of the first 2 values can be read as a row"
			}
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q: %+v, %v\nwant: %s", text, got, err, want)
			}
		}
	}
}

func TestNumbersInJSONKeepTheirDigits(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 9223372036854775807}`:                                   "int64 [9223372036854775807]",
		`{"a": 9223372036854775808}{"a": 9223372036854775809}`:         "string [9223372036854775808 9223372036854775809]",
		`{"a": 1}{"a": 12345678901234567890}`:                          "string [1 12345678901234567890]",
		`{"a": 9007199254740993}{"a": 0.5}`:                            "string [9007199254740993 0.5]",
		`{"a": 9007199254740992}{"a": 0.5}`:                            "float64 [9.007199254740992e+15 0.5]",
		`{"a": 0.1234567890123456789}`:                                 "string [0.1234567890123456789]",
		`{"a": 1e400}`:                                                 "string [1e400]",
		`{"a": [1, 18446744073709551615]}`:                             `list<string> [["1","18446744073709551615"]]`,
		`{"a": [{"b": {"c": 9007199254740993}}, {"b": {"c": 0.5}}]}`:   `list<struct<b:struct<c:string>>> [[{"b":{"c":"9007199254740993"}},{"b":{"c":"0.5"}}]]`,
		`{"a": NaN}{"a": Infinity}{"a": -Infinity}{"a": 1}{"a": null}`: "float64 [NaN +Inf -Inf 1 ∅]",
		`{"a": NaN}{"a": 9007199254740993}`:                            "string [NaN 9007199254740993]",
		`{"a": {"b": NaN, "c": []}}`:                                   `struct<b:float64,c:list<string>> [{"b":"NaN","c":[]}]`,
	} {
		schema, got, err := readJSONL(t, usualJSONL(), folder(t, map[string]string{"a.json": text}))
		if err != nil || describeSchema(schema)+" "+fmt.Sprint(got.rows) != "a "+want {
			t.Errorf("%s: %s %+v, %v\nwant: %s", text, describeSchema(schema), got, err, want)
		}
	}
	// Digits must also be kept after the rows from which types are inferred.
	a := usualJSONL()
	a.SampleRows = 1
	for _, text := range []string{"{\"a\": 0.5}\n{\"a\": 9007199254740993}\n", "{\"a\": 1}\n{\"a\": 12345678901234567890}\n", "{\"a\": {\"b\": [0.5]}}\n{\"a\": {\"b\": [9007199254740993]}}\n"} {
		_, got, err := readJSONL(t, a, folder(t, map[string]string{"a.json": text}))
		if err == nil || !strings.HasPrefix(err.Error(), `a.json:2: column "a"`) || !strings.Contains(err.Error(), "Raise sample_rows") {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestObjectsWhoseKeysAreDataBecomeJSONInAString(t *testing.T) {
	var ids, many, sparse bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&ids, "{\"votes\": {\"user_%d\": 1}, \"n\": %d}\n", i, i)
	}
	many.WriteString(`{"votes": {"u0": 0`)
	for i := range maxFields {
		fmt.Fprintf(&many, `, "u%d": %d`, i+1, i)
	}
	many.WriteString(`}}`)
	for i := range 101 {
		fmt.Fprintf(&sparse, "{\"votes\": [{\"user_%d\": 1}]}\n", i)
	}
	for text, want := range map[string]string{
		ids.String():                  "votes string, n int64",
		many.String():                 "votes string",
		sparse.String():               "votes list<string>",
		`{"votes": {"": 1, "b": 2}}`:  "votes string",
		`{"votes": {}}`:               "votes string",
		`{"votes": {"a": {"": NaN}}}`: "votes struct<a:string>",
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40): "",
	} {
		schema, got, err := readJSONL(t, usualJSONL(), folder(t, map[string]string{"a.json": text}))
		if err != nil || want != "" && describeSchema(schema) != want {
			t.Errorf("%.60s: %s, %v", text, describeSchema(schema), err)
		}
		if text == ids.String() && got.rows[1999] != `{"user_1999":1}|1999` {
			t.Errorf("row: %s", got.rows[1999])
		}
	}
}

func TestKeysThatCannotBeColumnsAreExplained(t *testing.T) {
	var ids bytes.Buffer
	for i := range maxColumns + 1 {
		fmt.Fprintf(&ids, "{\"user_%d\": 1}\n", i)
	}
	for text, want := range map[string]string{
		`{"": 1, "a": 2}`: `a key ""`,
		ids.String():      "2001 different keys",
		"{}\n{}\n":        "are empty\nSet schema",
		"":                "a.json is empty",
		"x\ny\n":          `a.json:1: the line is not valid JSON: "x" where a value should be`,
	} {
		p := folder(t, map[string]string{"a.json": text})
		if _, _, err := readJSONL(t, usualJSONL(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v\nwant: %s", text, err, want)
		}
	}
	a := usualJSONL()
	a.Columns = []string{"a"}
	if _, got, err := readJSONL(t, a, folder(t, map[string]string{"a.json": `{"": 1, "a": 2}`})); err != nil || fmt.Sprint(got.rows) != "[2]" {
		t.Errorf("%+v, %v", got, err)
	}
	a = usualJSONL()
	a.OnError = "quarantine"
	if _, _, err := readJSONL(t, a, folder(t, map[string]string{"a.json": "x\ny\n"})); err == nil || !strings.Contains(err.Error(), "None of the first 2 values can be read as a row\nThe first problem: a.json:1: ") {
		t.Errorf("error: %v", err)
	}
}

func TestDeepNestingIsFastAndSafe(t *testing.T) {
	deep := func(n int) string { return `{"a": ` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}\n" }
	_, got, err := readJSONL(t, usualJSONL(), folder(t, map[string]string{"a.json": strings.Repeat(deep(maxDepth-1), 20)}))
	if err != nil || len(got.rows) != 20 {
		t.Errorf("%v", err)
	}
	_, _, err = readJSONL(t, usualJSONL(), folder(t, map[string]string{"a.json": deep(1_000_000)}))
	if err == nil || !strings.Contains(err.Error(), "nested more than 10000 deep") {
		t.Errorf("error: %v", err)
	}
}

func TestChatsWithToolCallsAreRead(t *testing.T) {
	const text = `{"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]}, {"role": "tool", "tool_call_id": "c1", "content": "2"}]}`
	schema, got, err := readJSONL(t, usualJSONL(), folder(t, map[string]string{"a.jsonl": text}))
	const want = "messages list<struct<role:string,content:string,tool_calls:list<struct<id:string,type:string,function:struct<name:string,arguments:string>>>,tool_call_id:string>>"
	if err != nil || describeSchema(schema) != want || !strings.Contains(got.rows[0], `"arguments":"{\"x\": 1}"`) {
		t.Errorf("%s: %+v, %v", describeSchema(schema), got, err)
	}
}

func FuzzValidJSONIsTheSameAsForEncodingJSON(f *testing.F) {
	for _, text := range []string{`{"a": [1, -0.5e+3, "\u00e4\n", true, null, {}]}`, `[`, `[1,]`, `{"a"}`, `01`, `"\x"`, "\"\t\"", `-`, `1.`, `[[]`, `tru`, `{"a":1,}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s syntax
		i := skipSpace([]byte(text), 0)
		n, err := s.extent([]byte(text)[i:], true)
		got := err == nil && skipSpace([]byte(text), i+n) == len(text)
		if want := json.Valid([]byte(text)); got != want && !strings.Contains(text, "NaN") && !strings.Contains(text, "Infinity") {
			t.Errorf("%q: valid %t, want %t (%v)", text, got, want, err)
		}
		if got && !bytes.ContainsAny([]byte(text), "NI") {
			var compact bytes.Buffer
			if err := json.Compact(&compact, []byte(text)); err != nil || compact.String() != string(compactJSON(nil, []byte(text)[i:i+n])) {
				t.Errorf("%q: compact %q", text, compactJSON(nil, []byte(text)[i:i+n]))
			}
		}
	})
}

// The test reads JSONTestSuite (github.com/nst/JSONTestSuite) if
// QUERN_JSON_TEST_SUITE is the path of its folder test_parsing.
func TestTheJSONTestSuitePasses(t *testing.T) {
	folder := os.Getenv("QUERN_JSON_TEST_SUITE")
	if folder == "" {
		t.Skip("QUERN_JSON_TEST_SUITE does not name the folder of JSONTestSuite")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var s syntax
		i := skipSpace(text, 0)
		n, err := s.extent(text[i:], true)
		valid := err == nil && skipSpace(text, i+n) == len(text) && checkText(text) == nil
		name := filepath.Base(path)
		allowed := strings.Contains(name, "NaN") || strings.Contains(name, "nan") || strings.Contains(name, "nfinity")
		if name[0] == 'y' && !valid || name[0] == 'n' && valid && !allowed {
			t.Errorf("%s: valid is %t (%v)", name, valid, err)
		}
	}
}

func TestANewKindOfValueAfterTheSampleIsAnError(t *testing.T) {
	values := map[string]string{"text": `"x"`, "numbers": `1`, "decimals": `12345678901234567890`, "true or false": `true`, "lists": `["x"]`, "objects": `{"": 1}`, "nulls": `null`}
	for _, form := range []string{`{"a": %s}`, `{"a": {"b": %s}}`, `{"a": [%s]}`, `{"a": [{"b": {"c": [%s]}}]}`} {
		for first, before := range values {
			for second, after := range values {
				// Null fits every column. Text fits a column of nulls, and any
				// number fits a column of floats.
				fits := first == second || second == "nulls" || first == "nulls" && second == "text" || first == "decimals" && second == "numbers"
				lateKind(t, fmt.Sprintf(form, before), fmt.Sprintf(form, after), fits)
			}
		}
	}
}

// lateKind reads rows like first, and a row like late after the sampled ones.
func lateKind(t *testing.T, first, late string, fits bool) {
	t.Helper()
	files := map[string]string{"a.json": first + "\n", "b.json": first + "\n" + late + "\n"}
	a := usualJSONL()
	a.SampleRows = 2 // one from each file
	_, got, err := readJSONL(t, a, folder(t, files))
	switch {
	case fits && (err != nil || len(got.rows) != 3):
		t.Errorf("%s after %s: %+v, %v", late, first, got, err)
	case !fits && (err == nil || !strings.HasPrefix(err.Error(), `b.json:2: column "a": `) || !strings.Contains(err.Error(), "schema = { a = ") || !strings.Contains(err.Error(), "sample_rows")):
		t.Errorf("%s after %s: %+v, %v", late, first, got, err)
	}
	a.OnError = "quarantine"
	if _, got, err = readJSONL(t, a, folder(t, files)); err != nil || len(got.rows)+len(got.aside) != 3 || (len(got.aside) == 0) != fits {
		t.Errorf("%s after %s, set aside: %+v, %v", late, first, got, err)
	}
}

func TestALateKindIsAcceptedWithASchemaOrALargerSample(t *testing.T) {
	rows := "{\"a\": \"x\"}\n{\"a\": \"x\"}\n{\"a\": [1, 2]}\n"
	given := usualJSONL()
	given.SampleRows, given.Schema = 1, map[string]string{"a": "string"}
	sampled := usualJSONL()
	sampled.SampleRows = 3
	for name, a := range map[string]*jsonlArgs{"schema": given, "sample_rows": sampled} {
		_, got, err := readJSONL(t, a, folder(t, map[string]string{"a.json": rows}))
		if err != nil || fmt.Sprint(got.rows) != "[x x [1,2]]" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// Which rows are refused depends on the sampled rows. So a part that was
	// read with another sample is read again.
	text := usualJSONL()
	if _, _, err := readJSONL(t, text, folder(t, map[string]string{"a.json": "{\"a\": \"x\"}\n"})); err != nil || text.inferred() != "" || sampled.inferred() == "" {
		t.Errorf("%v, %q and %q", err, text.inferred(), sampled.inferred())
	}
}
