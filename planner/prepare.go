package planner

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// batchSize is how many instances one Prepare call holds at most: enough for
// calls to cost nothing, few enough for two processors to share a level.
const batchSize = 512

// bind evaluates an instance's configuration for its plugin.
func (b *builder) bind(n *node) {
	bound, diags := n.Body.Bind(b.vars(n))
	if n.broken = b.report(diags...); n.broken {
		return
	}
	n.bound = bound
}

// vars are what the deferred expressions of an instance are evaluated with:
// what is not known is unknown, and secrets are in clear.
func (b *builder) vars(n *node) map[string]cty.Value {
	refs, secrets := n.Body.Refs()
	if len(refs) == 0 && len(secrets) == 0 {
		return nil
	}
	vars := map[string]cty.Value{}
	if n.stage != nil {
		maps.Copy(vars, n.stage.scope.values.Variables)
	}
	vars["var"] = cty.ObjectVal(b.secrets(secrets))
	return vars
}

// secrets are the values of sensitive variables, in clear.
func (b *builder) secrets(names []string) map[string]cty.Value {
	values := make(map[string]cty.Value, len(names))
	for _, name := range names {
		v, ok := b.Variables[name]
		if hidden, is := b.hiddenValue(name); is {
			v, ok = hidden, true
		}
		if !ok {
			v = cty.DynamicVal
		}
		values[name], _ = v.UnmarkDeep()
	}
	return values
}

// prepare has plugins prepare the instances of a level, many in a call.
func (b *builder) prepare(nodes []*node) {
	b.each(nodes, b.question)
	b.refresh(nodes, func(n *node) bool { return n.Mode == plan.ModeRead && b.preparedBefore(n) })
	byPlugin := map[string][]*node{}
	for _, n := range nodes {
		if n.broken || n.bound == nil {
			continue
		}
		if n.prepared = b.prepared.answer(n.asked, n.Fingerprint); n.prepared == nil {
			byPlugin[n.Plugin] = append(byPlugin[n.Plugin], n)
		}
	}
	var batches [][]*node
	for _, plugin := range sortedKeys(byPlugin) {
		batches = slices.AppendSeq(batches, slices.Chunk(byPlugin[plugin], batchSize))
	}
	parallel.For(len(batches), len(batches), func(i int) { b.prepareBatch(batches[i]) })
}

func (b *builder) prepareBatch(nodes []*node) {
	plugin := nodes[0].Plugin
	fail := func(err error) {
		for _, n := range nodes {
			n.broken = true
		}
		b.failed(plugin, "prepare "+nodes[0].Address, err, &nodes[0].stage.cfg.DeclRange)
	}
	req := &pluginv1.PrepareRequest{Instances: make([]*pluginv1.Instance, len(nodes))}
	for i, n := range nodes {
		req.Instances[i] = n.instance
	}
	service, err := b.calls.service(plugin)
	if err != nil {
		fail(err)
		return
	}
	resp, err := service.Prepare(b.ctx, req)
	if err != nil {
		fail(err)
		return
	}
	if len(resp.Prepared) != len(nodes) {
		fail(fmt.Errorf("it was asked about %d instances and answered for %d; this is a bug in the plugin", len(nodes), len(resp.Prepared)))
		return
	}
	for i, n := range nodes {
		n.prepared = resp.Prepared[i]
		if b.reveals(n, n.prepared) {
			n.broken = true
			continue
		}
		n.broken = b.heard(n, n.prepared.GetDiagnostics())
		if n.Mode != plan.ModeRead || n.Fingerprint != "" {
			b.prepared.remember(n.asked, n.Fingerprint, n.prepared)
		}
	}
}

// question puts an instance as the question that its plugin is asked.
func (b *builder) question(n *node) {
	if n.bound == nil {
		return
	}
	in, err := b.protoInstance(n)
	if err != nil {
		n.broken = b.report(n.faulty(err))
		return
	}
	n.instance, n.asked = in, b.prepared.key(b.programs()[n.Plugin], in)
}

