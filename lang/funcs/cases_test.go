package funcs

import (
	"strings"
	"syscall"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/value"
)

func TestByteOrderMarksAreDropped(t *testing.T) {
	dir := write(t, map[string]string{"bom.csv": "\ufeffid,text\n1,a\n", "bom.json": "\ufeff{\"a\": 1}", "bom.yaml": "\ufeffa: 1\n"})
	for text, want := range map[string]string{
		`csvdecode(file("bom.csv"))[0].id`:                     `"1"`,
		`csvdecode(base64decode(filebase64("bom.csv")))[0].id`: `"1"`,
		`jsondecode(base64decode(filebase64("bom.json"))).a`:   `1`,
		`yamldecode(base64decode(filebase64("bom.yaml"))).a`:   `1`,
		`startswith(file("bom.csv"), "id")`:                    `true`,
	} {
		if got, diags := evaluate(t, text, Functions(dir)); diags.HasErrors() || value.Format(got) != want {
			t.Errorf("%s = %#v %v", text, got, diags)
		}
	}
}

func TestFunctionsRefuseInputsThatTheyCannotHandle(t *testing.T) {
	dir := write(t, map[string]string{"a.txt": "a", "sub/b.txt": "b", ".quern/blobs/x": "x", "sub/.quern/y.txt": "y"})
	if err := syscall.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`matchkeys(["a", "b"], [1, 2], ["2"])`:   `["b"]`,
		`matchkeys(["a", "b"], ["1", "2"], [2])`: `["b"]`,
		`textdecodebase64("6Q==", "UTF-8")`:      "error: the bytes are not valid UTF-8",
		`textdecodebase64("77+9", "UTF-8")`:      "\"\ufffd\"",
		`textdecodebase64("6Q==", "ISO-8859-1")`: `"é"`,
		`urldecode("%ff")`:                       "error: not UTF-8",
		`fileset("sub", "../*.txt")`:             `toset(["../a.txt"])`,
		`fileset("sub", "../../*.none")`:         `toset([])`,
		`fileset(".", "**")`:                     `toset(["a.txt", "pipe", "sub/b.txt"])`,
		`fileset(".", ".quern/**")`:              `toset([])`,
		`file("pipe")`:                           "error: named pipe",
		`filesha256("/dev/zero")`:                "error: device",
		`jsonencode("a < b && \u2028")`:          "\"\\\"a < b && \u2028\\\"\"",
		`jsonencode({ "<" = "&" })`:              `"{\"<\":\"&\"}"`,
		`log(-1, 10)`:                            "error: above 0",
		`log(10, 1)`:                             "error: cannot be 1",
		`pow(-1, 0.5)`:                           "error: not a real number",
		`pow(0, -1)`:                             "error: division by zero",
		`indent(-1, "a\nb")`:                     "error: at least 0",
		`indent(0.5, "a\nb")`:                    "error: whole number",
		`1 / 0`:                                  "error: division by zero",
		`1 % 0`:                                  "error: division by zero",
		`try(1 / 0, "caught")`:                   `"caught"`,
		`try(1 % 0, "caught")`:                   `"caught"`,
		`true && null`:                           "error: must not be null",
		`null || false`:                          "error: must not be null",
		`false && null`:                          `false`,
		`null || true`:                           `true`,
		`distinct(["b", "a", "b"])`:              `["b", "a"]`,
	} {
		got, diags := evaluate(t, text, Functions(dir))
		reason, fails := strings.CutPrefix(want, "error: ")
		switch {
		case fails && (!diags.HasErrors() || !strings.Contains(diags.Error(), reason) || strings.Contains(diags.Error(), "goroutine")):
			t.Errorf("%s = %#v %v", text, got, diags)
		case fails:
		case diags.HasErrors():
			t.Errorf("%s: %v", text, diags)
		default:
			wanted, _ := evaluate(t, want, Functions(dir))
			if value.Format(got) != value.Format(wanted) && !(got.LengthInt() == 0 && got.Type() == cty.Set(cty.String)) {
				t.Errorf("%s = %s, not %s", text, value.Format(got), want)
			}
		}
	}
}
