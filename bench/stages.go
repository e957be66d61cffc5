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
	plan, err := median(timesLong, func(int) (usage, error) {
		if err := os.RemoveAll(filepath.Join(many, ".quern")); err != nil {
			return usage{}, err
		}
		return b.command(many, "plan")
	})
	if err != nil {
		return nil, err
	}
	results := []result{
		atMost("10,000 map stages in chains of ten: first plan", plan.wall, 2*time.Second, seconds),
		atMost("10,000 map stages: largest process", plan.peak(), 300e6, megabytes),
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
	var hcl strings.Builder
	hcl.WriteString("source \"csv\" \"rows\" {\n  path = \"rows.csv\"\n}\n")
	for i := range n {
		input := "source.rows"
		if i%chain > 0 {
			input = fmt.Sprintf("transform.s%d", i-1)
		}
		fmt.Fprintf(&hcl, "\ntransform \"map\" \"s%d\" {\n  input   = %s\n  columns = { id = row.id, text = \"${row.text} %d\" }\n}\n", i, input, i%chain)
	}
	var csv strings.Builder
	csv.WriteString("id,text\n")
	for i := range 10 {
		fmt.Fprintf(&csv, "%d,row number %d\n", i, i)
	}
	return writeFiles(dir, map[string]string{"main.quern.hcl": hcl.String(), "rows.csv": csv.String()})
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
