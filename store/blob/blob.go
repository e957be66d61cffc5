// Package blob stores immutable files under the SHA-256 of their bytes.
//
// A blob is verified when it is read. If its content has changed, it is moved
// aside and reported, but never returned. When Commit returns, the blob is
// visible to all processes and survives the death of this one. It survives a
// power failure after the next flush of the store's disk.Syncer. Everything
// that refers to blobs (action entries, memo parts, states) flushes before it
// reports that it is done.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quern-dev/quern/store/disk"
)

// Ref identifies a blob.
type Ref struct {
	Digest string `json:"digest"` // sha256:…
	Size   int64  `json:"size"`
}

// Missing is the error for a digest without a blob.
type Missing struct{ Digest string }

func (e *Missing) Error() string { return fmt.Sprintf("blob %s is not in the store", e.Digest) }

// Damaged is the error for a blob whose bytes do not have its digest.
type Damaged struct {
	Digest string
	Aside  string // where the file is now
	origin bool   // set if it is damaged in the backend, not only in the folder
}

func (e *Damaged) Error() string {
	return fmt.Sprintf("blob %s is damaged; it was set aside as %s", e.Digest, e.Aside)
}

// Unavailable reports whether err means that a blob is missing or damaged, so
// that its content has to be computed again.
func Unavailable(err error) bool {
	var missing *Missing
	var damaged *Damaged
	return errors.As(err, &missing) || errors.As(err, &damaged)
}

const scheme = "sha256:"

// Sum returns the digest of bytes.
func Sum(b []byte) string {
	sum := sha256.Sum256(b)
	return scheme + hex.EncodeToString(sum[:])
}

// Hex returns the hexadecimal part of a digest, or an error if s is not a valid
// digest.
func Hex(s string) (string, error) {
	h, ok := strings.CutPrefix(s, scheme)
	if !ok || len(h) != 2*sha256.Size || strings.Trim(h, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is not a digest: expected sha256: and 64 hexadecimal digits", s)
	}
	return h, nil
}

// Store is a folder of blobs, or a cache of the blobs in a backend. It is safe
// for concurrent use and, as a folder, for use by several processes.
type Store struct {
	root, temp, aside string
	sync              *disk.Syncer
	origin            *origin  // nil if the folder contains all blobs
	verified          sync.Map // digest → identity of the file that was verified
	locks             [64]sync.Mutex
	fresh             atomic.Pointer[fresh]
}

// New returns a store that keeps blobs in root. temp is a folder for files that
// are being written, and aside one for damaged files. Both exist and are on the
// same file system as root.
func New(root, temp, aside string, sync *disk.Syncer) *Store {
	return &Store{root: root, temp: temp, aside: aside, sync: sync}
}

// file returns the path of a blob, whether or not it exists.
func (s *Store) file(digest string) (string, error) {
	h, err := Hex(digest)
	if err != nil {
		return "", err
	}
	return filepath.Join(s.root, "sha256", h[:1], h), nil
}

// Writer writes a blob. Call exactly one of Commit and Abort; an Abort after a
// Commit does nothing.
type Writer struct {
	store *Store
	file  *disk.Temp
	sum   hash.Hash
	size  int64
	err   error
	ended bool
}

// Create starts a blob.
func (s *Store) Create() (*Writer, error) {
	f, err := disk.NewTemp(s.temp, 0o444)
	if err != nil {
		return nil, fmt.Errorf("start a blob: %w", err)
	}
	return &Writer{store: s, file: f, sum: sha256.New()}, nil
}

// Write adds bytes. After an error, the only valid call is Abort.
func (w *Writer) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.file.Write(b)
	w.sum.Write(b[:n])
	w.size += int64(n)
	if err != nil {
		w.err = fmt.Errorf("write a blob: %w", err)
	}
	return n, w.err
}

// Commit makes the blob visible under its digest.
func (w *Writer) Commit() (Ref, error) {
	ref, err := w.commit()
	if err == nil && w.store.origin != nil {
		err = w.store.upload(ref.Digest)
	}
	return ref, err
}

