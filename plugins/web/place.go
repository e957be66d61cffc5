package web

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/quern-dev/quern/plugins/files"
)

// place is the folder in which a file of a server is on this machine:
//
//	version.json    what is known about the file
//	data-DIGEST     its content, if it was downloaded
//	partial         the beginning of its content, while it is downloaded
//	partial.json    the version of that content, and how much of it is on disk
type place struct{ dir string }

// placeOf returns the place of an address.
func placeOf(address string) place { return place{files.TransferDir("http", address)} }

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

// lock waits until nothing else uses the place, and returns how to unlock it.
func (p place) lock() (unlock func()) { return files.Lock(p.dir) }

// keep removes the contents with other digests.
func (p place) keep(digest string) {
	old, _ := filepath.Glob(p.file("data-*"))
	for _, path := range old {
		if path != p.data(digest) {
			_ = os.Remove(path)
		}
	}
}
