package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/quern-dev/quern/plugins/files"
)

// place is the folder in which a file of a server is on this machine:
//
//	version.json    what is known about the file
//	data-DIGEST     its content, if it was downloaded
//	partial         the beginning of its content, while it is downloaded
//	partial.json    the version of that content, and how much of it is on disk
type place struct{ dir string }

// placeOf returns the place of an address. Without a folder for transfers, it is
// in the system's folder for temporary files.
func placeOf(address string) place {
	root := os.Getenv(files.CacheVariable)
	if root == "" {
		root = filepath.Join(os.TempDir(), "quern-transfers")
	}
	sum := sha256.Sum256([]byte(address))
	return place{filepath.Join(root, "http", hex.EncodeToString(sum[:16]))}
}

func (p place) file(name string) string { return filepath.Join(p.dir, name) }

// data returns the path of the content with a digest.
func (p place) data(digest string) string { return p.file("data-" + digest) }

// has reports whether the content with a digest is there.
func (p place) has(digest string, size int64) bool {
	info, err := os.Stat(p.data(digest))
	return digest != "" && err == nil && info.Size() == size
}

func (p place) read(name string, into any) bool {
	text, err := os.ReadFile(p.file(name))
	return err == nil && json.Unmarshal(text, into) == nil
}

func (p place) write(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return renameio.WriteFile(p.file(name), text, 0o600)
}

// locks are the places that this process uses. A lock on a file does not keep out
// the process that has it.
var locks sync.Map

// lock waits until nothing else uses the place, and returns how to unlock it. If
// the folder cannot be made or locked, what is written there fails later.
func (p place) lock() (unlock func()) {
	m, _ := locks.LoadOrStore(p.dir, &sync.Mutex{})
	m.(*sync.Mutex).Lock()
	unlock = m.(*sync.Mutex).Unlock
	if os.MkdirAll(p.dir, 0o700) != nil {
		return unlock
	}
	f, err := os.OpenFile(p.file("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return unlock
	}
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	return func() { f.Close(); m.(*sync.Mutex).Unlock() }
}

// keep removes the contents with other digests.
func (p place) keep(digest string) {
	old, _ := filepath.Glob(p.file("data-*"))
	for _, path := range old {
		if path != p.data(digest) {
			_ = os.Remove(path)
		}
	}
}
