package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect/compare"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/comparison"
	"github.com/quern-dev/quern/planner/render"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/ui/results"
)

// diffRuns compares what two runs left.
func diffRuns(ctx context.Context, ui *terminal, args *arguments.Diff) error {
	s, err := openStore(ui)
	if err != nil {
		return err
	}
	before, err := recordedRun(s, args.Runs[0])
	if err != nil {
		return err
	}
	after, err := recordedRun(s, args.Runs[1])
	if err != nil {
		return err
	}
	c, err := compare.Runs(ctx, s, before, after)
	if err != nil {
		return diag.Failed("the runs cannot be compared", "%w", err)
	}
	switch args.Chosen {
	case "json":
		return ui.json(c)
	case "markdown":
		return render.RunsMarkdown(ui.out, shownRuns(c))
	}
	return render.RunsText(ui.out, shownRuns(c), render.Options{Color: ui.color(ui.out), Width: ui.width(ui.out)})
}

func recordedRun(s *store.Store, id string) (*history.Run, error) {
	run, err := s.Runs().Get(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.Failed(fmt.Sprintf("run %s does not exist", id), "Run \"quern log\" to see the runs. A Git branch with this name can be written as refs/heads/%s.", id)
	}
	if err != nil {
		return nil, diag.Failed(fmt.Sprintf("run %s cannot be read", id), "%w", err)
	}
	return run, nil
}

// shownRuns returns a comparison as people see it.
func shownRuns(c *compare.Comparison) render.Runs {
	r := render.Runs{Before: c.Before.ID, After: c.After.ID, Facts: runFacts(c), Unchanged: c.Unchanged, Notes: c.Notes}
	for _, i := range c.Instances {
		r.Stages = append(r.Stages, render.RunStage{
			Address: i.Address, From: i.From, Type: i.Type, Change: comparison.Change(i.Change), Reasons: i.Reasons, Lines: instanceLines(i),
		})
	}
	for _, o := range c.Outputs {
		n := &comparison.Named{Name: o.Name, Change: comparison.Changed, Before: outputText(o.Before), After: outputText(o.After)}
		switch {
		case o.Before == nil:
			n.Change = comparison.Added
		case o.After == nil:
			n.Change = comparison.Removed
		}
		r.Outputs = append(r.Outputs, n)
	}
	return r
}

func outputText(v *value.Value) string {
	if v == nil {
		return ""
	}
	return value.Format(v.Value)
}

// runFacts lists what is worth knowing about the runs: what differs, and always their
// configuration, time, and cost.
func runFacts(c *compare.Comparison) []render.Fact {
	var facts []render.Fact
	always := func(name string, of func(*compare.Run) string) {
		if f := (render.Fact{Name: name, Before: of(&c.Before), After: of(&c.After)}); f.Before+f.After != "" {
			facts = append(facts, f)
		}
	}
	different := func(name string, of func(*compare.Run) string) {
		if of(&c.Before) != of(&c.After) {
			always(name, of)
		}
	}
	different("environment", func(r *compare.Run) string { return r.Environment })
	different("status", func(r *compare.Run) string { return r.Status })
	always("started", func(r *compare.Run) string { return r.Started.Local().Format("2006-01-02 15:04:05") })
	always("commit", func(r *compare.Run) string { return commit(&history.Run{Commit: r.Commit, Dirty: r.Dirty}) })
	always("configuration", func(r *compare.Run) string { return shortDigest(r.Configuration) })
	different("quern", func(r *compare.Run) string { return r.QuernVersion })
	always("time", func(r *compare.Run) string {
		if r.Seconds == nil {
			return ""
		}
		return seconds(*r.Seconds)
	})
	always("spent", func(r *compare.Run) string { return spent(r.Spend) })
	for _, p := range c.Plugins {
		facts = append(facts, render.Fact{Name: "plugin " + p.Name, Before: program(p.Before), After: program(p.After)})
	}
	return facts
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}

func program(p *action.PluginRef) string {
	if p == nil {
		return ""
	}
	return cmp.Or(p.Version, "(no version)") + " " + shortDigest(p.Digest)
}

// instanceLines describes how the results of an instance differ.
func instanceLines(i *compare.Instance) []string {
	var lines []string
	for _, a := range i.Artifacts {
		lines = append(lines, artifactLines(a)...)
	}
	for _, f := range i.Figures {
		if line := figureLine(f); line != "" {
			lines = append(lines, line)
		}
	}
	if i.Profiles != nil {
		lines = append(lines, profileLines(i.Profiles)...)
	}
	if line := workLine(i); line != "" {
		lines = append(lines, line)
	}
	return append(lines, i.Notes...)
}

