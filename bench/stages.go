package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const chain = 10

// stages plans and applies many small stages.
func stages(b *bench) ([]result, error) {
	many := filepath.Join(b.dir, "stages-10000")
	if err := writeStages(many, 10_000); err != nil {
		return nil, err
	}
	plan, err := median(timesLong, func(int) (usage, error) { return b.firstPlan(many) })
	if err != nil {
		return nil, err
	}
	results := []result{
		atMost("10,000 map stages in chains of ten: first plan", plan.wall, time.Second, seconds),
		atMost("10,000 map stages: largest process", plan.peak(), 250e6, megabytes),
	}
	some := filepath.Join(b.dir, "stages-1000")
	if err := writeStages(some, 1_000); err != nil {
		return results, err
	}
	apply, err := b.command(some, "apply", "-auto-approve")
	if err != nil {
		return results, err
	}
	return append(results,
		atMost("1,000 trivial stages: apply", apply.wall, 4*time.Second, seconds),
		figure("1,000 trivial stages: largest process", megabytes(apply.peak())),
	), nil
}

// writeStages writes a pipeline of n stages over a small file, each of which
// computes a column.
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
		fmt.Fprintf(&hcl, "\ntransform \"map\" \"s%d\" {\n  input   = %s\n  columns = { id = row.id, text = \"${row.text} %d\" }\n}\n", i, input, i%chain)
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
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
