package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const chain = 10

// stages plans, applies, and promotes many small stages.
func stages(b *bench) ([]result, error) {
	results, err := b.manyStages()
	if err != nil {
		return results, err
	}
	few, err := b.appliedStages(1_000)
	if err != nil {
		return results, err
	}
	more, err := b.appliedStages(5_000)
	if err != nil {
		return results, err
	}
	many, err := b.appliedStages(10_000)
	if err != nil {
		return results, err
	}
	results = append(results,
		atMost("1,000 stages: apply", few.apply.wall, 4*time.Second, seconds),
		figure("… largest process", megabytes(few.apply.peak())),
		atMost("5,000 stages: apply, as a multiple of the processor time for 1,000", ratio(more.apply.cpu, few.apply.cpu), 6, times),
		figure("… largest process", megabytes(more.apply.peak())),
		atMost("1,000 stages: plan, nothing to do", few.plan.wall, 150*time.Millisecond, seconds),
		atMost("10,000 stages: plan, nothing to do", many.plan.wall, time.Second, seconds),
		figure("… largest process", megabytes(many.plan.peak())),
	)
	promote, err := median(timesLong, func(i int) (usage, error) {
		return b.command(many.dir, "promote", "default", fmt.Sprintf("prod%d", i), "-auto-approve")
	})
	if err != nil {
		return results, err
	}
	return append(results, atMost("10,000 stages: promote to a new environment", promote.wall, time.Second, seconds)), nil
}

// manyStages plans 10,000 stages that have no results.
func (b *bench) manyStages() ([]result, error) {
	dir := b.stagesDir(10_000)
	if err := writeStages(dir, 10_000); err != nil {
		return nil, err
	}
	plan, err := median(timesLong, func(int) (usage, error) { return b.firstPlan(dir) })
	if err != nil {
		return nil, err
	}
	return []result{
		atMost("10,000 map stages in chains of ten: first plan", plan.wall, time.Second, seconds),
		atMost("… largest process", plan.peak(), 250e6, megabytes),
	}, nil
}

func (b *bench) stagesDir(n int) string { return filepath.Join(b.dir, fmt.Sprintf("stages-%d", n)) }

// applied is a pipeline that has been applied: there is nothing more to do.
type applied struct {
	dir         string
	apply, plan usage
}

// appliedStages applies n stages, and plans them again.
func (b *bench) appliedStages(n int) (applied, error) {
	a := applied{dir: b.stagesDir(n)}
	err := writeStages(a.dir, n)
	if err == nil {
		a.apply, err = b.command(a.dir, "apply", "-auto-approve")
	}
	if err == nil {
		a.plan, err = median(timesShort, func(int) (usage, error) { return b.command(a.dir, "plan") })
	}
	return a, err
}

// writeStages writes a pipeline of n stages over a small file, each of which
// computes a column that no other stage computes.
func writeStages(dir string, n int) error {
	return writeFiles(dir, map[string]string{"main.quern.hcl": rowsSource + mapStages(n, "source.rows"), "rows.csv": tenRows()})
}

const rowsSource = "source \"csv\" \"rows\" {\n  path = \"rows.csv\"\n}\n"

// mapStages returns n stages in chains, each of which begins with the dataset from.
func mapStages(n int, from string) string {
	var hcl strings.Builder
	for i := range n {
		input := from
		if i%chain > 0 {
			input = fmt.Sprintf("transform.s%d", i-1)
		}
		fmt.Fprintf(&hcl, "\ntransform \"map\" \"s%d\" {\n  input   = %s\n  columns = { id = row.id, text = \"${row.text} %d\" }\n}\n", i, input, i)
	}
	return hcl.String()
}

func tenRows() string {
	var csv strings.Builder
	csv.WriteString("id,text\n")
	for i := range 10 {
		fmt.Fprintf(&csv, "%d,row number %d\n", i, i)
	}
	return csv.String()
}

func writeFiles(dir string, files map[string]string) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
