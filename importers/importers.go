// Package importers is the contract between importers of other tools'
// configurations and the command that runs them. Each importer is a package in
// this folder.
//
// An importer drops nothing silently: everything in the configuration is either
// in the pipeline with the same meaning, or among the findings, with its file
// and line. It runs nothing that the configuration names.
package importers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Importer converts a configuration of one tool to a pipeline.
type Importer interface {
	// Tool returns the name of the tool, which is also that of the command.
	Tool() string
	// Reads describes which files are read, for the help text.
	Reads() string
	// Import reads the configuration from a file or a folder. into is the
	// folder of the new pipeline: paths in the pipeline are relative to it.
	// Import writes nothing. The error is about the configuration as a whole;
	// everything else is a finding.
	Import(from, into string) (*Pipeline, error)
}

// Severity says what a finding means for the pipeline.
type Severity string

const (
	// Lost means that the pipeline does not do what the configuration does.
	Lost Severity = "lost"
	// Note means that the pipeline does, in a way that users should know about.
	Note Severity = "note"
)

// Finding is something in the configuration that the pipeline does not contain
// in the same form.
type Finding struct {
	Severity Severity `json:"severity"`
	// File is relative to the folder of the configuration. Line starts at 1.
	File string `json:"file"`
	Line int    `json:"line"`
	// What names the thing, such as "assertion of type python".
	What string `json:"what"`
	// Detail says why, and what users can do.
	Detail string `json:"detail"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.What, f.Detail)
}

// File is a file of the pipeline. Name is relative to the folder that the
// pipeline is meant for.
type File struct {
	Name string
	Data []byte
}

// Outcome says how much was imported.
type Outcome string

const (
	Whole  Outcome = "whole"
	Partly Outcome = "partly"
	// Nothing means that the pipeline would do nothing.
	Nothing Outcome = "nothing"
)

// Count is the number of things of one kind in the pipeline. Of is a singular
// noun.
type Count struct {
	Of string
	N  int
}

// Pipeline is the result of an import.
type Pipeline struct {
	// Name is the name of the files and of the main stage.
	Name     string
	Files    []File
	Findings []Finding // sorted by file and line
	Counts   []Count   // in the order in which they are shown
	// Empty is set if the pipeline would do nothing.
	Empty bool
}

// Outcome returns how much was imported.
func (p *Pipeline) Outcome() Outcome {
	switch {
	case p.Empty:
		return Nothing
	case slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.Severity == Lost }):
		return Partly
	}
	return Whole
}

// Lines returns findings as text. Equal findings about several places in a file
// become one line.
func Lines(findings []Finding) []string {
	type subject struct{ file, what, detail string }
	places := map[subject][]int{}
	var order []subject
	for _, f := range findings {
		s := subject{f.File, f.What, f.Detail}
		if places[s] == nil {
			order = append(order, s)
		}
		if !slices.Contains(places[s], f.Line) {
			places[s] = append(places[s], f.Line)
		}
	}
	lines := make([]string, len(order))
	for i, s := range order {
		first := Finding{File: s.file, Line: places[s][0], What: s.what, Detail: s.detail}
		lines[i] = first.String() + alsoIn(places[s][1:])
	}
	return lines
}

// alsoIn lists further lines, or counts them if there are too many.
func alsoIn(lines []int) string {
	if len(lines) == 0 {
		return ""
	}
	const most = 4
	var named []string
	for _, line := range lines[:min(len(lines), most)] {
		named = append(named, strconv.Itoa(line))
	}
	if rest := len(lines) - most; rest > 0 {
		named = append(named, fmt.Sprintf("%d more", rest))
	}
	noun := "line"
	if len(lines) > 1 {
		noun = "lines"
	}
	return fmt.Sprintf(" Also in %s %s.", noun, strings.Join(named, ", "))
}
