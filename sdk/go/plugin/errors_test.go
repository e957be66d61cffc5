package plugin

import (
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func TestAFullDiskIsNamedFirst(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "a.parquet", Err: syscall.ENOSPC}
	for _, err := range []error{full, fmt.Errorf("write a release: %w", full), &ArgumentError{Argument: "path", Err: full}} {
		d := diagnostic(err)
		if want := err.Error() + ". Free some space and run the command again: completed work is kept."; d.GetSummary() != "the disk is full" || d.GetDetail() != want {
			t.Errorf("%v: %q, %q", err, d.GetSummary(), d.GetDetail())
		}
	}
	if d := diagnostic(&ArgumentError{Argument: "path", Err: full}); d.GetArgument() != "path" {
		t.Errorf("the argument is %q", d.GetArgument())
	}
}
