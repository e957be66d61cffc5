package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/state"
)

// The kinds of a [Field].
const (
	FieldColumn = "column" // of a dataset
	FieldValue  = "value"  // of a stage, such as a metric
	FieldModel  = "model"  // an artifact, or a block
	FieldReport = "report" // of an evaluation
	FieldPrompt = "prompt" // a block
	FieldFile   = "file"   // what a source read
)

// Field is a column, a value, a model, a report, a prompt, or a file, and what it came from.
type Field struct {
	Kind    string `json:"kind"`
	Address string `json:"address,omitempty"`
	Port    string `json:"port,omitempty"`
	// Name of a column or value, or of a file.
	Name   string `json:"name,omitempty"`
	Action string `json:"action_key,omitempty"`
	Digest string `json:"digest,omitempty"` // of a block, or of a column's values
	// Type of a column.
	Type string `json:"type,omitempty"`
	// As are the row arguments of what is above that read this column, such as the
	// target of a trainer.
	As []string `json:"as,omitempty"`
	// Unchanged is set if the values of what is above are values of this column.
	Unchanged bool `json:"unchanged,omitempty"`
	// Determines is set if it does not contribute values to what is above but
	// determines which rows there are.
	Determines bool `json:"determines_rows,omitempty"`
	// Inexact is set if it comes from nothing but From, but perhaps not from all of it.
	Inexact bool `json:"inexact,omitempty"`
	// Repeated is set if it appears above, Missing if the store no longer says what
	// it came from.
	Repeated bool     `json:"repeated,omitempty"`
	Missing  bool     `json:"missing,omitempty"`
	From     []*Field `json:"from,omitempty"`
}

// Label returns the field as users refer to it: ADDRESS.PORT.COLUMN.
func (f *Field) Label() string {
	var parts []string
	for _, part := range []string{f.Address, f.Port, f.Name} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}

// ColumnLineage returns what a column of a dataset, a value of a stage, or a whole
// model or report came from. name is ADDRESS.COLUMN, ADDRESS.PORT.COLUMN,
// ADDRESS.VALUE, or ADDRESS.
func ColumnLineage(ctx context.Context, s *store.Store, st *state.State, name string) (*Field, error) {
	inst, rest, err := splitField(st, name)
	if err != nil {
		return nil, err
	}
	d := &derivations{ctx: ctx, descent: descent{store: s, seen: map[string]bool{}}}
	result, err := d.result(inst.Address, inst.ActionKey)
	if err != nil {
		return nil, err
	}
	if rest == "" {
		return d.model(result, "")
	}
	for _, port := range slices.Sorted(maps.Keys(inst.Outputs)) {
		column := rest
		if port != "" {
			var ok bool
			if column, ok = strings.CutPrefix(rest, port+"."); !ok {
				continue
			}
		}
		if m, err := d.manifest(inst.Outputs[port]); err != nil {
			return nil, err
		} else if m != nil && slices.Contains(m.Schema.Names(), column) {
			return d.column(result, port, column)
		}
	}
	if hasValue(inst, rest) {
		return d.value(result, rest)
	}
	known, err := d.fields(inst)
	if err != nil {
		return nil, err
	}
	return nil, diag.Failed(fmt.Sprintf("%s has no column or value %s", inst.Address, rest), "It has %s.%s", strings.Join(known, ", "), diag.Suggest(rest, known))
}

// splitField returns the instance whose address a name begins with, and the rest,
// which is empty for a model or a report.
func splitField(st *state.State, name string) (*state.Instance, string, error) {
	var found *state.Instance
	for address, inst := range st.Instances {
		if strings.HasPrefix(name, address+".") && (found == nil || len(address) > len(found.Address)) {
			found = inst
		}
	}
	if found != nil {
		return found, name[len(found.Address)+1:], nil
	}
	address := name
	for at := len(name); at > 0; at = strings.LastIndexByte(name[:at], '.') {
		if _, err := addr.Parse(name[:at]); err == nil {
			address = name[:at]
			break
		}
	}
	inst, err := Instance(st, address)
	if err != nil {
		return nil, "", err
	}
	if address == name && !isDataset(inst) {
		return inst, "", nil
	}
	return nil, "", diag.Failed(name+" is not a column", "Add the name of a column or value, as in %s.COLUMN.", name)
}

// isDataset reports whether an instance is a dataset, or nothing but datasets, which
// have columns to choose from.
func isDataset(inst *state.Instance) bool {
	whole, ok := inst.Outputs[""]
	return !ok || whole.Kind == artifact.Dataset
}