// preparedBefore says whether the plugin has found this source in order
// before, so that it can be looked at first: if it holds what it held, there
// is nothing to prepare.
func (b *builder) preparedBefore(n *node) bool {
	_, ok := b.prepared.lookup(n.asked)
	return ok
}

// protoInstance is the instance as its plugin sees it.
func (b *builder) protoInstance(n *node) (*pluginv1.Instance, error) {
	inputs := make(map[string]*pluginv1.Input, len(n.inputs))
	for key, h := range n.inputs {
		inputs[key] = plan.InputPort(h.port, b.rowsOf(h))
	}
	return n.bound.Instance(n.Node, inputs)
}

// finish takes what a plugin prepared into the node.
func (b *builder) finish(n *node) {
	switch {
	case n.prepared == nil:
		return
	case n.Mode == plan.ModeModel:
		b.takeModel(n)
		return
	}
	if err := n.takeOutputs(); err != nil {
		n.broken = b.report(n.faulty(err))
		return
	}
	if n.broken = b.report(n.checkFeatures()...); n.broken {
		return
	}
	if n.broken = b.report(n.checkColumns()...); n.broken {
		return
	}
	if n.broken = b.report(n.checkPrompts()...); n.broken {
		return
	}
	b.report(n.checkOverlap()...)
	n.takeReads()
	n.takeFeatures()
	n.takeEstimate(b)
	b.decodeConditions(n)
	n.prepared = nil
}

// faulty is the diagnostic for a plugin that breaks the protocol.
func (n *node) faulty(err error) *hcl.Diagnostic {
	subject := n.stage.cfg.DeclRange
	return diag.Errorf(&subject, "Plugin is faulty", "%s %q of plugin %q returned an invalid response: %s. Report this to the plugin's author.", diag.Capital(n.Kind), n.Type, n.Plugin, err)
}

