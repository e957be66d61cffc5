package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestReplacementInARegistry(t *testing.T)         { killReplacements(t, registryPlace(t)) }
func TestReplacementOnTheHuggingFaceHub(t *testing.T) { killReplacements(t, modelHub(t)) }
func TestReplacementInABucket(t *testing.T)           { killReplacements(t, bucketPlace(t)) }
func TestReplacementInOllama(t *testing.T)            { killReplacements(t, ollamaPlace(t)) }
func TestReplacementOnReplicasOfVLLM(t *testing.T)    { killReplacements(t, vllmPlace(t)) }
func TestReplacementInKubernetes(t *testing.T)        { killReplacements(t, clusterPlace(t)) }

// killReplacements kills applies that replace a deployment by one with another name, at
// random requests. After each request, the old or the new one must be served, and another apply must
// leave only the new one.
func killReplacements(t *testing.T, p *place) {
	d := deployTo(t, p)
	names := []string{"m1", "m2"}
	apply := func(n int) []string {
		return []string{"apply", "-auto-approve", "-var", fmt.Sprintf("epochs=%d", n+1), "-var", "name=" + names[n]}
	}
	digests := map[string]bool{}
	most := 0 // requests of a replacement
	for n := range names {
		d.from(0, nil)
		d.quern(apply(n)...)
		most, _ = d.counts()
		d.onlyServes(names[n], names[1-n])
		digest, _ := d.serving(names[n])
		digests[digest] = true
	}
	served := func(n int) bool {
		digest, err := d.serving(names[n])
		return err == nil && digests[digest]
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	old := 1
	for left := crashes(t); left > 0; {
		next := 1 - old
		at := 1 + random.IntN(most)
		d.watching(func() {
			// The order matters: before the old one is deleted, the new one is served.
			if !served(old) && !served(next) {
				t.Errorf("in an apply that was to be killed at request %d, neither %s nor %s is served", at, names[old], names[next])
			}
		})
		killed := d.killed(at, apply(next)...)
		d.watching(nil)
		if killed {
			left--
			if !served(old) && !served(next) {
				t.Fatalf("killed at request %d on the way from %s to %s: neither is served", at, names[old], names[next])
			}
			t.Logf("killed at request %d of %d on the way from %s to %s", at, most, names[old], names[next])
			d.from(0, nil)
			d.quern(apply(next)...)
		}
		d.onlyServes(names[next], names[old])
		old = next
	}
}

// watching sets what is called after each request.
func (p *place) watching(watch func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watch = watch
}

// onlyServes compares what is served, and what the state has, with one name.
func (d *deploying) onlyServes(name, gone string) {
	d.t.Helper()
	if digest, err := d.serving(name); err != nil || digest == "" {
		d.t.Fatalf("%s is served as %q: %v", name, digest, err)
	}
	if digest, err := d.serving(gone); err != nil || digest != "" {
		d.t.Fatalf("%s is still served: %q, %v", gone, digest, err)
	}
	if list := d.quern("state", "list"); strings.Contains(list, "deposed") || !strings.Contains(list, "deploy.live") {
		d.t.Fatalf("the state has\n%s", list)
	}
}
