package runner

import (
	"sync"

	"github.com/quern-dev/quern/store/artifact"
	"github.com/quern-dev/quern/store/blob"
)

// artifacts reads manifests of artifacts, each once as long as there is room:
// what one stage makes the next ones read.
type artifacts struct {
	blobs *blob.Store
	mu    sync.Mutex
	cache map[string]*artifact.Artifact
}

const mostArtifacts = 256

func newArtifacts(blobs *blob.Store) *artifacts {
	return &artifacts{blobs: blobs, cache: map[string]*artifact.Artifact{}}
}

func (a *artifacts) get(ref artifact.Ref) (*artifact.Artifact, error) {
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
	a.keep(ref, found)
	return found, nil
}

func (a *artifacts) keep(ref artifact.Ref, what *artifact.Artifact) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= mostArtifacts {
		clear(a.cache)
	}
	a.cache[ref.Manifest] = what
}

// keyLocks let one stage at a time work on an action key: the second of two
// stages that are the same finds what the first has made.
type keyLocks struct {
	mu    sync.Mutex
	locks map[string]*sync.Mutex
}

func (k *keyLocks) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*sync.Mutex{}
	}
	l := k.locks[key]
	if l == nil {
		l = &sync.Mutex{}
		k.locks[key] = l
	}
	k.mu.Unlock()
	l.Lock()
	return l.Unlock
}
