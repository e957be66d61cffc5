package main

import (
	"os"
	"slices"
	"testing"
)

func TestArgumentsOfTheEnvironmentComeBeforeThoseOfTheCommandLine(t *testing.T) {
	env := map[string]string{
		"QUERN_CLI_ARGS":            "-no-input",
		"QUERN_CLI_ARGS_plan":       `-var 'a=b c' -lock=false`,
		"QUERN_CLI_ARGS_state_list": "-json",
	}
	app := newApp(newTerminal(os.Stdin, os.Stdout, os.Stderr))
	for _, c := range []struct{ given, want []string }{
		{[]string{"quern"}, []string{"quern"}},
		{[]string{"quern", "-chdir", "plan", "plan", "-json"},
			[]string{"quern", "-chdir", "plan", "plan", "-no-input", "-var", "a=b c", "-lock=false", "-json"}},
		{[]string{"quern", "-chdir=x", "state", "list", "a.b"}, []string{"quern", "-chdir=x", "state", "list", "-no-input", "-json", "a.b"}},
		{[]string{"quern", "apply", "plan"}, []string{"quern", "apply", "-no-input", "plan"}},
		{[]string{"quern", "nothing", "plan"}, []string{"quern", "nothing", "plan"}},
	} {
		got, err := withArguments(app, c.given, func(name string) string { return env[name] })
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q becomes %q (%v), not %q", c.given, got, err, c.want)
		}
	}
	if _, err := withArguments(app, []string{"quern", "plan"}, func(string) string { return `-var 'a` }); err == nil {
		t.Error("an open quote is not an error")
	}
}
