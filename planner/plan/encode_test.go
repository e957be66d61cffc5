package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/sdk/go/data"
)

func samplePlan() *Plan {
	rows := int64(3)
	config := cty.Object(map[string]cty.Type{"path": cty.String, "limit": cty.Number})
	return &Plan{
		Format: Format, QuernVersion: "0.1.0", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Environment: "dev",
		State:   StateRef{Lineage: "l", Serial: 4},
		Plugins: map[string]Plugin{"builtin": {Source: "builtin", Version: "0.1.0", Digest: "sha256:00"}},
		Nodes: []*Node{
			{
				Address: "source.a", Kind: "source", Type: "csv", Mode: ModeRead, Action: Run,
				Body: &Body{Type: value.Type{Type: config}, Args: map[string]*Arg{
					"path":  {Value: &value.Value{Value: cty.StringVal("x.csv")}, Operational: true},
					"limit": {Expr: &expr.Compiled{Text: "evaluate.b.n", Type: value.Type{Type: cty.Number}, Refs: []string{"evaluate.b"}}},
				}},
				Outputs:  []Port{{Kind: KindDataset, Columns: data.Schema{{Name: "id", Type: "int64"}}}},
				Reasons:  []Reason{{Code: "new", Text: "is new"}},
				Estimate: Estimate{Rows: &rows},
			},
			{Address: `gate.b["x"]`, Kind: "gate", Action: Check, DependsOn: []string{"source.a"}, Conditions: []Condition{{
				When: WhenGate, Test: &expr.Compiled{Text: "true"}, Message: &expr.Compiled{Text: `"no"`},
			}}},
			{Address: "deploy.old", Kind: "deploy", Mode: ModeDeploy, Action: Delete, Deployment: &Deployment{
				Value: &value.Value{Value: cty.ObjectVal(map[string]cty.Value{"place": cty.StringVal("p")})}, Private: []byte{1},
			}},
		},
		Outputs: []*Output{{Name: "n", Action: Create, Expr: &expr.Compiled{Text: "1"}}},
		Secrets: []string{"token"},
	}
}

func TestAPlanSurvivesEncodingAndDecoding(t *testing.T) {
	p := samplePlan()
	var first, second bytes.Buffer
	if err := Encode(&first, p); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Nodes[0].Outputs, p.Nodes[0].Outputs) || !got.Nodes[0].Body.Type.Equals(p.Nodes[0].Body.Type.Type) {
		t.Errorf("the first node came back as %+v", got.Nodes[0])
	}
	if err := Encode(&second, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the plan encodes to other bytes after a round trip")
	}
}

func TestAPlanOfAnotherVersionIsReported(t *testing.T) {
	var wrong *WrongFormat
	_, err := Decode(strings.NewReader("quern.plan/v7\nwhatever"))
	if !errors.As(err, &wrong) || wrong.Got != "quern.plan/v7" {
		t.Errorf("got %v", err)
	}
	_, err = Decode(strings.NewReader(strings.Repeat("source \"csv\" {", 100)))
	if !errors.As(err, &wrong) || wrong.Got != "" {
		t.Errorf("got %v for a file of another kind", err)
	}
}

func TestAnInconsistentPlanIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Plan){
		"needs what comes later":     func(p *Plan) { p.Nodes[0].DependsOn = []string{`gate.b["x"]`} },
		"appears twice":              func(p *Plan) { p.Nodes[1].Address = "source.a" },
		"not an address":             func(p *Plan) { p.Nodes[1].Address = "nonsense" },
		"a node is missing":          func(p *Plan) { p.Nodes[1] = nil },
		"has no configuration":       func(p *Plan) { p.Nodes[0].Body = nil },
		"a condition has no test":    func(p *Plan) { p.Nodes[1].Conditions[0].Test = nil },
		"an argument is missing":     func(p *Plan) { p.Nodes[0].Body.Args["path"] = nil },
		"a row has no expression":    func(p *Plan) { p.Nodes[0].Body.Args["path"] = &Arg{Row: &RowArg{}} },
		"an output has none, either": func(p *Plan) { p.Outputs[0].Expr = nil },
		"a number is enormous":       func(p *Plan) { p.Outputs[0].Before = &value.Value{Value: cty.MustParseNumberVal("1e9999")} },
		"a block has no body":        func(p *Plan) { p.Nodes[0].Body.Blocks = []*Block{{Name: "rule"}} },
	} {
		t.Run(name, func(t *testing.T) {
			p := samplePlan()
			spoil(p)
			var b bytes.Buffer
			if err := Encode(&b, p); err != nil {
				t.Fatal(err)
			}
			if _, err := Decode(&b); err == nil {
				t.Error("the plan was read without an error")
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	if err := Encode(&b, samplePlan()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(Format + "\n{}"))
	f.Add([]byte("quern.plan/v9\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if p, err := Decode(bytes.NewReader(file)); err == nil {
			use(t, p)
		}
	})
}

// FuzzDecodeJSON is FuzzDecode without the compression, which hides the content from
// the fuzzer.
func FuzzDecodeJSON(f *testing.F) {
	sample, err := json.Marshal(samplePlan())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte(`{"format":"quern.plan/v2","nodes":[{"address":"source.a","action":"keep","body":{"type":["object",{"a":"string"}],"args":{"a":{"list":[{"value":{"type":"string","value":"x"}}]}}}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := decodeJSON(bytes.NewReader(text)); err == nil {
			use(t, p)
		}
	})
}

// use does with a decoded plan what its readers do.
func use(t *testing.T, p *Plan) {
	scope, err := NewScope(p)
	if err != nil {
		t.Fatalf("a decoded plan has an invalid address: %s", err)
	}
	p.Total()
	p.HasChanges()
	for _, n := range p.Nodes {
		if n.Body == nil {
			continue
		}
		refs, _ := n.Body.Refs()
		if bound, diags := n.Body.Bind(scope.Vars(refs, nil)); !diags.HasErrors() {
			_, _ = bound.Instance(n, nil)
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatalf("a decoded plan cannot be encoded: %s", err)
	}
	if _, err := decodeJSON(bytes.NewReader(text)); err != nil {
		t.Fatalf("an encoded plan cannot be decoded: %s", err)
	}
}