// commit moves the blob to the folder.
func (w *Writer) commit() (Ref, error) {
	defer w.Abort()
	if w.err != nil {
		return Ref{}, w.err
	}
	ref := Ref{Digest: w.digest(), Size: w.size}
	to, err := w.store.file(ref.Digest)
	if err != nil {
		return Ref{}, err
	}
	if err := w.publish(ref.Digest, to); err != nil {
		return Ref{}, fmt.Errorf("commit blob %s: %w", ref.Digest, err)
	}
	w.store.sync.Defer(to)
	if id, err := identify(to); err == nil && id.size == ref.Size {
		w.store.verified.Store(ref.Digest, id)
	}
	return ref, nil
}

// digest returns the digest of the bytes that were written so far.
func (w *Writer) digest() string { return scheme + hex.EncodeToString(w.sum.Sum(nil)) }

// publish moves the file into place. An existing file has the same bytes and is
// kept, unless it is damaged.
func (w *Writer) publish(digest, to string) error {
	if err := w.store.sync.MakeDir(filepath.Dir(to)); err != nil {
		return err
	}
	for {
		err := w.file.PublishNew(to)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if _, err := w.store.Path(digest); Unavailable(err) {
			return w.file.Publish(to)
		} else if err != nil {
			return err
		}
		kept, err := w.store.keep(digest, to)
		if kept || err != nil {
			return err
		}
	}
}

// Abort discards the blob.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	w.file.Close()
}

// Put stores bytes. Bytes that this process knows to be in the store cost
// nothing.
func (s *Store) Put(b []byte) (Ref, error) {
	ref := Ref{Digest: Sum(b), Size: int64(len(b))}
	if s.known(ref.Digest) && s.uploaded(ref.Digest) {
		path, err := s.file(ref.Digest)
		if err != nil {
			return Ref{}, err
		}
		if kept, err := s.keep(ref.Digest, path); kept || err != nil {
			return ref, err
		}
	}
	w, err := s.Create()
	if err != nil {
		return Ref{}, err
	}
	defer w.Abort()
	if _, err := w.Write(b); err != nil {
		return Ref{}, err
	}
	return w.Commit()
}

// Get returns a blob's bytes, verified.
func (s *Store) Get(digest string) ([]byte, error) {
	path, err := s.file(digest)
	if err != nil {
		return nil, err
	}
	b, err := s.read(digest, path)
	if s.isElsewhere(err) {
		b, err = s.read(digest, path)
	}
	return b, err
}

func (s *Store) read(digest, path string) ([]byte, error) {
	f, err := s.open(digest, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := disk.ReadAll(f)
	if err != nil {
		return nil, s.readError(digest, err)
	}
	if Sum(b) != digest {
		return nil, s.setAside(digest, path)
	}
	return b, nil
}

// open opens the file of a blob, and fetches it first if necessary.
func (s *Store) open(digest, path string) (*os.File, error) {
	f, err := disk.Open(path)
	if s.origin != nil && errors.Is(err, fs.ErrNotExist) {
		if err := s.fetch(digest); err != nil {
			return nil, err
		}
		f, err = disk.Open(path)
	}
	if err != nil {
		return nil, s.readError(digest, err)
	}
	return f, nil
}

// Has reports whether the blob exists. It does not verify it.
func (s *Store) Has(digest string) bool { return s.Find(digest) == nil }

// Find returns nil if the blob exists, and *Missing if it does not. Any other
// error says why that cannot be determined. Find does not verify the blob.
func (s *Store) Find(digest string) error {
	path, err := s.file(digest)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if s.origin != nil && errors.Is(err, fs.ErrNotExist) {
		return s.findElsewhere(digest)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = disk.Irregular(path, info.Mode())
	}
	if err != nil {
		return s.readError(digest, err)
	}
	return nil
}

// Locate returns the path of a blob, for readers that verify its bytes
// themselves. It fetches the blob first if the backend has it, but does not
// verify it.
func (s *Store) Locate(digest string) (string, error) {
	path, err := s.file(digest)
	if err != nil {
		return "", err
	}
	f, err := s.open(digest, path)
	if err != nil {
		return "", err
	}
	return path, f.Close()
}

// Remove deletes a blob. It returns no error if the blob does not exist.
func (s *Store) Remove(digest string) error {
	path, err := s.file(digest)
	if err != nil {
		return err
	}
	s.verified.Delete(digest)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob %s: %w", digest, err)
	}
	if s.origin != nil {
		return s.removeElsewhere(digest)
	}
	return nil
}

