package client_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// onWire decodes a value's bytes manually: the JSON of its type, and the code
// that its content begins with.
func onWire(t *testing.T, v cty.Value) (typ string, code byte, content *msgpack.Decoder) {
	t.Helper()
	b, err := client.EncodeValue(v)
	if err != nil {
		t.Fatal(err)
	}
	d := msgpack.NewDecoder(strings.NewReader(string(b)))
	if n, err := d.DecodeArrayLen(); err != nil || n != 2 {
		t.Fatalf("it is an array of %d: %v", n, err)
	}
	text, err := d.DecodeBytes()
	if err != nil {
		t.Fatal(err)
	}
	if code, err = d.PeekCode(); err != nil {
		t.Fatal(err)
	}
	return string(text), code, d
}

func TestNumbersAreEncodedAsSpecified(t *testing.T) {
	for text, kind := range map[string]string{
		"1": "int", "-7": "int", "9007199254740993": "int", "0.5": "float", "0.1": "string", "1e40": "string", "18446744073709551616": "string",
	} {
		f, _, err := big.ParseFloat(text, 10, 512, big.ToNearestEven)
		if err != nil {
			t.Fatal(err)
		}
		typ, code, content := onWire(t, cty.NumberVal(f))
		got := "int"
		switch {
		case msgpcode.IsString(code):
			got = "string"
			if s, err := content.DecodeString(); err != nil || text == "0.1" && s != "0.1" {
				t.Errorf("%s is %q: %v", text, s, err)
			}
		case code == msgpcode.Double || code == msgpcode.Float:
			got = "float"
		}
		if typ != `"number"` || got != kind {
			t.Errorf("%s is a %s of type %s, want a %s", text, got, typ, kind)
		}
	}
}

func TestUnknownsAndNullsAreEncodedAsSpecified(t *testing.T) {
	for name, c := range map[string]struct {
		value cty.Value
		ext   int8
	}{
		"unknown": {cty.UnknownVal(cty.String), 0},
		"refined": {cty.UnknownVal(cty.String).RefineNotNull(), 12},
	} {
		_, code, content := onWire(t, c.value)
		if !msgpcode.IsExt(code) {
			t.Fatalf("%s: code %x", name, code)
		}
		if id, _, err := content.DecodeExtHeader(); err != nil || id != c.ext {
			t.Errorf("%s: ext type %d, %v", name, id, err)
		}
	}
	if typ, code, _ := onWire(t, cty.NullVal(cty.String)); typ != `"string"` || code != msgpcode.Nil {
		t.Errorf("null is %x of type %s", code, typ)
	}
	blocks := cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("a")})})
	if typ, code, _ := onWire(t, blocks); typ != `["tuple",[["object",{"name":"string"}]]]` || !msgpcode.IsFixedArray(code) {
		t.Errorf("blocks are %x of type %s", code, typ)
	}
}

func TestRowsAreEncodedAsSpecified(t *testing.T) {
	schema := data.Schema{{Name: "text", Type: "string"}, {Name: "tags", Type: "list<string>"}}.Arrow()
	for _, f := range schema.Fields() {
		if !f.Nullable {
			t.Errorf("field %q is not nullable", f.Name)
		}
	}
	// A stream that contains only a schema, and a compressed one.
	var empty, small strings.Builder
	if err := ipc.NewWriter(&empty, ipc.WithSchema(schema)).Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := data.DecodeBatch([]byte(empty.String()))
	if err != nil || rec.NumRows() != 0 || rec.NumCols() != 2 {
		t.Fatalf("a schema alone is %v: %v", rec, err)
	}
	rec.Release()
	b := array.NewRecordBuilder(memory.DefaultAllocator, data.Schema{{Name: "text", Type: "string"}}.Arrow())
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"a", "b"}, nil)
	rows := b.NewRecordBatch()
	defer rows.Release()
	w := ipc.NewWriter(&small, ipc.WithSchema(rows.Schema()), ipc.WithZstd())
	for range 2 {
		if err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	joined, err := data.DecodeBatch([]byte(small.String()))
	if err != nil || joined.NumRows() != 4 {
		t.Fatalf("two compressed batches are %v: %v", joined, err)
	}
	joined.Release()
}

func TestChatRequestsAreEncodedAsSpecified(t *testing.T) {
	zero, most, seed := 0.0, int64(9), int64(7)
	r := &llm.Request{
		Messages: []llm.Message{{Role: llm.User, Content: "Hi"}}, Tools: []llm.Tool{{Name: "f", Parameters: json.RawMessage(`{ "b": 1, "a": 2 }`)}},
		Output: &llm.Output{Schema: json.RawMessage(`{"type": "object"}`), Strict: true}, Temperature: &zero, TopP: &zero, MaxTokens: &most, Seed: &seed,
		Stop: []string{"."}, LogProbs: true,
	}
	got, err := r.Encode()
	want := `{"messages":[{"role":"user","content":"Hi"}],"tools":[{"name":"f","parameters":{"a":2,"b":1}}],` +
		`"output":{"schema":{"type":"object"},"strict":true},"temperature":0,"top_p":0,"max_tokens":9,"seed":7,"stop":["."],"logprobs":true}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, want %s: %v", got, want, err)
	}
}
