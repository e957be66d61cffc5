package runner

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/quern-dev/quern/lang/expr"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/modelhost"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/dataset"
)

// work is a node with everything known that it waited for.
type work struct {
	*plan.Node
	bound    *plan.Bound
	inputs   map[string]*input // by key
	instance *pluginv1.Instance

	definition, key string
	// rows is the key of the results of single rows, of a row-wise stage.
	rows     string
	preimage []plan.Field
	// Of a source.
	fingerprint string
	memo        []byte

	// redacted are the columns with secrets of which a warning was given, and
	// inputSecrets says whether inputs contain a secret; nil: nobody has looked.
	redacted     map[string]bool
	inputSecrets *bool
}

// input is an artifact that a stage is given.
type input struct {
	key      string
	of       *plan.Input
	ref      artifact.Ref
	artifact *artifact.Artifact
	// plugin is the one that made it: it serves a model.
	plugin string
	// features make a model's inputs of a row, by name.
	features map[string]*expr.Compiled
	// language is set of a model block: the digest in ref is its definition
	// then, and the artifact is empty.
	language *modelhost.Language
}

// inputError says that an input cannot be used.
type inputError struct {
	address string
	err     error
}

func (e *inputError) Error() string {
	return fmt.Sprintf("the output of %s cannot be used: %v", e.address, e.err)
}
func (e *inputError) Unwrap() error { return e.err }

// bind evaluates a node's configuration and finds its inputs.
func (r *run) bind(n *plan.Node) (*work, error) {
	refs, secrets := n.Body.Refs()
	bound, diags := n.Body.Bind(r.vars(refs, secrets))
	if diags.HasErrors() {
		return nil, &failure{diags}
	}
	r.conceal(bound)
	w := &work{Node: n, bound: bound, inputs: map[string]*input{}}
	protos := map[string]*pluginv1.Input{}
	for key, of := range bound.Inputs {
		if m := r.plan.Models[of.Address]; m != nil {
			in, proto, err := r.languageInput(key, of, m)
			if err != nil {
				return nil, err
			}
			w.inputs[key], protos[key] = in, proto
			continue
		}
		in, port, err := r.input(key, of)
		if err != nil {
			return nil, err
		}
		w.inputs[key] = in
		var rows *int64
		if in.artifact.Dataset != nil {
			rows = &in.artifact.Dataset.Rows
		}
		protos[key] = plan.InputPort(port, rows)
	}
	w.Node = n.Resolved(bound, func(key string) map[string]*expr.Compiled { return w.inputs[key].features })
	var err error
	if w.instance, err = bound.Instance(n, protos); err != nil {
		return nil, err
	}
	return w, nil
}

// input finds what an upstream instance made.
func (r *run) input(key string, of *plan.Input) (*input, *plan.Port, error) {
	upstream := r.nodes[of.Address]
	if upstream == nil {
		return nil, nil, fmt.Errorf("the plan has no %s, which argument %q needs", of.Address, key)
	}
	port, ok := upstream.Port(of.Port)
	if !ok {
		return nil, nil, fmt.Errorf("%s has no output %q, which argument %q needs", of.Address, of.Port, key)
	}
	inst, ok := r.saver.instance(of.Address)
	if !ok {
		return nil, nil, &inputError{of.Address, fmt.Errorf("it is not in the state; make a new plan")}
	}
	ref, ok := inst.Outputs[of.Port]
	if !ok {
		return nil, nil, &inputError{of.Address, fmt.Errorf("it has no output %q", of.Port)}
	}
	a, err := r.artifacts.get(ref)
	if err != nil {
		return nil, nil, &inputError{of.Address, err}
	}
	in := &input{key: key, of: of, ref: ref, artifact: a, plugin: upstream.Plugin}
	if len(a.Features) > 0 {
		if err := json.Unmarshal(a.Features, &in.features); err != nil {
			return nil, nil, &inputError{of.Address, fmt.Errorf("read its features: %w", err)}
		}
	}
	return in, port, nil
}