// hasValue reports whether an instance has a value, such as subjects.a.accuracy.
func hasValue(inst *state.Instance, path string) bool {
	if inst.Value == nil {
		return false
	}
	v, err := inst.Value.Get()
	if err != nil {
		return false
	}
	for _, part := range strings.Split(path, ".") {
		switch t := v.Type(); {
		case v.IsNull():
			return false
		case t.IsObjectType() && t.HasAttribute(part):
			v = v.GetAttr(part)
		case t.IsMapType() && v.HasIndex(cty.StringVal(part)).True():
			v = v.Index(cty.StringVal(part))
		default:
			return false
		}
	}
	return true
}

// result is an action and its entry, which is nil if the store does not have it.
type result struct {
	address, key string
	entry        *action.Entry
}

// derivations follows columns from results to their origins.
type derivations struct {
	ctx context.Context
	descent
}

func (d *derivations) result(address, key string) (*result, error) {
	r := &result{address: address, key: key}
	if key == "" {
		return r, nil
	}
	var err error
	if r.entry, err = d.store.Actions.Get(key); err != nil {
		return nil, diag.Failed(fmt.Sprintf("the action entry of %s cannot be read", address), "%w", err)
	}
	return r, nil
}

// manifest returns the dataset of an artifact, or nil if it is not a dataset.
func (d *derivations) manifest(ref artifact.Ref) (*dataset.Manifest, error) {
	if ref.Kind != artifact.Dataset {
		return nil, nil
	}
	a, err := artifact.Get(d.store.Blobs, ref)
	if err != nil {
		return nil, err
	}
	return a.Dataset, nil
}

// fields returns the columns and values of an instance.
func (d *derivations) fields(inst *state.Instance) ([]string, error) {
	var names []string
	for _, port := range slices.Sorted(maps.Keys(inst.Outputs)) {
		m, err := d.manifest(inst.Outputs[port])
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue
		}
		for _, column := range m.Schema.Names() {
			names = append(names, strings.TrimPrefix(port+"."+column, "."))
		}
	}
	if inst.Value != nil {
		if v, err := inst.Value.Get(); err == nil && v.Type().IsObjectType() {
			names = append(names, slices.Sorted(maps.Keys(v.Type().AttributeTypes()))...)
		}
	}
	return names, nil
}

// column returns the lineage of a column.
func (d *derivations) column(r *result, port, column string) (*Field, error) {
	f := &Field{Kind: FieldColumn, Address: r.address, Port: port, Name: column, Action: r.key}
	if f.Missing = r.entry == nil; f.Missing {
		return f, nil
	}
	m, err := d.manifest(r.entry.Outputs[port])
	if err != nil {
		return nil, err
	}
	if m != nil {
		f.Digest = m.ColumnDigest(column)
		if c, _, ok := m.Schema.Lookup(column); ok {
			f.Type = c.Type
		}
	}
	if f.Repeated = d.repeated("column " + r.key + " " + port + "." + column); f.Repeated {
		return f, nil
	}
	if isSource(r.entry) {
		return f, d.files(f, r.entry)
	}
	sources, err := d.sources(r, port, column, m)
	if err != nil {
		return nil, err
	}
	if err := d.trace(f, r, sources, false); err != nil {
		return nil, err
	}
	if derivation := r.entry.Derivations[port]; derivation != nil && derivation.Rows != nil {
		rows := *derivation.Rows
		rows.From = slices.DeleteFunc(slices.Clone(rows.From), func(c action.ColumnRef) bool { return contains(sources.From, c) })
		return f, d.trace(f, r, &rows, true)
	}
	return f, nil
}

func contains(all []action.ColumnRef, c action.ColumnRef) bool {
	return slices.ContainsFunc(all, func(other action.ColumnRef) bool { return other.Input == c.Input && other.Column == c.Column })
}

func isSource(e *action.Entry) bool {
	return slices.ContainsFunc(e.Preimage.Fields(), func(f action.Field) bool { return f.Name == "source" })
}

