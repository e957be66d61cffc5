package main

import (
	"testing"
	"time"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/store/history"
)

func TestTheListOfRunsContainsRunningOnes(t *testing.T) {
	if got := duration(&history.Run{Started: time.Now(), Status: history.Running}); got != "-" {
		t.Errorf("it took %q", got)
	}
}

func TestTheSpendOfARunIsReported(t *testing.T) {
	for want, s := range map[string]*llm.Spend{
		"":                             nil,
		"0 calls":                      {CachedCalls: 7},
		"2 calls, 30 tokens":           {Calls: 2, InputTokens: 20, OutputTokens: 10, UnpricedCalls: 1},
		"2 calls, 30 tokens, 0.000123": {Calls: 2, InputTokens: 20, OutputTokens: 10, Cost: 0.0001234},
		"2 calls, 30 tokens, 12.35":    {Calls: 2, InputTokens: 20, OutputTokens: 10, Cost: 12.345},
	} {
		if got := spent(s); got != want {
			t.Errorf("%+v: got %q, want %q", s, got, want)
		}
	}
}
