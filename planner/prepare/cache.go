package prepare

import (
	"bytes"
	"encoding/gob"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/disk"
)

// Cache remembers what plugins answered to Prepare, so that a plan in
// which nothing has changed starts none but those that are looked at. What a
// plugin prepares depends on its program and the instance alone, of a source
// also on what it holds.
//
// It is one file, rewritten by each plan with the answers that the plan had
// a use for, so it does not grow. A file that cannot be read is no loss.
type Cache struct {
	path string // empty: nothing is remembered
	seal func([]byte) (string, error)

	mu      sync.Mutex
	read    bool
	before  map[string]remembered
	after   map[string]remembered
	changed bool
}

// remembered is an answer without diagnostics.
type remembered struct {
	Fingerprint string // of a source: what it held
	Prepared    []byte // pluginv1.Prepared
}

// NewCache is the cache of an environment in a store. Without a store nothing is
// remembered.
func NewCache(s *store.Store, environment string) *Cache {
	c := &Cache{after: map[string]remembered{}}
	if s != nil {
		c.path, c.seal = filepath.Join(s.Cache(), "prepared."+environment), s.Seal
	}
	return c
}

// key names the question that an instance is to a program. An instance may have
// secrets, so the digest is made with the store's key: nobody can guess them from
// the file. Without a key nothing is remembered.
func (c *Cache) key(program plan.Plugin, in *pluginv1.Instance) string {
	if c.path == "" {
		return ""
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(in)
	if err != nil {
		return ""
	}
	key, err := c.seal(append([]byte(program.Digest+"\n"), b...))
	if err != nil {
		return ""
	}
	return key
}

func (c *Cache) lookup(key string) (remembered, bool) {
	if key == "" {
		return remembered{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read {
		c.read = true
		c.before = readCache(c.path)
	}
	a, ok := c.before[key]
	return a, ok
}

// answer returns a remembered answer; nil: there is none.
func (c *Cache) answer(key, fingerprint string) *pluginv1.Prepared {
	a, ok := c.lookup(key)
	if !ok || a.Fingerprint != fingerprint {
		return nil
	}
	p := &pluginv1.Prepared{}
	if proto.Unmarshal(a.Prepared, p) != nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after[key] = a
	return p
}

// remember keeps an answer for the next plan. One with diagnostics is not
// kept: they have to be heard again.
func (c *Cache) remember(key, fingerprint string, p *pluginv1.Prepared) {
	if key == "" || len(p.Diagnostics) > 0 {
		return
	}
	b, err := proto.Marshal(p)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after[key] = remembered{Fingerprint: fingerprint, Prepared: b}
	c.changed = true
}

func readCache(path string) map[string]remembered {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var m map[string]remembered
	if gob.NewDecoder(bytes.NewReader(b)).Decode(&m) != nil {
		return nil
	}
	return m
}

// Save writes what the plan had a use for, if that is not what is there. That
// it could not be written is no loss.
func (c *Cache) Save() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == "" || !c.changed {
		return
	}
	var b bytes.Buffer
	if gob.NewEncoder(&b).Encode(c.after) != nil {
		return
	}
	_ = disk.NewSyncer().Publish(c.path, &b, 0o600)
}
