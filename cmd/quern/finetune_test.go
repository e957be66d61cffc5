package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
)

const tuningPipeline = `
source "csv" "texts" {
  path = "texts.csv"
}

train "openai_finetune" "m" {
  dataset  = source.texts
  base     = "gpt-test"
  base_url = %q
  prompt   = prompt.kind
  target   = row.kind
  epochs   = 2

  price {
    input  = 1
    output = 2
  }
}

prompt "kind" {
  user = "Which is it? ${row.text}"
}

label "llm" "again" {
  input   = source.texts
  model   = train.m
  prompt  = prompt.kind
  classes = ["cat", "dog"]
}

output "model" {
  value = train.m.model
}
`

func tuningFiles(e *openaitest.Endpoint) map[string]string {
	texts := "text,kind\n"
	for i := range 12 {
		kind := []string{"cat", "dog"}[i%2]
		texts += fmt.Sprintf("the %s no. %d,%s\n", kind, i, kind)
	}
	return map[string]string{"texts.csv": texts, "main.quern.hcl": fmt.Sprintf(tuningPipeline, e.URL())}
}

func TestAHostedModelIsTrainedAndUsed(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{})
	dir := folder(t, tuningFiles(e))
	expect(t, dir, 3, "apply -auto-approve", "train.m: pending", "job "+"ftjob-")
	e.ProgressJobs(3, 24, 1.25)
	expect(t, dir, 3, "apply -auto-approve", "step 3 of 24, loss 1.25")
	expect(t, dir, 0, "plan", "step 3 of 24, loss 1.25")
	expect(t, dir, 0, "gc -delete -grace 0s -keep-runs 0")
	if n := len(e.Jobs()); n != 1 {
		t.Fatalf("%d jobs", n)
	}
	// -replace starts another job; the first one goes on.
	expect(t, dir, 3, "apply -auto-approve -replace=train.m", "train.m: pending")
	if jobs := e.Jobs(); len(jobs) != 2 || jobs[0].Status != "running" {
		t.Fatalf("%d jobs", len(jobs))
	}
	e.FinishJobs()
	expect(t, dir, 0, "apply -auto-approve", "train.m: done", "label.again: done", `model = "ft:gpt-test:acme::`, "12 calls")
	expect(t, dir, 0, "plan", "No changes")
	if n := len(e.Jobs()); n != 2 {
		t.Errorf("%d jobs", n)
	}
}

// The plan refuses training that would cost too much.
func TestAHostedTrainingMustNotCostMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{})
	files := tuningFiles(e)
	files["main.quern.hcl"] = strings.Replace(files["main.quern.hcl"], "  epochs   = 2\n", "  epochs   = 2\n  training_price = 25\n  max_cost = var.most\n", 1) + `
variable "most" { type = number }
`
	dir := folder(t, files)
	expect(t, dir, 1, "plan -var most=0.001", "Training would cost more than max_cost", "in 2 epochs, at 25 per million", "max_cost is 0.001")
	expect(t, dir, 3, "apply -auto-approve -var most=0.1", "train.m: pending")
	if n := len(e.Jobs()); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

func TestAHostedTrainingThatFailsCostsWhatTheProviderBills(t *testing.T) {
	t.Parallel()
	e := openaitest.Serve(t, openaitest.Options{})
	files := tuningFiles(e)
	files["main.quern.hcl"] = strings.Replace(files["main.quern.hcl"], "  epochs   = 2\n", "  epochs   = 2\n  training_price = 25\n", 1)
	dir := folder(t, files)
	expect(t, dir, 3, "apply -auto-approve", "train.m: pending after", "(cost 0.0106)")
	e.FailJobs("The examples are harmful.", "training_file")
	expect(t, dir, 1, "apply -auto-approve", "The examples are harmful.")
	expect(t, dir, 0, "log -costs", " failed 0 (12 to 13) 0 (852 to 2,851) -0.0106 ", " pending 0 (12 to 13) 0 (852 to 2,851) 0.0106 ")
}

// Ctrl-C cancels a job only if it is to.
func TestAnInterruptCancelsAHostedTraining(t *testing.T) {
	t.Parallel()
	for more, status := range map[string]string{"": "running", "\n  cancel_on_interrupt = true": "cancelled"} {
		asked := make(chan struct{}, 100)
		e := openaitest.Serve(t, openaitest.Options{Object: func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
			if strings.HasSuffix(r.URL.Path, "/events") {
				asked <- struct{}{}
			}
			return false
		}})
		files := tuningFiles(e)
		files["main.quern.hcl"] = strings.Replace(files["main.quern.hcl"], "  epochs   = 2\n", "  epochs   = 2\n  wait     = true"+more+"\n", 1)
		dir := folder(t, files)
		cmd := batchCommand(dir, "apply", "-auto-approve")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-asked
		e.ProgressJobs(3, 24, 1.25)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if jobs := e.Jobs(); len(jobs) != 1 || jobs[0].Status != status {
			t.Errorf("%q: %d jobs, the first is %s", more, len(jobs), jobs[0].Status)
		}
	}
}

// Wherever the program is killed, a job is created once.
func TestAHostedTrainingIsCreatedOnceIfTheProgramIsKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		after        bool // the endpoint has carried out the call
	}{
		{"POST", "/v1/files", false},
		{"POST", "/v1/files", true},
		{"POST", "/v1/fine_tuning/jobs", false},
		{"POST", "/v1/fine_tuning/jobs", true},
		{"GET", "/v1/fine_tuning/jobs/", true},
		{"GET", "/v1/files/", false},
	} {
		t.Run(fmt.Sprint(c.method, c.path, c.after), func(t *testing.T) {
			var victim *exec.Cmd
			killed := false
			e := openaitest.Serve(t, openaitest.Options{Object: func(_ http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
				if killed || r.Method != c.method || !strings.HasPrefix(r.URL.Path, c.path) {
					return false
				}
				killed = true
				if c.after {
					serve(httptest.NewRecorder(), r)
				}
				_ = victim.Process.Kill()
				panic(http.ErrAbortHandler)
			}})
			dir := folder(t, tuningFiles(e))
			for range 4 {
				victim = batchCommand(dir, "apply", "-auto-approve")
				var out bytes.Buffer
				victim.Stdout, victim.Stderr = &out, &out
				_ = victim.Run()
				code := victim.ProcessState.ExitCode()
				if code == 0 {
					break
				}
				if code != 3 && code != -1 {
					t.Fatalf("apply ended with %d:\n%s", code, &out)
				}
				if code == 3 {
					e.FinishJobs()
				}
			}
			if !killed || len(e.Jobs()) != 1 {
				t.Errorf("killed: %v; %d jobs", killed, len(e.Jobs()))
			}
			expect(t, dir, 0, "plan", "No changes")
		})
	}
}
