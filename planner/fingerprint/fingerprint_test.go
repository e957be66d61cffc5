package fingerprint

import (
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
)

func text(s string) *plan.Arg { return &plan.Arg{Value: &value.Value{Value: cty.StringVal(s)}} }

func row(s string) *plan.Arg {
	return &plan.Arg{Row: &plan.RowArg{Of: "input", Expr: &expr.Compiled{Text: s, ColumnType: "string"}}}
}

// sample is a row-wise node with one of everything.
func sample() *plan.Node {
	return &plan.Node{
		Address: "label.a", Kind: "label", Type: "rules", Plugin: "builtin", Mode: plan.ModeMap, Behavior: "1",
		Body: &plan.Body{
			Args: map[string]*plan.Arg{
				"input":  {Input: &plan.Input{Address: "source.a", Kind: plan.KindDataset}},
				"model":  text("m"),
				"path":   {Value: &value.Value{Value: cty.StringVal("here")}, Operational: true},
				"token":  {Expr: &expr.Compiled{Text: "var.token", Secrets: []string{"token"}}, Sensitive: true},
				"shares": {Value: &value.Value{Value: cty.MapVal(map[string]cty.Value{"a": cty.NumberIntVal(1)})}},
			},
			Blocks: []*plan.Block{
				{Name: "rule", Labels: []string{"x"}, Body: &plan.Body{Args: map[string]*plan.Arg{"when": row("row.a")}}},
				{Name: "rule", Labels: []string{"y"}, Body: &plan.Body{Args: map[string]*plan.Arg{"when": row("row.b")}}},
			},
		},
		Outputs: []plan.Port{{
			Kind: plan.KindDataset, RowsOf: "input",
			Columns: data.Schema{{Name: "text", Type: "string"}, {Name: "label", Type: "string"}},
			Origins: map[string]string{"text": "input:text"},
		}},
	}
}