// Stored is a blob in the store.
type Stored struct {
	Ref
	// Written is when it was first committed.
	Written time.Time
}

// All lists the blobs in no particular order.
func (s *Store) All() iter.Seq2[Stored, error] {
	if s.origin != nil {
		return s.allElsewhere()
	}
	return func(yield func(Stored, error) bool) {
		folders, err := os.ReadDir(filepath.Join(s.root, "sha256"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Stored{}, err)
			return
		}
		for _, folder := range folders {
			if !s.list(folder.Name(), yield) {
				return
			}
		}
	}
}

func (s *Store) list(folder string, yield func(Stored, error) bool) bool {
	files, err := os.ReadDir(filepath.Join(s.root, "sha256", folder))
	if err != nil {
		return yield(Stored{}, err)
	}
	for _, f := range files {
		digest := scheme + f.Name()
		if _, err := Hex(digest); err != nil {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return yield(Stored{}, err)
		}
		if !yield(Stored{Ref{Digest: digest, Size: info.Size()}, info.ModTime()}, nil) {
			return false
		}
	}
	return true
}

// Open returns a reader that verifies the blob. If the bytes are wrong, the
// reader returns *Damaged at the end instead of io.EOF. So use what you read
// only after reaching the end.
func (s *Store) Open(digest string) (io.ReadCloser, error) {
	path, err := s.file(digest)
	if err != nil {
		return nil, err
	}
	f, err := s.open(digest, path)
	if err != nil {
		return nil, err
	}
	return &reader{store: s, digest: digest, path: path, file: f, sum: sha256.New()}, nil
}

type reader struct {
	store        *Store
	digest, path string
	file         *os.File
	sum          hash.Hash
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.file.Read(b)
	r.sum.Write(b[:n])
	if errors.Is(err, io.EOF) && scheme+hex.EncodeToString(r.sum.Sum(nil)) != r.digest {
		return n, r.store.setAside(r.digest, r.path)
	}
	return n, disk.Explain(err)
}

func (r *reader) Close() error { return r.file.Close() }

func (s *Store) readError(digest string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &Missing{Digest: digest}
	}
	return disk.Explain(fmt.Errorf("read blob %s: %w", digest, err))
}

// Copy writes a blob's bytes, verified, into a new file at path.
func (s *Store) Copy(digest, path string, mode fs.FileMode) (err error) {
	r, err := s.Open(digest)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return disk.Explain(err)
	}
	_, err = io.Copy(f, r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(path)
		return disk.Explain(fmt.Errorf("copy blob %s to %s: %w", digest, path, err))
	}
	return nil
}

// PutFile stores a file's content.
func (s *Store) PutFile(path string) (Ref, error) {
	f, err := os.Open(path)
	if err != nil {
		return Ref{}, err
	}
	defer f.Close()
	w, err := s.Create()
	if err != nil {
		return Ref{}, err
	}
	defer w.Abort()
	if _, err := io.Copy(onlyWriter{w}, f); err != nil {
		return Ref{}, fmt.Errorf("store %s: %w", path, err)
	}
	return w.Commit()
}

// onlyWriter hides all methods except Write from io.Copy.
type onlyWriter struct{ io.Writer }

// Flush makes everything that was committed durable.
func (s *Store) Flush() error { return s.sync.Flush() }

// hashFile returns a file's digest.
func hashFile(f *os.File) (string, error) {
	sum := sha256.New()
	if _, err := io.CopyBuffer(onlyWriter{sum}, onlyReader{f}, make([]byte, 256<<10)); err != nil {
		return "", err
	}
	return scheme + hex.EncodeToString(sum.Sum(nil)), nil
}

type onlyReader struct{ io.Reader }
