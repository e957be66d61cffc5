package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// DefaultStopGrace is how long a Run may take to end after it was asked to,
// unless its plugin says otherwise.
const DefaultStopGrace = 30 * time.Second

// Stoppable is for a Run that is asked to end rather than canceled. It returns
// the context to make the call with and the call's name. When asked ends, the
// plugin is told; grace later (0 means DefaultStopGrace), or when hard ends,
// the call is canceled. The caller calls done when the call is over.
func (p *Plugin) Stoppable(hard, asked context.Context, grace time.Duration) (ctx context.Context, call string, done func()) {
	if grace == 0 {
		grace = DefaultStopGrace
	}
	ctx, cancel := context.WithCancel(hard)
	call = rand.Text()
	forget := context.AfterFunc(asked, func() {
		defer time.AfterFunc(grace, cancel)
		p.command.Log.Debug("asked to stop", "call", call, "grace", grace)
		if _, err := p.service.Stop(ctx, &pluginv1.StopRequest{Call: call}); err != nil {
			// A plugin without Stop is canceled at once.
			cancel()
		}
	})
	return ctx, call, func() {
		forget()
		cancel()
	}
}

// slow reports that the plugin is slow, unless the returned function is called
// in time.
func (p *Plugin) slow(what string) (done func()) {
	if p.command.Slow == nil {
		return func() {}
	}
	t := time.AfterFunc(p.command.Patience, func() {
		p.command.Slow(fmt.Sprintf("Still waiting for plugin %q %s.", p.command.Name, what))
	})
	return func() { t.Stop() }
}

// answering says what a call waits for.
func answering(method string, req any) string {
	_, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return "to answer " + name + subject(req)
}

// subject is the stage that a request is about.
func subject(req any) string {
	if r, ok := req.(interface{ GetInstances() []*pluginv1.Instance }); ok {
		switch all := r.GetInstances(); len(all) {
		case 0:
			return ""
		case 1:
			return " for " + all[0].GetAddress()
		default:
			return fmt.Sprintf(" for %s and %d more", all[0].GetAddress(), len(all)-1)
		}
	}
	if r, ok := req.(interface{ GetInstance() *pluginv1.Instance }); ok {
		return " for " + r.GetInstance().GetAddress()
	}
	return ""
}
