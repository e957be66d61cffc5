package files

import (
	"encoding/json"
	"testing"
)

func TestStringsAreReadAsByEncodingJSON(t *testing.T) {
	for _, text := range []string{
		`""`, `"plain"`, `"\"\\\/\b\f\n\r\t"`, `"\u00e4\u20AC\u0000"`, `"\ud83d\ude00!"`, `"a\\"`, `"ä\nö"`,
	} {
		var want string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got, err := unquote([]byte(text)); err != nil || string(got) != want {
			t.Errorf("%s is read as %q, not %q (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{`"\ud83d"`, `"\ud83dx"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`} {
		if got, err := unquote([]byte(text)); err == nil {
			t.Errorf("%s is read as %q", text, got)
		}
	}
}

func FuzzMembersMatchEncodingJSON(f *testing.F) {
	f.Add(`{"a": [1, {"b": "}"}], "c\u00e4": -1e5, "d": null}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		if checkText([]byte(text)) != nil {
			return
		}
		var want map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &want) != nil || want == nil {
			return
		}
		list, err := members([]byte(text), nil)
		if err != nil {
			t.Fatalf("%q: %s", text, err)
		}
		got := map[string]string{}
		for _, m := range list {
			got[string(m.key)] = string(m.value)
		}
		for key, value := range want {
			if got[key] != string(value) {
				t.Errorf("%q: %q is %q, not %q", text, key, got[key], value)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%q: %d members, not %d", text, len(got), len(want))
		}
	})
}
