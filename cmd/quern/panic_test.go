package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

func TestAPanicIsReportedAsABugOfQuern(t *testing.T) {
	for name, command := range map[string]func() error{
		"of the command": func() error { return lose() },
		"of a group": func() error {
			g := parallel.New(-1)
			g.Go(lose)
			return fmt.Errorf("read the dataset: %w", g.Wait())
		},
		"of a loop": func() error {
			parallel.For(2, 2, func(int) { _ = lose() })
			return nil
		},
	} {
		code, said := executed(t, command)
		if code != exitCrash {
			t.Errorf("%s: exit code %d", name, code)
		}
		for _, want := range []string{"a bug in quern", "quern-dev/quern/issues", "lost", "quern.lose("} {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q is missing from:\n%s", name, want, said)
			}
		}
	}
	if code, said := executed(t, func() error { return errors.New("there is no such file") }); code != exitError || !strings.Contains(said, "Error: There is no such file") {
		t.Errorf("an error is exit code %d:\n%s", code, said)
	}
}

func lose() error { panic("lost") }

// executed returns the exit code of a command, and its output.
func executed(t *testing.T, command func() error) (code int, said string) {
	path := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	code = execute(newTerminal(nil, f, f), command)
	f.Close()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return code, string(content)
}
