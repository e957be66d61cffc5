// Package fingerprint computes the two keys of an instance.
//
// The definition key D identifies what an instance is: its type and behavior
// version, its arguments and compiled row expressions, and its outputs. The
// action key A also identifies what it is applied to: D, the digests of the
// columns that it reads of each input, and the fingerprint of a source. The
// same A means the same result.
//
// Neither key contains addresses, names of environments, variables, and locals,
// comments and formatting, times, operational arguments (paths, limits,
// timeouts), or credentials: sensitive arguments are left out. A sensitive
// variable inside another argument is a reference to it, with a keyed digest of
// its value: the value influences the result, and cannot be recovered from the
// digest without the key of the store.
//
// An argument whose value is the path of a file counts as the file's content, if
// the plugin has declared the file under the argument's name.
//
// A key is "sha256:" and 64 hexadecimal digits, of a sequence of fields: a
// tag that says which key it is, then each field's name and value, each of
// these strings preceded by its length in bytes (8 bytes, big-endian).
package fingerprint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
)

// A tag changes when the encoding of its key changes.
const (
	definitionTag = "quern.definition/v1"
	rowsTag       = "quern.rows/v1"
	actionTag     = "quern.action/v1"
)

// Seal returns the keyed digest of a sensitive variable's value.
type Seal func(variable string) (string, error)

// Definition computes the definition key of a node whose configuration is
// resolved (Bound.Body). The key is empty if the body still waits for values;
// the fields are then those that are known. A nil seal leaves secrets out, and
// the key must not be used.
func Definition(n *plan.Node, body *plan.Body, seal Seal) (key string, preimage []plan.Field, err error) {
	d := &definition{fields: make([]plan.Field, 0, 16), files: n.Files}
	d.add("type", typeName(n))
	if n.Behavior != "" {
		d.add("behaviour", n.Behavior)
	}
	if body != nil {
		d.body(body, "")
	}
	for _, c := range n.Conditions {
		if c.When == plan.WhenGate {
			d.expression("condition", c.Test)
		}
	}
	d.secrets(seal)
	for _, name := range ordered.Keys(d.functions) {
		d.add("function "+name, d.functions[name])
	}
	for _, f := range n.Files {
		d.add("file "+f.Name, f.Digest)
	}
	if n.Mode != plan.ModeRead {
		// What a source's pins refer to is in its fingerprint. If only part of that
		// changed, the rest of the last read is still valid.
		for _, name := range ordered.Keys(n.Pins) {
			d.add("pin "+name, n.Pins[name])
		}
	}
	for i := range n.Outputs {
		if !n.Outputs[i].Violations {
			d.output(&n.Outputs[i])
		}
	}
	if d.err != nil {
		return "", nil, fmt.Errorf("definition key of %s: %w", n.Address, d.err)
	}
	if d.waits {
		return "", d.fields, nil
	}
	return Key(definitionTag, d.fields), slices.Clone(d.fields), nil // without spare capacity: a plan holds many
}

func typeName(n *plan.Node) string {
	if n.Type == "" {
		return n.Kind
	}
	return n.Kind + " " + n.Type
}

type definition struct {
	fields []plan.Field
	// files are those that the plugin declared.
	files []plan.SourceFile
	// sensitive are the sensitive variables that the fields refer to.
	sensitive []string
	// functions are the behavior versions of the functions of plugins that
	// expressions call.
	functions map[string]string
	waits     bool
	err       error
}

// Secrets are the sensitive variables whose values are part of a definition
// key, sorted.
func Secrets(n *plan.Node, body *plan.Body) []string {
	if !mentionsSecrets(n, body) {
		return nil // as most
	}
	d := &definition{}
	if body != nil {
		d.body(body, "")
	}
	for _, c := range n.Conditions {
		if c.When == plan.WhenGate {
			d.expression("condition", c.Test)
		}
	}
	slices.Sort(d.sensitive)
	return slices.Compact(d.sensitive)
}

// mentionsSecrets reports whether any expression of an instance refers to a
// sensitive variable, whether or not it is part of a key.
func mentionsSecrets(n *plan.Node, body *plan.Body) bool {
	return body != nil && body.AnyExpression(func(e *expr.Compiled) bool { return len(e.Secrets) > 0 }) ||
		slices.ContainsFunc(n.Conditions, func(c plan.Condition) bool { return c.When == plan.WhenGate && len(c.Test.Secrets) > 0 })
}