func artifactLines(a compare.Artifact) []string {
	name := cmp.Or(a.Port, "artifact")
	var lines []string
	switch {
	case a.Before == "":
		lines = append(lines, name+" "+shortDigest(a.After))
	case a.After == "":
		lines = append(lines, name+" "+shortDigest(a.Before))
	default:
		lines = append(lines, fmt.Sprintf("%s %s → %s", name, shortDigest(a.Before), shortDigest(a.After)))
	}
	if a.Rows != nil {
		lines = append(lines, rowLines(a.Rows, a.Before == "" || a.After == "")...)
	}
	return lines
}

func rowLines(r *compare.Rows, alone bool) []string {
	if alone {
		return []string{english.Count(r.Before+r.After, "row")}
	}
	text := english.Count(r.After, "row")
	if r.Before != r.After {
		text = english.Number(r.Before) + " → " + text
	}
	var counts []string
	for _, n := range []struct {
		of   *int64
		what string
	}{{r.Added, "added"}, {r.Removed, "removed"}, {r.Changed, "changed"}} {
		if n.of != nil && *n.of > 0 {
			counts = append(counts, english.Number(*n.of)+" "+n.what)
		}
	}
	switch {
	case len(counts) > 0 && len(r.Key) > 0:
		text += ": " + english.And(counts) + ", identified by " + english.And(r.Key)
	case len(counts) > 0:
		text += ": " + english.And(counts)
	case r.Added != nil && len(r.AddedColumns)+len(r.RemovedColumns) == 0:
		text += " in another order"
	}
	lines := []string{text}
	for _, name := range r.AddedColumns {
		lines = append(lines, "column "+name+" was added")
	}
	for _, name := range r.RemovedColumns {
		lines = append(lines, "column "+name+" was removed")
	}
	return lines
}

// figureLine describes a figure that differs, or returns "".
func figureLine(f compare.Figure) string {
	m := results.Metric{Metric: f.Metric}
	name := m.Title() + " of " + f.Subject
	switch {
	case f.Before == nil:
		return name + ": " + m.Figure(*f.After)
	case f.After == nil:
		return name + ": " + m.Figure(*f.Before) + " → not measured"
	}
	was, is := m.Figure(*f.Before), m.Figure(*f.After)
	if was == is {
		return ""
	}
	line := fmt.Sprintf("%s: %s → %s", name, was, is)
	if d := f.Difference; d != nil {
		line += fmt.Sprintf("; difference %s %s, %s (paired, %s)", m.Change(d.Value), m.ChangeInterval(d.Figure), results.CorrectedP(d.PAdjusted), english.Count(d.N, "row"))
	}
	return line
}

// profileLines describes how the datasets of two profiles differ.
func profileLines(p *compare.Profiles) []string {
	text := english.Count(p.After.Rows, "row")
	if p.Before.Rows != p.After.Rows {
		text = english.Number(p.Before.Rows) + " → " + text
	}
	if p.Before.DuplicateRows != p.After.DuplicateRows {
		text += fmt.Sprintf(", duplicates %s → %s", english.Number(p.Before.DuplicateRows), english.Number(p.After.DuplicateRows))
	}
	lines := []string{text}
	for _, of := range []struct {
		names []string
		what  string
	}{{p.Drift.Added, "was added"}, {p.Drift.Removed, "was removed"}, {p.Drift.Retyped, "has another type"}} {
		for _, name := range of.names {
			lines = append(lines, "column "+name+" "+of.what)
		}
	}
	for i := range p.Drift.Columns {
		d := &p.Drift.Columns[i]
		if !slices.Contains(p.Drift.Drifted, d.Name) {
			continue
		}
		was, is := p.Column(d.Name)
		lines = append(lines, fmt.Sprintf("column %s has drifted: %s", d.Name, results.ColumnDrift(d, is, was)))
	}
	if steady := len(p.Drift.Columns) - len(p.Drift.Drifted); steady > 0 {
		lines = append(lines, fmt.Sprintf("no drift was found in %s", english.Count(steady, "column")))
	}
	return lines
}

// workLine says what the runs did with an instance, if either did more than to keep it.
func workLine(i *compare.Instance) string {
	text := func(w *compare.Work) string {
		if w == nil {
			return "kept"
		}
		t := w.Action + ", " + seconds(w.Seconds)
		if s := spent(w.Spend); s != "" {
			t += ", " + s
		}
		return t
	}
	switch {
	case i.Before == nil && i.After == nil:
		return ""
	case i.Change == compare.Added:
		return text(i.After)
	case i.Change == compare.Removed:
		return ""
	}
	return text(i.Before) + " → " + text(i.After)
}
