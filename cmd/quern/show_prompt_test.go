package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
)

const drawnExamples = `
source "csv" "asked" {
  path = "asked.csv"
}

source "csv" "solved" {
  path = "solved.csv"
}

model "openai" "m" {
  name     = "m"
  base_url = %[1]q
}

model "openai" "vectors" {
  name     = "vectors"
  base_url = %[1]q
}

prompt "first" {
  user = "first: ${row.text}"
  examples {
    dataset   = source.solved
    user      = row.text
    assistant = row.label
    count     = 2
  }
}

prompt "random" {
  user = "random: ${row.text}"
  examples {
    dataset   = source.solved
    user      = row.text
    assistant = row.label
    count     = 3
    select    = "random"
    seed      = 7
  }
}

prompt "nearest" {
  user = "nearest: ${row.text}"
  examples {
    dataset   = source.solved
    user      = row.text
    assistant = row.label
    count     = 2
    select    = "nearest"
    model     = model.vectors
  }
}

evaluate "prompt" "e" {
  dataset = source.asked
  subjects = {
    first   = { model = model.m, prompt = prompt.first }
    random  = { model = model.m, prompt = prompt.random }
    nearest = { model = model.m, prompt = prompt.nearest }
  }
  metrics = { any = output.text != "" }
}
`

// show prints the request that a run sends for a prompt, including the
// examples. If finding the examples would require embeddings that have not been
// paid for, it says so.
func TestAPromptIsShownWithTheExamplesThatARunShows(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[string][]llm.Message{} // by the last message
	e := openaitest.Serve(t, openaitest.Options{Answer: func(r *openaitest.Request) *llm.Response {
		mu.Lock()
		defer mu.Unlock()
		asked[r.Last] = r.Messages
		return openaitest.Echo(r)
	}})
	solved := "text,label\n"
	for i := range 20 {
		solved += fmt.Sprintf("letter %d about %s,%d\n", i, []string{"cards", "rates", "loans"}[i%3], i)
	}
	dir := folder(t, map[string]string{
		"asked.csv": "text\na card\nletter 3 about cards\nloans\n", "solved.csv": solved, "main.quern.hcl": fmt.Sprintf(drawnExamples, e.URL()),
	})
	quernIn(t, dir, "apply", "-auto-approve", "-target=source.asked", "-target=source.solved")
	for prompt, want := range map[string]string{"first": "letter 0 about cards", "random": "letter", "nearest": "Examples are left out"} {
		if said := quernIn(t, dir, "show", "prompt."+prompt, "-row=1"); !strings.Contains(said, want) {
			t.Errorf("before the run, of %s quern says\n%s", prompt, said)
		}
	}
	said := strings.Join(strings.Fields(strings.ReplaceAll(quernIn(t, dir, "show", "prompt.nearest"), "│", "")), " ")
	if want := "not cached yet: those of 20 of 20 examples and that of the row. This command does not call models. Run \"quern apply -target=evaluate.e\" to request them"; !strings.Contains(said, want) {
		t.Errorf("of examples that are not known quern says\n%s", said)
	}
	if n := e.Counts().Requests; n != 0 {
		t.Fatalf("%d requests were made to show prompts", n)
	}
	quernIn(t, dir, "apply", "-auto-approve")
	requests := e.Counts().Requests
	for _, prompt := range []string{"first", "random", "nearest"} {
		for row, text := range []string{"a card", "letter 3 about cards", "loans"} {
			var shown llm.Request
			if err := json.Unmarshal([]byte(quernIn(t, dir, "show", "-json", "prompt."+prompt, fmt.Sprint("-row=", row))), &shown); err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, m := range shown.Messages {
				got = append(got, m.Role+": "+m.Content)
			}
			for _, m := range asked[prompt+": "+text] {
				want = append(want, m.Role+": "+m.Content)
			}
			if len(want) < 5 || !slices.Equal(got, want) {
				t.Errorf("of %s for row %d is shown\n%s\nand was asked\n%s", prompt, row, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	if n := e.Counts().Requests; n != requests {
		t.Errorf("%d requests were made to show prompts", n-requests)
	}
}