func (d *definition) secrets(seal Seal) {
	if seal == nil {
		return
	}
	slices.Sort(d.sensitive)
	for _, name := range slices.Compact(d.sensitive) {
		digest, err := seal(name)
		if err != nil && d.err == nil {
			d.err = err
		}
		d.add("secret var."+name, digest)
	}
}

func (d *definition) add(name, value string) {
	d.fields = append(d.fields, plan.Field{Name: name, Value: value})
}

func (d *definition) expression(name string, e *expr.Compiled) {
	d.add(name, e.Text)
	d.sensitive = append(d.sensitive, e.Secrets...)
	d.waits = d.waits || len(e.Refs) > 0
	for _, f := range e.Functions {
		if d.functions == nil {
			d.functions = map[string]string{}
		}
		d.functions[f.Name] = f.Behavior
	}
}

func (d *definition) body(b *plan.Body, prefix string) {
	for _, name := range ordered.Keys(b.Args) {
		d.arg(b.Args[name], prefix+name)
	}
	keys := b.BlockKeys(prefix)
	// The order of blocks can matter (the first matching rule wins), and a
	// block may consist of labels only.
	if len(keys) > 0 {
		d.add(strings.TrimSpace("blocks "+strings.TrimSuffix(prefix, ".")), strings.Join(keys, ", "))
	}
	for i, key := range keys {
		d.body(b.Blocks[i].Body, key+".")
	}
}

func (d *definition) arg(a *plan.Arg, key string) {
	if a.Operational || a.Sensitive {
		return
	}
	switch {
	case a.Input != nil:
		d.add("artifact "+key, a.Input.Kind)
	case a.Row != nil:
		d.expression("row "+key, a.Row.Expr)
		if a.Row.Expr.ColumnType != "" {
			d.add("row "+key+" type", a.Row.Expr.ColumnType)
		}
	case a.Choice != nil:
		d.waits = true
	case a.Expr != nil:
		d.expression("expression "+key, a.Expr)
	case a.Value != nil && !d.namesFile(a.Value.Value, key):
		d.value(a.Value.Value, key)
	}
	for _, name := range ordered.Keys(a.Map) {
		d.arg(a.Map[name], key+"."+name)
	}
	for i, element := range a.List {
		d.arg(element, key+"."+strconv.Itoa(i))
	}
}

// namesFile reports whether an argument is the path of a file, or of a folder with
// files, that the plugin declared under the argument's name. The names alone do not
// decide it: they can also be those of files that another argument mentions.
func (d *definition) namesFile(v cty.Value, key string) bool {
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return false
	}
	base := path.Base(filepath.ToSlash(v.AsString()))
	return slices.ContainsFunc(d.files, func(f plan.SourceFile) bool {
		inside, ok := strings.CutPrefix(f.Name, key)
		return ok && (inside == "" || inside[0] == '/') && strings.HasSuffix(filepath.ToSlash(f.Path), "/"+base+inside)
	})
}

// value adds a plain value: a string verbatim, so that a person can compare two
// of them, and anything else as cty JSON. Null counts as omitted.
func (d *definition) value(v cty.Value, key string) {
	switch {
	case v == cty.NilVal || v.IsNull():
		return
	case v.Type() == cty.String && v.IsKnown():
		d.add("argument "+key, v.AsString())
		return
	}
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		d.err = fmt.Errorf("argument %s: %w", key, err)
		return
	}
	name := "value " + key
	if v.Type().IsPrimitiveType() {
		name = v.Type().FriendlyName() + " " + key
	}
	d.add(name, string(b))
}

// output adds what a node produces. For a row-wise stage, only the columns that
// it adds count: the others are passed through, and A covers them.
func (d *definition) output(p *plan.Port) {
	name := strings.TrimSpace("output " + p.Name)
	switch p.Kind {
	case plan.KindDataset:
		var made data.Schema
		for _, c := range p.Columns {
			if !strings.HasPrefix(p.Origins[c.Name], "input:") {
				made = append(made, c)
			}
		}
		d.add(name, "dataset "+columns(made))
	case plan.KindModel:
		text := "model " + p.Format
		if p.Signature != nil {
			text += " " + columns(p.Signature.Inputs) + " to " + columns(p.Signature.Outputs)
		}
		d.add(name, text)
	default:
		d.add(name, p.Kind)
	}
}

