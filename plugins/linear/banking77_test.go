package linear

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"testing"
)

// banking reads a data file of the example, with the columns text and category.
func banking(t *testing.T, name string) []Example {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "examples", "banking77", "data", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []Example
	for _, r := range records[1:] {
		out = append(out, Example{Text: r[0], Label: r[1]})
	}
	return out
}

func TestBanking77IsLearnedAsWellAsTheDefaultOptionsPromise(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	m := train(t, banking(t, "train.csv"), DefaultOptions())
	if got := accuracy(m, banking(t, "dev.csv")); got < 0.90 {
		t.Errorf("accuracy on 1,000 held-out messages is %.3f", got)
	}
}
