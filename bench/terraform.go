package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// terraform measures the same kind of work: as many terraform_data resources in
// chains of ten.
func terraform(b *bench) ([]result, error) {
	program, err := exec.LookPath("terraform")
	if err != nil {
		return []result{figure("terraform", "is not installed")}, nil
	}
	plan, err := terraformRun(b, program, 10_000, "plan")
	if err != nil {
		return nil, err
	}
	apply, err := terraformRun(b, program, 1_000, "apply", "-auto-approve")
	if err != nil {
		return nil, err
	}
	return []result{
		figure("terraform, 10,000 terraform_data: first plan", seconds(plan.wall)),
		figure("terraform, 10,000 terraform_data: largest process", megabytes(plan.peak())),
		figure("terraform, 1,000 terraform_data: apply", seconds(apply.wall)),
	}, nil
}

func terraformRun(b *bench, program string, n int, command string, flags ...string) (usage, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("terraform-%d", n))
	if err := writeFiles(dir, map[string]string{"main.tf": terraformData(n)}); err != nil {
		return usage{}, err
	}
	env := []string{"CHECKPOINT_DISABLE=1"}
	if _, err := run(dir, env, program, "init", "-input=false"); err != nil {
		return usage{}, err
	}
	return run(dir, env, program, append([]string{command, "-input=false"}, flags...)...)
}

func terraformData(n int) string {
	var b strings.Builder
	for i := range n {
		input := fmt.Sprintf("%q", "start")
		if i%chain > 0 {
			input = fmt.Sprintf("terraform_data.s%d.output", i-1)
		}
		fmt.Fprintf(&b, "resource \"terraform_data\" \"s%d\" {\n  input = %s\n}\n\n", i, input)
	}
	return b.String()
}
