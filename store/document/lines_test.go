package document

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestTheMembersOfMembersHaveLinesOfTheirOwn(t *testing.T) {
	const text = `{"format":"x/v1","none":{},"empty":[],"instances":{"a":{"list":[1,{"b":"c, {\"d\": []}"}],"e":{}},"f":null},"list":[{"g":1},2]}`
	const want = `{
  "format": "x/v1",
  "none": {},
  "empty": [],
  "instances": {
    "a": {"list":[1,{"b":"c, {\"d\": []}"}],"e":{}},
    "f": null
  },
  "list": [
    {"g":1},
    2
  ]
}`
	if got := string(lines([]byte(text))); got != want {
		t.Errorf("the text is\n%s\nand should be\n%s", got, want)
	}
}

func FuzzLinesChangeOnlyWhiteSpace(f *testing.F) {
	f.Add([]byte(`{"a":[1,[2,{"b":"\\\"]"}]],"c":{},"d":[[]]}`))
	f.Add([]byte(`"x"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var compact, again bytes.Buffer
		if json.Compact(&compact, text) != nil {
			return
		}
		if err := json.Compact(&again, lines(compact.Bytes())); err != nil || !bytes.Equal(compact.Bytes(), again.Bytes()) {
			t.Errorf("%s became %s: %v", compact.Bytes(), again.Bytes(), err)
		}
	})
}
