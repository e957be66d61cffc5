package diag_test

import (
	"errors"
	"testing"

	"github.com/quern-dev/quern/lang/diag"
)

func TestTextsBeginWithACapitalAndNamesDoNot(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"there is no file":         "There is no file",
		"the model's name is gone": "The model's name is gone",
		"élan is missing":          "Élan is missing",
		"data.csv:3: too short":    "data.csv:3: too short",
		"label.loud failed":        "label.loud failed",
		"\"x\" is no address":      "\"x\" is no address",
		"quern apply makes it":     "quern apply makes it",
		"Already":                  "Already",
	} {
		if got := diag.Capital(text); got != want {
			t.Errorf("Capital(%q) = %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"it is gone": "It is gone.", "did you mean x?": "Did you mean x?", "": ""} {
		if got := diag.Sentence(errors.New(text)); got != want {
			t.Errorf("Sentence(%q) = %q, want %q", text, got, want)
		}
	}
}
