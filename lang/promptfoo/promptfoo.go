// Package promptfoo turns a configuration of promptfoo, another evaluator of
// prompts, into a pipeline: models, prompts, a source with the test cases as
// rows, and an evaluation whose metrics are the assertions.
//
// It promises to drop nothing silently: each thing in the configuration is
// either in the pipeline with the same meaning or among the findings, with its
// file and line. What comes out is formatted, and config.Load reads it without
// mistakes. Nothing is run on the way: scripts that the configuration names
// are listed, never started.
package promptfoo

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Severity says what a finding means for the pipeline.
type Severity string

// What findings there are.
const (
	// Lost: the pipeline does not do what the configuration does.
	Lost Severity = "lost"
	// Note: it does, but in a way that one should know of.
	Note Severity = "note"
)

// Finding is something in the configuration that was not carried over as it
// stands.
type Finding struct {
	Severity Severity `json:"severity"`
	// File is relative to the folder of the configuration; Line counts from 1.
	File string `json:"file"`
	Line int    `json:"line"`
	// What names the thing, such as "assertion of type python".
	What string `json:"what"`
	// Detail says why, and what one can do.
	Detail string `json:"detail"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.What, f.Detail)
}

// File is a file of the pipeline. Name is relative to the folder that it is
// meant for.
type File struct {
	Name string
	Data []byte
}

// Outcome says in a word how much was carried over.
type Outcome string

// How much is carried over.
const (
	Whole  Outcome = "whole"
	Partly Outcome = "partly"
	// Nothing: there is nothing to evaluate in what could be read.
	Nothing Outcome = "nothing"
)

// Result is a pipeline.
type Result struct {
	// Name is what its files and its evaluation are called.
	Name     string
	Files    []File
	Findings []Finding // by file and line
	// How many there are of each.
	Models, Prompts, Subjects, Rows, Metrics int
}

// Outcome says how much was carried over.
func (r *Result) Outcome() Outcome {
	if r.Subjects == 0 {
		return Nothing
	}
	for _, f := range r.Findings {
		if f.Severity == Lost {
			return Partly
		}
	}
	return Whole
}

// names that promptfoo looks for in a folder.
var names = []string{"promptfooconfig.yaml", "promptfooconfig.yml", "promptfooconfig.json"}

// Import reads a configuration: the file, or in a folder the one that has the
// usual name. The error says what is wrong with it as a whole. into is the
// folder that the pipeline is meant for, which paths in it start from.
func Import(path, into string) (*Result, error) {
	file, err := configFile(path)
	if err != nil {
		return nil, err
	}
	im := newImporter(filepath.Dir(file), into)
	root, err := im.read(filepath.Base(file))
	if err != nil {
		return nil, err
	}
	if !root.isMap() {
		return nil, fmt.Errorf("the configuration %s holds no mapping of keys to values\nA configuration of promptfoo has keys such as prompts, providers and tests.", file)
	}
	result, err := im.run(root, pipelineName(file))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(result.Findings, func(a, b Finding) int {
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
			return "", fmt.Errorf("the file %s is neither YAML nor JSON\nConfigurations that are programs cannot be imported, since nothing is run: write what it gives as promptfooconfig.yaml.", path)
		}
		return path, nil
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return filepath.Join(path, name), nil
		}
	}
	others, _ := filepath.Glob(filepath.Join(path, "*promptfoo*.[yj]*"))
	hint := "Name the file."
	if len(others) > 0 {
		hint = "Name one of its files: " + strings.Join(others, ", ") + "."
	}
	return "", fmt.Errorf("the folder %s has no %s\n%s", path, names[0], hint)
}

// pipelineName makes a name of the folder, and of the file where that has an
// unusual name.
func pipelineName(file string) string {
	folder := ""
	if abs, err := filepath.Abs(file); err == nil {
		folder = filepath.Base(filepath.Dir(abs))
	}
	stem := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	stem = strings.Trim(strings.TrimPrefix(stem, "promptfooconfig"), ".-_")
	return identifier(strings.Trim(folder+"_"+stem, "_"), "prompts")
}
