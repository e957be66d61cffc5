package stage

import (
	"fmt"
	"maps"
	"slices"

	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
)

// Keys of a stage.
type Keys struct {
	Definition, Action string
	// Rows is the key of the results of single rows, for a row-wise stage.
	Rows     string
	Preimage []plan.Field
}

// OwnRows returns the key of the results of single rows if it differs from the
// definition key; otherwise it is empty.
func (k *Keys) OwnRows() string {
	if k.Rows == k.Definition {
		return ""
	}
	return k.Rows
}

// Keys computes the keys. content is the fingerprint of a source.
func (s *Stage) Keys(content string, seal fingerprint.Seal) (Keys, error) {
	var k Keys
	definition, fields, err := fingerprint.Definition(s.Node, s.Bound.Body, seal)
	if err != nil {
		return k, err
	}
	if definition == "" {
		return k, fmt.Errorf("its definition depends on values that are not known yet")
	}
	var inputs []fingerprint.Input
	for _, key := range slices.Sorted(maps.Keys(s.Inputs)) {
		in, err := s.keyInput(s.Inputs[key], seal)
		if err != nil {
			return k, err
		}
		inputs = append(inputs, in)
	}
	key, more := fingerprint.Action(definition, content, inputs)
	k = Keys{Definition: definition, Action: key, Preimage: slices.Concat(fields, more)}
	if port := s.RowsPort(); port != nil {
		k.Rows = fingerprint.Rows(definition, port.RowsOf, inputs)
	}
	return k, nil
}

func (s *Stage) keyInput(in *Input, seal fingerprint.Seal) (k fingerprint.Input, err error) {
	k = fingerprint.Input{Key: in.Key, Kind: in.Of.Kind}
	if m := in.Artifact.Dataset; m != nil && in.Of.Kind == plan.KindDataset {
		k.Rows = m.Rows
		for _, name := range fingerprint.ReadColumns(s.Node, in.Key, m.Schema.Names()) {
			k.Columns = append(k.Columns, fingerprint.Column{Name: name, Digest: m.ColumnDigest(name)})
		}
		return k, nil
	}
	k.Digest = in.Ref.Digest
	if in.Language != nil && in.Language.Model != nil {
		k.Pins = in.Language.Model.Pins
	}
	if in.Of.Kind == plan.KindModel && in.Of.Of != "" {
		k.Features = map[string]string{}
		for name, e := range in.Features {
			if k.Features[name], err = fingerprint.Feature(e, seal); err != nil {
				return k, err
			}
		}
	}
	return k, nil
}
