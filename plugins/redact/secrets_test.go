package redact

import (
	"slices"
	"strings"
	"testing"
)

func TestAllPatternsOfGitleaksCompile(t *testing.T) {
	all := allSecrets()
	if len(all.rules) < 200 {
		t.Errorf("%d rules", len(all.rules))
	}
	assigned := 0
	for _, r := range all.rules {
		if r.pattern().assigned {
			assigned++
		}
		if r.pattern().NumSubexp() < r.SecretGroup {
			t.Errorf("%s has no group %d", r.ID, r.SecretGroup)
		}
		for _, a := range append(r.Allowlists, all.allow) {
			a.patterns()
		}
	}
	if assigned < 90 {
		t.Errorf("only %d rules are about assignments", assigned)
	}
}

// TestSecretsAreFoundFarIntoLongTexts checks that windows around keywords do not
// change what is found.
func TestSecretsAreFoundFarIntoLongTexts(t *testing.T) {
	key := "-----BEGIN RSA PRIVATE " + "KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEA7k2Lx9wz\n", 80) + "-----END RSA PRIVATE " + "KEY-----"
	token := "gh" + "p_" + "R4nd0mT0k3nW1thM4nyL3tt3rsAndD1g1ts"[:36-1] + "Z"
	for name, secret := range map[string]string{"private key": key, "token": token} {
		text := strings.Repeat("The key to access is hope. ", 500) + "\n" + secret + "\n" + strings.Repeat("More of it. ", 500)
		found := findSecrets(text, nil)
		if len(found) != 1 || text[found[0].start:found[0].end] != secret {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestKeywordsAreFoundInAnyCase(t *testing.T) {
	k := newKeywords([]string{"he", "she", "hers", "his"})
	var got []int
	k.each("uSHErs hIs", func(word, end int) { got = append(got, word*100+end) })
	slices.Sort(got)
	if want := []int{4, 104, 206, 310}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
