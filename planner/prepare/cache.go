package prepare

import (
	"bufio"
	"encoding/gob"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store"
	"github.com/quern-dev/quern/store/disk"
)

// Cache caches the answers of plugins to Prepare, so that a plan in which
// nothing has changed starts only the plugins of sources and deployments. An
// answer depends only on the plugin's program and the instance, on the files that
// the answer names, and, for a source, on its content.
//
// The cache is one file. Each plan rewrites it with the answers that it used,
// so it does not grow. If the file cannot be read, quern asks the plugins
// again.
type Cache struct {
	path string // empty if nothing is cached
	seal func([]byte) (string, error)
	// before returns the answers in the file.
	before func() map[string]remembered

	mu      sync.Mutex
	after   map[string]remembered
	changed bool
}

// remembered is an answer without diagnostics.
type remembered struct {
	Fingerprint string // of a source: its content
	Prepared    []byte // pluginv1.Prepared, or pluginv1.CheckSampleResponse for a sample
	// Files is the state of the large files that the answer depends on, by path,
	// when their content was last compared.
	Files map[string]fileState
}

// fileState distinguishes versions of a file without reading it.
type fileState struct {
	Size     int64
	Modified int64 // nanoseconds since 1970
}

const (
	// largeFile is the size in bytes from which a file, such as the weights of a
	// model, is not read again as long as its state is the same.
	largeFile = 4 << 20
	// settled is the age of a file's last change from which another one changes
	// its state, however coarse the clock of the file system is.
	settled = 2 * time.Second
)

// NewCache returns the cache of an environment in a store. Without a store,
// nothing is cached.
func NewCache(s *store.Store, environment string) *Cache {
	c := &Cache{after: map[string]remembered{}}
	if s != nil {
		c.path, c.seal = filepath.Join(s.Cache(), "prepared."+environment), s.Seal
	}
	c.before = sync.OnceValue(func() map[string]remembered { return readCache(c.path) })
	return c
}

// Read reads the file, unless that is done or under way. Calling it while something
// else uses only one processor saves the time.
func (c *Cache) Read() { c.before() }

// key identifies the question about an instance to a program. An instance may
// contain secrets, so the digest uses the store's key: nobody can guess them
// from the file. Without a key, nothing is cached.
func (c *Cache) key(program plan.Plugin, in *pluginv1.Instance) string {
	return c.sealed(program.Digest+"\n", in)
}

func (c *Cache) sealed(prefix string, m proto.Message) string {
	if c.path == "" {
		return ""
	}
	text, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend([]byte(prefix), m)
	if err != nil {
		return ""
	}
	key, err := c.seal(text)
	if err != nil {
		return ""
	}
	return key
}

func (c *Cache) lookup(key string) (remembered, bool) {
	if key == "" {
		return remembered{}, false
	}
	a, ok := c.before()[key]
	return a, ok
}

// answer returns a cached answer, or nil.
func (c *Cache) answer(key, fingerprint string) *pluginv1.Prepared {
	a, ok := c.lookup(key)
	if !ok || a.Fingerprint != fingerprint {
		return nil
	}
	p := &pluginv1.Prepared{}
	if proto.Unmarshal(a.Prepared, p) != nil {
		return nil
	}
	now := states(p.Files)
	if !unchanged(p.Files, a.Files, now) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = c.changed || !maps.Equal(a.Files, now)
	a.Files = now
	c.after[key] = a
	return p
}

// unchanged reports whether the files that an answer depends on are as they
// were, given the states of the large ones then and now.
func unchanged(files []*pluginv1.SourceFile, before, now map[string]fileState) bool {
	for _, f := range files {
		if state, ok := now[f.GetPath()]; ok && before[f.GetPath()] == state {
			continue
		}
		file := plan.SourceFile{Name: f.GetName(), Path: f.GetPath(), Digest: f.GetDigest()}
		if same, err := file.Unchanged(); err != nil || !same {
			return false
		}
	}
	return true
}

// states returns the states of the large files that are settled.
func states(files []*pluginv1.SourceFile) map[string]fileState {
	var out map[string]fileState
	for _, f := range files {
		info, err := os.Stat(f.GetPath())
		if err != nil || info.Size() < largeFile || time.Since(info.ModTime()) < settled {
			continue
		}
		if out == nil {
			out = map[string]fileState{}
		}
		out[f.GetPath()] = fileState{info.Size(), info.ModTime().UnixNano()}
	}
	return out
}

// remember caches an answer for the next plan. An answer with diagnostics is
// not cached, because they have to be reported again.
func (c *Cache) remember(key, fingerprint string, p *pluginv1.Prepared) {
	if key == "" || len(p.Diagnostics) > 0 {
		return
	}
	b, err := proto.Marshal(p)
	if err != nil {
		return
	}
	files := states(p.Files)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after[key] = remembered{Fingerprint: fingerprint, Prepared: b, Files: files}
	c.changed = true
}

// Sample returns the cached answer about a sample, or nil, and the key to cache it
// under.
func (c *Cache) Sample(program plan.Plugin, req *pluginv1.CheckSampleRequest) (key string, answer *pluginv1.CheckSampleResponse) {
	key = c.sealed("sample "+program.Digest+"\n", req)
	a, ok := c.lookup(key)
	if !ok {
		return key, nil
	}
	answer = &pluginv1.CheckSampleResponse{}
	if proto.Unmarshal(a.Prepared, answer) != nil {
		return key, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after[key] = a
	return key, answer
}

// RememberSample caches an answer about a sample, with its diagnostics.
func (c *Cache) RememberSample(key string, answer *pluginv1.CheckSampleResponse) {
	b, err := proto.Marshal(answer)
	if key == "" || err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after[key] = remembered{Prepared: b}
	c.changed = true
}

// entry is an answer in the file, which is a sequence of them: one value would be in
// memory as a whole while it is read or written.
type entry struct {
	Key    string
	Answer remembered
}

func readCache(path string) map[string]remembered {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	all := map[string]remembered{}
	for d := gob.NewDecoder(bufio.NewReader(f)); ; {
		var e entry
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			return nil
		}
		all[e.Key] = e.Answer
	}
}

// Save writes the answers that the plan used, if the file differs. Failing to
// write it does no harm.
func (c *Cache) Save() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == "" || !c.changed {
		return
	}
	_ = c.write()
}

func (c *Cache) write() error {
	t, err := disk.NewTemp(filepath.Dir(c.path), 0o600)
	if err != nil {
		return err
	}
	defer t.Close()
	w := bufio.NewWriter(t)
	encoder := gob.NewEncoder(w)
	for key, answer := range c.after {
		if err := encoder.Encode(entry{key, answer}); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return t.Publish(c.path)
}
