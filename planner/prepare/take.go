package prepare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// answered is an instance and what its plugin prepared for it.
type answered struct {
	*Instance
	prepared *pluginv1.Prepared
}

func (n *answered) takeOutputs() error {
	seen := map[string]bool{}
	for _, o := range n.prepared.Outputs {
		if seen[o.Name] || (o.Name == "errors" && n.isLabel()) {
			return fmt.Errorf("output %q appears twice", o.Name)
		}
		seen[o.Name] = true
		port, err := n.port(o)
		if err != nil {
			return fmt.Errorf("output %q: %w", o.Name, err)
		}
		if err := n.takeLineage(&port, o); err != nil {
			return fmt.Errorf("output %q: %w", o.Name, err)
		}
		n.Outputs = append(n.Outputs, port)
		if err := n.takeSelections(&port, o.Selections); err != nil {
			return fmt.Errorf("output %q: %w", o.Name, err)
		}
	}
	if n.RowWise() && len(n.Outputs) != 1 {
		return fmt.Errorf("a row-wise stage produces one dataset, not %d outputs", len(n.Outputs))
	}
	if err := n.takeValueType(); err != nil {
		return err
	}
	if n.isLabel() {
		n.Outputs = append(n.Outputs, plan.Port{Name: "errors", Kind: plan.KindDataset, Columns: errorColumns})
	}
	return nil
}

// takeSelections records which rows of inputs an output consists of.
func (n *answered) takeSelections(port *plan.Port, of []*pluginv1.Selection) error {
	switch {
	case len(of) == 0:
		return nil
	case len(of) > 1 && port.RowsOf != "":
		return fmt.Errorf("it has the rows of input %q, but %d selections", port.RowsOf, len(of))
	case len(of) > 1 && port.Lineage == nil:
		return fmt.Errorf("it consists of %d selections, but no lineage says which columns it passes on", len(of))
	}
	for _, s := range of {
		if err := n.checkSelection(s); err != nil {
			return err
		}
	}
	if n.Selections == nil {
		n.Selections = map[string][]*pluginv1.Selection{}
	}
	n.Selections[port.Name] = of
	return nil
}

func (n *answered) checkSelection(s *pluginv1.Selection) error {
	isDataset := func(key string) bool {
		in := n.Inputs[key]
		return in != nil && in.Port != nil && in.Port.Kind == plan.KindDataset
	}
	switch size := n.Bound.Rows[s.Size]; {
	case !isDataset(s.RowsOf):
		return fmt.Errorf("it consists of rows of the input %q, which is not a dataset", s.RowsOf)
	case s.MostOf != "" && !isDataset(s.MostOf):
		return fmt.Errorf("it has at most as many rows as the input %q, which is not a dataset", s.MostOf)
	case s.Size != "" && (size == nil || size.Of != s.RowsOf):
		return fmt.Errorf("its rows are measured by %q, which is not a row expression over the input %q", s.Size, s.RowsOf)
	case s.Exactly != nil && (s.Share != nil || s.Most != nil || s.MostOf != "" || s.Weight != nil):
		return fmt.Errorf("it has a number of rows of the input %q and a limit", s.RowsOf)
	case s.Weight != nil && !(*s.Weight > 0):
		return fmt.Errorf("its rows of the input %q have the weight %g", s.RowsOf, *s.Weight)
	case !isAmount(s.GetShare()) || !isAmount(s.GetExactly()) || !isAmount(s.GetWeight()) || s.GetMost() < 0:
		return fmt.Errorf("it has a number of rows of the input %q that is negative or not finite", s.RowsOf)
	}
	return nil
}

func isAmount(f float64) bool { return f >= 0 && !math.IsInf(f, 1) }

// errorColumns are the columns of the dataset of rows that failed.
var errorColumns = data.Schema{{Name: "row", Type: "int64"}, {Name: "message", Type: "string"}}

// isLabel reports whether the instance is a row-wise labeler. quern counts the
// values that it adds.
func (n *answered) isLabel() bool { return n.Kind == kind.Label && n.RowWise() }

// isCounted reports whether the instance is a row-wise transform with a column
// whose values quern counts.
func (n *answered) isCounted() bool {
	return slices.ContainsFunc(n.Outputs, func(p plan.Port) bool { return len(p.Counted) > 0 })
}

func (n *answered) port(o *pluginv1.Output) (plan.Port, error) {
	p := plan.Port{Name: o.Name, Kind: plan.KindFromProto(o.Kind), RowsOf: o.RowsOf, Format: o.Format}
	switch p.Kind {
	case plan.KindDataset:
		return p, n.takeColumns(&p, o.Columns)
	case plan.KindModel:
		return trainedModel(o)
	case plan.KindReport:
		return p, nil
	case plan.KindPrompt:
		return p, n.checkPrompt(&p)
	}
	return p, fmt.Errorf("it has no kind")
}

