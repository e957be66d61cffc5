package files

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// edges caches the first and last bytes of objects. Columns follow from the
// headers or footers of all objects, so that each plan would request them again.
var edges edgeCache

// edgeCache is a folder with a file for each range. Without a folder it is empty.
type edgeCache struct{ sweep sync.Once }

// keptEdges is how long a range is kept after its last use.
const keptEdges = 30 * 24 * time.Hour

// dir returns the folder, or "" if there is none.
func (c *edgeCache) dir() string {
	root := os.Getenv(CacheVariable)
	if root == "" {
		return ""
	}
	dir := filepath.Join(root, "edges")
	c.sweep.Do(func() { removeUnused(dir, keptEdges) })
	return dir
}

func (c *edgeCache) file(key string) string {
	dir := c.dir()
	if dir == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(dir, hex.EncodeToString(sum[:]))
}

// get returns a range of this length, or nil if it is not in the cache.
func (c *edgeCache) get(key string, length int64) []byte {
	file := c.file(key)
	data, err := os.ReadFile(file)
	if err != nil || int64(len(data)) != length {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(file, now, now)
	return data
}

// put adds a range. Without it, everything works, but more slowly.
func (c *edgeCache) put(key string, data []byte) {
	file := c.file(key)
	if file == "" || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return
	}
	_ = renameio.WriteFile(file, data, 0o600)
}

// removeUnused removes the files of a folder that were not used for some time.
func removeUnused(dir string, kept time.Duration) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > kept {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
