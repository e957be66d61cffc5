package huggingface

import (
	"bytes"
	"context"
	"io"
	"os"
	"path"
	"strings"

	"github.com/quern-dev/quern/plugins/provenance"
	"github.com/quern-dev/quern/plugins/publication"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// file is a file to publish: one in the store, a text, or a part of a dataset, which
// is written when it is needed.
type file struct {
	name, path string
	digest     string // SHA-256 in hexadecimal; "" for a text
	size       int64
	text       []byte

	// create writes a part. It is nil for other files.
	create func() (string, publication.File, error)
}

func textFile(name, text string) *file {
	return &file{name: name, text: []byte(text), size: int64(len(text))}
}

// write writes a part, unless it exists.
func (f *file) write() (err error) {
	if f.create == nil || f.path != "" {
		return nil
	}
	path, made, err := f.create()
	if err != nil {
		return err
	}
	f.path, f.size, f.digest = path, made.Size, made.SHA256
	return nil
}

// open returns the content of a file.
func (f *file) open() (io.ReadCloser, error) {
	if err := f.write(); err != nil {
		return nil, err
	}
	if f.path == "" {
		return io.NopCloser(bytes.NewReader(f.text)), nil
	}
	return os.Open(f.path)
}

// content returns the files to publish, the card among them, and notes what is
// published.
func (n *notes) content(ctx context.Context, r *plugin.DeploymentApplyRequest[args]) (files []*file, err error) {
	report := r.Artifact(r.Args.Report)
	if n.Kind == datasetKind {
		files, err = n.dataset(ctx, r, report)
	} else {
		files, err = n.model(ctx, r, report)
	}
	n.Files, n.Card, n.Report = nil, cardOf(r.Args), ""
	for _, f := range files {
		n.Files = append(n.Files, f.name)
	}
	if report != nil {
		n.Report = report.Digest
	}
	return files, err
}

// model returns the files of a model, and its card.
func (n *notes) model(ctx context.Context, r *plugin.DeploymentApplyRequest[args], report *plugin.ArtifactInput) ([]*file, error) {
	in := r.Artifact(r.Args.Artifact)
	model, err := provenance.Read(in.Files)
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "artifact", Err: err}
	}
	readme, err := cardOf(r.Args).render(in, report, model, n.Repo, provenance.Commit(ctx))
	if err != nil {
		return nil, err
	}
	n.Artifact = in.Digest
	out := []*file{textFile(cardFile, readme)}
	for _, f := range in.Files {
		if f.Name != cardFile {
			out = append(out, &file{name: f.Name, path: f.Path, digest: strings.TrimPrefix(f.Digest, "sha256:"), size: f.Size})
		}
	}
	return out, nil
}

// dataset returns the files of a dataset, its card, and the checksums. It writes only
// those that were not published before.
func (n *notes) dataset(ctx context.Context, r *plugin.DeploymentApplyRequest[args], report *plugin.ArtifactInput) ([]*file, error) {
	in := r.Artifact(plugin.Artifact{Key: datasetKind})
	known := map[string]publication.File{}
	for _, f := range n.Rows {
		known[f.From] = f
	}
	describe := cardOf(r.Args).publication()
	n.Artifact, n.Rows = in.Digest, nil
	var out []*file
	for _, part := range describe.Parts(in.Dataset) {
		f := &file{name: part.Name, create: func() (string, publication.File, error) { return part.Create(ctx, r.WorkDir) }}
		if was, ok := known[part.From]; ok {
			f.digest, f.size = was.SHA256, was.Size
		} else if err := f.write(); err != nil {
			return nil, err
		}
		out = append(out, f)
		n.Rows = append(n.Rows, publication.File{Name: f.name, Size: f.size, SHA256: f.digest, From: part.From})
	}
	card, err := describe.Card(path.Base(n.Repo), in, n.Rows, provenance.Commit(ctx))
	if err != nil {
		return nil, err
	}
	var page strings.Builder
	if err := evaluation(&page, report); err != nil {
		return nil, err
	}
	card += page.String()
	sums := publication.Sums(append(n.Rows[:len(n.Rows):len(n.Rows)], publication.Text(publication.CardFile, card)))
	return append(out, textFile(publication.CardFile, card), textFile(publication.SumsFile, sums)), nil
}
