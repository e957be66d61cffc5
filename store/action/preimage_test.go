package action

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestAPreimageThatWasReadHasTheSameFieldsAndText(t *testing.T) {
	for _, fields := range [][]Field{nil, {{"type", "transform map"}}, {{`"a"\`, "<é\u2028>\n"}, {"", ""}}} {
		text, err := json.Marshal(struct {
			P Preimage `json:"p,omitzero"`
		}{NewPreimage(fields)})
		if err != nil {
			t.Fatal(err)
		}
		var read struct{ P Preimage }
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(read.P.Fields(), fields) || read.P.IsZero() != (len(fields) == 0) {
			t.Errorf("%s has the fields %q", text, read.P.Fields())
		}
		again, err := json.Marshal(struct {
			P Preimage `json:"p,omitzero"`
		}{read.P})
		if err != nil || string(again) != string(text) {
			t.Errorf("%s was written again as %s: %v", text, again, err)
		}
	}
}

func FuzzAPreimageIsReadAsItsFieldsAre(f *testing.F) {
	for _, text := range []string{
		`[{"name":"a","value":"b"}]`, "[\n  {\n    \"name\": \"a\",\n    \"value\": \"\\\"\\\\\"\n  }\n]", `[]`, `null`, `[{"value":"b","name":"a","more":1}]`,
		`[{"name":1}]`, `{}`, `"x"`, `[[]]`, `[{"name":"a","value":"b"},{"name":"c","value":"d"}]`, `[{"name":"a","value":null}]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want []Field
		var got Preimage
		wantErr, gotErr := json.Unmarshal(text, &want), json.Unmarshal(text, &got)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("%s: fields: %v; preimage: %v", text, wantErr, gotErr)
		}
		if gotErr == nil && !slices.Equal(got.Fields(), want) {
			t.Fatalf("%s: fields: %q; preimage: %q", text, want, got.Fields())
		}
	})
}
