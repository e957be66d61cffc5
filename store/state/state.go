// Package state records, for each environment, which instances of stages exist,
// with which action keys and outputs.
//
// A state is one file that is replaced as a whole. Its serial increases by one
// with every save. If the file is no longer the one that was loaded, saving is
// refused, so that of two writers one loses and nothing is mixed. A lease
// usually keeps writers from getting that far. A state never contains sensitive
// values in clear text.
package state

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/pending"
)

// Format is the version of the state.
const Format = "quern.state/v1"

// State is the content of an environment.
type State struct {
	Format      string `json:"format"`
	Lineage     string `json:"lineage"` // assigned once, when the environment is created
	Serial      int64  `json:"serial"`
	Environment string `json:"environment"`
	// Expires is when the environment expires, or nil if it does not.
	Expires *time.Time `json:"expires,omitempty"`
	// Instances by address.
	Instances map[string]*Instance `json:"instances"`
	Outputs   map[string]*Output   `json:"outputs,omitempty"`
	// Pending are the stages, by address, that wait for something outside. An
	// instance may have an earlier result at the same time.
	Pending map[string]*Pending `json:"pending,omitempty"`
	// Rejected are the results, by address, that violated a contract in the last
	// run of their stage. An instance may have an earlier result at the same time.
	Rejected map[string]*Rejected `json:"rejected,omitempty"`

	// version is that of the object that the state was loaded from or saved to. It
	// is empty if that is not known.
	version backend.Version
}

// Saved takes over what saving a copy of the state has changed in the copy.
func (s *State) Saved(copied *State) {
	s.Serial, s.Lineage, s.version = copied.Serial, copied.Lineage, copied.version
}

// Rejected is a result that violated a contract. It is in the store, and nothing
// uses it.
type Rejected struct {
	Kind      string                  `json:"kind"`
	Type      string                  `json:"type,omitempty"`
	ActionKey string                  `json:"action_key"`
	Outputs   map[string]artifact.Ref `json:"outputs,omitempty"`
	Contracts map[string]Checked      `json:"contracts"`
	Run       string                  `json:"run"`
	Updated   time.Time               `json:"updated"`
}

// Checked is the check of a contract.
type Checked struct {
	// Key is that of the action entry with the figures.
	Key string `json:"key"`
	// Violations are the rows that violate the contract.
	Violations artifact.Ref `json:"violations"`
}

// Pending is what a stage waits for since its last run.
type Pending struct {
	Kind       string `json:"kind"`
	Type       string `json:"type,omitempty"`
	Definition string `json:"definition"`
	RowsKey    string `json:"rows_key,omitempty"` // as in an action entry
	ActionKey  string `json:"action_key"`
	// Replaces is set if -replace requested the result, so that an earlier one
	// of the same action does not count.
	Replaces bool `json:"replaces,omitempty"`
	pending.Summary
	Run     string    `json:"run"`
	Updated time.Time `json:"updated"`
}

// Rowwise returns the key of the rows that wait.
func (p *Pending) Rowwise() string { return cmp.Or(p.RowsKey, p.Definition) }

// Instance is one instance of a stage as it exists now.
type Instance struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	Type    string `json:"type,omitempty"`
	Plugin  string `json:"plugin,omitempty"`

	Definition string                  `json:"definition,omitempty"`
	RowsKey    string                  `json:"rows_key,omitempty"` // as in an action entry
	ActionKey  string                  `json:"action_key,omitempty"`
	Preimage   action.Preimage         `json:"preimage,omitzero"`
	Outputs    map[string]artifact.Ref `json:"outputs,omitempty"`
	Value      *value.Stored           `json:"value,omitempty"`
	Errors     int64                   `json:"errors,omitempty"` // rows that failed
	// Contracts are the contracts that the outputs met, by the port of their
	// violations.
	Contracts map[string]Checked `json:"contracts,omitempty"`

	// Fingerprint and Memo of a source: its content, and its plugin's notes.
	Fingerprint string `json:"fingerprint,omitempty"`
	Memo        []byte `json:"memo,omitempty"`

	Deployment *Deployment `json:"deployment,omitempty"`
	// Inputs of an instance without an action entry: what was deployed, or what
	// a gate checked.
	Inputs    []action.InputRef `json:"inputs,omitempty"`
	DependsOn []string          `json:"depends_on,omitempty"`
	Run       string            `json:"run,omitempty"` // the run that produced it
	Updated   time.Time         `json:"updated"`
}

// Output returns an artifact of the instance: an output, or the violations of a
// contract.
func (i *Instance) Output(port string) (artifact.Ref, bool) {
	if c, ok := i.Contracts[port]; ok {
		return c.Violations, true
	}
	ref, ok := i.Outputs[port]
	return ref, ok
}

