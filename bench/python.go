package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/quern-dev/quern/sdk/go/host/wire"
)

const pythonPipeline = `
quern {
  required_plugins {
    bench   = { source = "quern-dev/bench" }
    pybench = { source = "quern-dev/pybench" }
  }
}
` + readRows + `
label "bench_topic" "go" {
  input = source.rows
  text  = row.text
}

transform "pybench_batches" "batches" {
  input = source.rows
  text  = row.text
}

transform "pybench_rows" "rows" {
  input = source.rows
  text  = row.text
}
`

// python compares plugins that the Python SDK serves with one that the Go SDK
// serves, on the same rows.
func python(b *bench) ([]result, error) {
	start, err := b.pythonPlugin()
	if err != nil {
		return nil, err
	}
	ready, err := pluginReady(start)
	if err != nil {
		return nil, err
	}
	results := []result{atMost("Python plugin: ready", ready, 500*time.Millisecond, seconds)}
	p, err := b.pipeline("python", b.rows)
	if err != nil {
		return results, err
	}
	if _, err := p.apply(); err != nil {
		return results, err
	}
	if err := writeFiles(p.dir, map[string]string{"main.quern.hcl": pythonPipeline}); err != nil {
		return results, err
	}
	if _, err := p.command(p.dir, "init"); err != nil {
		return results, err
	}
	speed := map[string]int{}
	for _, stage := range []string{"label.go", "transform.batches", "transform.rows"} {
		u, err := p.apply("-target=" + stage)
		if err != nil {
			return results, err
		}
		speed[stage] = perSecond(b.rows, u.wall)
	}
	loading, err := p.loading()
	if err != nil {
		return results, err
	}
	share := float64(speed["transform.batches"]) / float64(speed["label.go"])
	results = append(results,
		figure(fmt.Sprintf("%d rows of 200 B through a trivial plugin in Go", b.rows), rate(speed["label.go"])),
		atLeast("… in Python, by batches", speed["transform.batches"], 200_000, rate),
		atLeast("… as a share of Go's", share, 0.6, percent),
		atLeast("… in Python, by rows", speed["transform.rows"], 100_000, rate),
	)
	return append(results, loading...), nil
}

// loading compares quern.load with how pyarrow reads the same rows from one
// Parquet file, in one process.
func (p pipeline) loading() ([]result, error) {
	const dataset, file = "label.go", "whole.parquet"
	if _, err := p.command(p.dir, "artifact", "export", dataset, "-o", file); err != nil {
		return nil, err
	}
	cmd := exec.Command(p.interpreter(), filepath.Join(p.source, "bench", "python", "load.py"), dataset, file)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "QUERN="+p.quern, "PYTHONPATH="+p.pythonPath())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("load a dataset in Python: %w", err)
	}
	var load, unverified, read float64 // seconds
	if _, err := fmt.Sscan(string(out), &load, &unverified, &read); err != nil {
		return nil, fmt.Errorf("load a dataset in Python: %w", err)
	}
	return []result{
		figure(fmt.Sprintf("pyarrow reads %d rows of 200 B", p.rows), seconds(time.Duration(read*1e9))),
		atMost("quern.load of them, compared with that", load/read, 1.2, percent),
		atMost("… without verifying files, as pyarrow", unverified/read, 1.2, percent),
	}, nil
}

// interpreter returns the Python with the SDK's dependencies.
func (b *bench) interpreter() string {
	return filepath.Join(b.source, ".cache", "python", "bin", "python")
}

// pythonPath returns the folder of the SDK's package.
func (b *bench) pythonPath() string { return filepath.Join(b.source, "sdk", "python", "src") }

// pythonPlugin puts the plugin in Python where quern finds it and returns its
// program.
func (b *bench) pythonPlugin() (string, error) {
	if _, err := os.Stat(b.interpreter()); err != nil {
		return "", fmt.Errorf("there is no Python with the SDK's dependencies: %w (make test-python makes it)", err)
	}
	start := filepath.Join(b.plugins(), "quern-plugin-pybench")
	text := fmt.Sprintf("#!/bin/sh\nPYTHONPATH=%q exec %q %q\n", b.pythonPath(), b.interpreter(),
		filepath.Join(b.source, "bench", "python", "plugin.py"))
	return start, os.WriteFile(start, []byte(text), 0o755)
}

// pluginReady returns the shortest of some times from starting a plugin to its
// handshake.
func pluginReady(program string) (time.Duration, error) {
	shortest := time.Hour
	for range 5 {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), wire.Handshake.MagicCookieKey+"="+wire.Handshake.MagicCookieValue)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return 0, err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return 0, err
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		_, readErr := bufio.NewReader(stdout).ReadString('\n')
		shortest = min(shortest, time.Since(began))
		// It ends when its stdin does.
		if err := errors.Join(readErr, stdin.Close()); err != nil {
			return 0, err
		}
		_ = cmd.Wait()
	}
	return shortest, nil
}
