package huggingface

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/quern-dev/quern/plugins/figures"
	"github.com/quern-dev/quern/plugins/provenance"
	"github.com/quern-dev/quern/plugins/publication"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// cardFile is the name of the card.
const cardFile = publication.CardFile

// card is what the configuration says on the model card.
type card struct {
	License     string   `json:"license,omitempty"`
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	// Format is that of the files of a dataset.
	Format string `json:"format,omitempty"`
}

func cardOf(a *args) card {
	c := card{License: a.License, Description: a.Description, Tags: a.Tags}
	if a.Dataset.IsSet() {
		c.Format = a.Format
	}
	return c
}

// publication returns what describes a dataset.
func (c card) publication() *publication.Args {
	return &publication.Args{Format: c.Format, License: c.License, Description: c.Description, Tags: c.Tags}
}

// frontMatter is the card's metadata, which the Hub reads.
type frontMatter struct {
	License     string   `yaml:"license,omitempty"`
	BaseModel   string   `yaml:"base_model,omitempty"`
	LibraryName string   `yaml:"library_name,omitempty"`
	Tags        []string `yaml:"tags"`
	// Artifact marks what quern has published.
	Artifact string `yaml:"quern_artifact"`
}

// render writes the card. Everything on it except for the description is a fact
// that quern knows.
func (c card) render(in, report *plugin.ArtifactInput, model *provenance.Model, name, commit string) (string, error) {
	f := frontMatter{License: c.License, Tags: append([]string{"quern"}, c.Tags...), Artifact: in.Digest}
	f.BaseModel, _ = model.Base["repo"].(string)
	switch in.Model.Format {
	case "hf":
		f.LibraryName = "transformers"
	case "hf-adapter":
		f.LibraryName = "peft"
	}
	head, err := yaml.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("write the card: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "---\n%s---\n\n# %s\n", head, path.Base(name))
	if c.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", c.Description)
	}
	if err := training(&b, model); err != nil {
		return "", err
	}
	if err := evaluation(&b, report); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\n## Provenance\n\nThis model was trained and published with quern.\n\n| | |\n| --- | --- |\n| artifact | `%s` |\n", in.Digest)
	if commit != "" {
		fmt.Fprintf(&b, "| source commit | `%s` |\n", commit)
	}
	return b.String(), nil
}

// training writes how the model was trained, as far as that is known.
func training(b *strings.Builder, m *provenance.Model) error {
	base := m.BaseName()
	if base == "" && m.Method == "" && len(m.Arguments) == 0 && len(m.Data) == 0 {
		return nil
	}
	fmt.Fprint(b, "\n## Training\n\n| | |\n| --- | --- |\n")
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "| %s | %s |\n", figures.Cell(name), figures.Cell(value))
		}
	}
	row("base model", base)
	row("method", m.Method)
	for _, name := range slices.Sorted(maps.Keys(m.Arguments)) {
		value, err := json.Marshal(m.Arguments[name])
		if err != nil {
			return fmt.Errorf("write the argument %s on the card: %w", name, err)
		}
		row("`"+name+"`", "`"+string(value)+"`")
	}
	for _, name := range m.DataNames() {
		row("data: "+name, "`"+m.Data[name]+"`")
	}
	return nil
}

// evaluation adds the page of a report.
func evaluation(b *strings.Builder, report *plugin.ArtifactInput) error {
	if report == nil {
		return nil
	}
	for _, f := range report.Files {
		if f.Name != figures.PageFile {
			continue
		}
		page, err := os.ReadFile(f.Path)
		if err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
		fmt.Fprintf(b, "\n## Evaluation\n\n%s\n", strings.TrimSpace(demote(string(page))))
		return nil
	}
	return plugin.ArgumentErrorf("report", "The report has no page\nUse the report of an evaluation, which has the file %s.", figures.PageFile)
}

// demote moves headings two levels down, below the card's own.
func demote(page string) string {
	lines := strings.Split(page, "\n")
	code := false
	for i, line := range lines {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if strings.HasPrefix(line, "#") && !code {
			lines[i] = "##" + line
		}
	}
	return strings.Join(lines, "\n")
}
