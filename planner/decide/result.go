package decide

import (
	"errors"
	"fmt"

	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/module"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
)

// unusable explains why a result that should exist cannot be used. Code is
// missing or damaged.
type unusable struct {
	code plan.ReasonCode
	text string
}

// load reads the manifests of a result and checks that all files exist. It does
// not read the files; whoever uses them verifies them.
func (d *Decider) load(outputs map[string]artifact.Ref, v *value.Stored) (module.Result, *unusable) {
	r := module.Result{Known: true, Artifacts: map[string]*artifact.Artifact{}, Digests: map[string]string{}, Value: v}
	for port, ref := range outputs {
		a, err := d.Artifact(ref)
		if err != nil {
			return module.Result{}, unusableBy(port, err)
		}
		for _, digest := range blobsOf(a) {
			if !d.has(digest) {
				return module.Result{}, unusableBy(port, &blob.Missing{Digest: digest})
			}
		}
		r.Artifacts[port], r.Digests[port] = a, ref.Digest
	}
	return r, nil
}

// has reports whether a blob exists. Results in a chain of stages share blobs.
func (d *Decider) has(digest string) bool {
	if _, ok := d.found.Load(digest); ok {
		return true
	}
	if !d.Store.Blobs.Has(digest) {
		return false
	}
	d.found.Store(digest, nil)
	return true
}

// Artifact returns an artifact in the store. Its manifest is read and verified once,
// however many instances and comparisons refer to it.
func (d *Decider) Artifact(ref artifact.Ref) (*artifact.Artifact, error) {
	if a, ok := d.artifacts.Load(ref); ok {
		return a.(*artifact.Artifact), nil
	}
	a, err := artifact.Get(d.Store.Blobs, ref)
	if err != nil {
		return nil, err
	}
	d.artifacts.Store(ref, a)
	return a, nil
}

func unusableBy(port string, err error) *unusable {
	what := "its result"
	if port != "" {
		what = fmt.Sprintf("its output %q", port)
	}
	if missing := (*blob.Missing)(nil); errors.As(err, &missing) {
		return &unusable{plan.BecauseMissing, what + " is no longer in the store"}
	}
	return &unusable{plan.BecauseDamaged, fmt.Sprintf("%s is damaged: %s", what, err)}
}

// blobsOf returns the files that an artifact consists of.
func blobsOf(a *artifact.Artifact) []string {
	var digests []string
	for _, f := range a.Files {
		digests = append(digests, f.Digest)
	}
	if a.Dataset != nil {
		for _, s := range a.Dataset.Shards {
			for _, g := range s.Groups {
				digests = append(digests, g.Blob)
			}
		}
	}
	return digests
}
