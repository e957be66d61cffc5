package testfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/config"
)

const whole = `
variables {
  rows = 10
}

mock "source.tickets" {
  file   = "fixtures/tickets.csv"
  schema = { id = "string" }
}

real "model.local" {}

run "first" {
  command = plan
  target  = ["transform.clean", "module.a[\"k\"].transform.b"]
  variables {
    rows = 20
  }
  assert {
    condition = plan.actions["transform.clean"] == "run"
  }
}

run "second" {
  mock "model.teacher" {
    rule {
      when  = request.user == "a"
      error = "no"
    }
    answer = { label = "a" }
  }
  expect "transform.parts.train" {
    rows    = []
    ordered = true
  }
  expect_error {
    address = "gate.ship"
    text    = "not above"
  }
}
`

func TestAFileIsReadAsItIsWritten(t *testing.T) {
	f, diags := Parse("tests/a.quern-test.hcl", []byte(whole))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if len(f.Variables) != 1 || len(f.Mocks) != 2 || len(f.Runs) != 2 {
		t.Fatalf("read %d variables, %d mocks, and %d runs", len(f.Variables), len(f.Mocks), len(f.Runs))
	}
	source, real := f.Mocks[0], f.Mocks[1]
	if source.Stage.String() != "source.tickets" || source.Schema["id"] != "string" || f.Path(source.File) != "tests/fixtures/tickets.csv" || !strings.HasPrefix(source.Text, `mock "source.tickets" {`) {
		t.Errorf("source: %+v", source)
	}
	if !real.Real || real.Stage.String() != "model.local" {
		t.Errorf("real: %+v", real)
	}
	first, second := f.Runs[0], f.Runs[1]
	if !first.Plan || len(first.Targets) != 2 || first.Targets[1].String() != `module.a["k"].transform.b` || len(first.Asserts) != 1 || first.Variables["rows"] == nil {
		t.Errorf("first: %+v", first)
	}
	if second.Plan || len(second.Mocks[0].Rules) != 1 || second.Mocks[0].Answer == nil {
		t.Errorf("second: %+v", second)
	}
	if e := second.Expects[0]; e.Name() != "transform.parts.train" || e.Port != "train" || !e.Ordered || e.Subset {
		t.Errorf("expect: %+v", e)
	}
	if d := second.Errors[0]; d.Address != "gate.ship" || d.Text == nil {
		t.Errorf("error: %+v", d)
	}
}

func TestAnAbsolutePathIsKept(t *testing.T) {
	f := &File{Name: "tests/a.quern-test.hcl"}
	if got := f.Path("/data/a.csv"); got != "/data/a.csv" {
		t.Error(got)
	}
}

func TestTestFilesAreInTheFolderAndInTests(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.quern-test.hcl", "main.quern.hcl", ".a.quern-test.hcl", "tests/a.quern-test.hcl", "tests/deep/c.quern-test.hcl", "other/d.quern-test.hcl"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("run \"a\" {}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := FileNames(dir); !slices.Equal(got, []string{"b.quern-test.hcl", "tests/a.quern-test.hcl"}) {
		t.Error(got)
	}
	files, diags := Load(dir)
	if len(files) != 2 || diags.HasErrors() {
		t.Error(files, diags)
	}
}

func TestMocksOfStagesThatThePipelineDoesNotHave(t *testing.T) {
	m, _ := config.Parse("main.quern.hcl", []byte("source \"csv\" \"tickets\" {\n  path = \"a.csv\"\n}\n"))
	f, diags := Parse("a.quern-test.hcl", []byte("mock \"source.ticket\" {\n  rows = []\n}\nrun \"a\" {\n  expect \"source.tickets\" {\n    rows = []\n  }\n  expect \"label.x\" {\n    rows = []\n  }\n}\n"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	diags = f.Check(m)
	if len(diags) != 2 || !strings.Contains(diags[0].Detail, `Did you mean "source.tickets"`) || !strings.Contains(diags[1].Detail, "no label.x") {
		t.Error(diags)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("mock \"a\" \"b\" {}\nrun {}\nrun \"a\" { command = x }\n"))
	f.Add([]byte("mock \"label.a\" {\n  columns = { (x) = row.a, y = { }\n"))
	f.Add([]byte("run \"a\" {\n  target = [null, 1, \"a.b\"]\n  expect \"a.b.c.d\" { rows = [1] }\n  expect_error { text = null }\n}\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		file, diags := Parse("a.quern-test.hcl", src)
		if file == nil {
			t.Fatal("no file")
		}
		for _, d := range diags {
			if d.Summary == "" || d.Severity == hcl.DiagInvalid {
				t.Errorf("a diagnostic says nothing: %+v", d)
			}
			if d.Subject != nil && (d.Subject.Start.Byte < 0 || d.Subject.End.Byte > len(config.UnixLines(src))+1) {
				t.Errorf("the place %v is outside of the file", d.Subject)
			}
		}
		m, _ := config.Parse("main.quern.hcl", nil)
		file.Check(m)
	})
}
