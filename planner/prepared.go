package planner

import (
	"bytes"
	"encoding/gob"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// preparedCache remembers what plugins answered to Prepare, so that a plan in
// which nothing has changed starts none but those that are looked at. What a
// plugin prepares depends on its program and the instance alone, of a source
// also on what it holds.
//
// It is one file, rewritten by each plan with the answers that the plan had
// a use for, so it does not grow. A file that cannot be read is no loss.
type preparedCache struct {
	path string // empty: nothing is remembered
	seal func([]byte) (string, error)

	mu      sync.Mutex
	read    bool
	before  map[string]preparedAnswer
	after   map[string]preparedAnswer
	changed bool
}

// preparedAnswer is an answer without diagnostics.
type preparedAnswer struct {
	Fingerprint string // of a source: what it held
	Prepared    []byte // pluginv1.Prepared
}

func newPreparedCache(o Options) *preparedCache {
	c := &preparedCache{after: map[string]preparedAnswer{}}
	if o.Store != nil {
		c.path, c.seal = filepath.Join(o.Store.Cache(), "prepared."+o.Environment), o.Store.Seal
	}
	return c
}

// key names the question that an instance is to a program. An instance may have
// secrets, so the digest is made with the store's key: nobody can guess them from
// the file. Without a key nothing is remembered.
func (c *preparedCache) key(program plan.Plugin, in *pluginv1.Instance) string {
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

func (c *preparedCache) lookup(key string) (preparedAnswer, bool) {
	if key == "" {
		return preparedAnswer{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read {
		c.read = true
		c.before = readPrepared(c.path)
	}
	a, ok := c.before[key]
	return a, ok
}

// answer returns a remembered answer; nil: there is none.
func (c *preparedCache) answer(key, fingerprint string) *pluginv1.Prepared {
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
func (c *preparedCache) remember(key, fingerprint string, p *pluginv1.Prepared) {
	if key == "" || len(p.Diagnostics) > 0 {
		return
	}
	b, err := proto.Marshal(p)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after[key] = preparedAnswer{Fingerprint: fingerprint, Prepared: b}
	c.changed = true
}

func readPrepared(path string) map[string]preparedAnswer {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var m map[string]preparedAnswer
	if gob.NewDecoder(bytes.NewReader(b)).Decode(&m) != nil {
		return nil
	}
	return m
}

// save writes what the plan had a use for, if that is not what is there. That
// it could not be written is no loss.
func (c *preparedCache) save() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == "" || !c.changed {
		return
	}
	var b bytes.Buffer
	if gob.NewEncoder(&b).Encode(c.after) != nil {
		return
	}
	replaceFile(c.path, b.Bytes())
}

// replaceFile writes a file of the cache. That it could not be written is no
// loss.
func replaceFile(path string, content []byte) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if closeErr := tmp.Close(); err == nil && closeErr == nil {
		_ = os.Rename(tmp.Name(), path)
	}
}
