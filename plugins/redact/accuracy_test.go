package redact

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Numbers with check digits are found in texts that Faker and python-stdnum made (see
// testdata/pii.py), and other numbers are not.
func TestNumbersWithCheckDigitsAreFound(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "pii.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := newDetector(t, detectorOptions{kinds: []string{kindIBAN, kindCard, groupNational}})
	var found, missed, wrong float64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var row struct{ Text, Kind, Value string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		seen := false
		for _, m := range d.find(row.Text) {
			if m.kind == row.Kind && row.Text[m.start:m.end] == row.Value {
				seen = true
			} else {
				wrong++
				t.Logf("%q is found to be %s in %q", row.Text[m.start:m.end], m.kind, row.Text)
			}
		}
		switch {
		case seen:
			found++
		case row.Kind != "":
			missed++
			t.Logf("the %s %q is not found in %q", row.Kind, row.Value, row.Text)
		}
	}
	recall, precision := found/(found+missed), found/(found+wrong)
	t.Logf("recall %.4f, precision %.4f", recall, precision)
	if recall < 0.98 || precision < 0.95 {
		t.Errorf("recall is %.4f, and precision %.4f", recall, precision)
	}
}