// sources returns what a column comes from: what the entry says, or else the column
// of an input with equal values, or else everything that the action read.
func (d *derivations) sources(r *result, port, column string, m *dataset.Manifest) (*action.Sources, error) {
	derivation := r.entry.Derivations[port]
	if derivation != nil && derivation.Columns[column] != nil {
		return derivation.Columns[column], nil
	}
	if derivation != nil && derivation.RowsOf != "" {
		return &action.Sources{From: []action.ColumnRef{{Input: derivation.RowsOf, Column: column, Unchanged: true}}}, nil
	}
	inputs := keyed(r.entry)
	for _, key := range slices.Sorted(maps.Keys(inputs)) {
		of, err := d.inputDataset(inputs[key])
		if err != nil {
			return nil, err
		}
		if m != nil && of != nil && of.Rows == m.Rows && of.ColumnDigest(column) != "" && of.ColumnDigest(column) == m.ColumnDigest(column) {
			return &action.Sources{From: []action.ColumnRef{{Input: key, Column: column}}, Inexact: true}, nil
		}
	}
	return everything(r.entry), nil
}

// everything returns all that an action read.
func everything(e *action.Entry) *action.Sources {
	out := &action.Sources{From: reads(e)}
	for key, in := range keyed(e) {
		if in.Role == action.RoleModel || in.Role == "" && !slices.ContainsFunc(out.From, func(c action.ColumnRef) bool { return c.Input == key }) && !hasRows(e, key) {
			out.From = append(out.From, action.ColumnRef{Input: key})
		}
	}
	slices.SortStableFunc(out.From, func(a, b action.ColumnRef) int { return strings.Compare(a.Input, b.Input) })
	for _, in := range e.Inputs {
		if in.Role == action.RolePrompt && !slices.Contains(out.Prompts, in.Address) {
			out.Prompts = append(out.Prompts, in.Address)
		}
	}
	out.Inexact = len(out.From)+len(out.Prompts) > 1
	return out
}

// reads returns the columns that an action read, from the preimage of its key.
func reads(e *action.Entry) []action.ColumnRef {
	var out []action.ColumnRef
	for _, f := range e.Preimage.Fields() {
		rest, ok := strings.CutPrefix(f.Name, "input ")
		if key, column, isColumn := strings.Cut(rest, " column "); ok && isColumn {
			out = append(out, action.ColumnRef{Input: key, Column: column})
		}
	}
	return out
}

// hasRows reports whether an input is a dataset.
func hasRows(e *action.Entry, key string) bool {
	return slices.ContainsFunc(e.Preimage.Fields(), func(f action.Field) bool { return f.Name == "input "+key+" rows" })
}

// keyed returns the artifacts and models that an action got, by key. Entries of
// earlier builds have no keys, but the same order.
func keyed(e *action.Entry) map[string]action.InputRef {
	out := map[string]action.InputRef{}
	var datasets []string
	for _, f := range e.Preimage.Fields() {
		if key, ok := strings.CutPrefix(f.Name, "input "); ok && strings.HasSuffix(key, " rows") {
			datasets = append(datasets, strings.TrimSuffix(key, " rows"))
		}
	}
	var unkeyed []action.InputRef
	for _, in := range e.Inputs {
		switch {
		case in.Key != "":
			out[in.Key] = in
		case in.Role == "":
			unkeyed = append(unkeyed, in)
		case in.Role == action.RoleModel:
			out[in.Address] = in
		}
	}
	if len(unkeyed) == len(datasets) {
		for i, key := range datasets {
			if _, known := out[key]; !known {
				out[key] = unkeyed[i]
			}
		}
	}
	return out
}

// inputDataset returns the dataset that an input is, or nil if it is not one, or no
// longer in the store.
func (d *derivations) inputDataset(in action.InputRef) (*dataset.Manifest, error) {
	of, err := d.origin(in)
	if err != nil || of.entry == nil || in.Role != "" {
		return nil, err
	}
	return d.manifest(of.entry.Outputs[in.Port])
}

// origin returns the action that produced an input.
func (d *derivations) origin(in action.InputRef) (*result, error) {
	if in.Action == "" && in.Digest != "" && in.Role == "" {
		maker, err := d.maker(in.Digest)
		if err != nil {
			return nil, err
		}
		if maker != nil {
			return &result{maker.Address, maker.Key, maker}, nil
		}
	}
	return d.result(in.Address, in.Action)
}

// trace adds what sources refer to.
func (d *derivations) trace(f *Field, r *result, sources *action.Sources, determines bool) error {
	inputs := keyed(r.entry)
	if !determines {
		f.Inexact = sources.Inexact
	}
	add := func(from *Field, err error) error {
		if err == nil {
			from.Determines = determines
			f.From = append(f.From, from)
		}
		return err
	}
	for _, c := range sources.From {
		if err := add(d.ref(inputs[c.Input], c)); err != nil {
			return err
		}
	}
	for _, prompt := range sources.Prompts {
		if err := add(d.prompt(r.entry, prompt)); err != nil {
			return err
		}
	}
	return nil
}

