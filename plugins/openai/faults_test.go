package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/quern-dev/quern/plugins/openai/openaitest"
	"github.com/quern-dev/quern/sdk/go/llm"
)

func TestFaultsOfEndpointsAreAnswersOrSayWhatIsWrong(t *testing.T) {
	for _, f := range openaitest.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			e := openaitest.Serve(t, openaitest.Options{Fault: func(*openaitest.Request) *openaitest.Fault { return &f }})
			got, err := chat(t, e.URL(), nil, ask("hello"))
			if !f.Fails {
				if err != nil || got.Text != "hello" {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			var call *llm.CallError
			if !errors.As(err, &call) {
				// The host judges what the response says; see runner/modelhost.
				if err != nil || strings.TrimSpace(got.Text) != "" && got.FinishReason != llm.FinishError {
					t.Fatalf("got %+v, %v", got, err)
				}
				return
			}
			if call.Temporary != f.Passes || !strings.Contains(call.Message, f.Says) {
				t.Errorf("got %+v", call)
			}
		})
	}
}
