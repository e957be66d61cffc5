package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
)

// trainingCosts are the folder and the endpoint of a pipeline whose training costs
// money.
type trainingCosts struct {
	t      *testing.T
	dir    string
	config string
	e      *openaitest.Endpoint
}

func newTrainingCosts(t *testing.T) *trainingCosts {
	e := openaitest.Serve(t, openaitest.Options{})
	files := tuningFiles(e)
	return &trainingCosts{t, folder(t, files), files["main.quern.hcl"], e}
}

// with gives the stage more arguments, and the pipeline settings.
func (c *trainingCosts) with(arguments, settings string) {
	c.t.Helper()
	text := strings.Replace(c.config, "  epochs   = 2\n", arguments, 1) + settings
	if err := os.WriteFile(filepath.Join(c.dir, "main.quern.hcl"), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// priced are the arguments with which the cost is known.
const priced = "  epochs = 2\n  training_price = 2500\n"

// ofRun limits a run, and ofDay all runs of a day.
func ofRun(money float64) string {
	return fmt.Sprintf("quern {\n  budget {\n    money = %g\n  }\n}\n", money)
}

func ofDay(money float64) string {
	return fmt.Sprintf("quern {\n  environment \"default\" {\n    budget {\n      per = \"day\"\n      money = %g\n    }\n  }\n}\n", money)
}

var trainingCost = regexp.MustCompile(`tokens, costs about ([0-9.]+) \(`)

func TestTheCostOfHostedTrainingIsInThePlan(t *testing.T) {
	t.Parallel()
	c := newTrainingCosts(t)
	// Unknown is not zero.
	c.with("  epochs = 2\n", "")
	expect(t, c.dir, 0, "plan -target=train.m", "cost unknown (Set training_price.)", "the cost of 1 stage is unknown")
	c.with("  training_price = 25\n", "")
	expect(t, c.dir, 0, "plan -target=train.m", "cost unknown (Set epochs.)")
	c.with("", ofRun(10))
	expect(t, c.dir, 1, "plan -target=train.m", "Price is not known", "Set training_price and epochs.")

	c.with(priced, "")
	out, _ := quernEnds(t, c.dir, "plan", "-target=train.m")
	found := trainingCost.FindStringSubmatch(out)
	if found == nil || !strings.Contains(out, "Estimate: 24 rows, costs about "+found[1]) {
		t.Fatalf("the plan has no cost:\n%s", out)
	}
	cost, err := strconv.ParseFloat(found[1], 64)
	if err != nil || cost <= 0 {
		t.Fatal(cost, err)
	}
	expect(t, c.dir, 0, "plan -target=train.m -json", `"money"`, `"payment"`)
	c.with(priced, ofRun(cost/2))
	expect(t, c.dir, 1, "plan -target=train.m", "Plan exceeds the budget")
	c.with(priced+fmt.Sprintf("  budget {\n    money = %g\n  }\n", cost/2), "")
	expect(t, c.dir, 1, "plan -target=train.m", "Plan exceeds the budget")
	if n := len(c.e.Jobs()); n != 0 {
		t.Errorf("%d jobs", n)
	}

	// A budget of the day that is enough for one job is enough until it ends, and not
	// for another one.
	c.with(priced, ofDay(1.5*cost))
	expect(t, c.dir, 3, "apply -auto-approve -target=train.m", "train.m: pending")
	c.e.ProgressJobs(3, 24, 1.25)
	expect(t, c.dir, 3, "apply -auto-approve -target=train.m", "step 3 of 24")
	expect(t, c.dir, 1, "apply -auto-approve -target=train.m -replace=train.m", "Plan exceeds the budget")
	c.e.FinishJobs()
	expect(t, c.dir, 0, "apply -auto-approve -target=train.m", "train.m: done")
	if n := len(c.e.Jobs()); n != 1 {
		t.Errorf("%d jobs", n)
	}
	expect(t, c.dir, 0, "log -costs -json", `"actual": `+found[1])
}

// What the plan does not know is checked when the stage starts, before a job exists.
func TestHostedTrainingThatExceedsTheBudgetIsNotStarted(t *testing.T) {
	t.Parallel()
	c := newTrainingCosts(t)
	c.with(priced, ofRun(0.001))
	expect(t, c.dir, 1, "apply -auto-approve -target=train.m -refresh=false", "Cost is only partly known", "Training would exceed the budget", "the budget leaves 0.001")
	if n := len(c.e.Jobs()); n != 0 {
		t.Errorf("%d jobs", n)
	}
}
