package redact

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

var offer = plugin.Plugin{Name: "redact", Version: "1.0.0", Types: Types()}

func run(t *testing.T, args map[string]any, rows ...map[string]any) *plugintest.MapResult {
	t.Helper()
	got, err := plugintest.Map(t, offer, plugintest.Case{Kind: plugin.KindTransform, Type: "redact", Name: "r", Args: args, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTextsAreRedacted(t *testing.T) {
	for text, want := range map[string]string{
		"":              "",
		"nothing\r\x00": "nothing\r\x00",
		"a@b.example, x@localhost, @handle, a@b@c.com":                          "a@b.example, x@localhost, @handle, a@<EMAIL>",
		"mailto:Jo.O'Neil+x@Mail.Example.co.uk.":                                "mailto:<EMAIL>.",
		"Schreib an grüße@bücher.de!":                                           "Schreib an <EMAIL>!",
		"git clone https://me:tok3n-x@host.io/a and http://h.io/":               "git clone https://<CREDENTIALS>@host.io/a and http://h.io/",
		"postgres://app:${PASSWORD}@db/x":                                       "postgres://app:${PASSWORD}@db/x",
		"DE89 3704 0044 0532 0130 00 or DE89370400440532013001":                 "<IBAN> or DE89370400440532013001",
		"card 4111-1111-1111-1111, not 4111 1111 1111 1112":                     "card <CARD>, not 4111 1111 1111 1112",
		"from 203.0.113.7:80 and 127.0.0.1, v1.2.3, 1.2.3.400":                  "from <IP>:80 and 127.0.0.1, v1.2.3, 1.2.3.400",
		"[2001:db8::8a2e:370:7334] a::b std::vector 12:30:45":                   "[<IP>] a::b std::vector 12:30:45",
		"00:1B:44:11:3A:B7 00-00-00-00-00-00 001b.4411.3ab7":                    "<MAC> 00-00-00-00-00-00 <MAC>",
		"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq":                            "<WALLET>",
		"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb": "<WALLET> 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
		"to 0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe":                         "to <WALLET>",
		"Call (212) 555-0123 x45 or +44 20 7946 0958 by 2024-01-02":             "Call <PHONE> or <PHONE> by 2024-01-02",
		"order 2125550123, pi 3.14159265, ISBN 978-3-16-148410-0":               "order 2125550123, pi 3.14159265, ISBN 978-3-16-148410-0",
		"SSN 078051120; 666-05-1120":                                            "SSN <US_SSN>; 666-05-1120",
		"the id 078051121":                                                      "the id 078051121",
		"身份证11010519491231002X。":                                                "身份证<CN_RESIDENT>。",
		"AWS_KEY=" + "AKIA" + "QYLPMN5HHHFPZAM2 done":                           "AWS_KEY=<SECRET> done",
	} {
		got := run(t, map[string]any{"columns": []string{"text"}}, map[string]any{"text": text})
		if have := got.Rows[0]["text"]; have != want {
			t.Errorf("%q becomes %q, not %q", text, have, want)
		}
	}
}

func TestTheSameValueHasTheSamePseudonym(t *testing.T) {
	args := map[string]any{"columns": []string{"text"}, "action": "pseudonym", "key": "0123456789abcdef"}
	got := run(t, args,
		map[string]any{"text": "+1 212-555-0199"}, map[string]any{"text": "(212) 555-0199"}, map[string]any{"text": "212.555.0199"},
		map[string]any{"text": "4111 1111 1111 1111"}, map[string]any{"text": "4111-1111-1111-1111"},
		map[string]any{"text": "A@example.com"}, map[string]any{"text": "a@EXAMPLE.com"},
	).Column("text")
	if got[0] != got[1] || got[1] != got[2] || got[3] != got[4] || got[5] != got[6] || got[0] == got[3] {
		t.Errorf("the pseudonyms are %v", got)
	}
	if text := fmt.Sprint(got[0]); !strings.HasPrefix(text, "<PHONE_") || len(text) != len("<PHONE_>")+2*pseudonymBytes {
		t.Errorf("the pseudonym is %s", text)
	}
	args["key"] = "fedcba9876543210"
	if other := run(t, args, map[string]any{"text": "+1 212-555-0199"}).Column("text"); other[0] == got[0] {
		t.Error("another key gives the same pseudonym")
	}
}

func TestActionsDifferByKindAndGroup(t *testing.T) {
	got := run(t, map[string]any{
		"columns": []string{"text"}, "actions": map[string]any{"national_id": "remove", "uk_nino": "mask"}, "except": []string{"ip"},
	}, map[string]any{"text": "Is 078-05-1121 mine, AA123456C or 203.0.113.7?"})
	if want := "Is mine, <UK_NINO> or 203.0.113.7?"; got.Rows[0]["text"] != want {
		t.Errorf("got %q, want %q", got.Rows[0]["text"], want)
	}
}

func TestAllowedTextsStay(t *testing.T) {
	got := run(t, map[string]any{"columns": []string{"text"}, "allow": []string{"Help@Example.com"}}, map[string]any{"text": "help@example.com, me@example.com"})
	if want := "help@example.com, <EMAIL>"; got.Rows[0]["text"] != want {
		t.Errorf("got %q, want %q", got.Rows[0]["text"], want)
	}
}

func TestMatchesThatOverlapBecomeOne(t *testing.T) {
	text := "0123456789"
	for _, found := range [][]match{
		{{start: 2, end: 5, kind: "a"}, {start: 4, end: 9, kind: "b"}},
		{{start: 4, end: 9, kind: "b"}, {start: 2, end: 5, kind: "a"}},
		{{start: 2, end: 9, kind: "b"}, {start: 4, end: 5, kind: "a"}},
	} {
		got := resolve(text, found)
		if len(got) != 1 || got[0].start != 2 || got[0].end != 9 || got[0].kind != "b" {
			t.Errorf("got %v", got)
		}
	}
}

func FuzzRedaction(f *testing.F) {
	for _, text := range []string{"a@b.com", "+49 30 123456", "4111 1111 1111 1111", "::1 fe80::1 (212) 555-0123 x1", "DE89 3704 0044 0532 0130 00", "key = \"sk_live_x\"", "A123456(3) \xff"} {
		f.Add(text)
	}
	d := newDetector(f, detectorOptions{regions: []string{"US", "DE", "AR", "IT"}, bare: true})
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, m := range d.find(text) {
			if m.start < last || m.end <= m.start || m.end > len(text) || m.kind == "" {
				t.Fatalf("%v is out of order or empty", m)
			}
			last = m.end
		}
	})
}
