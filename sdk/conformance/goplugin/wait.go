package goplugin

import (
	"context"
	"time"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// later is a labeler whose rows are pending at first.
type later struct{}

func (later) Prepare(_ context.Context, p *plugin.Prepare[textArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

func (later) Map(_ context.Context, a *textArgs, b *plugin.Batch) error {
	texts := b.Strings(a.Text)
	for i := range b.N {
		text, ok := texts.At(i)
		if !ok {
			continue
		}
		if token := b.Token(i); token != nil {
			b.SetString(b.Name(), i, text+" "+string(token))
			continue
		}
		b.SetPending(i, []byte("job of "+text), &plugin.Pending{Reason: "the job runs", CheckAfter: 90 * time.Second})
	}
	return nil
}
