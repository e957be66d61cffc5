package jsontext

import (
	"encoding/json"
	"testing"
)

func TestOnlyRequiredJSONEscapesAreUsed(t *testing.T) {
	for text, want := range map[string]string{
		"a < b && c > d":   `"a < b && c > d"`,
		"\u2028\u2029":     "\"\u2028\u2029\"",
		`\u003c`:           `"\\u003c"`,
		`\<`:               `"\\<"`,
		"\"\\\n\x01\u007f": `"\"\\\n\u0001` + "\u007f\"",
		"e\u0301日":         "\"e\u0301日\"",
	} {
		got, err := Marshal(text)
		if err != nil || string(got) != want {
			t.Errorf("%q is written %s, not %s (%v)", text, got, want, err)
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != text {
			t.Errorf("%s is read as %q (%v)", got, back, err)
		}
	}
	if got, _ := Marshal(map[string]any{"<": []string{"&"}}); string(got) != `{"<":["&"]}` {
		t.Errorf("nested: %s", got)
	}
}
