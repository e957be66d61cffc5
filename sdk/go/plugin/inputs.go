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

// batchRows is how many rows readers get at a time.
const batchRows = 16384

// DatasetInput is a dataset as files in the local cache: the columns that were
// declared as read, and the row arguments that belong to it. Columns and row
// arguments are separate namespaces, so that a column and an argument may have
// the same name.
type DatasetInput struct {
	Key    string
	Digest string
	// Schema is the columns that were declared as read.
	Schema data.Schema
	// Arguments are the row arguments by their keys and, for a model that
	// predicts over the dataset, the model's features as KEY.FEATURE.
	Arguments data.Schema
	Rows      int64
	shards    []data.Shard
}

// Shards returns the Parquet files, for who reads them with an engine of
// their own. The files are read only.
func (d *DatasetInput) Shards() []data.Shard { return d.shards }

// Batches reads columns and row arguments, in the order given, as in
//
//	in.Batches(ctx, data.Columns.Refs("id"), data.Arguments.Refs("text"))
//
// Without a selection it reads everything: the columns of Schema, then
// Arguments. Values are found by their position, or by their name with
// data.Columns.Find and data.Arguments.Find. A batch is released when the loop
// goes on: call Retain to keep it.
func (d *DatasetInput) Batches(ctx context.Context, selection ...[]data.Ref) iter.Seq2[arrow.RecordBatch, error] {
	if len(selection) == 0 {
		selection = [][]data.Ref{data.Columns.Refs(d.Schema.Names()...), data.Arguments.Refs(d.Arguments.Names()...)}
	}
	return data.ReadRefs(ctx, d.shards, slices.Concat(selection...), batchRows)
}

// ModelFiles is a model as files in the local cache. The files are read only.
type ModelFiles struct {
	Format    string
	Digest    string
	Signature Signature
	Files     []File
}

// File is one file of an artifact.
type File struct {
	// Name is relative and slash-separated.
	Name   string
	Path   string
	Digest string
	Size   int64
}

// Path returns where a file stands.
func (m *ModelFiles) Path(name string) (string, error) {
	for _, f := range m.Files {
		if f.Name == name {
			return f.Path, nil
		}
	}
	return "", fmt.Errorf("the model (%s) has no file %q", m.Format, name)
}

// Open opens a file.
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
	// Files of a model or report.
	Files []File
	// Dataset and Model are set for an artifact of that kind.
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
