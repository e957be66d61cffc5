package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// promptSearch compares the calls of a search for a better prompt with those
// that GEPA makes by itself, at the same seed and with the same result.
func promptSearch(b *bench) ([]result, error) {
	interpreter := filepath.Join(b.source, ".cache", "guests", "prompt", "bin", "python")
	if _, err := os.Stat(interpreter); err != nil {
		return nil, fmt.Errorf("there is no Python with GEPA: %w (make test-guests makes it)", err)
	}
	cmd := exec.Command(interpreter, filepath.Join(b.source, "bench", "python", "prompt.py"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("search for a prompt: %w", err)
	}
	var calls, alone int
	if _, err := fmt.Sscan(string(out), &calls, &alone); err != nil {
		return nil, fmt.Errorf("search for a prompt: %w", err)
	}
	return []result{
		figure("calls of a prompt search by GEPA alone", fmt.Sprint(alone)),
		atMost("… within quern, compared with that", float64(calls)/float64(alone), 0.7, percent),
	}, nil
}
