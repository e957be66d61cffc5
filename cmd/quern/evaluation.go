package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/state"
	"github.com/quern-dev/quern/ui/results"
)

// shown is an evaluation to be shown.
type shown struct {
	ui    *terminal
	found *results.Evaluation
	rows  iter.Seq2[*results.Row, error]
	// most is the maximum number of answers to list, or 0 for all.
	most int
}

// showEvaluation prints the results of an evaluation. An instance without
// figures of subjects is shown like any other.
func showEvaluation(ctx context.Context, ui *terminal, args *arguments.Show, s *store.Store, st *state.State, inst *state.Instance) error {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	format, err := shownAs(args, arguments.ShownEvaluation)
	if err != nil {
		return err
	}
	answers := args.Failures.Value || args.Diff.Given()
	if args.JSON.Value && !answers {
		return ui.json(inspect.NewEntry(st, inst))
	}
	found, err := results.Read(ctx, s, inst)
	if errors.Is(err, results.ErrNoSubjects) && !answers {
		return showProfile(ui, format, s, st, inst)
	}
	if err != nil {
		return evaluationError(inst.Address, err)
	}
	v := &shown{ui: ui, found: found, rows: found.Each(ctx, s, st), most: args.Rows.Value}
	if !args.Rows.Given() && format != "text" && format != "markdown" {
		v.most = 0
	}
	switch {
	case args.Failures.Value:
		err = v.failures(format)
	case args.Diff.Given():
		err = v.diff(format, args.Diff.Value, args.Other)
	default:
		err = v.matrix(format)
	}
	return evaluationError(inst.Address, err)
}

func evaluationError(address string, err error) error {
	switch {
	case errors.Is(err, results.ErrNoSubjects):
		return diag.Failed(fmt.Sprintf("%s has no subjects with figures", address), "This evaluator reports something else. Run \"quern show %s\" to see it.", address)
	case errors.Is(err, results.ErrNoRows):
		return diag.Failed(fmt.Sprintf("%s has no individual answers", address), "This evaluator does not output the rows that quern would show.")
	}
	return err
}

// longestAnswer is how much of a text Markdown shows. A terminal shows less.
const longestAnswer = 200

func (v *shown) matrix(format string) error {
	e := v.found
	switch format {
	case "text":
		return v.matrixText()
	case "markdown":
		return v.matrixMarkdown()
	case "csv":
		return e.Tidy().CSV(v.ui.out)
	case "json":
		return v.ui.json(e)
	}
	return e.JUnit(v.ui.out, v.rows)
}

// confusionsShown is the number of confusions shown below a matrix.
const confusionsShown = 5

// tables calls each for the tables below the matrix, by title.
func (v *shown) tables(each func(title string, t *results.Table) error) error {
	if changes := v.found.Changes(); changes != nil {
		if err := each(v.differencesTitle(), changes); err != nil {
			return err
		}
	}
	if confused := v.found.Confused(confusionsShown); confused != nil {
		return each("Most frequent confusions", confused)
	}
	return nil
}

// differencesTitle says which subjects are compared, and what is left out.
func (v *shown) differencesTitle() string {
	e := v.found
	from := "the baseline " + e.Baseline
	if e.Baseline == "" {
		from = "the best subject"
	}
	switch shown := len(e.Comparisons()); {
	case e.Many() && shown < len(e.Differences):
		return fmt.Sprintf("Differences from %s by %s (%d of %d; -format=csv shows all)", from, e.Metrics[0].Title(), shown, len(e.Differences))
	case e.Baseline != "":
		return "Differences from " + from + " on the rows that both subjects have"
	}
	return "Differences on the rows that both subjects have"
}

func (v *shown) matrixText() error {
	e := v.found
	v.ui.printf("%s (%s): %s\n\n", e.Address, e.Type, e.Extent())
	width := v.ui.width(v.ui.out)
	matrix := e.Matrix(false)
	if turned := e.Matrix(true); !e.Many() && matrix.Width(0) > width && turned.Width(0) < matrix.Width(0) {
		matrix = turned
	}
	if err := matrix.Text(v.ui.out, 0); err != nil {
		return err
	}
	for i, note := range e.Notes {
		if i == 0 {
			v.ui.printf("\n")
		}
		v.ui.printf("Warning: %s.\n", note)
	}
	return v.tables(func(title string, t *results.Table) error {
		v.ui.printf("\n%s:\n\n", title)
		return t.Text(v.ui.out, longestCell)
	})
}

func (v *shown) matrixMarkdown() error {
	v.ui.printf("## %s\n\n%s\n\n", v.found.Address, v.found.Extent())
	if err := v.found.Matrix(false).Markdown(v.ui.out, 0); err != nil {
		return err
	}
	for _, note := range v.found.Notes {
		v.ui.printf("\n**Warning:** %s.\n", note)
	}
	return v.tables(func(title string, t *results.Table) error {
		v.ui.printf("\n### %s\n\n", title)
		return t.Markdown(v.ui.out, longestAnswer)
	})
}

func (v *shown) failures(format string) error {
	switch format {
	case "json":
		return v.answersJSON(results.Selected(v.rows, (*results.Answer).Failed))
	case "junit":
		return v.found.JUnit(v.ui.out, results.Selected(v.rows, (*results.Answer).Failed))
	}
	list, err := v.found.Failures(v.rows, v.most)
	if err != nil {
		return err
	}
	if format == "text" && list.All == 0 {
		v.ui.notef("No answer of %s failed.\n", v.found.Address)
		return nil
	}
	return v.list(format, list)
}

func (v *shown) diff(format, a, b string) error {
	for _, name := range []string{a, b} {
		if names := v.found.Names(); !slices.Contains(names, name) {
			return diag.Failed(fmt.Sprintf("subject %q does not exist in %s", name, v.found.Address), "Its subjects are %s.%s", strings.Join(names, ", "), diag.Suggest(name, names))
		}
	}
	if format == "json" {
		return v.answersJSON(results.Parting(v.rows, a, b))
	}
	p, err := v.found.Diff(v.rows, a, b, v.most)
	if err != nil {
		return err
	}
	if format == "text" || format == "markdown" {
		v.ui.printf("%s alone passes %s, and %s alone passes %s. Both pass %d; neither passes %d.\n\n", a, english.Count(p.OnlyA, "row"), b, english.Count(p.OnlyB, "row"), p.Both, p.Neither)
		if p.All == 0 {
			return nil
		}
	}
	return v.list(format, &p.Listing)
}

// list prints individual answers.
func (v *shown) list(format string, list *results.Listing) error {
	switch format {
	case "text":
		if err := list.Text(v.ui.out, longestCell); err != nil {
			return err
		}
	case "markdown":
		if err := list.Markdown(v.ui.out, longestAnswer); err != nil {
			return err
		}
	case "csv":
		if err := list.CSV(v.ui.out); err != nil {
			return err
		}
	}
	if list.Shown < list.All {
		v.ui.notef("\nShowing %d of %d. Use -rows=0 to show all.\n", list.Shown, list.All)
	}
	return nil
}

// answersJSON prints rows with the selected answers.
func (v *shown) answersJSON(rows iter.Seq2[*results.Row, error]) error {
	all := []*results.Row{}
	for row, err := range rows {
		if err != nil {
			return err
		}
		all = append(all, row)
		if v.most > 0 && len(all) == v.most {
			break
		}
	}
	return v.ui.json(map[string]any{"address": v.found.Address, "rows": all})
}
