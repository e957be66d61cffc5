package state_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ownjson"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/pending"
	"github.com/quern-dev/quern/store/state"
)

// full returns a state with a value in each field, and with strings that JSON escapes.
func full() *state.State {
	at := time.Date(2026, 12, 1, 3, 4, 5, 678, time.UTC)
	v := value.Value{Value: cty.ObjectVal(map[string]cty.Value{"<rows>": cty.NumberIntVal(7), "text": cty.StringVal("é\u2028\n")})}
	ref := artifact.Ref{Kind: "dataset", Manifest: "sha256:m", Digest: "sha256:d"}
	checked := map[string]state.Checked{"violations": {Key: "sha256:k", Violations: ref}}
	return &state.State{
		Format: state.Format, Lineage: "l", Serial: 3, Environment: "dev", Expires: &at,
		Instances: map[string]*state.Instance{
			"source.a": {Address: "source.a", Kind: "source", Fingerprint: "f", Memo: []byte{0, 255}, Updated: at.In(time.FixedZone("", 3600))},
			`transform.b["é <\"x\">"]`: {
				Address: `transform.b["é <\"x\">"]`, Kind: "transform", Type: "map", Plugin: "builtin", Definition: "sha256:1", RowsKey: "sha256:2",
				ActionKey: "sha256:3", Preimage: action.NewPreimage([]action.Field{{Name: "row", Value: `"${row.a} < 1 && \\"`}, {}}),
				Outputs: map[string]artifact.Ref{"": ref, "a": {}}, Value: value.Store(v.Value), Errors: 5, Contracts: checked,
				Deployment: &state.Deployment{Value: &v, Private: []byte("n"), Version: 2, Sensitive: []string{"s"}, Digests: map[string]string{"a": "b"}},
				Inputs:     []action.InputRef{{Address: "source.a", Role: action.RoleValues, Action: "sha256:4"}}, DependsOn: []string{"source.a", "<"}, Run: "r", Updated: at,
			},
			"gate.c": nil,
		},
		Outputs:  map[string]*state.Output{"o": {Value: &v}, "s": {Sensitive: true, Salt: "x", Digest: "y"}},
		Pending:  map[string]*state.Pending{"train.p": {Kind: "train", Definition: "d", ActionKey: "k", Summary: pending.Summary{}, Run: "r", Updated: at}},
		Rejected: map[string]*state.Rejected{"transform.r": {Kind: "transform", ActionKey: "k", Contracts: checked, Run: "r", Updated: at}},
	}
}

// A field that is not written would be lost, so each one has a value here that
// TestAStateIsWrittenAsByEncodingJSON compares.
func TestEachFieldIsCompared(t *testing.T) {
	st := full()
	rich, source := st.Instances[`transform.b["é <\"x\">"]`], st.Instances["source.a"]
	for _, values := range [][]any{{*st}, {*rich, *source}, {rich.Outputs[""]}, {rich.Preimage.Fields()[0]}} {
		of := reflect.TypeOf(values[0])
		for _, field := range reflect.VisibleFields(of) {
			if field.IsExported() && !slices.ContainsFunc(values, func(v any) bool { return !reflect.ValueOf(v).FieldByIndex(field.Index).IsZero() }) {
				t.Errorf("%s has no %s: add it to full, and to the functions that read and write the type", of, field.Name)
			}
		}
	}
}

func TestAStateIsWrittenAsByEncodingJSON(t *testing.T) {
	for _, st := range []*state.State{full(), {}, {Instances: map[string]*state.Instance{}}} {
		want, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		w := &ownjson.Writer{}
		st.WriteJSON(w)
		if got, err := w.Result(); err != nil || string(got) != string(want) {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestAStateIsReadWithoutReflection(t *testing.T) {
	st := full()
	delete(st.Instances, "gate.c") // null, which no state contains
	text, err := document.Encode(st)
	if err != nil {
		t.Fatal(err)
	}
	if !(&state.State{}).ReadJSON(string(text)) {
		t.Errorf("encoding/json has to read\n%s", text)
	}
	sameAsJSON(t, text)
}

// sameAsJSON fails if a state is read, and written again, differently than by
// encoding/json.
func sameAsJSON(t *testing.T, text []byte) {
	t.Helper()
	var got, want state.State
	if !got.ReadJSON(string(text)) {
		return
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatalf("%s is read, but: %v", text, err)
	}
	w := &ownjson.Writer{}
	got.WriteJSON(w)
	is, err := w.Result()
	should, wantErr := json.Marshal(want)
	if (err == nil) != (wantErr == nil) || err == nil && string(is) != string(should) {
		t.Fatalf("%s is read as\n%s, %v, but is\n%s, %v", text, is, err, should, wantErr)
	}
}

func FuzzAStateIsReadAsByEncodingJSON(f *testing.F) {
	compact, err := json.Marshal(full())
	if err != nil {
		f.Fatal(err)
	}
	spaced, err := json.MarshalIndent(full(), "", " ")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		string(compact), string(spaced), "", "{", `{"serial":01}`, `{"serial":1e2}`, `{"serial":-0}`, `{"serial":9223372036854775808}`, `{"Serial":1}`, `{"serial":1,"serial":2}`,
		`{"instances":{"a":{"kind":"x"},"a":{"type":"y"}}}`, `{"instances":{"a":{"updated":"2026-01-01T00:00:00\u005a"}}}`, `{"instances":{"a":{"memo":"AP8="}}} `,
		`{"instances":{"a":{"preimage":[ {"name":"\u003c","value":"<"}]}}}`, `{"format":"a\tb"}`, "{\"format\":\"\xff\"}", `{"lineage":null}`, `{} {}`, `{"outputs":{"a":{}}]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(sameAsJSON)
}
