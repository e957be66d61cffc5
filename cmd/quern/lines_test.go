package main

import "testing"

func TestAnExpressionContinuesWhileSomethingIsOpen(t *testing.T) {
	for text, want := range map[string]bool{
		"":                       false,
		"1 + 1":                  false,
		"[1,":                    true,
		"[\n1,\n2]":              false,
		"{ a = (1 +":             true,
		"upper(\"a(\"":           true,
		"\"a(\"":                 false,
		"1 # (":                  false,
		")":                      false,
		"\"${upper(":             true,
		"<<EOT\na":               true,
		"<<EOT\na [\nEOT":        false,
		"<<-EOT\n  a\n  EOT":     false,
		"upper(<<EOT\na\nEOT":    true,
		"upper(<<EOT\na\nEOT\n)": false,
	} {
		if got := continues(text); got != want {
			t.Errorf("%q continues: %t", text, got)
		}
	}
}