func definitionOf(t *testing.T, change func(*plan.Node)) string {
	t.Helper()
	n := sample()
	change(n)
	key, _, err := Definition(n, n.Body, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRelevantChangesChangeTheDefinition(t *testing.T) {
	same := definitionOf(t, func(*plan.Node) {})
	seen := map[string]string{same: "no change"}
	for name, change := range map[string]func(*plan.Node){
		"type":            func(n *plan.Node) { n.Type = "other" },
		"behaviour":       func(n *plan.Node) { n.Behavior = "2" },
		"argument":        func(n *plan.Node) { n.Body.Args["model"] = text("n") },
		"argument gone":   func(n *plan.Node) { delete(n.Body.Args, "model") },
		"number":          func(n *plan.Node) { n.Body.Args["model"].Value = &value.Value{Value: cty.NumberIntVal(1)} },
		"number as text":  func(n *plan.Node) { n.Body.Args["model"] = text("1") },
		"artifact kind":   func(n *plan.Node) { n.Body.Args["input"].Input.Kind = plan.KindModel },
		"row expression":  func(n *plan.Node) { n.Body.Blocks[0].Body.Args["when"] = row("row.c") },
		"order of blocks": func(n *plan.Node) { slices.Reverse(n.Body.Blocks) },
		"label of block":  func(n *plan.Node) { n.Body.Blocks[0].Labels = []string{"z"} },
		"made column":     func(n *plan.Node) { n.Outputs[0].Columns[1].Type = "bool" },
		"secret":          func(n *plan.Node) { n.Body.Args["model"] = &plan.Arg{Expr: &expr.Compiled{Text: "var.a"}} },
	} {
		key := definitionOf(t, change)
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same key", name, other)
		}
		seen[key] = name
	}
}

func TestIrrelevantChangesKeepTheDefinition(t *testing.T) {
	same := definitionOf(t, func(*plan.Node) {})
	for name, change := range map[string]func(*plan.Node){
		"address":              func(n *plan.Node) { n.Address = "label.b" },
		"plugin's local name":  func(n *plan.Node) { n.Plugin = "other" },
		"upstream's address":   func(n *plan.Node) { n.Body.Args["input"].Input.Address = "source.b" },
		"operational argument": func(n *plan.Node) { n.Body.Args["path"].Value = &value.Value{Value: cty.StringVal("there")} },
		"sensitive argument":   func(n *plan.Node) { n.Body.Args["token"].Expr.Text = "var.other" },
		"null argument": func(n *plan.Node) {
			n.Body.Args["more"] = &plan.Arg{Value: &value.Value{Value: cty.NullVal(cty.String)}}
		},
		"passed column": func(n *plan.Node) {
			n.Outputs[0].Columns = append(n.Outputs[0].Columns, data.Column{Name: "id", Type: "int64"})
			n.Outputs[0].Origins["id"] = "input:id"
		},
		"place":     func(n *plan.Node) { n.Range = diag.Range{File: "x"} },
		"timeout":   func(n *plan.Node) { n.Timeout = 1 },
		"estimates": func(n *plan.Node) { rows := int64(1); n.Estimate.Rows = &rows },
	} {
		if definitionOf(t, change) != same {
			t.Errorf("%s changes the key", name)
		}
	}
}

// The content of a file, or of a folder, takes the place of the path that an argument
// gives, and of nothing else.
func TestTheContentOfAFileTakesThePlaceOfItsPath(t *testing.T) {
	with := func(argument, name, path, digest string) string {
		return definitionOf(t, func(n *plan.Node) {
			n.Body.Args["model"] = text(argument)
			n.Files = []plan.SourceFile{{Name: name, Path: path, Digest: digest}}
		})
	}
	file := with("a/m.json", "model", "/p/a/m.json", "sha256:1")
	for _, path := range []string{"../b/n.json", "/b/n.json", "c/../../b/n.json"} {
		if with(path, "model", "/b/n.json", "sha256:1") != file {
			t.Errorf("the file's content at %s has another key", path)
		}
	}
	folder := with("a", "model/m.json", "/p/a/m.json", "sha256:1")
	if with("../b/", "model/m.json", "/b/m.json", "sha256:1") != folder {
		t.Error("the folder's content elsewhere has another key")
	}
	seen := map[string]string{file: "the file", folder: "the folder"}
	for name, key := range map[string]string{
		"another content":             with("a/m.json", "model", "/p/a/m.json", "sha256:2"),
		"another file of that name":   with("a/m.json", "model", "/p/model", "sha256:1"),
		"another argument's file":     with("a/m.json", "models", "/p/a/m.json", "sha256:1"),
		"another file of the folder":  with("a", "model/n.json", "/p/a/n.json", "sha256:1"),
		"text that is not the folder": with("b", "model/m.json", "/p/a/m.json", "sha256:1"),
	} {
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same key", name, other)
		}
		seen[key] = name
	}
}

func TestADefinitionThatWaitsHasNoKey(t *testing.T) {
	n := sample()
	n.Body.Args["model"] = &plan.Arg{Expr: &expr.Compiled{Text: "evaluate.a.b", Refs: []string{"evaluate.a"}}}
	key, fields, err := Definition(n, n.Body, nil)
	if err != nil || key != "" || len(fields) == 0 {
		t.Errorf("key %q, %d fields, error %v", key, len(fields), err)
	}
}

// The digests in this test are part of the format: if they change, every result in
// every store is computed again.
func TestKeysDoNotChange(t *testing.T) {
	n := sample()
	definition, _, err := Definition(n, n.Body, nil)
	if err != nil {
		t.Fatal(err)
	}
	action, _ := Action(definition, "", []Input{
		{Key: "model", Kind: plan.KindModel, Digest: "sha256:00", Features: map[string]string{"text": "row.text"}},
		{Key: "input", Kind: plan.KindDataset, Rows: 3, Columns: []Column{{"text", "sha256:11"}}},
	})
	for name, c := range map[string]struct{ got, want string }{
		"definition": {definition, "sha256:4deb0386358792f3ba1745de00f7e8c13a0b54d3ffb0b3d745db6d83a580a476"},
		"action":     {action, "sha256:ddcb1fd28c7589765410066c38072b93a053989eea969ee9d7249799eb4f6a3e"},
	} {
		if c.got != c.want {
			t.Errorf("the %s key is %s, was %s", name, c.got, c.want)
		}
	}
}

