package publication

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

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

// Card returns the card for the files with the rows. Everything on it except for the
// description is a fact that quern knows. name is the title if the arguments have
// none, and commit is that of the configuration, or empty.
func (a *Args) Card(name string, in *plugin.ArtifactInput, files []File, commit string) (string, error) {
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
	fmt.Fprintf(&b, "---\n%s---\n\n# %s\n", head, cmp.Or(a.Title, name))
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
