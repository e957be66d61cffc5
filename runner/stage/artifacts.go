package stage

import (
	"sync"

	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
)

// Artifacts reads manifests of artifacts and caches them in bounded memory:
// what one stage produces, the next ones read. It is safe for concurrent use.
type Artifacts struct {
	blobs *blob.Store
	mu    sync.Mutex
	cache map[string]*artifact.Artifact
}

const mostArtifacts = 256

// NewArtifacts returns a reader of the artifacts in a store.
func NewArtifacts(blobs *blob.Store) *Artifacts {
	return &Artifacts{blobs: blobs, cache: map[string]*artifact.Artifact{}}
}

// Get returns an artifact. It is verified when it is first read.
func (a *Artifacts) Get(ref artifact.Ref) (*artifact.Artifact, error) {
	a.mu.Lock()
	found := a.cache[ref.Manifest]
	a.mu.Unlock()
	if found != nil {
		return found, nil
	}
	found, err := artifact.Get(a.blobs, ref)
	if err != nil {
		return nil, err
	}
	a.Keep(ref, found)
	return found, nil
}

// Keep caches an artifact that was just stored.
func (a *Artifacts) Keep(ref artifact.Ref, what *artifact.Artifact) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= mostArtifacts {
		clear(a.cache)
	}
	a.cache[ref.Manifest] = what
}
