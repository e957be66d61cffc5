// Package backend is the seam between a store and the place where it is kept: a
// folder now, an object store later.
//
// A store needs little: objects that are read and written completely, and
// writes that only the first writer, or only the next writer, wins. Everything
// else is built on that. The objects are blobs, which never change, and
// documents, which are small. A store keeps a local cache of blobs itself, and
// verifies everything that it reads, so a backend does not have to.
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

// Backend stores objects under keys: slash-separated paths, such as
// envs/dev/state.json. No key is the folder of another one. A backend is safe
// for concurrent use, also by several processes.
//
// Readers of an object that is being written see the content before or after
// the write, never a part of it. After a call has returned, every reader sees
// the new content. An error other than those that a method names says nothing
// about what happened: a write may have taken place. A backend does not repeat
// a conditional write by itself, because the second try could find what the
// first one wrote. If the context ends, all calls end early with its error; a
// write may have taken place.
type Backend interface {
	// Get returns an object and its version. It fails with *NotFound if the
	// object does not exist.
	Get(ctx context.Context, key string) ([]byte, Version, error)

	// Read returns n bytes of an object starting at offset, or the rest of it
	// if n is negative. It returns fewer bytes if the object ends earlier. The
	// caller closes the reader and checks the length: a reader that fails early
	// returns an error, not io.EOF. Read fails with *NotFound if the object
	// does not exist.
	Read(ctx context.Context, key string, offset, n int64) (io.ReadCloser, error)

	// Put writes an object and replaces an existing one. The object is durable
	// after the next Flush.
	Put(ctx context.Context, key string, content Content) error

	// PutIfAbsent is Put for a new object. It fails with *Exists if the object
	// exists: of several writers, one wins.
	PutIfAbsent(ctx context.Context, key string, content Content) error

	// Swap replaces the version was of an object, or creates the object if was
	// is empty, and returns the new version. It is durable on return. If the
	// object has another version, Swap changes nothing and fails with
	// *Conflict: of several writers that read the same version, one wins.
	Swap(ctx context.Context, key string, was Version, content Content) (Version, error)

	// Copy copies an object to another key, replacing what is there, without
	// transferring its bytes. It fails with *NotFound if the object does not
	// exist, and with *Conflict if it has another version than was. Any matches
	// all versions.
	Copy(ctx context.Context, from string, was Version, to string) error

	// Delete deletes an object. If the object does not exist, that is not an
	// error. Delete fails with *Conflict if the object has another version than
	// was. Any matches all versions.
	Delete(ctx context.Context, key string, was Version) error

	// List yields the objects whose keys begin with prefix, sorted by key. An
	// error ends the list, which is then incomplete. Objects that are written
	// or deleted during the call may or may not be in the list.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Flush returns when everything that was written before the call is
	// durable.
	Flush(ctx context.Context) error

	// Place describes to people where an object is: a path or a URL.
	Place(key string) string
}

// Locker is a Backend with locks that end with the process that holds them,
// however it ends. A lease on an environment also takes such a lock if there
// are any.
type Locker interface {
	// TryLock takes the lock with that name. unlock is nil if another process
	// has it.
	TryLock(name string) (unlock func(), err error)
	// Unlock ends the lock with that name, whoever has it. The next process to
	// try gets it.
	Unlock(name string) error
}

// Version identifies the content of an object. The empty version means that the
// object does not exist. Versions can only be compared for equality. Equal
// contents may have equal versions.
type Version string

// Any is every version of an object.
const Any Version = "*"

// Object is an entry of a list.
type Object struct {
	Key     string
	Size    int64
	Written time.Time
}

// Content is the content of an object. It may be read more than once, and in
// parts.
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

// Reader returns a reader of the whole content.
func Reader(c Content) io.Reader {
	if b, ok := c.(Bytes); ok {
		return bytes.NewReader(b)
	}
	return io.NewSectionReader(c, 0, c.Size())
}

// NotFound is the error for a key without an object. It is fs.ErrNotExist.
type NotFound struct{ Key string }

func (e *NotFound) Error() string        { return fmt.Sprintf("%s does not exist", e.Key) }
func (e *NotFound) Is(target error) bool { return target == fs.ErrNotExist }

// Exists is the error for a key that has an object. It is fs.ErrExist.
type Exists struct{ Key string }

func (e *Exists) Error() string        { return fmt.Sprintf("%s exists", e.Key) }
func (e *Exists) Is(target error) bool { return target == fs.ErrExist }

// Conflict is the error for an object that is not the version that a writer
// expected. Found is empty if the object does not exist.
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

// CheckKey returns an error if a key is invalid.
func CheckKey(key string) error {
	if !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("%q is not a valid key of an object", key)
	}
	return nil
}
