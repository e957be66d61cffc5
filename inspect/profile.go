package inspect

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/plugins/profile/survey"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/artifact"
)

// Profile describes the columns with some names of a dataset, or all columns.
func Profile(ctx context.Context, s *store.Store, a Artifact, names []string) (*measurement.Profile, error) {
	manifest, err := artifact.Get(s.Blobs, a.Ref)
	if err != nil {
		return nil, err
	}
	if manifest.Dataset == nil {
		return nil, diag.Failed(fmt.Sprintf("%s is not a dataset", a.Name()), "It is a %s. Run \"quern artifact list\" to see which artifacts are datasets.", a.Ref.Kind)
	}
	rows, err := Dataset(s, manifest)
	if err != nil {
		return nil, err
	}
	columns, err := chosen(rows.Schema, a, names)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "quern-profile-*")
	if err != nil {
		return nil, fmt.Errorf("create a temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	o := survey.Defaults()
	o.Dir = dir
	found, err := survey.New(columns, manifest.Dataset.Rows, o)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for rec, err := range data.ReadRefs(ctx, rows.Shards, data.Columns.Refs(columns.Names()...), 0) {
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", a.Name(), err)
		}
		if err := found.Add(rec); err != nil {
			return nil, fmt.Errorf("profile %s: %w", a.Name(), err)
		}
	}
	p, _, err := found.Finish()
	return p, err
}

// chosen returns the columns with some names.
func chosen(schema data.Schema, a Artifact, names []string) (data.Schema, error) {
	if len(names) == 0 {
		return schema, nil
	}
	var out data.Schema
	for _, name := range names {
		c, _, ok := schema.Lookup(name)
		if !ok {
			return nil, diag.Failed(fmt.Sprintf("%s has no column %q", a.Name(), name), "Its columns are %s.", strings.Join(schema.Names(), ", "))
		}
		if _, _, again := out.Lookup(name); !again {
			out = append(out, c)
		}
	}
	return out, nil
}
