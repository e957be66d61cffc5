package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// publish returns a deployment of a dataset to a temporary folder.
func publish(t *testing.T, format string) *deployed {
	t.Helper()
	root := t.TempDir()
	offer := plugin.Plugin{Name: "directory", Version: "1.0.0", Types: Types(func() string { return root })}
	d := &deployed{t: t, root: root, args: map[string]any{"path": "out/corpus", "format": format, "license": "cc-by-4.0", "description": "What it is.", "tags": []string{"news"}}}
	d.Deployed = plugintest.Deploy(t, offer, plugintest.Case{Type: "dataset", Args: d.args})
	d.rows("one")
	return d
}

func (d *deployed) rows(text string) {
	d.t.Helper()
	d.Set("dataset", plugintest.Dataset{
		Columns: data.Schema{{Name: "id", Type: "int64"}, {Name: "a|b", Type: "list<string>"}},
		Rows:    []map[string]any{{"id": 1, "a|b": `["` + text + `"]`}, {"id": 2, "a|b": nil}},
	})
	d.Digests["dataset"] = "sha256:" + strings.Repeat(string("0123456789abcdef"[len(text)%16]), 64)
}

func (d *deployed) file(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.root, "out/corpus", name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

func TestADatasetIsPublishedWithItsCardAndChecksums(t *testing.T) {
	for format, want := range map[string]string{
		"jsonl":   "{\"id\":1,\"a|b\":[\"one\"]}\n{\"id\":2,\"a|b\":null}\n",
		"csv":     "id,a|b\n1,\"[\"\"one\"\"]\"\n2,\n",
		"parquet": "PAR1",
	} {
		d := publish(t, format)
		if action, _ := d.Planned(); action != plugin.ActionCreate {
			t.Errorf("%s: the first plan is %v", format, action)
		}
		d.MustApply()
		if rows := d.file("data/part-00000." + format); !strings.HasPrefix(rows, want) {
			t.Errorf("%s: %q", format, rows)
		}
		card := d.file("README.md")
		for _, line := range []string{"license: cc-by-4.0\n", "    - quern\n    - news\n", "data_files: data/*." + format, "\n# corpus\n\nWhat it is.\n", "| rows | 2 |", "| files | 1, " + format, "`a\\|b`", "`list<string>`", "| artifact | `sha256:"} {
			if !strings.Contains(card, line) {
				t.Errorf("the card lacks %q:\n%s", line, card)
			}
		}
		sums := strings.Split(strings.TrimSpace(d.file("SHA256SUMS")), "\n")
		for _, line := range sums {
			sum, name, _ := strings.Cut(line, "  ")
			if is := sha256.Sum256([]byte(d.file(name))); hex.EncodeToString(is[:]) != sum {
				t.Errorf("the checksum of %s is wrong", name)
			}
		}
		if len(sums) != 2 {
			t.Errorf("%d checksums", len(sums))
		}
		if action, changes := d.Planned(); action != plugin.ActionNone {
			t.Errorf("%s: a second plan has changes: %s", format, changes)
		}
	}
}

func TestADatasetIsPublishedAgainIfItsRowsOrSettingsChange(t *testing.T) {
	d := publish(t, "jsonl")
	d.MustApply()
	d.rows("other")
	if action, changes := d.Planned(); action != plugin.ActionUpdate || !strings.HasPrefix(changes, "dataset: sha256:") {
		t.Errorf("%v, %s", action, changes)
	}
	d.MustApply()
	if !strings.Contains(d.file("data/part-00000.jsonl"), "other") {
		t.Error("the rows are the old ones")
	}
	d.Set("license", "mit")
	if action, changes := d.Planned(); action != plugin.ActionUpdate || changes != "license: cc-by-4.0 -> mit" {
		t.Errorf("%v, %s", action, changes)
	}
	d.MustApply()
	if !strings.Contains(d.file("README.md"), "license: mit") {
		t.Error("the card is the old one")
	}
	if err := os.WriteFile(filepath.Join(d.root, "out/corpus/data/part-00000.jsonl"), []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if action, changes := d.Planned(); action != plugin.ActionUpdate || !strings.Contains(changes, "data/part-00000.jsonl was changed") {
		t.Errorf("%v, %s", action, changes)
	}
	d.MustApply()
	if !strings.Contains(d.file("data/part-00000.jsonl"), "other") {
		t.Error("a file that was changed by hand was not written again")
	}
}
