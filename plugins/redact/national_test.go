package redact

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// lenient are kinds for which this package accepts more than python-stdnum does,
// with the reason.
var lenient = map[string]string{
	"us_itin": "the IRS has issued the groups 50 to 65 since 2013",
	"fi_hetu": "900 to 999 are temporary numbers of patients",
	"us_ssn":  "python-stdnum knows groups that were never issued",
	"dk_cpr":  "numbers issued since 2007 have no check digit",
	"kr_rrn":  "numbers issued since 2020 have no check digit",
	"in_pan":  "the check letter's rule is not published",
}

// TestNationalNumbersAgreeWithStdnum compares the verdict on each number with that
// of python-stdnum; testdata/national.py wrote them.
func TestNationalNumbersAgreeWithStdnum(t *testing.T) {
	file, err := os.ReadFile("testdata/national.json")
	if err != nil {
		t.Fatal(err)
	}
	var numbers map[string]struct{ Valid, Invalid []string }
	if err := json.Unmarshal(file, &numbers); err != nil {
		t.Fatal(err)
	}
	for kind, n := range numbers {
		d := newDetector(t, detectorOptions{kinds: []string{kind}, bare: true})
		for _, text := range n.Valid {
			if found := d.find("It is " + text + "."); len(found) != 1 || found[0].start != 6 || found[0].end != 6+len(text) {
				t.Errorf("%s: %s is valid, but found is %v", kind, text, found)
			}
		}
		for _, text := range n.Invalid {
			if found := d.find("It is " + text + "."); len(found) != 0 && lenient[kind] == "" {
				t.Errorf("%s: %s is not valid, but found is %v", kind, text, found)
			}
		}
	}
}

// TestNumbersThatStdnumDoesNotKnow has examples from the issuers' documents.
func TestNumbersThatStdnumDoesNotKnow(t *testing.T) {
	for kind, texts := range map[string][2][]string{
		"uk_nino":      {{"AA123456C", "ab 12 34 56 d", "JG-10-37-59-A"}, {"DA123456C", "BG123456A", "AA123456E", "AO123456A"}},
		"au_medicare":  {{"2123 45670 1"}, {"2123 45671 1", "7123 45670 1"}},
		"jp_my_number": {{"123456789018", "1234 5678 9018"}, {"123456789012"}},
		"sg_nric":      {{"S1234567D", "T1234567J", "F1234567N", "G1234567X", "M1234567K"}, {"S1234567A", "A1234567D"}},
		"hk_id":        {{"A123456(3)", "AB987654(3)"}, {"A123456(4)"}},
		"tw_id":        {{"A123456789", "F131104093"}, {"A123456788", "A323456789"}},
		"ru_snils":     {{"112-233-445 95"}, {"112-233-445 94"}},
		"ch_ahv":       {{"756.9217.0769.85"}, {"756.9217.0769.84"}},
		"de_tax_id":    {{"86095742719", "65 929 970 489"}, {"86095742718"}},
		"be_national":  {{"85.07.30-033.28", "17073003384"}, {"85.07.30-033.29"}},
	} {
		d := newDetector(t, detectorOptions{kinds: []string{kind}, bare: true})
		for _, text := range texts[0] {
			if found := d.find(text); len(found) != 1 || found[0].end != len(text) {
				t.Errorf("%s: %s is valid, but found is %v", kind, text, found)
			}
		}
		for _, text := range texts[1] {
			if found := d.find(text); len(found) != 0 {
				t.Errorf("%s: %s is not valid, but found is %v", kind, text, found)
			}
		}
	}
}

func TestEveryNationalNumberHasATest(t *testing.T) {
	file, err := os.ReadFile("testdata/national.json")
	if err != nil {
		t.Fatal(err)
	}
	var numbers map[string]any
	if err := json.Unmarshal(file, &numbers); err != nil {
		t.Fatal(err)
	}
	others := []string{"uk_nino", "au_medicare", "jp_my_number", "sg_nric", "hk_id", "tw_id", "ru_snils"}
	for _, n := range nationals {
		if numbers[n.kind] == nil && !slices.Contains(others, n.kind) {
			t.Errorf("%s has no test", n.kind)
		}
	}
}