// checkPrompt checks a prompt that the stage produces: what it was made from, and
// the value that contains its messages.
func (n *answered) checkPrompt(p *plan.Port) error {
	if p.Name != "" || n.Mode != plan.ModeRun {
		return fmt.Errorf("a prompt must be the stage itself, of mode RUN")
	}
	if len(n.Prompts[p.RowsOf]) == 0 {
		return fmt.Errorf("it is made from the argument %q, which is not a prompt", p.RowsOf)
	}
	t, err := ctyjson.UnmarshalType(n.prepared.ValueType)
	if err != nil || !t.IsObjectType() || !t.HasAttribute(plan.MessagesName) || !t.AttributeType(plan.MessagesName).Equals(plan.MessagesType) {
		return fmt.Errorf("a stage that produces a prompt has the value %q, a list of objects with role and content", plan.MessagesName)
	}
	return nil
}

func (n *answered) takeColumns(p *plan.Port, columns []*pluginv1.Column) error {
	p.Columns = make(data.Schema, 0, len(columns))
	seen := make(map[string]bool, len(columns))
	for _, c := range columns {
		if c.Name == "" || seen[c.Name] {
			return fmt.Errorf("column %q appears twice or has no name", c.Name)
		}
		seen[c.Name] = true
		if _, err := data.ArrowType(c.Type); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
		p.Columns = append(p.Columns, data.Column{Name: c.Name, Type: c.Type})
		if c.Counted && n.RowWise() && n.Kind != kind.Label {
			if !data.Countable(c.Type) {
				return fmt.Errorf("the values of column %q of type %s cannot be counted", c.Name, c.Type)
			}
			p.Counted = append(p.Counted, c.Name)
		}
	}
	if !n.RowWise() && p.RowsOf == "" {
		return nil
	}
	in := n.Inputs[p.RowsOf]
	if in == nil || in.Port == nil || in.Port.Kind != plan.KindDataset {
		return fmt.Errorf("it has the rows of input %q, which is not a dataset", p.RowsOf)
	}
	if err := n.takeOrigins(p, columns, in.Port.Columns); err != nil {
		return err
	}
	shareColumns(p, in.Port)
	return nil
}

// shareColumns lets a dataset refer to what it has in common with the one that it is
// made from. In a chain of stages, that is usually everything.
func shareColumns(p, from *plan.Port) {
	if slices.Equal(p.Columns, from.Columns) {
		p.Columns = from.Columns
	}
	if maps.Equal(p.Origins, from.Origins) {
		p.Origins = from.Origins
	}
}

func (n *answered) takeOrigins(p *plan.Port, columns []*pluginv1.Column, input data.Schema) error {
	p.Origins = make(map[string]string, len(columns))
	for _, c := range columns {
		switch c.Origin {
		case pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT:
			if _, _, ok := input.Lookup(c.From); !ok {
				return fmt.Errorf("column %q comes from the input's column %q, which does not exist", c.Name, c.From)
			}
			p.Origins[c.Name] = "input:" + c.From
		case pluginv1.ColumnOrigin_COLUMN_ORIGIN_ARGUMENT:
			if n.Bound.Rows[c.From] == nil {
				return fmt.Errorf("column %q comes from the row expression %q, which does not exist", c.Name, c.From)
			}
			if !n.RowWise() {
				return fmt.Errorf("column %q comes from the row expression %q, but only a row-wise stage can pass one on", c.Name, c.From)
			}
			p.Origins[c.Name] = "argument:" + c.From
		}
	}
	return nil
}

// checkColumns enforces the rule that a stage that adds columns to those of its
// input never silently replaces one, whatever its plugin is written with.
func (n *answered) checkColumns() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for i, o := range n.prepared.Outputs {
		if out := &n.Outputs[i]; out.Kind == plan.KindDataset && out.RowsOf != "" {
			diags = append(diags, n.checkAdded(out, o.Columns)...)
		}
	}
	return diags
}

// checkAdded checks the columns of an output that has the rows of an input.
func (n *answered) checkAdded(out *plan.Port, prepared []*pluginv1.Column) hcl.Diagnostics {
	of := n.Inputs[out.RowsOf]
	if !slices.ContainsFunc(prepared, isInput) {
		return nil // it produces rows with columns of its own
	}
	var diags hcl.Diagnostics
	for _, c := range prepared {
		if isInput(c) && c.From == c.Name || c.Replaces {
			continue
		}
		if _, _, taken := of.Port.Columns.Lookup(c.Name); taken {
			diags = append(diags, diag.Errorf(n.columnRange(c), "A column would be replaced", "%s passes on the columns of %s and adds a column %q, which %s already has. Rename the input's column with transform \"map\", or choose another name for the new column if the stage has an argument for it.",
				n.Address, of.From.Address, c.Name, of.From.Address))
			continue
		}
		for _, other := range out.Columns {
			if other.Name != c.Name && strings.EqualFold(other.Name, c.Name) {
				diags = append(diags, diag.Warningf(n.columnRange(c), "Column names differ only in case", "%s adds a column %q next to %q. SQL does not distinguish them.", n.Address, c.Name, other.Name))
			}
		}
	}
	return diags
}

