package pep440_test

import (
	"testing"

	"github.com/quern-dev/quern/sdk/go/host/pep440"
)

func TestVersionsOfPackagesBecomeSemanticOnes(t *testing.T) {
	for text, want := range map[string]string{
		"1.2.3": "1.2.3", "1.2": "1.2.0", "1": "1.0.0", "v1.2": "1.2.0", "2026.01.05": "2026.1.5", "0!1.0": "1.0.0",
		"0.1.0.dev0": "0.1.0-dev.0", "0.1.dev": "0.1.0-dev.0", "1.0a1": "1.0.0-alpha.1", "1.0-beta.2": "1.0.0-beta.2", "1.2rc1": "1.2.0-rc.1",
		"1.0rc1.dev4": "1.0.0-rc.1.dev.4", "1.0.post2": "1.0.0+post.2", "1.0+cu13.local-1": "1.0.0+cu13.local.1", "1.0.post1+x": "1.0.0+post.1.x",
	} {
		got, err := pep440.Semantic(text)
		if got != want || err != nil {
			t.Errorf("%s is %q, %v, want %s", text, got, err, want)
		}
		if again, err := pep440.Semantic(got); again != got || err != nil {
			t.Errorf("%s converted again is %q, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "1.2.3.4", "1!2.0", "one", "1.0-foo", "1..0"} {
		if got, err := pep440.Semantic(text); err == nil {
			t.Errorf("%q is accepted as %s", text, got)
		}
	}
	if !pep440.IsDevelopment("0.1.0.dev0") || !pep440.IsDevelopment("1.0rc1.dev2") || pep440.IsDevelopment("1.0") || pep440.IsDevelopment("1.0+dev1") {
		t.Error("versions under development are not told from releases")
	}
}
