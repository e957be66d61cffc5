package inspect_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/results/resultstest"
)

// stateOf returns a state of instances that have produced nothing.
func stateOf(addresses ...string) *state.State {
	st := &state.State{Format: "f", Environment: "dev", Lineage: "l", Serial: 7, Instances: map[string]*state.Instance{}}
	for _, a := range addresses {
		st.Instances[a] = &state.Instance{Address: a}
	}
	return st
}

func addresses(all []*state.Instance) string {
	var names []string
	for _, inst := range all {
		names = append(names, inst.Address)
	}
	return strings.Join(names, " ")
}

func TestAnAddressWithoutAKeyMeansAllInstancesOfItsStage(t *testing.T) {
	st := stateOf(`label.a["y"]`, `label.a["x"]`, "label.ab", "source.s")
	for _, c := range []struct{ given, want string }{
		{"", `label.a["x"] label.a["y"] label.ab source.s`},
		{"label.a", `label.a["x"] label.a["y"]`},
		{`source.s label.a["y"] label.a`, `label.a["x"] label.a["y"] source.s`},
		{`label.a["y"]`, `label.a["y"]`},
	} {
		got, err := inspect.Instances(st, strings.Fields(c.given)...)
		if err != nil || addresses(got) != c.want {
			t.Errorf("%q: got %s, %v", c.given, addresses(got), err)
		}
	}
}

func TestAnUnknownNameIsReportedWithTheKnownOnes(t *testing.T) {
	st := stateOf("label.b", "label.a")
	var unknown *inspect.NotFound
	if _, err := inspect.Instance(st, "label.c"); !errors.As(err, &unknown) || unknown.Kind != "instance" || unknown.Environment != "dev" || !slices.Equal(unknown.Known, []string{"label.a", "label.b"}) {
		t.Errorf("got %v", err)
	}
	if _, err := inspect.Instances(st, "label.a", `label.a["k"]`); !errors.As(err, &unknown) || unknown.Name != `label.a["k"]` {
		t.Errorf("got %v", err)
	}
	if _, err := inspect.Instance(st, "labels"); err == nil || errors.As(err, &unknown) {
		t.Errorf("an address that is not one: %v", err)
	}
	if inst, err := inspect.Instance(st, "label.a"); err != nil || inst != st.Instances["label.a"] {
		t.Errorf("got %v, %v", inst, err)
	}
}