// ref returns the lineage of what a source refers to.
func (d *derivations) ref(in action.InputRef, c action.ColumnRef) (*Field, error) {
	if in.Role == action.RoleModel {
		return &Field{Kind: FieldModel, Address: in.Address, Digest: in.Digest}, nil
	}
	of, err := d.origin(in)
	if err != nil {
		return nil, err
	}
	var f *Field
	if c.Column == "" {
		f, err = d.model(of, in.Port)
	} else {
		f, err = d.column(of, in.Port, c.Column)
	}
	if err == nil {
		f.Unchanged = c.Unchanged
	}
	return f, err
}

// prompt returns a prompt that an action used.
func (d *derivations) prompt(e *action.Entry, address string) (*Field, error) {
	for _, in := range e.Inputs {
		if in.Role != action.RolePrompt || in.Address != address {
			continue
		}
		if in.Action != "" {
			of, err := d.result(address, in.Action)
			if err != nil {
				return nil, err
			}
			return d.model(of, in.Port)
		}
		return &Field{Kind: FieldPrompt, Address: address, Digest: in.Digest}, nil
	}
	return &Field{Kind: FieldPrompt, Address: address, Missing: true}, nil
}

// model returns the lineage of an artifact that is not a dataset: of what it was
// trained on.
func (d *derivations) model(r *result, port string) (*Field, error) {
	f := &Field{Kind: FieldModel, Address: r.address, Port: port, Action: r.key}
	if r.entry != nil && r.entry.Outputs[port].Kind == artifact.Report {
		f.Kind = FieldReport
	}
	return d.whole(f, r)
}

// value returns the lineage of a value of a stage.
func (d *derivations) value(r *result, name string) (*Field, error) {
	return d.whole(&Field{Kind: FieldValue, Address: r.address, Name: name, Action: r.key}, r)
}

// whole adds to a field everything that an action read.
func (d *derivations) whole(f *Field, r *result) (*Field, error) {
	if f.Missing = r.entry == nil; f.Missing {
		return f, nil
	}
	if f.Repeated = d.repeated("whole " + r.key + " " + f.Name); f.Repeated {
		return f, nil
	}
	sources := everything(r.entry)
	if f.Kind != FieldValue { // it was made from all of it
		sources.Inexact = false
	}
	if err := d.trace(f, r, sources, false); err != nil {
		return nil, err
	}
	for i, c := range sources.From {
		for _, argument := range slices.Sorted(maps.Keys(r.entry.RowArguments)) {
			if contains(r.entry.RowArguments[argument].From, c) {
				f.From[i].As = append(f.From[i].As, argument)
			}
		}
	}
	return f, nil
}

// files adds the files that a source read.
func (d *derivations) files(f *Field, e *action.Entry) error {
	names, err := d.parts(e)
	for _, p := range names {
		if p.name != "" {
			f.From = append(f.From, &Field{Kind: FieldFile, Name: p.name, Unchanged: true})
		}
	}
	return err
}

// part is a part of a source: rows that came from one file.
type part struct {
	name              string
	rows, quarantined int64
}

// parts returns the parts of a source, in order. It has at least one.
func (d *derivations) parts(e *action.Entry) ([]part, error) {
	ref, several := e.Outputs["parts"]
	if !several {
		m, err := d.manifest(e.Outputs[""])
		if err != nil || m == nil {
			return nil, err
		}
		return []part{{name: e.Origin, rows: m.Rows}}, nil
	}
	list, err := d.manifest(ref)
	if err != nil {
		return nil, err
	}
	files, err := list.Files(d.store.Blobs, nil)
	if err != nil {
		return nil, err
	}
	var all []part
	for rec, err := range data.Read(d.ctx, files, list.Schema.Names(), 0) {
		if err != nil {
			return nil, err
		}
		for i := range int(rec.NumRows()) {
			p := part{rows: data.Columns.Find(rec, "rows").(*array.Int64).Value(i), quarantined: data.Columns.Find(rec, "quarantined").(*array.Int64).Value(i)}
			if names, ok := data.Columns.Find(rec, "name").(*array.String); ok { // lists of earlier builds have none
				p.name = strings.Clone(names.Value(i))
			}
			all = append(all, p)
		}
	}
	return all, nil
}
