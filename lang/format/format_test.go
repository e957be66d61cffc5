package format

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestFilesGetTheirCanonicalLayout(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"equals signs are aligned": {
			"source \"csv\" \"a\" {\npath=\"a.csv\"\n  header   = true\n}\n",
			"source \"csv\" \"a\" {\n  path   = \"a.csv\"\n  header = true\n}\n",
		},
		"labels get quotes": {
			"gate ship {\n  condition = true\n}\n",
			"gate \"ship\" {\n  condition = true\n}\n",
		},
		"a lone interpolation is no template": {
			"locals {\n  a = \"${var.x}\"\n  b = \"${var.x}-${var.y}\"\n  c = \"${f(\"${var.x}\")}\"\n}\n",
			"locals {\n  a = var.x\n  b = \"${var.x}-${var.y}\"\n  c = f(\"${var.x}\")\n}\n",
		},
		"an interpolation over lines gets parentheses": {
			"locals {\n  a = \"${\n  var.x +\n  1}\"\n}\n",
			"locals {\n  a = (\n    var.x +\n  1)\n}\n",
		},
		"blank lines are one at most, and none at the ends of blocks": {
			"\n\nlocals {\n\n  a = 1\n\n\n\n  b = 2\n\n}\n\n\n\nlocals {\n}\n\n\n",
			"locals {\n  a = 1\n\n  b = 2\n}\n\nlocals {\n}\n",
		},
		"blank lines around comments stay": {
			"# head\n\n# about\nlocals {\n  # why\n\n  a = 1 # because\n\n\n  # end\n}\n",
			"# head\n\n# about\nlocals {\n  # why\n\n  a = 1 # because\n\n  # end\n}\n",
		},
		"heredocs stay as they are": {
			"locals {\n  a = <<-EOT\n    x\n\n\n\n    y  \n  EOT\n\n\n  b = 1\n}\n",
			"locals {\n  a = <<-EOT\n    x\n\n\n\n    y  \n  EOT\n\n  b = 1\n}\n",
		},
		"lists and objects over lines": {
			"locals {\n  a = [\n\n    1,\n    2,\n\n  ]\n  b = {\n\n    x = 1\n    long = 2\n  }\n}\n",
			"locals {\n  a = [\n    1,\n    2,\n  ]\n  b = {\n    x    = 1\n    long = 2\n  }\n}\n",
		},
		"an empty file":                  {"", ""},
		"a file without a last newline":  {"locals {}", "locals {}\n"},
		"one-line blocks stay on a line": {"locals { a = 1 }\n", "locals { a = 1 }\n"},
		"Windows line ends in a text":    {"locals {\r\n  a = <<E\r\nx\r\r\nE\r\n}\r\n", "locals {\n  a = <<E\nx\nE\n}\n"},
		"Windows line ends":              {"locals {\r\n  a=1\r\n}\r\n", "locals {\n  a = 1\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, diags := Source([]byte(c.in), "a.quern.hcl")
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if d := cmp.Diff(c.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFilesThatDoNotParseAreLeftAlone(t *testing.T) {
	for _, src := range []string{"locals {", "a = \xff\n"} {
		got, diags := Source([]byte(src), "a.quern.hcl")
		if !diags.HasErrors() || string(got) != src {
			t.Errorf("%q became %q: %v", src, got, diags)
		}
	}
}

func FuzzSource(f *testing.F) {
	for _, src := range []string{
		"locals {\n  a = \"${var.x}\"\n}\n", "gate a {\n\n  x = <<-E\n  a\n\n  E\n}\n", "# c\n\n\na = [1,\n\n2]", "a {\n\n/* x */ b = 1\n\n}",
		"a = \"${\n  b /* c */\n}\"", "a = {\n\n}\nb = (\n\n1\n\n)\n", "x {\n# c\n\n}\n",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		once, diags := Source(src, "a.quern.hcl")
		if diags.HasErrors() {
			return
		}
		if _, diags := hclsyntax.ParseConfig(once, "a.quern.hcl", hcl.InitialPos); diags.HasErrors() {
			t.Fatalf("%q became %q, which does not parse: %v", src, once, diags)
		}
		twice, _ := Source(once, "a.quern.hcl")
		if !bytes.Equal(once, twice) {
			t.Fatalf("%q became %q, then %q", src, once, twice)
		}
	})
}
