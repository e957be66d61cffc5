package plugin

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// batchRows is the number of rows in the batches that readers get.
const batchRows = 16384

// DatasetInput is a dataset as read-only files in the local cache. It has the
// columns that Prepare declared as read, and the row arguments that belong to
// it. These are separate namespaces: a column and a row argument can have the
// same name.
type DatasetInput struct {
	Key    string
	Digest string
	// Schema lists the columns that were declared as read.
	Schema data.Schema
	// Arguments lists the row arguments by their keys and, for a model that
	// predicts over the dataset, the model's features as KEY.FEATURE.
	Arguments data.Schema
	Rows      int64
	shards    []data.Shard
}

// Shards returns the Parquet files, for engines that read files themselves.
func (d *DatasetInput) Shards() []data.Shard { return d.shards }

// Batches iterates over the rows. It returns columns and row arguments in the
// order of the selection, for example
//
//	in.Batches(ctx, data.Columns.Refs("id"), data.Arguments.Refs("text"))
//
// Without a selection, it returns all columns of Schema and then those of
// Arguments. Find values by position, or by name with data.Columns.Find and
// data.Arguments.Find. A batch is valid until the next iteration: call Retain
// to keep it. An error ends the iteration.
func (d *DatasetInput) Batches(ctx context.Context, selection ...[]data.Ref) iter.Seq2[arrow.RecordBatch, error] {
	if len(selection) == 0 {
		selection = [][]data.Ref{data.Columns.Refs(d.Schema.Names()...), data.Arguments.Refs(d.Arguments.Names()...)}
	}
	return data.ReadRefs(ctx, d.shards, slices.Concat(selection...), batchRows)
}

// ModelFiles is a model as read-only files in the local cache.
type ModelFiles struct {
	Format    string
	Digest    string
	Signature Signature
	Files     []File
}

// File is one file of an artifact.
type File struct {
	// Name is a relative path with slashes.
	Name string
	// Path is the absolute path of the file in the local cache.
	Path string
	// Digest is sha256:… of the content.
	Digest string
	// Size is in bytes.
	Size int64
}

// Path returns the path of a file by its name.
func (m *ModelFiles) Path(name string) (string, error) {
	for _, f := range m.Files {
		if f.Name == name {
			return f.Path, nil
		}
	}
	return "", fmt.Errorf("the model (%s) has no file %q", m.Format, name)
}

// Open opens a file by its name. The caller closes it.
func (m *ModelFiles) Open(name string) (io.ReadCloser, error) {
	path, err := m.Path(name)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// ArtifactInput is an artifact of any kind.
type ArtifactInput struct {
	Kind   ArtifactKind
	Digest string
	// Files are the files of a model or report.
	Files []File
	// Dataset is set for a dataset, Model for a model.
	Dataset *DatasetInput
	Model   *ModelFiles
}

func newArtifactInput(key string, inputs map[string]*pluginv1.Artifact) *ArtifactInput {
	a := inputs[key]
	if a == nil {
		return nil
	}
	out := &ArtifactInput{Kind: artifactKind(a.Kind), Digest: a.Digest, Files: files(a.Files)}
	switch out.Kind {
	case KindDataset:
		out.Dataset = newDatasetInput(key, inputs)
	case KindModel:
		out.Model = newModelFiles(a)
	}
	return out
}

func newDatasetInput(key string, inputs map[string]*pluginv1.Artifact) *DatasetInput {
	a := inputs[key]
	if a == nil {
		return nil
	}
	return &DatasetInput{
		Key: key, Digest: a.Digest, Schema: data.FromProto(a.Columns), Arguments: data.FromProto(a.Arguments), Rows: a.Rows,
		shards: data.ShardsFromProto(a.Shards),
	}
}

func newModelFiles(a *pluginv1.Artifact) *ModelFiles {
	if a == nil {
		return nil
	}
	return &ModelFiles{
		Format: a.Format, Digest: a.Digest, Files: files(a.Files), Signature: signatureFromProto(a.Signature),
	}
}

func files(in []*pluginv1.File) []File {
	out := make([]File, len(in))
	for i, f := range in {
		out[i] = File{Name: f.Name, Path: f.Path, Digest: f.Digest, Size: f.Size}
	}
	return out
}
