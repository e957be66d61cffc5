package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
	"github.com/quern-dev/quern/store/disk"
)

// schemaCache keeps schemas by the digest of the program that gave them. What
// is there and does not read as a schema is asked for again. It is a help
// only: failures to write are no failures.
type schemaCache struct{ dir string }

func (c schemaCache) path(digest string, args []string) string {
	name := strings.ReplaceAll(digest, ":", "-")
	if len(args) > 0 {
		name += "-" + strings.Join(args, "-")
	}
	return filepath.Join(c.dir, "schemas", name+".pb")
}

func (c schemaCache) get(digest string, args []string) *pluginv1.GetSchemaResponse {
	if c.dir == "" {
		return nil
	}
	b, err := os.ReadFile(c.path(digest, args))
	if err != nil {
		return nil
	}
	s := &pluginv1.GetSchemaResponse{}
	if proto.Unmarshal(b, s) != nil || client.CheckSchema(s) != nil {
		return nil
	}
	return s
}

func (c schemaCache) put(digest string, args []string, s *pluginv1.GetSchemaResponse) {
	if c.dir == "" {
		return
	}
	b, err := proto.Marshal(s)
	if err != nil {
		return
	}
	path := c.path(digest, args)
	if os.MkdirAll(filepath.Dir(path), 0o755) == nil {
		_ = disk.Replace(path, bytes.NewReader(b), 0o644)
	}
}

// digests remembers the digests of files, so that a program of many megabytes
// is not read at every start: as long as path, size, time of change and inode
// are the same, so is the digest.
type digests struct {
	path string

	mu      sync.Mutex
	known   map[string]remembered
	changed bool
}

type remembered struct {
	Size   int64  `json:"size"`
	Time   int64  `json:"time"` // of the last change, nanoseconds since 1970
	Inode  uint64 `json:"inode"`
	Digest string `json:"digest"`
}

func openDigests(cache string) *digests {
	d := &digests{known: map[string]remembered{}}
	if cache == "" {
		return d
	}
	d.path = filepath.Join(cache, "programs.json")
	if b, err := os.ReadFile(d.path); err == nil {
		// What can't be read is computed again.
		_ = json.Unmarshal(b, &d.known)
	}
	return d
}

// of returns a file's digest, sha256:….
func (d *digests) of(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	now := remembered{Size: info.Size(), Time: info.ModTime().UnixNano(), Inode: inode(info)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if was, ok := d.known[path]; ok {
		now.Digest = was.Digest
		if was == now {
			return was.Digest, nil
		}
	}
	if now.Digest, err = fileDigest(path); err != nil {
		return "", err
	}
	d.known[path], d.changed = now, true
	return now.Digest, nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// save writes what is remembered, if the cache can be written.
func (d *digests) save() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path == "" || !d.changed {
		return
	}
	for path := range d.known {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			delete(d.known, path)
		}
	}
	b, err := json.Marshal(d.known)
	if err != nil || os.MkdirAll(filepath.Dir(d.path), 0o755) != nil {
		return
	}
	if disk.Replace(d.path, bytes.NewReader(b), 0o644) == nil {
		d.changed = false
	}
}
