// Package publication says what is published of a dataset, wherever that goes:
// files with the rows, a card that the Hugging Face Hub can read, and checksums.
package publication

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/ui/export"
)

// The names of the files next to the rows.
const (
	CardFile = "README.md"
	SumsFile = "SHA256SUMS"
)

// Args are the arguments that affect the files.
type Args struct {
	Format      string   `quern:"format" default:"\"parquet\"" oneof:"parquet,jsonl,csv" doc:"The format of the files."`
	Title       string   `quern:"title" doc:"The title of the card. By default, it is the last part of the path."`
	License     string   `quern:"license" doc:"The license of the dataset, by its SPDX name in lower case, such as \"cc-by-4.0\"."`
	Description string   `quern:"description" doc:"What the card says about the dataset before the facts, in Markdown."`
	Tags        []string `quern:"tags" doc:"The card's tags, in addition to 'quern'."`
}

// Settings returns the arguments by their names.
func (a *Args) Settings() map[string]string {
	return map[string]string{
		"format": a.Format, "title": a.Title, "license": a.License, "description": a.Description, "tags": strings.Join(a.Tags, ", "),
	}
}

// Problem says why a dataset with these columns cannot have the format, or returns
// "".
func (a *Args) Problem(columns data.Schema) string {
	if a.Format == string(export.CSV) && len(columns) == 0 {
		return "A CSV file needs at least one column\nUse another format."
	}
	return ""
}

// Part is a file with the rows of a shard.
type Part struct {
	Name string
	// From identifies what the file is written from: files with the same From have
	// the same content.
	From string

	shard  data.Shard
	schema data.Schema
	format string
}

// Parts returns the files with the rows of a dataset.
func (a *Args) Parts(d *plugin.DatasetInput) []Part {
	var out []Part
	for i, shard := range d.Shards() {
		out = append(out, Part{
			Name: fmt.Sprintf("data/part-%05d.%s", i, a.Format), From: sourceOf(shard, d.Schema, a.Format),
			shard: shard, schema: d.Schema, format: a.Format,
		})
	}
	return out
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

// Write writes the file.
func (p Part) Write(ctx context.Context, w io.Writer) error {
	err := export.Write(ctx, w, export.Format(p.format), export.Dataset{Schema: p.schema, Shards: []data.Shard{p.shard}})
	if err != nil {
		return fmt.Errorf("write %s: %w", p.Name, err)
	}
	return nil
}

// Create writes the file into a folder, under a name that is not used there yet.
// The caller removes it.
func (p Part) Create(ctx context.Context, dir string) (path string, f File, err error) {
	out, err := os.CreateTemp(dir, "part-*")
	if err != nil {
		return "", f, fmt.Errorf("create a file for %s: %w", p.Name, err)
	}
	defer out.Close()
	sum := sha256.New()
	if err := p.Write(ctx, io.MultiWriter(out, sum)); err != nil {
		return "", f, err
	}
	info, err := out.Stat()
	if err != nil {
		return "", f, fmt.Errorf("write %s: %w", p.Name, err)
	}
	if err := out.Close(); err != nil {
		return "", f, fmt.Errorf("write %s: %w", p.Name, err)
	}
	return out.Name(), File{Name: p.Name, Size: info.Size(), SHA256: hex.EncodeToString(sum.Sum(nil)), From: p.From}, nil
}

// File is a file that was written.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal
	// From is that of a Part, or empty.
	From string `json:"from,omitempty"`
}

// Text returns a file with a text.
func Text(name, text string) File {
	sum := sha256.Sum256([]byte(text))
	return File{Name: name, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}
}

// Sums returns the content of SumsFile.
func Sums(files []File) string {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s  %s\n", f.SHA256, f.Name)
	}
	return b.String()
}