// makeKeys makes the definition and action keys, now that all inputs are
// there.
func (w *work) makeKeys(seal fingerprint.Seal) error {
	definition, fields, err := fingerprint.Definition(w.Node, w.bound.Body, seal)
	if err != nil {
		return err
	}
	if definition == "" {
		return fmt.Errorf("its definition depends on values that are not known yet")
	}
	var inputs []fingerprint.Input
	for _, key := range slices.Sorted(maps.Keys(w.inputs)) {
		in, err := w.keyInput(w.inputs[key], seal)
		if err != nil {
			return err
		}
		inputs = append(inputs, in)
	}
	key, more := fingerprint.Action(definition, w.fingerprint, inputs)
	w.definition, w.key, w.preimage = definition, key, slices.Concat(fields, more)
	if port := w.rowsPort(); port != nil {
		w.rows = fingerprint.Rows(definition, port.RowsOf, inputs)
	}
	return nil
}

// rowsKey is the key of the results of single rows where it is one of its own;
// otherwise it is the definition key.
func (w *work) rowsKey() string {
	if w.rows == w.definition {
		return ""
	}
	return w.rows
}

// rowsPort is the output of a row-wise stage that has the rows of an input;
// nil: it has none.
func (w *work) rowsPort() *plan.Port {
	i := slices.IndexFunc(w.Outputs, func(p plan.Port) bool { return p.RowsOf != "" })
	if i < 0 || !w.RowWise() {
		return nil
	}
	return &w.Outputs[i]
}

func (w *work) keyInput(in *input, seal fingerprint.Seal) (k fingerprint.Input, err error) {
	k = fingerprint.Input{Key: in.key, Kind: in.of.Kind}
	if m := in.artifact.Dataset; m != nil && in.of.Kind == plan.KindDataset {
		k.Rows = m.Rows
		for _, name := range fingerprint.ReadColumns(w.Node, in.key, m.Schema.Names()) {
			k.Columns = append(k.Columns, fingerprint.Column{Name: name, Digest: m.ColumnDigest(name)})
		}
		return k, nil
	}
	k.Digest = in.ref.Digest
	if in.of.Kind == plan.KindModel && in.of.Of != "" {
		k.Features = map[string]string{}
		for name, e := range in.features {
			if k.Features[name], err = fingerprint.Feature(e, seal); err != nil {
				return k, err
			}
		}
	}
	return k, nil
}

// reads are the columns of a dataset input that results depend on.
func (w *work) reads(key string, m *dataset.Manifest) []string {
	return columnsOf(w.Reads[key], m)
}

// given are those of them that the plugin asked for itself.
func (w *work) given(key string, m *dataset.Manifest) []string {
	return columnsOf(w.PluginReads[key], m)
}

func columnsOf(reads plan.Reads, m *dataset.Manifest) []string {
	if reads.All {
		return m.Schema.Names()
	}
	return slices.Clone(reads.Columns)
}

// inputRefs are what the stage is given: artifacts and models, prompts, and
// values of other stages that its configuration waited for.
func (r *run) inputRefs(w *work) []action.InputRef {
	var out []action.InputRef
	for _, key := range slices.Sorted(maps.Keys(w.inputs)) {
		in := w.inputs[key]
		ref := action.InputRef{Address: in.of.Address, Port: in.of.Port, Digest: in.ref.Digest}
		if in.language != nil {
			plugin := r.pluginRef(in.plugin)
			ref.Role, ref.Plugin = action.RoleModel, &plugin
		} else if made, ok := r.saver.instance(in.of.Address); ok {
			ref.Action = made.ActionKey
		}
		out = append(out, ref)
	}
	for _, key := range slices.Sorted(maps.Keys(w.bound.Rows)) {
		if row := w.bound.Rows[key]; row.Prompt != "" {
			text := fingerprint.Key("quern.prompt/v1", []plan.Field{{Name: "text", Value: row.Expr.Text}})
			out = append(out, action.InputRef{Address: row.Prompt, Digest: text, Role: action.RolePrompt})
		}
	}
	return append(out, r.valueRefs(w.Node.Body.ValueRefs())...)
}

// valueRefs are the stages whose values are used. Gates have none.
func (r *run) valueRefs(addresses []string) []action.InputRef {
	var out []action.InputRef
	for _, address := range slices.Sorted(slices.Values(addresses)) {
		if made, ok := r.saver.instance(address); ok && made.Kind != kind.Gate {
			out = append(out, action.InputRef{Address: address, Role: action.RoleValues, Action: made.ActionKey})
		}
	}
	return out
}
