package ownjson_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/quern-dev/quern/internal/ownjson"
)

type box struct {
	Name  string           `json:"name"`
	Count int64            `json:"count"`
	At    time.Time        `json:"at"`
	List  []string         `json:"list"`
	Map   map[string]int64 `json:"map"`
	Any   any              `json:"any"`
}

func (b *box) read(r *ownjson.Reader) {
	for m := r.Members(); m.Next(); {
		switch m.Name {
		case "name":
			b.Name = r.Text()
		case "count":
			b.Count = r.Int()
		case "at":
			b.At = r.Time()
		case "list":
			b.List = ownjson.List(r, (*ownjson.Reader).Text)
		case "map":
			b.Map = ownjson.Map(r, (*ownjson.Reader).Int)
		case "any":
			r.Into(&b.Any)
		default:
			r.GiveUp()
		}
	}
}

func (b *box) write(w *ownjson.Writer) {
	w.Open('{')
	w.Name("name")
	w.Text(b.Name)
	w.Name("count")
	w.Int(b.Count)
	w.Name("at")
	w.Time(b.At)
	w.Name("list")
	ownjson.WriteList(w, b.List, (*ownjson.Writer).Text)
	w.Name("map")
	ownjson.WriteMap(w, b.Map, (*ownjson.Writer).Int)
	w.Name("any")
	w.Any(b.Any)
	w.Close('}')
}

func TestWhatQuernWritesIsReadWithoutReflection(t *testing.T) {
	for _, b := range []box{
		{List: []string{}, Map: map[string]int64{}, Any: 1.5},
		{
			Name: "a \"b\" <c> & \\ é\u2028\x01\xff", Count: -123456789012345678, At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
			List: []string{"", "x", "\n"}, Map: map[string]int64{"é": 1, "": 2, "<": 3}, Any: map[string]any{"a": []any{"]", true}},
		},
	} {
		want, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		w := &ownjson.Writer{}
		b.write(w)
		text, err := w.Result()
		if err != nil || string(text) != string(want) {
			t.Errorf("written as\n%s, %v, not\n%s", text, err, want)
		}
		r := ownjson.NewReader(string(text))
		if (&box{}).read(r); !r.Done() {
			t.Errorf("%s is left to encoding/json", text)
		}
		asJSON(t, text)
	}
}

func TestAnErrorOfAValueIsReported(t *testing.T) {
	w := &ownjson.Writer{}
	w.Any(func() {})
	if _, err := w.Result(); err == nil {
		t.Error("a function is written")
	}
}

// asJSON fails if a text is read differently than by encoding/json.
func asJSON(t *testing.T, text []byte) {
	t.Helper()
	var got, want box
	r := ownjson.NewReader(string(text))
	if got.read(r); !r.Done() {
		return
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatalf("%s is read, but: %v", text, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s is read as\n%+v, but is\n%+v", text, got, want)
	}
}

func FuzzATextIsReadAsByEncodingJSON(f *testing.F) {
	for _, text := range []string{
		``, `{}`, " {\n\t\"count\" : 1 }\r", `{"count":-0}`, `{"count":00}`, `{"count":1.0}`, `{"count":1E2}`, `{"count":- 1}`, `{"count":9223372036854775807}`, `{"count":}`,
		`{"count":1,"count":2}`, `{"Count":1}`, `{"name":"a\u00e9\ud800"}`, `{"name":"\x"}`, `{"name":null}`, `{"na\u006de":"a"}`, "{\"name\":\"\t\"}", `{"name":"a"`, `{"name":"`, `{"name":"\`,
		`{"list":[]}`, `{"list":["a",]}`, `{"list":["a" "b"]}`, `{"list":[,"a"]}`, `{"list":null}`, `{"map":{"a":1,"a":2}}`, `{"map":{"a":1]}`, `{"map":{}}x`,
		`{"any":[{"a":"}"}]}`, `{"any":{]}`, `{"any": null }`, `{"any":1 2}`, `{"at":"2026-01-02T03:04:05Z"}`, `{"at":"2026-01-02"}`, `{"at":"2026-01-02T03:04:05\u005a"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(asJSON)
}
