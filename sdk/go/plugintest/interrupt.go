package plugintest

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// RunInterrupted runs a Runner as a whole. Then it runs it in another folder,
// asks it to stop after its first event, such as progress, and runs it again
// with what it left there. It fails the test if the results differ, to the
// byte.
func RunInterrupted(t testing.TB, p plugin.Plugin, c Case) (*RunResult, error) {
	t.Helper()
	s := start(t, p, c)
	b := s.bind(c)
	prepared, err := s.ready(b)
	if err != nil {
		return nil, err
	}
	whole, err := s.run(b, prepared)
	if err != nil {
		return nil, err
	}
	b.workDir, s.stop = t.TempDir(), "interrupted"
	var ended *client.CallError
	if _, err := s.run(b, prepared); err != nil && !(errors.As(err, &ended) && ended.Code == codes.Canceled) {
		return nil, fmt.Errorf("interrupted pass: %w", err)
	}
	s.stop = ""
	resumed, err := s.run(b, prepared)
	if err != nil {
		return nil, fmt.Errorf("resumed pass: %w", err)
	}
	s.compare(whole, resumed)
	return whole, nil
}

// stopIfAsked asks the call to stop that RunInterrupted interrupts. A call can
// be asked more than once.
func (s *session) stopIfAsked() error {
	if s.stop == "" {
		return nil
	}
	_, err := s.client.Service().Stop(s.t.Context(), &pluginv1.StopRequest{Call: s.stop})
	return err
}