// checkPrompts reports prompts that are the same for every row.
func (n *answered) checkPrompts() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, c := range n.prepared.Calls {
		row := n.Bound.Rows[c.Prompt]
		if row == nil || c.ReadsAnswers || slices.ContainsFunc(append(c.Texts, c.Prompt), n.dependsOnRow) {
			continue
		}
		meant := " Write ${row.COLUMN} where the text of a column belongs."
		for _, column := range n.Inputs[row.Of].Port.Columns {
			if placeholder := regexp.MustCompile(`\{\{-?\s*` + regexp.QuoteMeta(column.Name) + `\s*-?\}\}`).FindString(row.Expr.Text); placeholder != "" {
				meant = fmt.Sprintf(" Did you mean ${%s} for %s?", expr.RowColumn(column.Name), placeholder)
			}
		}
		diags = append(diags, diag.Errorf(n.RangeOf(c.Prompt), "Prompt does not depend on row", "The prompt does not depend on row, so it is the same for every row of %s.%s", n.Inputs[row.Of], meant))
	}
	return diags
}

func (n *answered) dependsOnRow(key string) bool {
	row := n.Bound.Rows[key]
	return row != nil && len(row.Expr.Columns) > 0
}

func isInput(c *pluginv1.Column) bool {
	return c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT
}

// columnRange returns the source range of the argument that a column is
// computed from.
func (n *answered) columnRange(c *pluginv1.Column) *hcl.Range {
	if c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_ARGUMENT {
		return n.RangeOf(c.From)
	}
	return n.Range.Ptr()
}

func (n *answered) takeValueType() error {
	attrs := map[string]cty.Type{}
	if len(n.prepared.ValueType) > 0 {
		t, err := ctyjson.UnmarshalType(n.prepared.ValueType)
		if err != nil {
			return fmt.Errorf("type of its values: %w", err)
		}
		if !t.IsObjectType() {
			return fmt.Errorf("its values are %s, not an object", t.FriendlyName())
		}
		for name, at := range t.AttributeTypes() {
			attrs[name] = at
		}
	}
	if subjects := n.OverlapSubjects(); len(subjects) > 0 {
		if _, taken := attrs[plan.OverlapName]; taken {
			return fmt.Errorf("its values have the attribute %q, which quern adds itself", plan.OverlapName)
		}
		attrs[plan.OverlapName] = plan.OverlapType(slices.Collect(maps.Values(subjects)))
	}
	if n.isLabel() || n.isCounted() {
		attrs["coverage"] = cty.Map(cty.Number)
		attrs["counts"] = cty.Map(cty.Map(cty.Number))
	}
	if len(attrs) > 0 {
		n.ValueType = value.Type{Type: cty.Object(attrs)}
	}
	return nil
}

// takeReads sets what is read from each dataset: by the plugin itself, by row
// expressions, and by features of models.
func (n *answered) takeReads() {
	for key, reads := range n.prepared.Reads {
		if h := n.Inputs[key]; h == nil || h.Port.Kind != plan.KindDataset {
			continue
		}
		if n.PluginReads == nil {
			n.PluginReads = map[string]plan.Reads{}
		}
		own := map[string]bool{}
		mark(own, reads.Columns)
		n.PluginReads[key] = plan.Reads{All: reads.All, Columns: ordered.Keys(own)}
	}
	n.takeLate()
	n.Reads = n.Bound.Reads(n.PluginReads, func(key string) map[string]*expr.Compiled {
		if h := n.Inputs[key]; h != nil {
			return h.Port.Features
		}
		return nil
	})
	n.shareReads()
}

// shareReads lets the instance refer to the same reads of an instance that it uses.
func (n *answered) shareReads() {
	for _, h := range n.Inputs {
		if plan.SameReads(n.Reads, h.From.Reads) {
			n.Reads = h.From.Reads
			return
		}
	}
}