func (n *node) takeOutputs() error {
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
		n.Outputs = append(n.Outputs, port)
		if err := n.takeSelection(o); err != nil {
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

// takeSelection notes which rows of an input an output consists of.
func (n *node) takeSelection(o *pluginv1.Output) error {
	s := o.Selection
	if s == nil {
		return nil
	}
	if in := n.inputs[s.RowsOf]; in == nil || in.port == nil || in.port.Kind != plan.KindDataset {
		return fmt.Errorf("it consists of rows of the input %q, which is not a dataset", s.RowsOf)
	}
	if n.selections == nil {
		n.selections = map[string]*pluginv1.Selection{}
	}
	n.selections[o.Name] = s
	return nil
}

// errorColumns are those of the dataset of rows that failed.
var errorColumns = data.Schema{{Name: "row", Type: "int64"}, {Name: "message", Type: "string"}}

// isLabel says whether quern keeps count of what the instance makes.
func (n *node) isLabel() bool { return n.Kind == kind.Label && n.RowWise() }

func (n *node) port(o *pluginv1.Output) (plan.Port, error) {
	p := plan.Port{Name: o.Name, Kind: plan.KindFromProto(o.Kind), RowsOf: o.RowsOf, Format: o.Format}
	switch p.Kind {
	case plan.KindDataset:
		return p, n.takeColumns(&p, o.Columns)
	case plan.KindModel:
		p.Signature = plan.SignatureFromProto(o.Signature)
		p.Capabilities = []string{plan.CanPredict}
		return p, nil
	case plan.KindReport:
		return p, nil
	}
	return p, fmt.Errorf("it has no kind")
}

func (n *node) takeColumns(p *plan.Port, columns []*pluginv1.Column) error {
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
	}
	if !n.RowWise() {
		return nil
	}
	in := n.inputs[p.RowsOf]
	if in == nil || in.port.Kind != plan.KindDataset {
		return fmt.Errorf("it has the rows of input %q, which is not a dataset", p.RowsOf)
	}
	return n.takeOrigins(p, columns, in.port.Columns)
}

func (n *node) takeOrigins(p *plan.Port, columns []*pluginv1.Column, input data.Schema) error {
	p.Origins = make(map[string]string, len(columns))
	for _, c := range columns {
		switch c.Origin {
		case pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT:
			if _, _, ok := input.Lookup(c.From); !ok {
				return fmt.Errorf("column %q comes from the input's column %q, which does not exist", c.Name, c.From)
			}
			p.Origins[c.Name] = "input:" + c.From
		case pluginv1.ColumnOrigin_COLUMN_ORIGIN_ARGUMENT:
			if n.bound.Rows[c.From] == nil {
				return fmt.Errorf("column %q comes from the row expression %q, which does not exist", c.Name, c.From)
			}
			p.Origins[c.Name] = "argument:" + c.From
		}
	}
	return nil
}

// checkColumns enforces the rule that a row-wise stage that adds columns
// never replaces one silently, whatever its plugin is written with.
func (n *node) checkColumns() hcl.Diagnostics {
	if !n.RowWise() {
		return nil
	}
	out, prepared := &n.Outputs[0], n.prepared.Outputs[0].Columns
	of := n.inputs[out.RowsOf]
	if !slices.ContainsFunc(prepared, isInput) {
		return nil // it makes rows of its own columns
	}
	var diags hcl.Diagnostics
	for _, c := range prepared {
		if isInput(c) && c.From == c.Name || c.Replaces {
			continue
		}
		if _, _, taken := of.port.Columns.Lookup(c.Name); taken {
			diags = append(diags, diag.Errorf(n.columnRange(c), "A column would be replaced", "%s passes on the columns of %s and adds a column %q, which %s already has. Give the new column another name, or rename the input's column with transform \"map\".",
				n.Address, of.node.Address, c.Name, of.node.Address))
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

// checkPrompts reports prompts that ask the same of every row.
func (n *node) checkPrompts() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, c := range n.prepared.Calls {
		row := n.bound.Rows[c.Prompt]
		if row == nil || c.ReadsAnswers || slices.ContainsFunc(append(c.Texts, c.Prompt), n.dependsOnRow) {
			continue
		}
		meant := " Write ${row.COLUMN} where the text of a column belongs."
		for _, column := range n.inputs[row.Of].port.Columns {
			if placeholder := regexp.MustCompile(`\{\{-?\s*` + regexp.QuoteMeta(column.Name) + `\s*-?\}\}`).FindString(row.Expr.Text); placeholder != "" {
				meant = fmt.Sprintf(" Did you mean ${%s} for %s?", expr.RowColumn(column.Name), placeholder)
			}
		}
		diags = append(diags, diag.Errorf(n.RangeOf(c.Prompt), "Prompt does not depend on row", "The prompt does not depend on row, so it is the same for every row of %s.%s", n.inputs[row.Of], meant))
	}
	return diags
}

func (n *node) dependsOnRow(key string) bool {
	row := n.bound.Rows[key]
	return row != nil && len(row.Expr.Columns) > 0
}

func isInput(c *pluginv1.Column) bool {
	return c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_INPUT
}

// columnRange is where the user wrote what a column is made of.
func (n *node) columnRange(c *pluginv1.Column) *hcl.Range {
	if c.Origin == pluginv1.ColumnOrigin_COLUMN_ORIGIN_ARGUMENT {
		return n.RangeOf(c.From)
	}
	return &n.stage.cfg.DeclRange
}

func (n *node) takeValueType() error {
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
	if subjects := n.overlapSubjects(); len(subjects) > 0 {
		if _, taken := attrs[plan.OverlapName]; taken {
			return fmt.Errorf("its values have the attribute %q, which quern adds itself", plan.OverlapName)
		}
		attrs[plan.OverlapName] = plan.OverlapType(slices.Collect(maps.Values(subjects)))
	}
	if n.isLabel() {
		attrs["coverage"] = cty.Map(cty.Number)
		attrs["counts"] = cty.Map(cty.Map(cty.Number))
	}
	if len(attrs) > 0 {
		n.ValueType = value.Type{Type: cty.Object(attrs)}
	}
	return nil
}

// takeReads notes what is read of each dataset: by the plugin itself, by row
// expressions, and by features of models.
func (n *node) takeReads() {
	for key, reads := range n.prepared.Reads {
		if h := n.inputs[key]; h == nil || h.port.Kind != plan.KindDataset {
			continue
		}
		if n.PluginReads == nil {
			n.PluginReads = map[string]plan.Reads{}
		}
		own := map[string]bool{}
		mark(own, reads.Columns)
		n.PluginReads[key] = plan.Reads{All: reads.All, Columns: sortedKeys(own)}
	}
	n.takeLate()
	n.Reads = n.bound.Reads(n.PluginReads, func(key string) map[string]*expr.Compiled {
		if h := n.inputs[key]; h != nil {
			return h.port.Features
		}
		return nil
	})
}

// takeLate has the plugin given the columns that late row expressions read: it
// passes them on when it has them evaluated.
func (n *node) takeLate() {
	for _, row := range n.bound.Rows {
		if !row.Late || len(row.Expr.Columns) == 0 {
			continue
		}
		if n.PluginReads == nil {
			n.PluginReads = map[string]plan.Reads{}
		}
		own := map[string]bool{}
		mark(own, n.PluginReads[row.Of].Columns)
		mark(own, row.Expr.Columns)
		n.PluginReads[row.Of] = plan.Reads{All: n.PluginReads[row.Of].All, Columns: sortedKeys(own)}
	}
}

func mark(set map[string]bool, names []string) {
	for _, name := range names {
		set[name] = true
	}
}

// eachFeature calls f for each feature of each model that predicts over a
// dataset input: with the model's key, the dataset's, and the feature's name
// and expression.
func (n *node) eachFeature(f func(key, of string, h *handle, feature string, e *expr.Compiled)) {
	for key, in := range n.bound.Inputs {
		h := n.inputs[key]
		if in.Of == "" || h == nil {
			continue
		}
		for _, one := range h.each() {
			for _, feature := range sortedKeys(one.port.Features) {
				f(key, in.Of, one, feature, one.port.Features[feature])
			}
		}
	}
}

// checkFeatures reports columns that a model needs and the dataset that it is
// to predict over does not have.
func (n *node) checkFeatures() []*hcl.Diagnostic {
	var diags []*hcl.Diagnostic
	n.eachFeature(func(key, of string, h *handle, feature string, e *expr.Compiled) {
		dataset := n.inputs[of]
		if dataset == nil || dataset.port.Kind != plan.KindDataset {
			return
		}
		subject := n.RangeOf(key)
		for _, column := range e.Columns {
			if _, _, ok := dataset.port.Columns.Lookup(column); !ok {
				names := dataset.port.Columns.Names()
				diags = append(diags, diag.Errorf(subject, "Model does not fit the dataset",
					"The model %s was trained on %s = %s, but %s has no column %q.%s Its columns are: %s.",
					h, feature, e.Text, dataset, column, diag.Suggest(column, names), diag.List(names)))
			}
		}
	})
	return diags
}

// takeFeatures gives the models that the instance makes the expressions that
// make their inputs.
func (n *node) takeFeatures() {
	features := map[string]*expr.Compiled{}
	for name, a := range n.stage.typ.Body.Args {
		if row := n.bound.Rows[name]; a.Feature && row != nil {
			features[name] = row.Expr
		}
	}
	if len(features) == 0 {
		return
	}
	for i := range n.Outputs {
		if n.Outputs[i].Kind == plan.KindModel {
			n.Outputs[i].Features = features
		}
	}
}

func (n *node) takeEstimate(b *builder) {
	if e := n.prepared.Estimate; e != nil {
		n.Estimate = plan.Estimate{Rows: e.Rows, Seconds: e.Seconds, InputTokens: e.InputTokens, OutputTokens: e.OutputTokens}
	}
	n.BatchRows, n.StopSeconds = n.prepared.BatchRows, n.prepared.StopSeconds
	n.calls = n.prepared.Calls
	for _, c := range n.calls {
		if c.Added != "" {
			if n.Added == nil {
				n.Added = map[string]string{}
			}
			n.Added[c.Prompt] = c.Added
		}
	}
	if n.Estimate.Rows == nil && n.RowWise() {
		n.Estimate.Rows = b.rowsOf(n.inputs[n.Outputs[0].RowsOf])
	}
}
