// Package backend is the seam between a store and where it is kept: a folder now, an
// object store later.
//
// A store needs little: objects that are read and written whole, of which one
// writer can be the first, and of which one writer can be the next. Everything else
// is built on that. The objects are blobs, which are never changed, and documents, which are
// small. A store holds a local cache of blobs itself, and verifies all that it reads: a
// backend need not.
package backend

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Backend keeps objects under keys: slash-separated paths, such as
// envs/dev/state.json. No key is the folder of another one. A backend may be used by several goroutines, and by several processes
// at the same time.
//
// Of an object that is written, readers see the content before or after the write, never a
// part of it; after a call has returned, every reader sees the new one. An error that
// is none of those named by a method says nothing about what happened: a write may have
// been carried out. A backend does not repeat a conditional write by itself, because the second
// try could meet what the first one wrote. All calls end early, with the error of the context, if the context
// does; one that writes may have been carried out.
type Backend interface {
	// Get returns an object and its version. It fails with *NotFound if there is none.
	Get(ctx context.Context, key string) ([]byte, Version, error)

	// Read returns the n bytes of an object from offset on, or all of them if n is
	// negative; fewer where the object ends. The caller closes the reader, and counts
	// what it got: a reader that fails early returns an error, not io.EOF. It fails with
	// *NotFound if there is no object.
	Read(ctx context.Context, key string, offset, n int64) (io.ReadCloser, error)

	// Put writes an object, in place of any other. It is durable after the next Flush.
	Put(ctx context.Context, key string, content Content) error

	// PutIfAbsent is Put for a key that has no object. It fails with *Exists if there
	// is one: of several writers one wins.
	PutIfAbsent(ctx context.Context, key string, content Content) error

	// Swap writes an object in place of the version was, or where none is if was is empty,
	// and returns the new version. It is durable on return. It fails with *Conflict, and
	// changes nothing, if the object has another version: of several writers who read the
	// same version, one wins.
	Swap(ctx context.Context, key string, was Version, content Content) (Version, error)

	// Copy gives the content of an object to another key, in place of what is there,
	// without moving its bytes. It fails with *NotFound if there is no object, and with
	// *Conflict if it has another version than was; Any stands for all versions.
	Copy(ctx context.Context, from string, was Version, to string) error

	// Delete removes an object; one that is not there is no error. It fails with
	// *Conflict if the object has another version than was; Any stands for all versions.
	Delete(ctx context.Context, key string, was Version) error

	// List yields the objects whose keys begin with prefix, sorted by key. An error ends
	// the list: what was yielded before is not all. Objects that are written or removed
	// meanwhile may be in the list or not.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Flush returns when all that was written before the call is durable.
	Flush(ctx context.Context) error

	// Place says where an object is, for people: a path or a URL.
	Place(key string) string
}

// Locker is a Backend whose processes can lock each other out until they end, however they
// end. A lease on an environment is such a lock as well, where there are any.
type Locker interface {
	// TryLock takes the lock of that name; unlock is nil if somebody else has it.
	TryLock(name string) (unlock func(), err error)
	// Unlock ends the lock of that name, whoever has it: the next one to try gets it.
	Unlock(name string) error
}

// Version names one content of an object; the empty one says that there is no object. It means
// nothing beyond being equal to another. The same content may have the same version again.
type Version string

// Any is every version of an object.
const Any Version = "*"

// Object is what a list tells about an object.
type Object struct {
	Key     string
	Size    int64
	Written time.Time
}

// Content is what an object is made of. It may be read more than once, and in parts.
type Content interface {
	io.ReaderAt
	Size() int64
}

// Bytes is a Content in memory.
type Bytes []byte

// ReadAt implements Content.
func (b Bytes) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(b).ReadAt(p, off) }

// Size implements Content.
func (b Bytes) Size() int64 { return int64(len(b)) }

// Reader reads a content from its beginning to its end.
func Reader(c Content) io.Reader {
	if b, ok := c.(Bytes); ok {
		return bytes.NewReader(b)
	}
	return io.NewSectionReader(c, 0, c.Size())
}

// NotFound says that there is no object under a key. It is fs.ErrNotExist.
type NotFound struct{ Key string }

func (e *NotFound) Error() string        { return fmt.Sprintf("%s does not exist", e.Key) }
func (e *NotFound) Is(target error) bool { return target == fs.ErrNotExist }

// Exists says that there is an object under a key. It is fs.ErrExist.
type Exists struct{ Key string }

func (e *Exists) Error() string        { return fmt.Sprintf("%s exists", e.Key) }
func (e *Exists) Is(target error) bool { return target == fs.ErrExist }

// Conflict says that an object is not the version that a writer expected. Found is empty if
// there is no object.
type Conflict struct {
	Key        string
	Was, Found Version
}

func (e *Conflict) Error() string {
	if e.Found == "" {
		return fmt.Sprintf("%s has been removed by another process", e.Key)
	}
	return fmt.Sprintf("%s has been changed by another process", e.Key)
}

// CheckKey says what is wrong with a key.
func CheckKey(key string) error {
	if !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("%q is not a valid key of an object", key)
	}
	return nil
}
