package main

import (
	"slices"
	"testing"

	"github.com/quern-dev/quern/plugins/builtin"
	"github.com/quern-dev/quern/registry"
)

func TestQuernServesThePluginsThatTheRegistryStarts(t *testing.T) {
	want := append([]string{registry.Builtin}, registry.Vendors...)
	var got []string
	for _, p := range builtin.Plugins() {
		got = append(got, p.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("quern serves %v; the registry starts %v", got, want)
	}
	if code := serve([]string{"nobody"}); code != exitError {
		t.Errorf("a plugin that does not exist: exit code %d", code)
	}
}
