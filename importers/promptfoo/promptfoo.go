// Package promptfoo converts a configuration of promptfoo, another evaluator of
// prompts, to a pipeline: models, prompts, a source with the test cases as
// rows, and an evaluation with the assertions as metrics.
//
// The pipeline is formatted, and config.Load reads it without errors. Scripts
// that the configuration names are listed, but never run.
package promptfoo

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/importers/internal/hcltext"
	"github.com/quern-dev/quern/lang/diag"
)

// Importer reads configurations of promptfoo.
type Importer struct{}

// Tool returns the name of the tool.
func (Importer) Tool() string { return "promptfoo" }

// Reads describes which files are read.
func (Importer) Reads() string { return "promptfooconfig.yaml and the files it refers to" }

// usualNames contains the files that promptfoo looks for in a folder.
var usualNames = []string{"promptfooconfig.yaml", "promptfooconfig.yml", "promptfooconfig.json"}

// Import reads a configuration from a file, or from the file with the usual
// name in a folder.
func (Importer) Import(path, into string) (*importers.Pipeline, error) {
	file, err := configFile(path)
	if err != nil {
		return nil, err
	}
	im := newImporter(filepath.Dir(file), into)
	root, err := im.Read(filepath.Base(file))
	if err != nil {
		return nil, err
	}
	if !root.IsMap() {
		return nil, diag.Failed(fmt.Sprintf("the configuration %s is not a mapping of keys to values", file), "A promptfoo configuration has keys such as prompts, providers, and tests.")
	}
	result, err := im.run(root, pipelineName(file))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(result.Findings, func(a, b importers.Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	result.Findings = slices.Compact(result.Findings)
	return result, nil
}

func configFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the configuration: %w", err)
	}
	if !info.IsDir() {
		if ext := filepath.Ext(path); !slices.Contains([]string{".yaml", ".yml", ".json"}, ext) {
			return "", diag.Failed(fmt.Sprintf("the file %s is neither YAML nor JSON", path), "Configurations that are programs cannot be imported, because the import does not run programs. Write the result of the program to promptfooconfig.yaml.")
		}
		return path, nil
	}
	for _, name := range usualNames {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return filepath.Join(path, name), nil
		}
	}
	others, _ := filepath.Glob(filepath.Join(path, "*promptfoo*.[yj]*"))
	hint := "Name the file."
	if len(others) > 0 {
		hint = "Name one of its files: " + strings.Join(others, ", ") + "."
	}
	return "", diag.Failed(fmt.Sprintf("the folder %s does not contain %s", path, usualNames[0]), "%s", hint)
}

// pipelineName derives a name from the folder, and from the file if its name is
// unusual.
func pipelineName(file string) string {
	folder := ""
	if abs, err := filepath.Abs(file); err == nil {
		folder = filepath.Base(filepath.Dir(abs))
	}
	stem := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	stem = strings.Trim(strings.TrimPrefix(stem, "promptfooconfig"), ".-_")
	return hcltext.Identifier(strings.Trim(folder+"_"+stem, "_"), "prompts")
}