func TestAListingIdentifiesTheState(t *testing.T) {
	listing, err := inspect.List(stateOf("label.a"), "label.a")
	if err != nil {
		t.Fatal(err)
	}
	got := toJSON(t, listing)
	if !strings.HasPrefix(got, `{"environment":"dev","format":"f","instances":[{"address":"label.a",`) || !strings.HasSuffix(got, `"lineage":"l","serial":7}`) {
		t.Errorf("got %s", got)
	}
	if listing, err := inspect.List(stateOf()); err != nil || !strings.Contains(toJSON(t, listing), `"instances":[]`) {
		t.Errorf("a list of nothing is not a list: %v", err)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestArtifactsAreFoundByAddressPortAndDigest(t *testing.T) {
	s := resultstest.New(t)
	var names []string
	for _, a := range inspect.Artifacts(s.State) {
		names = append(names, a.Name())
	}
	if got := strings.Join(names, " "); got != "evaluate.labels evaluate.labels.confusion evaluate.labels.rows evaluate.prompts evaluate.prompts.rows source.tickets" {
		t.Errorf("got %s", got)
	}
	digest := s.State.Instances["evaluate.prompts"].Outputs["rows"].Digest
	manifest := s.State.Instances["source.tickets"].Outputs[""].Manifest
	for given, want := range map[string]string{
		"source.tickets":        "source.tickets",
		"evaluate.prompts":      "evaluate.prompts",
		"evaluate.prompts.rows": "evaluate.prompts.rows",
		digest:                  "evaluate.prompts.rows",
		strings.TrimPrefix(digest, "sha256:")[:6]: "evaluate.prompts.rows",
		manifest[:20]: "source.tickets",
	} {
		if found, err := inspect.FindArtifact(s.State, given); err != nil || found.Name() != want {
			t.Errorf("%s: got %q, %v", given, found.Name(), err)
		}
	}
	var unknown *inspect.NotFound
	for _, given := range []string{"source.ticket", strings.TrimPrefix(digest, "sha256:")[:5], ""} {
		if _, err := inspect.FindArtifact(s.State, given); !errors.As(err, &unknown) || unknown.Kind != "artifact" || !slices.Equal(unknown.Known, names) {
			t.Errorf("%q: got %v", given, err)
		}
	}
	if _, err := inspect.FindArtifacts(s.State, "source.tickets", "source.ticket"); !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
	if all, err := inspect.FindArtifacts(s.State); err != nil || len(all) != len(names) {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestAnInstanceWithSeveralArtifactsIsAmbiguous(t *testing.T) {
	st := stateOf("transform.parts")
	st.Instances["transform.parts"].Outputs = map[string]artifact.Ref{"test": {Digest: "sha256:bb"}, "train": {Digest: "sha256:aa"}}
	_, err := inspect.FindArtifact(st, "transform.parts")
	var ambiguous *inspect.Ambiguous
	if !errors.As(err, &ambiguous) || !slices.Equal(ambiguous.Candidates, []string{"transform.parts.test", "transform.parts.train"}) {
		t.Errorf("got %v", err)
	}
}

func TestTheMemoOfASourceIsNotAResult(t *testing.T) {
	outputs := map[string]artifact.Ref{"": {}, "parts": {}}
	if got := inspect.Results(&state.Instance{Address: "source.a", Kind: "source", Outputs: outputs}); len(got) != 1 || got[0].Port != "" {
		t.Errorf("got %v", got)
	}
	if got := inspect.Results(&state.Instance{Address: "transform.a", Kind: "transform", Outputs: outputs}); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestContentsAreAManifestAndTheFirstRows(t *testing.T) {
	s := resultstest.New(t)
	found, err := inspect.FindArtifact(s.State, "source.tickets")
	if err != nil {
		t.Fatal(err)
	}
	contents, err := inspect.Open(t.Context(), s.Store, found, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := toJSON(t, contents.Rows); got != `[{"text":"Where is my parcel?","team":"shipping"},{"text":"I was charged twice","team":"billing"}]` {
		t.Errorf("got %s", got)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(toJSON(t, contents)), &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"address", "port", "artifact", "manifest", "rows"} {
		if members[name] == nil {
			t.Errorf("%s is missing in %v", name, members)
		}
	}
	if contents, err := inspect.Open(t.Context(), s.Store, found, 0); err != nil || toJSON(t, contents) == "" || contents.Rows == nil {
		t.Errorf("no rows: %v, %v", contents, err)
	}
	report, err := inspect.FindArtifact(s.State, "evaluate.labels")
	if err != nil {
		t.Fatal(err)
	}
	if contents, err := inspect.Open(t.Context(), s.Store, report, 2); err != nil || strings.Contains(toJSON(t, contents), `"rows":`) {
		t.Errorf("a report has rows: %v", err)
	}
}

func TestSizesAreInRowsOrBytes(t *testing.T) {
	s := resultstest.New(t)
	size, err := inspect.Measure(s.Store, s.State.Instances["source.tickets"].Outputs[""])
	if err != nil || size != (inspect.Size{Rows: 5, Dataset: true}) {
		t.Errorf("got %+v, %v", size, err)
	}
	size, err = inspect.Measure(s.Store, s.State.Instances["evaluate.labels"].Outputs[""])
	if err != nil || size.Dataset || size.Bytes < 100 {
		t.Errorf("got %+v, %v", size, err)
	}
	if _, err := inspect.Measure(s.Store, artifact.Ref{Manifest: "sha256:" + strings.Repeat("0", 64)}); err == nil {
		t.Error("an artifact that is not there has a size")
	}
}

// fileOf returns the file of an artifact's first blob.
func fileOf(t *testing.T, s *resultstest.Fixture, address string) string {
	t.Helper()
	a, err := artifact.Get(s.Store.Blobs, s.State.Instances[address].Outputs[""])
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.Store.Blobs.Path(a.Blobs()[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerifyDistinguishesDamageFromMissingFiles(t *testing.T) {
	s := resultstest.New(t)
	all := inspect.Artifacts(s.State)
	verified, err := inspect.Verify(t.Context(), s.Store, all)
	if err != nil || len(verified) != len(all) {
		t.Fatal(verified, err)
	}
	for _, v := range verified {
		if !v.OK || v.Status != inspect.OK || v.Errors != nil {
			t.Errorf("%s: %+v", v.Name(), v)
		}
	}
	damaged, missing := fileOf(t, s, "source.tickets"), fileOf(t, s, "evaluate.labels")
	if err := os.Chmod(damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	if verified, err = inspect.Verify(t.Context(), s.Store, all); err != nil {
		t.Fatal(err)
	}
	for _, v := range verified {
		want := inspect.OK
		switch v.Name() {
		case "source.tickets":
			want = inspect.Damaged
		case "evaluate.labels":
			want = inspect.Missing
		}
		if v.Status != want || v.OK != (want == inspect.OK) || (len(v.Errors) == 0) != v.OK {
			t.Errorf("%s: %+v", v.Name(), v)
		}
	}
	if got := toJSON(t, verified[0]); !strings.HasPrefix(got, `{"address":"evaluate.labels","artifact":{`) || !strings.Contains(got, `"ok":false,"status":"missing","errors":["`) {
		t.Errorf("got %s", got)
	}
	if aside, _ := filepath.Glob(filepath.Join(s.Store.Dir, "damaged", "*")); len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := inspect.Verify(ended, s.Store, all); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOutputsHaveTypesAndNoSecrets(t *testing.T) {
	st := stateOf()
	st.Outputs = map[string]*state.Output{
		"release": {Value: &value.Value{Value: cty.StringVal("<v1>")}},
		"nothing": {Value: &value.Value{Value: cty.NullVal(cty.String)}},
		"token":   {Sensitive: true, Digest: "d"},
	}
	outputs, err := inspect.Outputs(st)
	if err != nil {
		t.Fatal(err)
	}
	if string(outputs["release"].Value) != `"<v1>"` {
		t.Errorf("got %s", outputs["release"].Value)
	}
	if got := toJSON(t, outputs); got != `{"nothing":{"sensitive":false,"type":"string","value":null},"release":{"sensitive":false,"type":"string","value":"\u003cv1\u003e"},"token":{"sensitive":true}}` {
		t.Errorf("got %s", got)
	}
}
