package profile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

const (
	// heldHashes is the number of hashes that are kept in memory before they go
	// to a file.
	heldHashes = 1 << 16
	// sortedHashes is the number of hashes that are sorted at once.
	sortedHashes = 1 << 22
)

// repeats counts exactly how many rows or values have occurred before, by their
// hashes of 64 bits: of ten million values, two different ones have the same hash
// with a probability of 0.000003. Hashes that do not fit in memory are in a file.
type repeats struct {
	dir  string
	held []uint64
	n    int64
	file *os.File
	out  *bufio.Writer
}

// newRepeats returns a count that keeps its file in a folder.
func newRepeats(dir string) *repeats { return &repeats{dir: dir} }

func (r *repeats) add(hashes ...uint64) error {
	r.n += int64(len(hashes))
	r.held = append(r.held, hashes...)
	if len(r.held) < heldHashes {
		return nil
	}
	if r.file == nil {
		f, err := os.CreateTemp(r.dir, "hashes-*")
		if err != nil {
			return fmt.Errorf("create a file for hashes: %w", err)
		}
		// The file has no name from here on, so it is gone whatever happens.
		if err := os.Remove(f.Name()); err != nil {
			f.Close()
			return fmt.Errorf("remove the name of a file for hashes: %w", err)
		}
		r.file, r.out = f, bufio.NewWriterSize(f, 1<<18)
	}
	if err := binary.Write(r.out, binary.LittleEndian, r.held); err != nil {
		return fmt.Errorf("write hashes: %w", err)
	}
	r.held = r.held[:0]
	return nil
}

// count returns how many hashes equal an earlier one. It reads the file once for
// each sortedHashes of them.
func (r *repeats) count() (int64, error) {
	parts := uint64(r.n/sortedHashes) + 1
	var repeated int64
	var some []uint64
	for part := range parts {
		some = some[:0]
		err := r.each(func(h uint64) {
			// The hashes of a part have the same remainder, so equal ones meet.
			if h%parts == part {
				some = append(some, h)
			}
		})
		if err != nil {
			return 0, err
		}
		slices.Sort(some)
		for i := 1; i < len(some); i++ {
			if some[i] == some[i-1] {
				repeated++
			}
		}
	}
	return repeated, nil
}

func (r *repeats) each(f func(hash uint64)) error {
	for _, h := range r.held {
		f(h)
	}
	if r.file == nil {
		return nil
	}
	if err := r.out.Flush(); err != nil {
		return fmt.Errorf("write hashes: %w", err)
	}
	in := bufio.NewReaderSize(io.NewSectionReader(r.file, 0, 1<<62), 1<<18)
	var b [8]byte
	for {
		switch _, err := io.ReadFull(in, b[:]); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read hashes: %w", err)
		}
		f(binary.LittleEndian.Uint64(b[:]))
	}
}

func (r *repeats) close() {
	if r.file != nil {
		r.file.Close()
	}
}
