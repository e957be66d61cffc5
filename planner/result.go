package planner

import (
	"errors"
	"fmt"

	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
)

// result is what an instance has made already. It is known of instances that
// are kept, or whose result is reused.
type result struct {
	known     bool
	artifacts map[string]*artifact.Artifact
	digests   map[string]string
	value     *value.Stored // nil: none
}

// unusable says why a result that should be there can't be used: Code is
// missing or damaged.
type unusable struct {
	code plan.ReasonCode
	text string
}

// load reads the manifests of a result and makes sure that all files are
// there. It does not read the files: who uses them verifies them.
func (b *builder) load(outputs map[string]artifact.Ref, v *value.Stored) (result, *unusable) {
	r := result{known: true, artifacts: map[string]*artifact.Artifact{}, digests: map[string]string{}, value: v}
	for port, ref := range outputs {
		a, err := artifact.Get(b.Store.Blobs, ref)
		if err != nil {
			return result{}, unusableBy(port, err)
		}
		for _, digest := range blobsOf(a) {
			if !b.Store.Blobs.Has(digest) {
				return result{}, unusableBy(port, &blob.Missing{Digest: digest})
			}
		}
		r.artifacts[port], r.digests[port] = a, ref.Digest
	}
	return r, nil
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

// blobsOf are the files that an artifact consists of.
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

// made is the instance's result as expressions see it, of plain values only if
// they are wanted; nil: not known.
func (b *builder) made(n *node, values bool) *plan.Made {
	if n.Mode == plan.ModeDeploy && n.Action == plan.Keep && n.Deployment != nil && n.Deployment.Value != nil {
		return &plan.Made{Value: n.Deployment.Value.Value}
	}
	if !n.result.known {
		return nil
	}
	made := &plan.Made{Outputs: map[string]plan.Artifact{}}
	if values && n.result.value != nil {
		v, err := n.result.value.Get()
		if err != nil {
			b.report(diag.Errorf(&n.stage.cfg.DeclRange, "Cannot read stored values", "The result of %s is in the store, but its values cannot be read: %s. Compute it again with -replace=%s.", n.Address, err, n.Address))
		}
		made.Value = v
	}
	for port, a := range n.result.artifacts {
		out := plan.Artifact{Digest: n.result.digests[port]}
		if a.Dataset != nil {
			out.Rows = a.Dataset.Rows
		}
		made.Outputs[port] = out
	}
	return made
}

// manifest is that of a dataset; nil: it is not known yet.
func (h *handle) manifest() *dataset.Manifest {
	if !h.node.result.known || h.port == nil {
		return nil
	}
	if a := h.node.result.artifacts[h.port.Name]; a != nil {
		return a.Dataset
	}
	return nil
}

// rowsOf is how many rows a dataset has; nil: not known yet.
func (b *builder) rowsOf(h *handle) *int64 {
	if h == nil {
		return nil
	}
	if m := h.manifest(); m != nil {
		return &m.Rows
	}
	return nil
}
