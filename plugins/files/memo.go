package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"runtime"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// memo is what was known about files at the last fingerprint, by name.
type memo map[string]seen

// seen describes a file when it was hashed.
type seen struct {
	size     int64
	modified int64  // nanoseconds since 1970
	digest   string // SHA-256 of its bytes, in hex
}

// A memo is encoded as these bytes, followed for each file by its name, size, time, and
// digest. Of a name, only the end is written that differs from the name before. Numbers and
// lengths are varints. There can be many files, and the memo is read several times while
// one of them is read.
const memoMagic = "qfiles1\n"

// memoWriter encodes a memo.
type memoWriter struct {
	text   []byte
	before string // the last name
}

func newMemoWriter() *memoWriter { return &memoWriter{text: []byte(memoMagic)} }

func (w *memoWriter) add(name string, s seen) {
	shared := 0
	for shared < min(len(name), len(w.before)) && name[shared] == w.before[shared] {
		shared++
	}
	w.before = name
	w.text = binary.AppendUvarint(w.text, uint64(shared))
	w.text = binary.AppendUvarint(w.text, uint64(len(name)-shared))
	w.text = append(w.text, name[shared:]...)
	w.text = binary.AppendVarint(w.text, s.size)
	w.text = binary.AppendVarint(w.text, s.modified)
	w.text, _ = hex.AppendDecode(w.text, []byte(s.digest)) // it is hexadecimal
}

// decodeMemo parses a memo. It ignores what it cannot parse.
func decodeMemo(text []byte) memo {
	rest, ok := bytes.CutPrefix(text, []byte(memoMagic))
	if !ok {
		return nil
	}
	m := make(memo, len(rest)/(sha256.Size+16))
	r := bytes.NewReader(rest)
	var name []byte
	var digest [sha256.Size]byte
	for r.Len() > 0 {
		shared, err1 := binary.ReadUvarint(r)
		end, err2 := binary.ReadUvarint(r)
		if err1 != nil || err2 != nil || shared > uint64(len(name)) || end > uint64(r.Len()) {
			return nil
		}
		name = append(name[:shared], make([]byte, end)...)
		_, _ = r.Read(name[shared:]) // that many bytes follow
		size, err1 := binary.ReadVarint(r)
		modified, err2 := binary.ReadVarint(r)
		if n, _ := r.Read(digest[:]); err1 != nil || err2 != nil || n < len(digest) {
			return nil
		}
		m[string(name)] = seen{size, modified, hex.EncodeToString(digest[:])}
	}
	return m
}

// digest returns the digest of a file, in hex. It hashes the file unless its size and
// time have not changed. The version of an object takes the place of a digest.
func (m memo) digest(ctx context.Context, f file) (string, error) {
	if digest, ok := m.known(f); ok {
		return digest, nil
	}
	return hash(ctx, f)
}

func (m memo) known(f file) (digest string, ok bool) {
	if f.version != "" {
		return f.version, true
	}
	s, ok := m[f.name]
	return s.digest, ok && s.size == f.size && s.modified == f.modified
}

// digests returns the digests of files. It hashes several at the same time.
func (m memo) digests(ctx context.Context, list []file) ([]string, error) {
	out := make([]string, len(list))
	hashing, ctx := parallel.WithContext(ctx)
	hashing.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range list {
		var ok bool
		if out[i], ok = m.known(f); ok {
			continue
		}
		hashing.Go(func() (err error) {
			out[i], err = hash(ctx, f)
			return err
		})
	}
	return out, hashing.Wait()
}
