package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// compile validates many stages, plans even more, and plans the same number in
// modules. The pipelines are those of stages.
func compile(b *bench) ([]result, error) {
	flat, modules, large := filepath.Join(b.dir, "flat"), filepath.Join(b.dir, "modules"), filepath.Join(b.dir, "large")
	if err := writeStages(flat, 10_000); err != nil {
		return nil, err
	}
	if err := writeModules(modules, 100, 100); err != nil {
		return nil, err
	}
	if err := writeStages(large, 50_000); err != nil {
		return nil, err
	}
	validated, err := median(timesLong, func(int) (usage, error) { return b.command(flat, "validate") })
	if err != nil {
		return nil, err
	}
	together, apart, err := b.firstPlans(flat, modules)
	if err != nil {
		return nil, err
	}
	most, err := b.firstPlan(large)
	if err != nil {
		return nil, err
	}
	return []result{
		atMost("10,000 map stages: validate", validated.wall, 700*time.Millisecond, seconds),
		figure("10,000 map stages: first plan", seconds(together.wall)),
		atMost("… the same stages in 100 modules, as a multiple", apart.wall.Seconds()/together.wall.Seconds(), 1.1, multiple),
		atMost("50,000 map stages: first plan", most.wall, 5*time.Second, seconds),
		atMost("50,000 map stages: largest process", most.peak(), 700e6, megabytes),
	}, nil
}

// firstPlans measures the first plans of two pipelines in turn, so that both
// see the same machine.
func (b *bench) firstPlans(one, other string) (first, second usage, err error) {
	var seconds []usage
	first, err = median(timesLong, func(int) (usage, error) {
		u, err := b.firstPlan(one)
		if err != nil {
			return u, err
		}
		next, err := b.firstPlan(other)
		seconds = append(seconds, next)
		return u, err
	})
	if err != nil {
		return first, second, err
	}
	second, err = median(len(seconds), func(i int) (usage, error) { return seconds[i], nil })
	return first, second, err
}

// firstPlan plans without a store.
func (b *bench) firstPlan(dir string) (usage, error) {
	if err := os.RemoveAll(filepath.Join(dir, ".quern")); err != nil {
		return usage{}, err
	}
	return b.command(dir, "plan")
}

// writeModules writes a pipeline of n calls of a module with stages in chains.
func writeModules(dir string, n, stages int) error {
	var calls strings.Builder
	calls.WriteString(rowsSource)
	for i := range n {
		fmt.Fprintf(&calls, "\nmodule \"m%d\" {\n  source = \"./part\"\n  rows   = source.rows\n}\n", i)
	}
	part := "variable \"rows\" {\n  type = dataset({ id = number, text = string })\n}\n" + mapStages(stages, "var.rows")
	if err := writeFiles(filepath.Join(dir, "part"), map[string]string{"main.quern.hcl": part}); err != nil {
		return err
	}
	return writeFiles(dir, map[string]string{"main.quern.hcl": calls.String(), "rows.csv": tenRows()})
}
