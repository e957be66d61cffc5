package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/document"
	"github.com/quern-dev/quern/store/memo"
)

// kept are the files that a stage on whole datasets keeps for the next run of its
// definition, whatever its inputs are then. They are a part of the memo.
type kept struct {
	memo       *memo.Store
	definition string
	part       *memo.Part // of the last run, or nil
	files      []*pluginv1.File
	// arguments are the row arguments that quern keeps if the plugin keeps files.
	arguments *stage.Computed
}

// kept returns the files that the last run kept. There are none if any of them is
// missing or damaged, or if a new result was requested.
func (a *attempt) kept() (*kept, error) {
	k := &kept{memo: a.Store.Memo, definition: a.task.Definition, arguments: stage.NewComputed(a.Store, a.task.Definition)}
	if stage.Forced(a.Node) {
		return k, nil
	}
	part, err := k.memo.Lookup(k.definition, memo.KeptKey(k.definition))
	if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) || err == nil && part == nil {
		return k, nil
	}
	if err != nil {
		return nil, err
	}
	files := make([]*pluginv1.File, len(part.Kept))
	group := parallel.New(verifiedFiles)
	for i, f := range part.Kept {
		group.Go(func() error {
			path, err := a.Store.Blobs.Path(f.Blob)
			files[i] = &pluginv1.File{Name: f.Name, Path: path, Digest: f.Blob, Size: f.Bytes}
			return err
		})
	}
	switch err := group.Wait(); {
	case blob.Unavailable(err):
		return k, nil
	case err != nil:
		return nil, err
	}
	k.part, k.files = part, files
	return k, nil
}

// verifiedFiles is the number of files that are verified at the same time.
const verifiedFiles = 4

// finish stores the results of a run, and at the same time the files that it keeps.
func (k *kept) finish(ctx context.Context, c *running, done *pluginv1.Done) (made *product, err error) {
	var files []memo.File
	storing, ctx := parallel.WithContext(ctx)
	storing.Go(func() (err error) {
		made, err = c.finish(ctx, done)
		return err
	})
	storing.Go(func() (err error) {
		files, err = k.store(c, done)
		return err
	})
	if err := storing.Wait(); err != nil {
		return nil, err
	}
	return made, k.keep(files)
}

// store stores the files that a run keeps.
func (k *kept) store(c *running, done *pluginv1.Done) ([]memo.File, error) {
	var files []memo.File
	for _, name := range done.GetKept() {
		i := slices.IndexFunc(k.former(), func(f memo.File) bool { return f.Name == name })
		if i < 0 {
			return nil, c.Faulty(fmt.Sprintf("it keeps the file %q again, which its last run did not keep", name))
		}
		files = append(files, k.part.Kept[i])
	}
	if folder := done.GetKeptFolder(); folder != "" {
		made, err := c.put(folder, "the files that it keeps")
		if err != nil {
			return nil, err
		}
		for _, f := range made {
			files = append(files, memo.File{Name: f.Name, Blob: f.Digest, Bytes: f.Size})
		}
	}
	slices.SortFunc(files, func(a, b memo.File) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(files); i++ {
		if files[i-1].Name == files[i].Name {
			return nil, c.Faulty(fmt.Sprintf("it keeps two files with the name %q", files[i].Name))
		}
	}
	return files, nil
}

// keep remembers the files for the next run.
func (k *kept) keep(files []memo.File) error {
	if len(files) > 0 {
		if err := k.arguments.Keep(); err != nil {
			return err
		}
	}
	if slices.Equal(files, k.former()) {
		return nil
	}
	return k.memo.Put(&memo.Part{Definition: k.definition, ShardKey: memo.KeptKey(k.definition), Results: memo.Results{Kept: files}})
}

// former are the files of the last run.
func (k *kept) former() []memo.File {
	if k.part == nil {
		return nil
	}
	return k.part.Kept
}
