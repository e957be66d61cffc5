package directory

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/quern-dev/quern/plugins/provenance"
	"github.com/quern-dev/quern/plugins/publication"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type datasetArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The dataset to publish."`
	Where
	publication.Args
}

const datasetDoc = `Writes a dataset to a folder on this machine, with a dataset card and checksums, and replaces it atomically.

The folder contains the rows in ` + "`data`" + `, the card in ` + "`README.md`" + `, and the SHA-256 of each file in ` + "`SHA256SUMS`" + `, which ` + "`sha256sum -c SHA256SUMS`" + ` checks. The card, in the form that the Hugging Face Hub reads, is written from facts: the number of rows, the columns with their types, the digest of the dataset, and the Git commit of the configuration.

Files whose rows have not changed since an earlier release are not written again, but linked. Releases, drift, imports, and the values are as for deploy "directory".

` + "```hcl" + `
deploy "dataset" "corpus" {
  dataset    = transform.training
  path       = "published/corpus"
  format     = "jsonl"
  license    = "cc-by-4.0"
  depends_on = [gate.clean]
}
` + "```"

// rowFiles is the content of deploy "dataset".
type rowFiles struct{}

func (rowFiles) where(a *datasetArgs) Where { return a.Where }

func (rowFiles) key() string { return "dataset" }

func (rowFiles) settings(a *datasetArgs) map[string]string { return a.Settings() }

func (rowFiles) check(p *plugin.Prepare[datasetArgs]) {
	if in := p.Input("dataset"); in != nil && p.Known("format") {
		if problem := p.Args.Problem(in.Schema); problem != "" {
			p.Errorf("format", "%s", problem)
		}
	}
}

// fill writes the rows, the card, and the checksums.
func (rowFiles) fill(ctx context.Context, dir string, a *datasetArgs, in *plugin.ArtifactInput, r *release, earlier earlierFiles) error {
	for _, part := range a.Parts(in.Dataset) {
		done, linked := earlier.link(dir, part.Name, part.From)
		if !linked {
			var err error
			if done, err = create(dir, part.Name, func(w io.Writer) error { return part.Write(ctx, w) }); err != nil {
				return err
			}
			done.From = part.From
		}
		r.Files = append(r.Files, done)
	}
	card, err := a.Card(filepath.Base(a.Path), in, r.published(), provenance.Commit(ctx))
	if err != nil {
		return err
	}
	if err := addText(dir, publication.CardFile, card, r); err != nil {
		return err
	}
	return addText(dir, publication.SumsFile, publication.Sums(r.published()), r)
}

// published returns the files of a release.
func (r *release) published() []publication.File {
	var out []publication.File
	for _, f := range r.Files {
		out = append(out, publication.File{Name: f.Name, Size: f.Size, SHA256: f.SHA256})
	}
	return out
}

func addText(dir, name, text string, r *release) error {
	done, err := create(dir, name, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	r.Files = append(r.Files, done)
	return nil
}

// earlierFiles are the files of earlier releases that can be linked to, by what
// they were written from.
type earlierFiles map[string]earlierFile

type earlierFile struct {
	place   place
	release *release
	file    deployedFile
}

func (p place) earlier(taken []*release) earlierFiles {
	out := earlierFiles{}
	for _, r := range taken {
		for _, f := range r.Files {
			if f.From != "" {
				out[f.From] = earlierFile{p, r, f}
			}
		}
	}
	return out
}

// link adds a file of an earlier release to a new one, if there is one that was
// not changed.
func (e earlierFiles) link(dir, name, from string) (deployedFile, bool) {
	have, ok := e[from]
	if !ok {
		return deployedFile{}, false
	}
	if changed, err := have.place.touched(have.release, have.file); err != nil || changed != "" {
		return deployedFile{}, false
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if os.MkdirAll(filepath.Dir(path), 0o755) != nil {
		return deployedFile{}, false
	}
	if os.Link(filepath.Join(have.place.folder(have.release), filepath.FromSlash(have.file.Name)), path) != nil {
		return deployedFile{}, false // the file system may have no links
	}
	file := have.file
	file.Name = name
	return file, true
}
