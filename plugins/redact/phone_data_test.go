package redact

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

var update = flag.Bool("update", false, "write phones.jsonl from the metadata of libphonenumber")

// numberingPlans converts the metadata of libphonenumber.
func numberingPlans(t *testing.T) []numberingPlan {
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		t.Fatal(err)
	}
	var plans []numberingPlan
	for _, m := range all.GetMetadata() {
		p := numberingPlan{
			Region: m.GetId(), Code: int(m.GetCountryCode()), Main: m.GetMainCountryForCode(),
			Prefix: m.GetNationalPrefixForParsing(), Transform: m.GetNationalPrefixTransformRule(),
		}
		for _, n := range m.GetGeneralDesc().GetPossibleLength() {
			p.Lengths = append(p.Lengths, int(n))
		}
		var valid []string
		for _, d := range []*phonenumbers.PhoneNumberDesc{
			m.GetFixedLine(), m.GetMobile(), m.GetTollFree(), m.GetPremiumRate(), m.GetSharedCost(),
			m.GetPersonalNumber(), m.GetVoip(), m.GetPager(), m.GetUan(), m.GetVoicemail(),
		} {
			if pattern := d.GetNationalNumberPattern(); pattern != "" && !slices.Contains(valid, pattern) {
				valid = append(valid, pattern)
			}
		}
		p.Valid = strings.Join(valid, "|")
		plans = append(plans, p)
	}
	slices.SortFunc(plans, func(a, b numberingPlan) int {
		if a.Code != b.Code {
			return a.Code - b.Code
		}
		return strings.Compare(a.Region, b.Region)
	})
	return plans
}

func TestThePlansOfPhoneNumbersAreThoseOfLibphonenumber(t *testing.T) {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	for _, p := range numberingPlans(t) {
		if err := lines.Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile("phones.jsonl", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("phones.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Error("phones.jsonl is out of date; run go test ./plugins/redact -run Plans -update")
	}
}

// TestNumbersOfAllRegionsAreFound compares with libphonenumber's own examples.
func TestNumbersOfAllRegionsAreFound(t *testing.T) {
	kinds := []phonenumbers.PhoneNumberType{phonenumbers.FIXED_LINE, phonenumbers.MOBILE}
	for region := range phonenumbers.GetSupportedRegions() {
		for _, typ := range kinds {
			n := phonenumbers.GetExampleNumberForType(region, typ)
			if n == nil || !phonenumbers.IsValidNumberForRegion(n, region) {
				continue
			}
			d := newDetector(t, detectorOptions{kinds: []string{"phone"}, regions: []string{region}})
			for format, name := range map[phonenumbers.PhoneNumberFormat]string{
				phonenumbers.E164: "E.164", phonenumbers.INTERNATIONAL: "international", phonenumbers.NATIONAL: "national",
			} {
				text := phonenumbers.Format(n, format)
				if len(digitsOf(text)) < shortestPhone {
					continue
				}
				found := d.find("call " + text + ", please")
				if len(found) != 1 || found[0].start != 5 || found[0].end != 5+len(text) {
					t.Errorf("%s, %s: %v in %q", region, name, found, text)
				}
				if region == "AR" && name == "national" {
					continue // the library leaves out the area code
				}
				if len(found) == 1 && found[0].value != phonenumbers.Format(n, phonenumbers.E164) {
					t.Errorf("%s, %s: %q is read as %q", region, name, text, found[0].value)
				}
			}
		}
	}
}
