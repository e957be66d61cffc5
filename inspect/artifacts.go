package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/export"
)

// Artifact is an artifact that an instance of a state has produced.
type Artifact struct {
	Address string       `json:"address"`
	Port    string       `json:"port,omitempty"`
	Ref     artifact.Ref `json:"artifact"`
}

// Name returns the name that users use for the artifact: ADDRESS, or
// ADDRESS.PORT.
func (a Artifact) Name() string {
	if a.Port == "" {
		return a.Address
	}
	return a.Address + "." + a.Port
}

// Artifacts returns the artifacts of a state, by address and port.
func Artifacts(st *state.State) []Artifact {
	all := []Artifact{}
	addresses := slices.Collect(maps.Keys(st.Instances))
	addresses = slices.AppendSeq(addresses, maps.Keys(st.Rejected))
	slices.Sort(addresses)
	for _, address := range slices.Compact(addresses) {
		inst := st.Instances[address]
		if inst == nil {
			inst = &state.Instance{Address: address}
		}
		if rejected := st.Rejected[address]; rejected != nil {
			// What violated the contract last is what people want to see.
			shown := *inst
			shown.Contracts = rejected.Contracts
			inst = &shown
		}
		all = append(all, artifactsOf(inst)...)
	}
	return all
}

func artifactsOf(inst *state.Instance) []Artifact {
	var all []Artifact
	for _, port := range slices.Sorted(maps.Keys(inst.Outputs)) {
		all = append(all, Artifact{Address: inst.Address, Port: port, Ref: inst.Outputs[port]})
	}
	for _, port := range slices.Sorted(maps.Keys(inst.Contracts)) {
		all = append(all, Artifact{Address: inst.Address, Port: port, Ref: inst.Contracts[port].Violations})
	}
	return all
}

// Results returns the artifacts of an instance that are useful to people,
// without those that a source keeps for its next read.
func Results(inst *state.Instance) []Artifact {
	return slices.DeleteFunc(artifactsOf(inst), func(a Artifact) bool { return inst.Kind == kind.Source && a.Port == "parts" })
}

// FindArtifact returns the artifact with a name: an address, an address and a
// port, or at least the first six digits of a digest. The error is *[NotFound],
// or *[Ambiguous] for the address of an instance with several artifacts.
func FindArtifact(st *state.State, name string) (Artifact, error) {
	var found []Artifact
	var known []string
	for _, a := range Artifacts(st) {
		known = append(known, a.Name())
		switch {
		case a.Name() == name:
			return a, nil
		case a.Address == name, digestMatches(a.Ref, name):
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 1 || len(found) > 1 && found[0].Address != name:
		return found[0], nil
	case len(found) > 1:
		names := make([]string, len(found))
		for i, a := range found {
			names[i] = a.Name()
		}
		return Artifact{}, &Ambiguous{Name: name, Candidates: names}
	}
	if inst := st.Instances[name]; inst != nil && len(inst.Outputs) == 0 {
		return Artifact{}, diag.Failed(name+" has no artifacts", "Deployments and gates have none.")
	}
	return Artifact{}, &NotFound{Kind: "artifact", Name: name, Environment: st.Environment, Known: known}
}

func digestMatches(ref artifact.Ref, given string) bool {
	given = strings.TrimPrefix(given, "sha256:")
	return len(given) >= 6 && (strings.HasPrefix(strings.TrimPrefix(ref.Digest, "sha256:"), given) || strings.HasPrefix(strings.TrimPrefix(ref.Manifest, "sha256:"), given))
}

// FindArtifacts is [FindArtifact] for several names; without names, it returns all
// artifacts.
func FindArtifacts(st *state.State, names ...string) ([]Artifact, error) {
	if len(names) == 0 {
		return Artifacts(st), nil
	}
	var all []Artifact
	for _, name := range names {
		found, err := FindArtifact(st, name)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// Contents is an artifact with its manifest and, for a dataset, its first rows.
type Contents struct {
	Address  string             `json:"address"`
	Ref      artifact.Ref       `json:"artifact"`
	Manifest *artifact.Artifact `json:"manifest"`
	Port     string             `json:"port"`
	// Rows are objects with the values of the columns, or nil if it is not a
	// dataset.
	Rows []json.RawMessage `json:"rows,omitzero"`
}

// Open reads an artifact and at most n rows of a dataset.
func Open(ctx context.Context, s *store.Store, a Artifact, n int) (*Contents, error) {
	manifest, err := artifact.Get(s.Blobs, a.Ref)
	if err != nil {
		return nil, err
	}
	contents := &Contents{Address: a.Address, Ref: a.Ref, Manifest: manifest, Port: a.Port}
	if manifest.Dataset == nil {
		return contents, nil
	}
	rows, err := Dataset(s, manifest)
	if err != nil {
		return nil, err
	}
	if contents.Rows, err = export.Head(ctx, rows, n); err != nil {
		return nil, diag.Failed(fmt.Sprintf("the rows of %s cannot be shown as JSON", a.Name()), "%w", err)
	}
	return contents, nil
}

// Dataset returns the rows of an artifact that is a dataset.
func Dataset(s *store.Store, a *artifact.Artifact) (export.Dataset, error) {
	shards, err := a.Dataset.Files(s.Blobs, nil)
	return export.Dataset{Schema: a.Dataset.Schema, Shards: shards}, err
}

// Size is the size of an artifact: in rows for a dataset, in bytes for files.
type Size struct {
	Rows    int64 `json:"rows"`
	Bytes   int64 `json:"bytes"`
	Dataset bool  `json:"dataset"`
}

// Measure returns the size of an artifact, from its manifest.
func Measure(s *store.Store, ref artifact.Ref) (Size, error) {
	a, err := artifact.Get(s.Blobs, ref)
	if err != nil {
		return Size{}, err
	}
	if a.Dataset != nil {
		return Size{Rows: a.Dataset.Rows, Dataset: true}, nil
	}
	var size Size
	for _, f := range a.Files {
		size.Bytes += f.Size
	}
	return size, nil
}

// Health reports whether an artifact is intact.
type Health string

// The health of an artifact. Damage is worse than missing files.
const (
	OK      Health = "ok"
	Missing Health = "missing" // some of its files no longer exist
	Damaged Health = "damaged"
)

// Verified is an artifact that was checked against its digests.
type Verified struct {
	Artifact
	OK     bool     `json:"ok"`
	Status Health   `json:"status"`
	Errors []string `json:"errors,omitempty"`
}

// Verify reads complete artifacts and checks them against their digests. It
// returns an error only if ctx ends. Damaged files are set aside.
func Verify(ctx context.Context, s *store.Store, artifacts []Artifact) ([]Verified, error) {
	all := []Verified{}
	for _, a := range artifacts {
		v := Verified{Artifact: a, OK: true, Status: OK}
		for _, err := range artifact.Verify(ctx, s.Blobs, a.Ref) {
			if errors.Is(err, context.Canceled) {
				return nil, err
			}
			v.found(err)
		}
		all = append(all, v)
	}
	return all, nil
}

// found records a problem.
func (v *Verified) found(err error) {
	v.OK = false
	v.Errors = append(v.Errors, err.Error())
	if missing := (*blob.Missing)(nil); errors.As(err, &missing) {
		if v.Status == OK {
			v.Status = Missing
		}
		return
	}
	v.Status = Damaged
}