// Present returns an error if a store does not have all artifacts of the instance.
func (i *Instance) Present(blobs *blob.Store) error {
	refs := slices.Collect(maps.Values(i.Outputs))
	for _, c := range i.Contracts {
		refs = append(refs, c.Violations)
	}
	for _, ref := range refs {
		if _, err := artifact.Present(blobs, ref); err != nil {
			return err
		}
	}
	return nil
}

// Deployment is something that exists outside the store.
type Deployment struct {
	Value   *value.Value `json:"value,omitempty"`
	Private []byte       `json:"private,omitempty"` // the plugin's own notes
	// Version is the plugin's version of the state at the time it was written.
	Version int64 `json:"version,omitempty"`
	// Sensitive are the names of its sensitive arguments. States do not contain
	// their values, so deleting the deployment requires them again.
	Sensitive []string `json:"sensitive,omitempty"`
	// Digests of what was deployed, by input key.
	Digests map[string]string `json:"digests,omitempty"`
}

// Output is an output value of the pipeline. For a sensitive output, only a
// digest is stored that is salted and computed with the store's key: enough to
// see whether the value changed, and not enough to find it by guessing.
type Output struct {
	Value     *value.Value `json:"value,omitempty"`
	Sensitive bool         `json:"sensitive,omitempty"`
	Salt      string       `json:"salt,omitempty"`
	Digest    string       `json:"digest,omitempty"`
}

// Seal computes the keyed digest of a text, as Store.Seal does.
type Seal func(text []byte) (string, error)

// NewOutput returns an output with a value.
func NewOutput(v value.Value, sensitive bool, seal Seal) (*Output, error) {
	if !sensitive {
		return &Output{Value: &v}, nil
	}
	salt, err := randomHex(16)
	if err != nil {
		return nil, err
	}
	digest, err := saltedDigest(salt, v, seal)
	if err != nil {
		return nil, err
	}
	return &Output{Sensitive: true, Salt: salt, Digest: digest}, nil
}

// Is reports whether the output has this value. Types count only if they are
// visible: a tuple equals a list with the same elements, because which of them
// an expression returns can depend on what is known when it is evaluated.
func (o *Output) Is(v value.Value, seal Seal) bool {
	if o.Sensitive {
		if o.Unkeyed() {
			seal = unkeyed
		}
		digest, err := saltedDigest(o.Salt, v, seal)
		return err == nil && digest == o.Digest
	}
	if o.Value == nil {
		return false
	}
	is, err := plainJSON(v)
	was, wasErr := plainJSON(*o.Value)
	return err == nil && wasErr == nil && bytes.Equal(is, was)
}

// plainJSON returns the JSON of a value without its type.
func plainJSON(v value.Value) ([]byte, error) {
	return ctyjson.Marshal(v.Value, v.Value.Type())
}

func saltedDigest(salt string, v value.Value, seal Seal) (string, error) {
	text, err := plainJSON(v)
	if err != nil {
		return "", fmt.Errorf("digest a sensitive output: %w", err)
	}
	return seal(append([]byte(salt), text...))
}

// Unkeyed reports whether a sensitive output was written by an earlier build,
// with a digest that was computed without a key.
func (o *Output) Unkeyed() bool { return strings.HasPrefix(o.Digest, unkeyedPrefix) }

const unkeyedPrefix = "sha256:"

func unkeyed(text []byte) (string, error) {
	sum := sha256.Sum256(text)
	return unkeyedPrefix + hex.EncodeToString(sum[:]), nil
}

func randomHex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// newState returns the first state of an environment.
func newState(env string) (*State, error) {
	lineage, err := randomHex(16)
	if err != nil {
		return nil, err
	}
	return &State{
		Format: Format, Lineage: lineage, Environment: env,
		Instances: map[string]*Instance{}, Outputs: map[string]*Output{},
	}, nil
}

// check returns an error if a state that was read is invalid.
func (s *State) check() error {
	if s.Lineage == "" || s.Serial < 1 {
		return fmt.Errorf("it has no lineage or serial")
	}
	for address, i := range s.Instances {
		if i == nil || i.Address != address {
			return fmt.Errorf("the instance under %q is another one", address)
		}
	}
	for address, p := range s.Pending {
		if p == nil {
			return fmt.Errorf("what %q waits for is missing", address)
		}
	}
	for address, r := range s.Rejected {
		if r == nil {
			return fmt.Errorf("the rejected result of %q is missing", address)
		}
	}
	for name, o := range s.Outputs {
		if o == nil || o.Sensitive && o.Value != nil {
			return fmt.Errorf("output %q is malformed", name)
		}
	}
	if s.Instances == nil {
		s.Instances = map[string]*Instance{}
	}
	if s.Outputs == nil {
		s.Outputs = map[string]*Output{}
	}
	return nil
}
