package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/urfave/cli/v3"

	"github.com/quern-dev/quern/lang/diag"
)

func TestAnInterruptionIsSaidInWords(t *testing.T) {
	cmd := &cli.Command{Name: "quern gc"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{context.Canceled, "quern gc was interrupted"},
		{fmt.Errorf("read blob 1: %w", context.Canceled), "quern gc was interrupted"},
		{fmt.Errorf("read blob 1"), "read blob 1"},
		{diag.Failed("planning was interrupted", "%w", context.Canceled), "planning was interrupted\ncontext canceled"},
		{exitStatus(3), exitStatus(3).Error()},
	} {
		got := ""
		if err := interrupted(cmd, c.err); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
