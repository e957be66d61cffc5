package stage

import (
	"context"

	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Sources asks plugins for the current content of sources.
type Sources struct {
	Plugins  Plugins
	Redactor *secret.Redactor
	Seal     func([]byte) (string, error)
}

// Content is the content of a source.
type Content struct {
	Fingerprint string
	// Memo is what the plugin receives again the next time.
	Memo []byte
}

// Look returns the current content of the source. memo is what its plugin
// returned the last time.
func (s *Sources) Look(ctx context.Context, source *Stage, memo []byte) (c Content, err error) {
	p, err := s.Plugins.Client(ctx, source.Plugin)
	if err != nil {
		return c, err
	}
	now, err := p.Service().Fingerprint(ctx, &pluginv1.FingerprintRequest{Instance: source.Instance, Memo: memo})
	if err != nil {
		return c, err
	}
	if err := source.Reported(now.GetDiagnostics()); err != nil {
		return c, err
	}
	if now.GetFingerprint() == "" {
		return c, source.Faulty("it returned no fingerprint of the source")
	}
	c = Content{Fingerprint: now.GetFingerprint(), Memo: now.GetMemo()}
	if s.Redactor.In(c.Fingerprint) {
		if c.Fingerprint, err = s.Seal([]byte(c.Fingerprint)); err != nil {
			return c, err
		}
	}
	// A memo that contains a secret, such as a path built from one, is not
	// stored. The next look at the source then takes longer.
	if s.Redactor.In(string(c.Memo)) {
		c.Memo = nil
	}
	return c, nil
}