func columns(s data.Schema) string {
	parts := make([]string, len(s))
	for i, c := range s {
		parts[i] = strconv.Quote(c.Name) + " " + c.Type
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// Input is the part of one input that an action key depends on.
type Input struct {
	// Key of the argument.
	Key  string
	Kind string
	// Rows and Columns of a dataset: the columns that are read, and those that
	// a row-wise stage passes through.
	Rows    int64
	Columns []Column
	// Digest of a model or a report.
	Digest string
	// Pins of a language model. The digest covers them; they are part of the action
	// key so that a person sees which of them changed.
	Pins map[string]string
	// Features, for a model that predicts over a dataset: the Feature of each
	// expression that computes one of its inputs, by name.
	Features map[string]string
}

// Feature represents an expression of a model in Input.Features: its text, with
// the digests of the secrets in it.
func Feature(e *expr.Compiled, seal Seal) (string, error) {
	text := e.Identity()
	if seal == nil {
		return text, nil
	}
	for _, name := range e.Secrets {
		digest, err := seal(name)
		if err != nil {
			return "", err
		}
		text += "\nvar." + name + " " + digest
	}
	return text, nil
}

// Column is a column of an input and the digest of its values.
type Column struct{ Name, Digest string }

// Action computes the action key of a definition applied to inputs. The
// fingerprint is that of a source, and empty for other kinds. The fields are
// those that the action key adds to the definition's.
func Action(definition, fingerprint string, inputs []Input) (key string, fields []plan.Field) {
	add := func(name, value string) { fields = append(fields, plan.Field{Name: name, Value: value}) }
	if fingerprint != "" {
		add("source", fingerprint)
	}
	inputs = slices.SortedFunc(slices.Values(inputs), func(a, b Input) int { return strings.Compare(a.Key, b.Key) })
	for _, in := range inputs {
		name := "input " + in.Key
		if in.Kind != plan.KindDataset {
			add(name+" digest", in.Digest)
			for _, pin := range ordered.Keys(in.Pins) {
				add(name+" pin "+pin, in.Pins[pin])
			}
			for _, feature := range ordered.Keys(in.Features) {
				add(name+" feature "+feature, in.Features[feature])
			}
			continue
		}
		add(name+" rows", strconv.FormatInt(in.Rows, 10))
		for _, c := range in.Columns {
			add(name+" column "+c.Name, c.Digest)
		}
	}
	keyed := append([]plan.Field{{Name: "definition", Value: definition}}, fields...)
	return Key(actionTag, keyed), fields
}

// Rows computes the key that identifies the results of single rows: a row-wise
// stage without the input that its rows come from. If it has no other input,
// this is the definition key.
func Rows(definition, rowsOf string, inputs []Input) string {
	others := slices.DeleteFunc(slices.Clone(inputs), func(in Input) bool { return in.Key == rowsOf })
	if len(others) == 0 {
		return definition
	}
	_, fields := Action(definition, "", others)
	return Key(rowsTag, append([]plan.Field{{Name: "definition", Value: definition}}, fields...))
}

// Key hashes a tag and fields into a digest.
func Key(tag string, fields []plan.Field) string {
	h := sha256.New()
	var length [8]byte
	write := func(s string) {
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	write(tag)
	for _, f := range fields {
		write(f.Name)
		write(f.Value)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// ReadColumns returns the columns of a node's dataset input that its action key
// covers: those that are read, sorted, and those that an output with the input's
// rows passes through. If all are read, it returns all of them in their order. have
// lists the columns of the input.
func ReadColumns(n *plan.Node, key string, have []string) []string {
	reads := n.Reads[key]
	if reads.All {
		return have
	}
	names := slices.Clone(reads.Columns)
	for i := range n.Outputs {
		p := &n.Outputs[i]
		if p.RowsOf != key {
			continue
		}
		for _, origin := range p.Origins {
			if from, ok := strings.CutPrefix(origin, "input:"); ok {
				names = append(names, from)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