func TestTheActionKeyFollowsWhatIsRead(t *testing.T) {
	base := func() []Input {
		return []Input{
			{Key: "a", Kind: plan.KindDataset, Rows: 3, Columns: []Column{{"x", "1"}, {"y", "2"}}},
			{Key: "b", Kind: plan.KindModel, Digest: "d"},
		}
	}
	same, _ := Action("D", "", base())
	swapped := base()
	slices.Reverse(swapped)
	if key, _ := Action("D", "", swapped); key != same {
		t.Error("the order in which inputs are given changes the key")
	}
	for name, change := range map[string]func([]Input){
		"rows":    func(in []Input) { in[0].Rows = 4 },
		"column":  func(in []Input) { in[0].Columns[1].Digest = "3" },
		"name":    func(in []Input) { in[0].Columns[1].Name = "z" },
		"fewer":   func(in []Input) { in[0].Columns = in[0].Columns[:1] },
		"digest":  func(in []Input) { in[1].Digest = "e" },
		"feature": func(in []Input) { in[1].Features = map[string]string{"f": "row.x"} },
	} {
		in := base()
		change(in)
		if key, _ := Action("D", "", in); key == same {
			t.Errorf("%s does not change the key", name)
		}
	}
	if key, _ := Action("E", "", base()); key == same {
		t.Error("the definition does not change the key")
	}
}

func TestFieldsCannotRunIntoOneAnother(t *testing.T) {
	a := Key("t", []plan.Field{{Name: "ab", Value: "c"}, {Name: "d", Value: ""}})
	b := Key("t", []plan.Field{{Name: "a", Value: "bc"}, {Name: "d", Value: ""}})
	c := Key("t", []plan.Field{{Name: "ab", Value: "cd"}, {Name: "", Value: ""}})
	if a == b || a == c || b == c {
		t.Error("different fields have one key")
	}
}

func TestRowWiseStagesReadWhatTheyPassOn(t *testing.T) {
	n := sample()
	n.Reads = map[string]plan.Reads{"input": {Columns: []string{"b", "a"}}}
	if got, want := ReadColumns(n, "input", []string{"text", "a", "b", "c"}), []string{"a", "b", "text"}; !slices.Equal(got, want) {
		t.Errorf("ReadColumns = %v, want %v", got, want)
	}
	n.Reads["input"] = plan.Reads{All: true}
	if got := ReadColumns(n, "input", []string{"text", "a"}); !slices.Equal(got, []string{"text", "a"}) {
		t.Errorf("ReadColumns of all = %v", got)
	}
}

func TestFieldsWithOneNameAreCompared(t *testing.T) {
	conditions := func(all ...string) (fields []plan.Field) {
		for _, c := range all {
			fields = append(fields, plan.Field{Name: "condition", Value: c})
		}
		return fields
	}
	for _, c := range []struct{ before, after, want string }{
		{"a b", "a b", ""},
		{"a b", "b a", ""},
		{"a b", "a c", "b→c"},
		{"a b", "c b", "a→c"},
		{"a b", "c d", "a→c b→d"},
		{"a b", "a b c", "→c"},
		{"a b c", "b", "a→ c→"},
		{"a a", "a", "a→"},
		{"", "a b", "→a →b"},
	} {
		var got []string
		for _, r := range Compare(conditions(strings.Fields(c.before)...), conditions(strings.Fields(c.after)...), "") {
			got = append(got, r.Before+"→"+r.After)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q to %q: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

func TestAnInputThatIsAddedIsOneReason(t *testing.T) {
	before := []plan.Field{{Name: "type", Value: "evaluate classification"}, {Name: "input dataset rows", Value: "3"}}
	after := append(slices.Clone(before), plan.Field{Name: "artifact subjects.a", Value: "model"},
		plan.Field{Name: "input subjects.a digest", Value: "sha256:1"}, plan.Field{Name: "input subjects.a feature text", Value: "row.text"})
	for _, fields := range [][2][]plan.Field{{before, after}, {after, before}} {
		if got := Compare(fields[0], fields[1], ""); len(got) != 1 || got[0].Subject != "subjects.a" || got[0].Code != plan.BecauseArgument {
			t.Errorf("%+v", got)
		}
	}
}
