package plain

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"golang.org/x/tools/txtar"
)

// start is where the texts of the tests begin in their files.
var start = hcl.Pos{Line: 7, Column: 1, Byte: 100}

// same fails if a text is plain and hcl reads it differently. It reports whether it
// is plain.
func same(t *testing.T, src []byte) bool {
	t.Helper()
	got := Parse(src, "x.quern.hcl", start)
	if got == nil {
		return false
	}
	want, diags := hclsyntax.ParseConfig(src, "x.quern.hcl", start)
	if len(diags) > 0 {
		t.Fatalf("the text is plain, but hcl reports %s:\n%s", diags, src)
	}
	if !reflect.DeepEqual(got, want.Body) {
		t.Fatalf("hcl reads the text differently:\n%s", src)
	}
	return true
}

func TestPlainTextIsReadAsHCLReadsIt(t *testing.T) {
	for name, src := range map[string]string{
		"nothing":             "",
		"spaces":              "  \n \n  ",
		"comments":            "# one\n// two\n\na = 1 # three\n  # four\n",
		"no newline":          "a = b",
		"arguments":           "a = 1\nb_2-c = 2.5e-3\nd = 1e5\ne = true\nf = false\ng = null\n",
		"blocks":              "a {}\nb {\n}\nc \"x\" y \"\" {\n  d {\n    e = 1\n  }\n}\n",
		"blocks on a line":    "a { b = 1 }\nc \"x\" { d = \"y\" } # comment\n",
		"references":          "a = b\nc = d.e.f\ng = h[0].i[\"j\"][k].l\nm = (n).o\np = q(r).s[1]\nt = u[-1]\nv = \"w\".x\n",
		"calls":               "a = f()\nb = f(1, g(2),\n  3, # comment\n)\n",
		"operators":           "a = b || c && d == e != f < g > h <= i >= j + k - l * m / n % o\np = -q.r + !s\nt = (1 + 2) * 3\nu = 1 - 2 - 3\n",
		"conditions":          "a = b ? c : d ? e : f\ng = (\n  b\n  ? c\n  : d\n)\n",
		"lists":               "a = []\nb = [1]\nc = [\n  1,\n  [2, 3], # two\n\n  x.y\n]\nd = [1,]\n",
		"objects":             "a = {}\nb = { c = 1 }\nd = {\n  e = 1\n  \"f\" : 2, g = 3,\n\n  (h) = 4 # comment\n  i.j = 5\n}\n",
		"objects in brackets": "a = f({\n  b = 1\n  c = [\n    2\n  ]\n})\n",
		"strings":             "a = \"\"\nb = \"x y\"\nc = \"${d}\"\ne = \"1 ${f} 2 ${g.h}\"\ni = \"${\n j\n}k\"\nl = \"$ 5 100% #\"\nm = \"${\"n ${o}\"}\"\np = \"${{ q = 1 }.q}\"\n",
		"deep":                "a = [[[[{ b = f(\"${[1, (2)]}\") }]]]]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if !same(t, []byte(src)) {
				t.Errorf("the text is not plain")
			}
		})
	}
}

func TestWhatIsNotPlainIsForHCL(t *testing.T) {
	for _, src := range []string{
		"a = <<EOT\nx\nEOT\n", "a = [for x in y : x]\n", "a = {\n for k, v in y : k => v }\n", "a = b[*].c\n", "a = b.*.c\n", "a = b.0\n",
		"a = \"x\\n\"\n", "a = \"$${b}\"\n", "a = \"%{ if b }c%{ endif }\"\n", "a = \"${~ b ~}\"\n", "a = f(b...)\n", "a = g::f()\n",
		"a = \"ü\"\n", "a\t= 1\n", "a = 1\r\n", "/* a */\n", "\ufeffa = 1\n",
		"a = \n", "a = 1 2\n", "a = 1\na = 2\n", "a {\n", "a = [1\n", "a = f(1\n", "a = {b}\n", "a = \"b\n", "a = b.\n", "a = 1 +\n", "a b\n", "}\n",
		"a = b & c\n", "a = 1.e+2\n", "a = 1.e\n", "a = 1.5.e\n", "a = 1e\n", "a = b ? c\n", "a { b = 1, c = 2 }\n", "a = {b = 1 c = 2}\n", "a \"${b}\" {}\n", "a = 'b'\n", "a = 1 # comment",
	} {
		if same(t, []byte(src)) {
			t.Errorf("%q is plain", src)
		}
	}
}

// TestConfigurationsOfTheProjectAreReadAsHCLReadsThem reads all configurations of
// examples and scripts, as a whole and block by block.
func TestConfigurationsOfTheProjectAreReadAsHCLReadsThem(t *testing.T) {
	plain := 0
	for _, src := range configurations(t) {
		same(t, src)
		for _, block := range strings.SplitAfter(string(src), "\n}\n") {
			if same(t, []byte(block)) {
				plain++
			}
		}
	}
	if plain < 1_000 {
		t.Errorf("only %d blocks are plain", plain)
	}
}

func configurations(t testing.TB) (all [][]byte) {
	root := filepath.Join("..", "..", "..", "..")
	for _, dir := range []string{"examples", "cmd/quern/testdata/script"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch filepath.Ext(path) {
			case ".hcl":
				src, err := os.ReadFile(path)
				all = append(all, src)
				return err
			case ".txtar":
				archive, err := txtar.ParseFile(path)
				if err != nil {
					return err
				}
				for _, f := range archive.Files {
					if strings.HasSuffix(f.Name, ".hcl") {
						all = append(all, f.Data)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func FuzzPlainTextIsReadAsHCLReadsIt(f *testing.F) {
	for _, src := range []string{
		"a \"b\" {\n  c = d.e[0][\"f\"]\n}\n", "a = \"${b} c\"\n", "a = f(1, [2, { b = 3 }])\n", "a = b ? -1 : (2 * 3)\n", "a { b = !c }\n",
		"a = \"$b%c\" # d\n", "a = b.c == 1 && d || e % 2 != 0\n",
	} {
		f.Add([]byte(src))
	}
	for _, src := range configurations(f) {
		for _, block := range strings.SplitAfter(string(src), "\n}\n") {
			f.Add([]byte(block))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) { same(t, src) })
}
