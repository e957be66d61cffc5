package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
)

const keptPipeline = `
source "csv" "texts" {
  path = "texts.csv"
}

model "openai" "chat" {
  name     = "chat"
  base_url = %[1]q
}

model "openai" "vectors" {
  name     = "vectors"
  base_url = %[1]q
}

prompt "kind" {
  user = "Which is it? ${row.text}"
  examples {
    dataset   = source.texts
    user      = row.text
    assistant = row.label
    select    = "nearest"
    model     = model.vectors
    count     = 2
  }
}

label "llm" "kind" {
  input   = source.texts
  model   = model.chat
  prompt  = prompt.kind
  classes = ["cat", "dog"]
}

output "kinds" {
  value = label.kind.counts
}
`

// onlyAnswers removes everything but the answers of models from a store.
func onlyAnswers(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".quern"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "responses" && e.Name() != "damaged" {
			if err := os.RemoveAll(filepath.Join(dir, ".quern", e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A flipped bit in any file of cached answers or embeddings is detected. What
// cannot be read is requested again with a warning, and cached again. The
// results are the same as before.
func TestDamagedAnswersAreRequestedAgain(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{})
	texts := "text,label\n"
	for i := range 12 {
		kind := []string{"cat", "dog"}[i%2]
		texts += fmt.Sprintf("the %s no. %d,%s\n", kind, i, kind)
	}
	dir := folder(t, map[string]string{"texts.csv": texts, "main.quern.hcl": fmt.Sprintf(keptPipeline, e.URL())})
	asked := int64(0)
	apply := func() (said string, requests int64) {
		t.Helper()
		onlyAnswers(t, dir)
		said = quernIn(t, dir, "apply", "-auto-approve")
		if !strings.Contains(said, "cat = 6") || !strings.Contains(said, "dog = 6") {
			t.Fatalf("apply says\n%s", said)
		}
		said = strings.Join(strings.Fields(strings.ReplaceAll(said, "│", " ")), " ")
		requests, asked = e.Counts().Requests-asked, e.Counts().Requests
		return said, requests
	}
	if err := os.Mkdir(filepath.Join(dir, ".quern"), 0o777); err != nil {
		t.Fatal(err)
	}
	_, all := apply()
	if said, n := apply(); n != 0 {
		t.Fatalf("%d of %d requests are made again where all answers are kept:\n%s", n, all, said)
	}
	warned, again := 0, int64(0)
	for _, kind := range []string{"*.sst", "*.log", "MANIFEST-*", "OPTIONS-*", "marker.*"} {
		damaged := damageAnswers(t, dir, kind)
		said, n := apply()
		hurt := damageTold.MatchString(said)
		t.Logf("%v: %d requests, told of: %v", damaged, n, hurt)
		if n > all || n > 0 && !hurt {
			t.Errorf("with a flipped bit in %s %d of %d requests are made again, and apply says\n%s", kind, n, all, said)
		}
		if hurt {
			warned++
		}
		again += n
		if said, n := apply(); n != 0 || damageTold.MatchString(said) {
			t.Errorf("after %s was healed %d requests are made, and apply says\n%s", kind, n, said)
		}
	}
	if warned == 0 || again == 0 {
		t.Errorf("%d times damage was found, and %d requests made again", warned, again)
	}
}

// damageTold matches the warning about damage and its consequences.
var damageTold = regexp.MustCompile(`cached answers? .*damaged.*(requested again|requests the rest again)`)

// damageAnswers flips a bit in all files of a kind among the cached answers,
// and returns their names.
func damageAnswers(t *testing.T, dir, kind string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, ".quern", "responses", "main", kind))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range paths {
		if err := flipBit(path); err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Base(path))
	}
	return names
}
