package directory

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/provenance"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/ui/export"
)

type datasetArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"The dataset to publish."`
	Where
	Format      string   `quern:"format" default:"\"parquet\"" oneof:"parquet,jsonl,csv" doc:"The format of the files."`
	Title       string   `quern:"title" doc:"The title of the card. By default, it is the last part of the path."`
	License     string   `quern:"license" doc:"The license of the dataset, by its SPDX name in lower case, such as \"cc-by-4.0\"."`
	Description string   `quern:"description" doc:"What the card says about the dataset before the facts, in Markdown."`
	Tags        []string `quern:"tags" doc:"The card's tags, in addition to 'quern'."`
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

const (
	cardFile = "README.md"
	sumsFile = "SHA256SUMS"
)

// publication is the content of deploy "dataset".
type publication struct{}

func (publication) where(a *datasetArgs) Where { return a.Where }

func (publication) key() string { return "dataset" }

func (publication) settings(a *datasetArgs) map[string]string {
	return map[string]string{
		"format": a.Format, "title": a.Title, "license": a.License, "description": a.Description, "tags": strings.Join(a.Tags, ", "),
	}
}

func (publication) check(p *plugin.Prepare[datasetArgs]) {
	in := p.Input("dataset")
	if p.Known("format") && p.Args.Format == "csv" && in != nil && len(in.Schema) == 0 {
		p.Errorf("format", "A CSV file needs at least one column\nUse another format.")
	}
}

// fill writes the rows, the card, and the checksums.
func (publication) fill(ctx context.Context, dir string, a *datasetArgs, in *plugin.ArtifactInput, r *release, earlier earlierFiles) error {
	d := in.Dataset
	for i, shard := range d.Shards() {
		name := fmt.Sprintf("data/part-%05d.%s", i, a.Format)
		from := sourceOf(shard, d.Schema, a.Format)
		done, linked := earlier.link(dir, name, from)
		if !linked {
			var err error
			done, err = create(dir, name, func(w io.Writer) error {
				return export.Write(ctx, w, export.Format(a.Format), export.Dataset{Schema: d.Schema, Shards: []data.Shard{shard}})
			})
			if err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
			done.From = from
		}
		r.Files = append(r.Files, done)
	}
	card, err := a.card(in, r.Files, provenance.Commit(ctx))
	if err != nil {
		return err
	}
	if err := addText(dir, cardFile, card, r); err != nil {
		return err
	}
	var sums strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&sums, "%s  %s\n", f.SHA256, f.Name)
	}
	return addText(dir, sumsFile, sums.String(), r)
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

// sourceOf identifies what a file is written from: the blobs of a shard, whose
// paths in the store contain their digests, the columns, and the format.
func sourceOf(s data.Shard, schema data.Schema, format string) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %d\n", format, s.Rows)
	for _, g := range s.Groups {
		fmt.Fprintf(sum, "%q\n", g.Path)
		for _, c := range g.Columns {
			fmt.Fprintf(sum, "%q %q\n", c.Stored, c.Name)
		}
	}
	for _, c := range schema {
		fmt.Fprintf(sum, "%q %q\n", c.Name, c.Type)
	}
	return hex.EncodeToString(sum.Sum(nil))
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

// frontMatter is the card's metadata, which the Hugging Face Hub reads.
type frontMatter struct {
	License string   `yaml:"license,omitempty"`
	Tags    []string `yaml:"tags"`
	Configs []config `yaml:"configs,omitempty"`
	// Artifact marks what quern has published.
	Artifact string `yaml:"quern_artifact"`
}

type config struct {
	Name  string `yaml:"config_name"`
	Files string `yaml:"data_files"`
}

// card writes the card. Everything on it except for the description is a fact
// that quern knows.
func (a *datasetArgs) card(in *plugin.ArtifactInput, files []deployedFile, commit string) (string, error) {
	f := frontMatter{License: a.License, Tags: append([]string{"quern"}, a.Tags...), Artifact: in.Digest}
	if len(files) > 0 {
		f.Configs = []config{{"default", "data/*." + a.Format}}
	}
	head, err := yaml.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("write the card: %w", err)
	}
	var bytes int64
	for _, file := range files {
		bytes += file.Size
	}
	var b strings.Builder
	fmt.Fprintf(&b, "---\n%s---\n\n# %s\n", head, cmp.Or(a.Title, filepath.Base(a.Path)))
	if a.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(a.Description))
	}
	fmt.Fprintf(&b, "\n## Content\n\n| | |\n| --- | --- |\n| rows | %s |\n| files | %s, %s |\n| bytes | %s |\n",
		english.Number(in.Dataset.Rows), english.Number(len(files)), a.Format, english.Number(bytes))
	if a.License != "" {
		fmt.Fprintf(&b, "| license | %s |\n", figures.Cell(a.License))
	}
	fmt.Fprint(&b, "\n## Columns\n\n| column | type |\n| --- | --- |\n")
	for _, c := range in.Dataset.Schema {
		fmt.Fprintf(&b, "| %s | %s |\n", figures.Cell(code(c.Name)), figures.Cell(code(c.Type)))
	}
	fmt.Fprintf(&b, "\n## Provenance\n\nThis dataset was made and published with quern.\n\n| | |\n| --- | --- |\n| artifact | `%s` |\n", in.Digest)
	if commit != "" {
		fmt.Fprintf(&b, "| source commit | `%s` |\n", commit)
	}
	return b.String(), nil
}

// code writes a name as code in Markdown, or in quotes if it contains what would
// end it.
func code(name string) string {
	if strings.ContainsAny(name, "`\n\r") {
		return strconv.Quote(name)
	}
	return "`" + name + "`"
}
