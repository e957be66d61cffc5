package stage

import (
	"context"
	"maps"
	"slices"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
)

// Handover says how files are passed to a plugin.
type Handover struct {
	Blobs *blob.Store
	// Arguments is the folder for computed row arguments, which need not exist. Known
	// has those that were computed in earlier runs, or is nil.
	Arguments string
	Known     *Computed
	// Unverified is set if the plugin verifies the files of datasets.
	Unverified bool
}

// Files provides a stage's inputs as files in the store, including row
// arguments. An argument that is only a column is passed as the input's own
// column; others are computed into column groups.
func (s *Stage) Files(ctx context.Context, h Handover) (map[string]*pluginv1.Artifact, error) {
	out := make(map[string]*pluginv1.Artifact, len(s.Inputs))
	for _, key := range slices.Sorted(maps.Keys(s.Inputs)) {
		in := s.Inputs[key]
		a, err := in.Files(h.Blobs)
		if err == nil && in.Artifact.Dataset != nil {
			err = s.DatasetFiles(ctx, h, in, a)
		}
		if err != nil {
			return nil, err
		}
		out[key] = a
	}
	return out, nil
}

// Files describes an input and names its files, which it verifies.
func (in *Input) Files(blobs *blob.Store) (*pluginv1.Artifact, error) {
	a, err := plan.ArtifactProto(in.Artifact, in.Ref.Digest, blobs.Path)
	if err != nil {
		return nil, &failure.Input{Address: in.Of.Address, Err: err}
	}
	return a, nil
}

// DatasetFiles adds a dataset's columns and shards: the columns that the plugin
// requested, and the row arguments by key.
func (s *Stage) DatasetFiles(ctx context.Context, h Handover, in *Input, a *pluginv1.Artifact) error {
	m := in.Artifact.Dataset
	names := m.Schema.Names() // a dataset that is deployed is passed with all columns
	if s.Mode == plan.ModeRun && in.Of.Kind == plan.KindDataset {
		names = s.Given(in.Key, m)
	}
	seen := map[string][]data.Ref{} // column of the dataset → the names it is passed under
	bare, computed := s.splitArguments(in)
	for _, name := range names {
		c, _, _ := m.Schema.Lookup(name)
		a.Columns = append(a.Columns, &pluginv1.Column{Name: c.Name, Type: c.Type})
		seen[name] = append(seen[name], data.Ref{Namespace: data.Columns, Name: name})
	}
	for _, arg := range bare {
		a.Arguments = append(a.Arguments, &pluginv1.Column{Name: arg.Key, Type: arg.typ})
		seen[arg.column] = append(seen[arg.column], data.Ref{Namespace: data.Arguments, Name: arg.Key})
	}
	files := m.Files
	if h.Unverified {
		files = m.FilesToVerify
	}
	shards, err := files(h.Blobs, slices.Sorted(maps.Keys(seen)))
	if err != nil {
		return &failure.Input{Address: in.Of.Address, Err: err}
	}
	for i := range shards {
		handOut(&shards[i], m.Shards[i], seen)
	}
	if len(computed) > 0 {
		if err := s.computeArguments(ctx, h, in, computed, shards); err != nil {
			return err
		}
	}
	for _, arg := range computed {
		a.Arguments = append(a.Arguments, &pluginv1.Column{Name: arg.Key, Type: arg.typ})
	}
	a.Rows, a.Shards = m.Rows, data.ShardsToProto(shards)
	return nil
}

// handOut names each column of a shard by all names that it is passed under, and adds
// the digest of its values.
func handOut(s *data.Shard, of dataset.Shard, seen map[string][]data.Ref) {
	for i := range s.Groups {
		var columns []data.Stored
		for _, c := range s.Groups[i].Columns {
			column, _ := of.Column(c.Name)
			for _, ref := range seen[c.Name] {
				columns = append(columns, data.Stored{Stored: c.Stored, Name: ref.Name, Namespace: ref.Namespace, Digest: column.Digest})
			}
		}
		s.Groups[i].Columns = columns
	}
}
