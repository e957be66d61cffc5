package prepare

import (
	"errors"

	"github.com/quern-dev/quern/planner/fingerprint"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Lookers is the number of sources and deployments that are refreshed in
// parallel. They wait for disks and networks, not for processors.
const Lookers = 16

// look gets the current fingerprint of a source. It returns false if that
// failed, which it has reported. Without a refresh, it trusts the state.
func (p *Preparer) look(n *Instance) bool {
	switch {
	case n.Mode != plan.ModeRead || !n.Bound.Config.IsWhollyKnown():
		return true
	case !p.Refresh || p.IsSettled(n.Addr.Stage):
		prior := p.Prior[n.Address]
		if prior == nil {
			return true
		}
		definition, _, err := fingerprint.Definition(n.Node, n.Bound.Body, p.Secrets.Seal)
		if err == nil && prior.Definition == definition {
			n.Fingerprint, n.Memo = prior.Fingerprint, prior.Memo
		}
		return true
	}
	resp, err := p.askFingerprint(n)
	if err != nil {
		p.Processes.Failed(n.Node, "refresh "+n.Address, err)
		return false
	}
	if p.Processes.Heard(n.Node, resp.Diagnostics) {
		return false
	}
	if err := p.takeFingerprint(n, resp); err != nil {
		p.Processes.Failed(n.Node, "refresh "+n.Address, err)
		return false
	}
	return true
}

func (p *Preparer) askFingerprint(n *Instance) (*pluginv1.FingerprintResponse, error) {
	in, err := n.Proto()
	if err != nil {
		return nil, err
	}
	in.Pins = p.Pins.given(n.Plugin)
	req := &pluginv1.FingerprintRequest{Instance: in}
	if prior := p.Prior[n.Address]; prior != nil && prior.Type == n.Type {
		req.Memo = prior.Memo
	}
	service, err := p.Processes.Service(n.Plugin)
	if err != nil {
		return nil, err
	}
	return service.Fingerprint(p.Context, req)
}

// takeFingerprint sets the fingerprint in the form in which it may be stored. A
// fingerprint that contains a secret is sealed, and notes that contain one are
// dropped.
func (p *Preparer) takeFingerprint(n *Instance, resp *pluginv1.FingerprintResponse) error {
	if resp.Fingerprint == "" {
		return errors.New("it returned no fingerprint; this is a bug in the plugin")
	}
	sealed, err := p.Secrets.SealText(resp.Fingerprint)
	if err != nil {
		return err
	}
	n.Fingerprint, n.Summary = sealed, p.Secrets.Text(resp.Summary)
	if !p.Secrets.In(string(resp.Memo)) {
		n.Memo = resp.Memo
	}
	return nil
}
