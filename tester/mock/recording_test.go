package mock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/secret"
)

func answer(text string) func() (*recording, error) {
	return func() (*recording, error) {
		return &recording{Request: []byte(`{"prompt":"a"}`), Response: []byte(`{"text":"` + text + `","usage":{"input":1,"output":1},"latency":0.5}`)}, nil
	}
}

func refuse() (*recording, error) { return nil, errors.New("asked") }

func TestAnswersAreRecordedOnceAndReplayedInTheirOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "answers.jsonl")
	r := NewRecordings(true, secret.New())
	key := `{"prompt":"a"}`
	for n, text := range []string{"one", "two"} {
		if _, err := r.file(path).answer(key, n, answer(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.file(path).answer(key, 0, refuse); err != nil {
		t.Error(err)
	}
	saved, err := r.Save(true)
	if err != nil || len(saved) != 1 {
		t.Fatal(saved, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != 2 || strings.Contains(string(text), "latency") {
		t.Fatalf("%s %v", text, err)
	}

	replay := NewRecordings(false, secret.New())
	for n, want := range []string{"one", "two"} {
		got, err := replay.file(path).answer(key, n, refuse)
		if err != nil || !strings.Contains(string(got.Response), want) {
			t.Errorf("answer %d: %v %v", n, got, err)
		}
	}
	if _, err := replay.file(path).answer(key, 2, refuse); !errors.Is(err, errNotRecorded) {
		t.Error(err)
	}
	if saved, err := replay.Save(true); len(saved) > 0 || err != nil {
		t.Error("replay writes", saved, err)
	}

	// Another run needs only one answer.
	update := NewRecordings(true, secret.New())
	if _, err := update.file(path).answer(key, 0, refuse); err != nil {
		t.Fatal(err)
	}
	if saved, err := update.Save(false); len(saved) > 0 || err != nil {
		t.Error("answers are removed", saved, err)
	}
	if saved, err := update.Save(true); len(saved) != 1 || err != nil {
		t.Error(saved, err)
	}
	if text, _ := os.ReadFile(path); strings.Count(string(text), "\n") != 1 {
		t.Errorf("%s", text)
	}
}

func TestRequestsAreFoundHoweverTheyAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.jsonl")
	line := `{ "response": {"text": "x", "usage": {"input": 1, "output": 1}}, "request": {"temperature": 0, "messages": [{"content": "a", "role": "user"}]} }` + "\n\n"
	if err := os.WriteFile(path, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	f := NewRecordings(false, secret.New()).file(path)
	if _, err := f.answer(`{"messages":[{"role":"user","content":"a"}],"temperature":0}`, 0, refuse); err != nil {
		t.Error(err)
	}
}

func TestDamagedRecordingsAreReported(t *testing.T) {
	for _, line := range []string{"{", "{}", `{"request": {"prompt": "a"}}`, `{"text": "a"}`} {
		path := filepath.Join(t.TempDir(), "answers.jsonl")
		if err := os.WriteFile(path, []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := NewRecordings(true, secret.New()).file(path).answer("a", 0, refuse); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestSecretsAreNotRecorded(t *testing.T) {
	r := NewRecordings(true, secret.New(cty.StringVal("hush-hush-hush")))
	if err := r.safe([]byte("what is hush-hush-hush?")); err == nil {
		t.Error("the request is recorded")
	}
	if err := r.safe([]byte("what?"), []byte("nothing")); err != nil {
		t.Error(err)
	}
}

func TestValuesAreCompletedWithNulls(t *testing.T) {
	metric := cty.Object(map[string]cty.Type{"value": cty.Number, "low": cty.Number})
	want := cty.Object(map[string]cty.Type{"subjects": cty.Object(map[string]cty.Type{"a": cty.Object(map[string]cty.Type{"accuracy": metric})}), "counts": cty.Map(cty.Number), "list": cty.List(metric)})
	given := cty.ObjectVal(map[string]cty.Value{
		"subjects": cty.ObjectVal(map[string]cty.Value{"a": cty.ObjectVal(map[string]cty.Value{"accuracy": cty.ObjectVal(map[string]cty.Value{"value": cty.NumberFloatVal(0.5)})})}),
		"counts":   cty.ObjectVal(map[string]cty.Value{"x": cty.StringVal("3")}),
	})
	got, err := complete(given, want, "values")
	if err != nil {
		t.Fatal(err)
	}
	if !got.Type().Equals(want) {
		t.Errorf("the type is %#v", got.Type())
	}
	accuracy := got.GetAttr("subjects").GetAttr("a").GetAttr("accuracy")
	if !accuracy.GetAttr("value").RawEquals(cty.NumberFloatVal(0.5)) || !accuracy.GetAttr("low").IsNull() || !got.GetAttr("list").IsNull() || !got.GetAttr("counts").Index(cty.StringVal("x")).RawEquals(cty.NumberIntVal(3)) {
		t.Errorf("%#v", got)
	}
	for text, wrong := range map[string]cty.Value{
		`values has no "subject". Did you mean "subjects"?`: cty.ObjectVal(map[string]cty.Value{"subject": cty.EmptyObjectVal}),
		"values.subjects is number, but must be an object":  cty.ObjectVal(map[string]cty.Value{"subjects": cty.NumberIntVal(1)}),
		"values.counts[x]: a number is required":            cty.ObjectVal(map[string]cty.Value{"counts": cty.ObjectVal(map[string]cty.Value{"x": cty.StringVal("y")})}),
	} {
		if _, err := complete(wrong, want, "values"); err == nil || err.Error() != text {
			t.Errorf("%v, not %q", err, text)
		}
	}
}
