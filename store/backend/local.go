package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/quern-dev/quern/store/disk"
)

// Local is a Backend in a folder: an object is a file. It ignores contexts,
// because calls wait only for the disk, and what a command writes while it ends
// must still be written.
type Local struct {
	dir  string
	sync *disk.Syncer
}

// NewLocal returns a backend in dir. sync makes objects durable.
func NewLocal(dir string, sync *disk.Syncer) *Local { return &Local{dir: dir, sync: sync} }

// swapLock is the name of the file that is locked while an object in its folder
// is swapped.
const swapLock = "save.lock"

// lockSuffix is the suffix of files that exist only to be locked.
const lockSuffix = ".lock"

// private are the folders whose files only their owner can read; other files are
// read-only, because they are never written in place.
var private = []string{"envs/", "runs/", "key"}

func mode(key string) fs.FileMode {
	for _, prefix := range private {
		if strings.HasPrefix(key, prefix) {
			return 0o600
		}
	}
	return 0o444
}

// Place returns the path of an object.
func (l *Local) Place(key string) string { return filepath.Join(l.dir, filepath.FromSlash(key)) }

func (l *Local) file(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	if hidden(path.Base(key)) {
		return "", fmt.Errorf("%q is not a valid key of an object: such names are for locks and unfinished files", key)
	}
	return l.Place(key), nil
}

// hidden reports whether a file is not an object.
func hidden(name string) bool {
	return strings.HasPrefix(name, disk.TempPrefix) || strings.HasSuffix(name, lockSuffix)
}

// Get implements Backend.
func (l *Local) Get(_ context.Context, key string) ([]byte, Version, error) {
	file, err := l.file(key)
	if err != nil {
		return nil, "", err
	}
	b, err := disk.ReadFile(file)
	if err != nil {
		return nil, "", found(key, err)
	}
	return b, versionOf(b), nil
}

// versionOf returns a digest of a content. It has to be fast, but not secure:
// anyone who can write to the folder can do anything there.
func versionOf(b []byte) Version {
	return newVersion(int64(len(b)), xxh3.Hash128(b))
}

func newVersion(size int64, hash xxh3.Uint128) Version {
	return Version(fmt.Sprintf("%d-%x", size, hash.Bytes()))
}

// version returns the version of a file without holding its content in memory. It
// is empty if the file does not exist.
func (l *Local) version(file string) (Version, error) {
	f, err := disk.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	is, err := readVersion(f)
	return is, disk.Explain(err)
}

// readVersion is versionOf for a content that need not be in memory.
func readVersion(r io.Reader) (Version, error) {
	h := xxh3.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return "", err
	}
	return newVersion(n, h.Sum128()), nil
}

// found converts an error that a file does not exist to *NotFound.
func found(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &NotFound{Key: key}
	}
	return err
}

// Read implements Backend.
func (l *Local) Read(_ context.Context, key string, offset, n int64) (io.ReadCloser, error) {
	file, err := l.file(key)
	if err != nil {
		return nil, err
	}
	f, err := disk.Open(file)
	if err != nil {
		return nil, found(key, err)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if n < 0 {
		return f, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, n), f}, nil
}

// Put implements Backend.
func (l *Local) Put(_ context.Context, key string, content Content) error {
	return l.write(key, func(file string) error { return l.sync.Publish(file, Reader(content), mode(key)) })
}

// PutIfAbsent implements Backend.
func (l *Local) PutIfAbsent(_ context.Context, key string, content Content) error {
	err := l.write(key, func(file string) error { return l.sync.PublishNew(file, Reader(content), mode(key)) })
	if errors.Is(err, fs.ErrExist) {
		return &Exists{Key: key}
	}
	return err
}

func (l *Local) write(key string, publish func(file string) error) error {
	file, err := l.file(key)
	if err != nil {
		return err
	}
	if err := l.sync.MakeDir(filepath.Dir(file)); err != nil {
		return err
	}
	return publish(file)
}

