package finetune

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// formats are the types of sources by the extension of their files.
var formats = map[string]string{
	".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet",
}

// Format returns the type of the source that reads a file: by the name of a
// format, such as json, or by the extension. ok is false for others.
func Format(name, path string) (format string, ok bool) {
	if name != "" && slices.Contains([]string{"json", "csv", "parquet"}, name) {
		return name, true
	}
	format, ok = formats[strings.ToLower(filepath.Ext(path))]
	return format, ok
}

// FromFile sets the source of a dataset to a file, and returns the columns of its
// first row, or nil if they are not known.
func (d *Dataset) FromFile(folder *config.Folder, name, format, into string) []string {
	d.Format = format
	d.Source.Set("path", hcltext.Quote(Relative(folder.Path(name), into)))
	return columns(folder.Path(name), format)
}

// Hub is a dataset of the Hugging Face Hub.
type Hub struct {
	Repo string
	// Files is a pattern for the files to read, in place of Config and Split.
	Files                   string
	Config, Split, Revision string
}

// FromHub sets the source of a dataset to a repository of the Hub.
func (d *Dataset) FromHub(folder *config.Folder, at config.Node, hub Hub) {
	d.Format = "huggingface"
	split, slice, sliced := strings.Cut(hub.Split, "[")
	if sliced {
		folder.Lost(at, "split "+hub.Split, "the source reads the whole split %s, not [%s. Choose the rows with a transform \"limit\" or \"sample\".", split, slice)
	}
	if hub.Files != "" {
		hub.Config, split = "", ""
	}
	for _, set := range []struct{ name, value string }{
		{"repo", hub.Repo}, {"revision", hub.Revision}, {"path", hub.Files}, {"config", hub.Config}, {"split", split},
	} {
		if set.value != "" {
			d.Source.Value(set.name, set.value)
		}
	}
}

// columns returns the columns of a file's first row. The import does not depend
// on them: a file that cannot be read has none.
func columns(path, format string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	in := bufio.NewReader(f)
	if format == "csv" {
		header, err := csv.NewReader(in).Read()
		if err != nil {
			return nil
		}
		return header
	}
	if format == "parquet" {
		return nil
	}
	row, err := firstObject(in)
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(row))
	for name := range row {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// firstObject returns the first object of JSON lines or of a list.
func firstObject(in *bufio.Reader) (map[string]json.RawMessage, error) {
	start, err := in.Peek(512)
	if err != nil && len(start) == 0 {
		return nil, err
	}
	d := json.NewDecoder(in)
	if bytes.HasPrefix(bytes.TrimLeft(start, " \t\r\n\ufeff"), []byte("[")) {
		if _, err := d.Token(); err != nil {
			return nil, fmt.Errorf("read the start of the list: %w", err)
		}
	}
	var row map[string]json.RawMessage
	if err := d.Decode(&row); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the first row: %w", err)
	}
	return row, nil
}
