package profile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/plugins/profile/drift"
	"github.com/quern-dev/quern/plugins/profile/survey"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// The names of the checkpoints that are kept for the next run.
const (
	datasetFile  = "dataset"
	baselineFile = "baseline"
)

// reading reads columns of a dataset. It keeps a checkpoint of what it knows before
// the last shard, which is the only one that usually changes when rows are appended,
// and continues with that of the last run.
type reading struct {
	run    *plugin.Run[args]
	in     *plugin.DatasetInput
	refs   []data.Ref
	survey *survey.Survey
	// file is the name of the checkpoint.
	file string
	// ids identify the shards. They are nil if one has no digest.
	ids []string
	// done is the number of shards that were read.
	done int
}

// describe says what columns of a dataset contain.
func describe(ctx context.Context, r *plugin.Run[args], in *plugin.DatasetInput, columns data.Schema, file string) (*measurement.Profile, *drift.Sketches, error) {
	s := &reading{run: r, in: in, refs: data.Columns.Refs(columns.Names()...), file: file}
	s.ids = identify(in.Shards(), s.refs)
	defer func() {
		if s.survey != nil {
			s.survey.Close()
		}
	}()
	if err := s.begin(columns); err != nil {
		return nil, nil, err
	}
	if last := len(s.ids) - 1; s.done < last {
		if err := s.add(ctx, last); err != nil {
			return nil, nil, err
		}
		if err := s.save(); err != nil {
			return nil, nil, err
		}
	}
	if err := s.add(ctx, len(in.Shards())); err != nil {
		return nil, nil, err
	}
	return s.survey.Finish()
}

// identify returns what identifies the columns in each shard.
func identify(shards []data.Shard, refs []data.Ref) []string {
	ids := make([]string, len(shards))
	for i, shard := range shards {
		id := fmt.Sprint(shard.Rows)
		for _, ref := range refs {
			digest := shard.Digest(ref)
			if digest == "" {
				return nil
			}
			id += " " + digest
		}
		ids[i] = fmt.Sprintf("%x", sha256.Sum256([]byte(id)))
	}
	return ids
}

// begin continues with the checkpoint of the last run, if there is a usable one.
// Whether there is makes no difference to the result.
func (s *reading) begin(columns data.Schema) error {
	fresh := func() (err error) {
		s.survey, err = survey.New(columns, s.in.Rows, s.run.Args.options(s.run.WorkDir, s.file))
		return err
	}
	if err := fresh(); err != nil {
		return err
	}
	kept := s.run.Kept()
	if _, ok := kept[s.file]; !ok || s.ids == nil {
		return nil
	}
	c, err := s.survey.Resume(s.file, func(name string) string { return kept[name].Path }, s.ids)
	if err != nil {
		s.survey.Close()
		return fresh()
	}
	if c == nil {
		return nil
	}
	s.done = len(c.Shards)
	if s.done >= len(s.ids)-1 {
		// No other one will be written.
		s.run.KeepAgain(append(c.Files(), s.file)...)
	}
	return nil
}

// add reads the shards up to one.
func (s *reading) add(ctx context.Context, until int) error {
	for rec, err := range data.ReadRefs(ctx, s.in.Shards()[s.done:until], s.refs, 0) {
		if err != nil {
			return err
		}
		if err := s.survey.Add(rec); err != nil {
			return err
		}
		s.run.Progress(s.survey.Rows(), s.in.Rows, "rows", "")
	}
	s.done = until
	return nil
}

// save keeps a checkpoint for the next run.
func (s *reading) save() error {
	folder, err := s.run.KeepFolder()
	if err != nil {
		return err
	}
	if err := s.removeOld(folder); err != nil {
		return err
	}
	earlier, err := s.survey.Save(folder, s.file, s.ids[:s.done])
	if err != nil {
		return err
	}
	s.run.KeepAgain(earlier...)
	return nil
}

// removeOld removes what an attempt that was interrupted has left.
func (s *reading) removeOld(folder string) error {
	all, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("read the folder of checkpoints: %w", err)
	}
	var errs []error
	for _, f := range all {
		if f.Name() == s.file || strings.HasPrefix(f.Name(), s.file+"-") {
			errs = append(errs, os.Remove(filepath.Join(folder, f.Name())))
		}
	}
	return errors.Join(errs...)
}