// Swap implements Backend.
func (l *Local) Swap(_ context.Context, key string, was Version, content Content) (Version, error) {
	is, err := readVersion(Reader(content))
	if err != nil {
		return "", err
	}
	if was == "" {
		if err := l.sync.MakeDir(filepath.Dir(l.Place(key))); err != nil {
			return "", err
		}
	}
	err = l.asLong(key, was, func(file string) error {
		return disk.Replace(file, Reader(content), mode(key))
	})
	if err != nil {
		return "", err
	}
	return is, nil
}

// Copy implements Backend. The copy is a second name of the same file, which is
// safe because a file is replaced, never changed.
func (l *Local) Copy(_ context.Context, from string, was Version, to string) error {
	return l.asLong(from, was, func(file string) error {
		return l.write(to, func(copied string) error {
			temp := filepath.Join(filepath.Dir(copied), disk.TempPrefix+filepath.Base(copied))
			if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return disk.Explain(err)
			}
			if err := os.Link(file, temp); err != nil {
				return found(from, disk.Explain(err))
			}
			if err := os.Rename(temp, copied); err != nil {
				return disk.Explain(err)
			}
			l.sync.Defer(copied)
			return nil
		})
	})
}

// Delete implements Backend.
func (l *Local) Delete(_ context.Context, key string, was Version) error {
	err := l.asLong(key, was, func(file string) error {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return disk.Explain(err)
		}
		return nil
	})
	if conflict := (*Conflict)(nil); errors.As(err, &conflict) && conflict.Found == "" {
		return nil
	}
	return err
}

// asLong calls f if an object has this version. Nobody else can swap the object
// during the call.
func (l *Local) asLong(key string, was Version, f func(file string) error) error {
	file, err := l.file(key)
	if err != nil {
		return err
	}
	if was == Any {
		return f(file)
	}
	unlock, err := disk.Lock(filepath.Join(filepath.Dir(file), swapLock))
	if errors.Is(err, fs.ErrNotExist) {
		return &Conflict{Key: key, Was: was}
	}
	if err != nil {
		return err
	}
	defer unlock()
	is, err := l.version(file)
	if err != nil {
		return err
	}
	if is != was {
		return &Conflict{Key: key, Was: was, Found: is}
	}
	return f(file)
}

// List implements Backend.
func (l *Local) List(_ context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		l.list(path.Dir(prefix+"x"), prefix, yield)
	}
}

// list yields the objects in a folder and its subfolders whose keys begin with
// prefix.
func (l *Local) list(folder, prefix string, yield func(Object, error) bool) bool {
	entries, err := os.ReadDir(l.Place(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return yield(Object{}, disk.Explain(err))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortKey(a), sortKey(b)) })
	for _, e := range entries {
		key := path.Join(folder, e.Name())
		if folder == "." {
			key = e.Name()
		}
		switch {
		case e.IsDir() && (strings.HasPrefix(key+"/", prefix) || strings.HasPrefix(prefix, key+"/")):
			if !l.list(key, prefix, yield) {
				return false
			}
		case !e.IsDir() && strings.HasPrefix(key, prefix) && !hidden(e.Name()):
			if !l.listOne(key, e, yield) {
				return false
			}
		}
	}
	return true
}

// sortKey makes folders sort by the keys of the objects in them.
func sortKey(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

func (l *Local) listOne(key string, e fs.DirEntry, yield func(Object, error) bool) bool {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return true // removed in the meantime
	}
	if err != nil {
		return yield(Object{}, disk.Explain(err))
	}
	return yield(Object{Key: key, Size: info.Size(), Written: info.ModTime()}, nil)
}

// Flush implements Backend.
func (l *Local) Flush(context.Context) error { return l.sync.Flush() }

// TryLock implements Locker.
func (l *Local) TryLock(name string) (unlock func(), err error) {
	file := l.Place(name)
	if err := l.sync.MakeDir(filepath.Dir(file)); err != nil {
		return nil, err
	}
	return disk.TryLock(file)
}

// Unlock implements Locker. The system's lock belongs to the file, not to its
// name: once the name is gone, the next process locks another file.
func (l *Local) Unlock(name string) error {
	if err := os.Remove(l.Place(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return disk.Explain(err)
	}
	return nil
}
