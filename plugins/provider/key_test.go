package provider

import (
	"strings"
	"testing"
)

func TestACommandThatPrintsWithoutEndIsKilled(t *testing.T) {
	for _, command := range [][]string{{"yes"}, {"sh", "-c", "yes | cat"}} {
		k := (&Secret{APIKeyCommand: command}).Key("QUERN_TEST_NO_KEY")
		if _, err := k.Get(t.Context()); err == nil || !strings.Contains(err.Error(), "printed more than 65536 bytes") {
			t.Errorf("%v: %v", command, err)
		}
	}
}