// takeLate lets the plugin receive the columns that late row expressions read.
// The plugin passes them back when it has the expressions evaluated.
func (n *answered) takeLate() {
	for _, row := range n.Bound.Rows {
		if !row.Late || len(row.Expr.Columns) == 0 {
			continue
		}
		if n.PluginReads == nil {
			n.PluginReads = map[string]plan.Reads{}
		}
		own := map[string]bool{}
		mark(own, n.PluginReads[row.Of].Columns)
		mark(own, row.Expr.Columns)
		n.PluginReads[row.Of] = plan.Reads{All: n.PluginReads[row.Of].All, Columns: ordered.Keys(own)}
	}
}

// eachFeature calls f for each feature of each model that predicts over a
// dataset input: with the model's key, the dataset's, and the feature's name
// and expression.
func (n *answered) eachFeature(f func(key, of string, h *module.Handle, feature string, e *expr.Compiled)) {
	for key, in := range n.Bound.Inputs {
		h := n.Inputs[key]
		if in.Of == "" || h == nil {
			continue
		}
		for _, one := range h.Each() {
			for _, feature := range ordered.Keys(one.Port.Features) {
				f(key, in.Of, one, feature, one.Port.Features[feature])
			}
		}
	}
}

// checkFeatures reports columns that a model needs and that the dataset it is
// to predict over does not have.
func (n *answered) checkFeatures() hcl.Diagnostics {
	var diags hcl.Diagnostics
	n.eachFeature(func(key, of string, h *module.Handle, feature string, e *expr.Compiled) {
		dataset := n.Inputs[of]
		if dataset == nil || dataset.Port.Kind != plan.KindDataset {
			return
		}
		subject := n.RangeOf(key)
		for _, column := range e.Columns {
			if _, _, ok := dataset.Port.Columns.Lookup(column); !ok {
				names := dataset.Port.Columns.Names()
				diags = append(diags, diag.Errorf(subject, "Model does not fit the dataset",
					"The model %s was trained on %s = %s, but %s has no column %q.%s Its columns are: %s.",
					h, feature, e.Text, dataset, column, diag.Suggest(column, names), diag.List(names)))
			}
		}
	})
	return diags
}

// takeFeatures sets the expressions that compute the inputs of the models that
// the instance produces.
func (n *answered) takeFeatures() {
	features := map[string]*expr.Compiled{}
	for name, a := range n.Stage.Type.Body.Args {
		if row := n.Bound.Rows[name]; a.Feature && row != nil {
			features[name] = row.Expr
		}
	}
	if len(features) == 0 {
		return
	}
	for i := range n.Outputs {
		if n.Outputs[i].Predicts() {
			n.Outputs[i].Features = features
		}
	}
}

// takeFiles records the user's files that the result depends on, by name.
func (n *answered) takeFiles() error {
	for _, f := range n.prepared.Files {
		if f.GetName() == "" || !filepath.IsAbs(f.GetPath()) || !strings.HasPrefix(f.GetDigest(), "sha256:") {
			return fmt.Errorf("it reads a file with the name %q, the path %q, and the digest %q", f.GetName(), f.GetPath(), f.GetDigest())
		}
		n.Files = append(n.Files, plan.SourceFile{Name: f.GetName(), Path: f.GetPath(), Digest: f.GetDigest()})
	}
	slices.SortFunc(n.Files, func(a, b plan.SourceFile) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(n.Files); i++ {
		if n.Files[i-1].Name == n.Files[i].Name {
			return fmt.Errorf("two of the files that it reads have the name %q", n.Files[i].Name)
		}
	}
	return nil
}

func (n *answered) takeEstimate() {
	if e := n.prepared.Estimate; e != nil {
		n.Estimate = plan.Estimate{Rows: e.Rows, Seconds: e.Seconds, InputTokens: e.InputTokens, OutputTokens: e.OutputTokens, Money: e.Money}
	}
	if p := n.prepared.Payment; p != nil && n.Mode == plan.ModeRun {
		n.Payment = &plan.Payment{Unpriced: p.Unpriced}
	} else {
		n.Estimate.Money = nil
	}
	n.Notes = n.prepared.Notes
	n.BatchRows, n.StopSeconds, n.OpenAIAPI = n.prepared.BatchRows, n.prepared.StopSeconds, n.prepared.OpenaiApi
	n.VerifiesDatasets = n.prepared.VerifiesDatasets && n.Mode == plan.ModeRun
	n.Calls = n.prepared.Calls
	n.ChecksSample = n.prepared.ChecksSample && n.Mode == plan.ModeRun
	for _, c := range n.Calls {
		if c.Added != "" {
			if n.Added == nil {
				n.Added = map[string]string{}
			}
			n.Added[c.Prompt] = c.Added
		}
	}
	if n.Estimate.Rows == nil && len(n.Outputs) > 0 && n.Outputs[0].IsAligned() && n.Outputs[0].SelectedFrom == "" {
		n.Estimate.Rows = n.Inputs[n.Outputs[0].RowsOf].Rows()
	}
}
