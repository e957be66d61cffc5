package inspect_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/store/history"
	"github.com/quern-dev/quern/ui/results/resultstest"
)

func TestRunsAreSelectedByEnvironmentAndNumber(t *testing.T) {
	s := newStore(t)
	ended := time.Now()
	for i, env := range []string{"dev", "prod", "dev", "dev"} {
		id := "2026010" + string(rune('1'+i)) + "-000000-00000000"
		if err := s.Runs().Put(&history.Run{Format: history.Format, ID: id, Environment: env, Status: history.Done, Started: ended, Ended: &ended}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		filter inspect.Filter
		want   string // days
	}{
		{inspect.Filter{}, "4 3 2 1"},
		{inspect.Filter{Last: 2}, "4 3"},
		{inspect.Filter{Environment: "dev"}, "4 3 1"},
		{inspect.Filter{Environment: "dev", Last: 1}, "4"},
		{inspect.Filter{Environment: "prod", Last: 3}, "2"},
		{inspect.Filter{Environment: "test"}, ""},
	} {
		runs, err := inspect.Runs(s.Runs(), c.filter)
		var days []string
		for _, r := range runs {
			days = append(days, r.ID[7:8])
		}
		if err != nil || runs == nil || strings.Join(days, " ") != c.want {
			t.Errorf("%+v: got %v, %v", c.filter, days, err)
		}
	}
	records, err := filepath.Glob(filepath.Join(s.Dir, "*", "20260104-000000-00000000*"))
	if err != nil || len(records) == 0 {
		t.Fatal(records, err)
	}
	for _, record := range records {
		if err := os.WriteFile(record, []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if runs, err := inspect.Runs(s.Runs(), inspect.Filter{Last: 1}); err == nil || len(runs) != 1 || runs[0].ID[7:8] != "3" {
		t.Errorf("with a damaged record: got %v, %v", runs, err)
	}
}

func TestInstancesOfARunAreCountedByAction(t *testing.T) {
	got := inspect.Tallies(&history.Run{Instances: []history.Instance{
		{Action: "run", Status: history.Done}, {Action: "create", Status: history.Done}, {Action: "run", Status: history.Failed}, {Action: "run", Status: history.Done}, {Action: "run", Status: history.Skipped},
	}})
	if want := []inspect.Tally{{"run", 2}, {"create", 1}, {"failed", 1}, {"not reached", 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestTheEvaluationsOfARunAreReadFromItsOwnOutputs(t *testing.T) {
	s := resultstest.New(t)
	r := &history.Run{}
	for _, address := range []string{"source.tickets", "evaluate.prompts", "evaluate.labels"} {
		inst := s.State.Instances[address]
		r.Instances = append(r.Instances, history.Instance{Address: address, Outputs: inst.Outputs, Value: inst.Value})
	}
	s.State.Instances = nil // the state may be newer
	got := inspect.Evaluations(t.Context(), s.Store, r)
	if len(got) != 2 || got[0].Address != "evaluate.prompts" || got[0].Err != nil || len(got[0].Found.Subjects) != 2 || got[1].Address != "evaluate.labels" {
		t.Fatalf("got %+v", got)
	}
	if err := s.Store.Blobs.Remove(r.Instances[1].Outputs[""].Manifest); err != nil {
		t.Fatal(err)
	}
	got = inspect.Evaluations(t.Context(), s.Store, r)
	if len(got) != 2 || got[0].Err == nil || got[0].Found != nil || got[1].Err != nil {
		t.Errorf("without its report: got %+v", got)
	}
}
