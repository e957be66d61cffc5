package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// longFile has many blocks, one of which contains the given text.
func longFile(block string) []byte {
	var b strings.Builder
	for i := range 4_000 {
		if i == 2_000 {
			b.WriteString(block)
		}
		fmt.Fprintf(&b, "# ünïcödé %d\r\nlocals {\n  n%d = [\"${var.a} %d\"]\n}\n", i, i, i)
	}
	return []byte(b.String())
}

func TestALongFileParsedInPiecesIsTheFileParsedAsAWhole(t *testing.T) {
	for name, block := range map[string]string{
		"plain":                   "",
		"a heredoc that looks so": "locals {\n  text = <<-EOT\n" + strings.Repeat("    padding\n}\n", 8_000) + "EOT\n}\n",
		"a comment that looks so": "/* " + strings.Repeat("padding\n}\n", 20_000) + "*/\n",
		"a mistake":               "locals {\n  a = \n}\n",
		"an attribute":            "a = 1\n",
		"an attribute that is there twice": "a = 1\n" + "locals {\n" + strings.Repeat("  # padding\n", 20_000) + "}\n" +
			"a = 2\n",
	} {
		t.Run(name, func(t *testing.T) {
			src := longFile(block)
			want, wantDiags := hclsyntax.ParseConfig(src, "x.quern.hcl", hcl.InitialPos)
			got, gotDiags := parse("x.quern.hcl", src)
			if gotDiags.Error() != wantDiags.Error() {
				t.Errorf("diagnostics are\n%s\nand should be\n%s", gotDiags, wantDiags)
			}
			if !reflect.DeepEqual(got, want.Body) {
				t.Error("the bodies differ")
			}
		})
	}
}

func TestAFileOfManyBlocksIsParsedInPieces(t *testing.T) {
	if body := parsePieces("x.quern.hcl", pieces(longFile(""))); body == nil {
		t.Error("the file was parsed as a whole")
	}
}
