package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/store/history"
)

const timed = `
source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "m" {
  name            = "m"
  base_url        = %q
  max_concurrency = 1
}

label "llm" "kind" {
  input   = source.texts
  model   = model.m
  text    = row.text
  classes = ["cat", "dog"]
}

label "rules" "by_rule" {
  input  = source.texts
  rule "cat" {
    label = "cat"
    when  = strcontains(row.text, "cat")
  }
}
`

// How long a stage took for a number of rows or calls predicts how long it will
// take for the current number.
func TestAPlanEstimatesSecondsFromTheLastRun(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{Latency: 40 * time.Millisecond})
	dir := folder(t, map[string]string{"texts.csv": texts(0, 40), "main.quern.hcl": fmt.Sprintf(timed, e.URL())})
	quernIn(t, dir, "apply", "-auto-approve", "-target=source.texts")
	if got := estimateOf(t, dir, "label.kind"); got.Seconds != nil {
		t.Errorf("before it ever ran it is thought to take %g s", *got.Seconds)
	}
	quernIn(t, dir, "apply", "-auto-approve")
	took := secondsOf(t, dir, "label.kind")
	if err := os.WriteFile(filepath.Join(dir, "texts.csv"), []byte(texts(30, 80)), 0o644); err != nil {
		t.Fatal(err)
	}
	quernIn(t, dir, "apply", "-auto-approve", "-target=source.texts")
	want := took * 2
	if got := estimateOf(t, dir, "label.kind"); got.Seconds == nil || math.Abs(*got.Seconds-want) > 0.05*want {
		t.Errorf("it took %g s for 40 calls, and the plan for 80 says %+v", took, got)
	}
	// An estimate of less than a second is only in the JSON.
	if got := estimateOf(t, dir, "label.by_rule"); got.Seconds == nil || *got.Seconds <= 0 || *got.Seconds > 1 {
		t.Errorf("of rules the plan says %+v", got)
	}
	if said := quernIn(t, dir, "plan"); len(regexp.MustCompile(`about \d+\.\d s`).FindAllString(said, -1)) != 3 { // the others are the sums of the change and of everything
		t.Errorf("the plan says\n%s", said)
	}
}

// texts returns rows that are numbered from a given number.
func texts(from, rows int) string {
	text := "text\n"
	for i := range rows {
		text += fmt.Sprintf("cat %d\n", from+i)
	}
	return text
}

// secondsOf returns how long a stage took, according to the record of its run.
func secondsOf(t *testing.T, dir, address string) float64 {
	t.Helper()
	var log struct{ Runs []history.Run }
	if err := json.Unmarshal([]byte(quernIn(t, dir, "log", "-json")), &log); err != nil {
		t.Fatal(err)
	}
	for _, run := range log.Runs {
		for _, i := range run.Instances {
			if i.Address == address && i.Action == "run" {
				return i.Seconds
			}
		}
	}
	t.Fatalf("no run has run %s", address)
	return 0
}
