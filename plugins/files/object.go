package files

import (
	"context"
	"io"
)

// Object is something elsewhere that has the content of a file, such as an
// object in a bucket or a file of a repository.
type Object struct {
	// Name is what users see. Its folders may be partitions.
	Name string
	Size int64 // in bytes
	// Version identifies the content: whenever it is the same, so are the bytes.
	// It takes the place of a digest, and is part of fingerprints.
	Version string
	// Open opens the content of that version. If the content has changed, opening
	// or reading it fails. The context is that of the call that listed the object.
	Open func() (Content, error)
	// Transfer, if not nil, brings the content onto this machine before it is read
	// completely, so that Open then opens it here. progress is told how many bytes
	// are here.
	Transfer func(ctx context.Context, progress func(done int64)) error
}

// Content is the open content of a file or object. Read reads from its start.
// Only one goroutine uses it at a time, except that ReadAt may be called by
// several.
type Content interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// Listing is what a source of objects found.
type Listing struct {
	// Objects are in the order of their rows.
	Objects []Object
	// Memo is passed to the next listing.
	Memo []byte
}

// files returns the objects as files.
func (l *Listing) files() []file {
	out := make([]file, len(l.Objects))
	for i, o := range l.Objects {
		out[i] = file{name: o.Name, size: o.Size, version: o.Version, remote: o.Open, transfer: o.Transfer}
	}
	return out
}

// Fetch requests length bytes of an object, starting at offset. It returns
// fewer only at the end of the object. The caller closes the result.
type Fetch func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
