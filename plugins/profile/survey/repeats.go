package survey

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	// heldHashes is the number of hashes that are kept in memory before they go
	// to a file.
	heldHashes = 1 << 16
	// sortedHashes is the number of hashes that are sorted at once.
	sortedHashes = 1 << 21
)

// repeats counts exactly how many rows or values have occurred before, by their
// hashes of 64 bits: of ten million values, two different ones have the same hash
// with a probability of 0.000003. Hashes that do not fit in memory are in files: 8
// bytes each, in little-endian order.
type repeats struct {
	n int64
	// saved are files of a checkpoint with the first hashes.
	saved []savedHashes
	// settled is the number of first hashes of which it is known how many equal an
	// earlier one: repeated.
	settled, repeated int64

	dir  string
	held []uint64
	file *os.File
	out  *bufio.Writer
}

type savedHashes struct{ name, path string }

// newRepeats returns a count that keeps its temporary file in a folder.
func newRepeats(dir string) *repeats { return &repeats{dir: dir} }

func (r *repeats) add(hashes []uint64) error {
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
		r.file, r.out = f, bufio.NewWriterSize(f, 1<<16)
	}
	err := writeHashes(r.out, r.held)
	r.held = r.held[:0]
	return err
}

func writeHashes(out io.Writer, hashes []uint64) error {
	if err := binary.Write(out, binary.LittleEndian, hashes); err != nil {
		return fmt.Errorf("write hashes: %w", err)
	}
	return nil
}

// count returns how many hashes equal an earlier one.
func (r *repeats) count() (int64, error) {
	if r.settled > 0 && r.n-r.settled <= sortedHashes {
		return r.countSince()
	}
	return r.countAll()
}

// settle counts what is there so far, so that count is fast after a few more hashes.
func (r *repeats) settle() error {
	n, err := r.count()
	r.settled, r.repeated = r.n, n
	return err
}

// countSince is count if all but a few hashes are settled.
func (r *repeats) countSince() (int64, error) {
	repeated, fresh := r.repeated, newCounter()
	at := int64(0)
	err := r.each(func(h uint64) {
		if at++; at > r.settled && fresh.add(h, 1) > 1 {
			repeated++
		}
	})
	if err != nil {
		return 0, err
	}
	at = 0
	return repeated, r.each(func(h uint64) {
		if at++; at > r.settled {
			return
		}
		if found := fresh.find(h); found.N > 0 {
			found.N = -1 // it counts once
			repeated++
		}
	})
}

// countAll reads the files once for each sortedHashes hashes.
func (r *repeats) countAll() (int64, error) {
	parts := uint64(r.n/sortedHashes) + 1
	var repeated int64
	var some, other []uint64
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
		sortKeys(some, &other)
		for i := 1; i < len(some); i++ {
			if some[i] == some[i-1] {
				repeated++
			}
		}
	}
	return repeated, nil
}

// each calls f for each hash.
func (r *repeats) each(f func(hash uint64)) error {
	for _, saved := range r.saved {
		if err := eachIn(saved.path, f); err != nil {
			return err
		}
	}
	fresh, err := r.fresh()
	if err != nil {
		return err
	}
	if err := readHashes(fresh, f); err != nil {
		return err
	}
	for _, h := range r.held {
		f(h)
	}
	return nil
}

func eachIn(path string, f func(hash uint64)) error {
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read hashes: %w", err)
	}
	defer in.Close()
	return readHashes(in, f)
}

func readHashes(from io.Reader, f func(hash uint64)) error {
	text := make([]byte, 1<<16)
	for {
		n, err := io.ReadFull(from, text)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read hashes: %w", err)
		}
		for at := 0; at+8 <= n; at += 8 {
			f(binary.LittleEndian.Uint64(text[at:]))
		}
		if err != nil {
			return nil
		}
	}
}

// fresh reads the temporary file.
func (r *repeats) fresh() (io.Reader, error) {
	if r.file == nil {
		return io.MultiReader(), nil
	}
	if err := r.out.Flush(); err != nil {
		return nil, fmt.Errorf("write hashes: %w", err)
	}
	return io.NewSectionReader(r.file, 0, 1<<62), nil
}

// files returns the files of a checkpoint with all hashes, which are settled. It writes
// the last one.
func (r *repeats) files(folder, name string) (hashFiles, error) {
	out := hashFiles{N: r.n, Repeated: r.repeated}
	if len(r.saved) < mostFiles {
		for _, saved := range r.saved {
			out.Names = append(out.Names, saved.name)
		}
		out.Names = append(out.Names, name)
		return out, r.save(filepath.Join(folder, name), r.saved[len(r.saved):])
	}
	out.Names = []string{name}
	return out, r.save(filepath.Join(folder, name), r.saved)
}

// save writes the hashes of some saved files, and those that are in none.
func (r *repeats) save(path string, saved []savedHashes) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save hashes: %w", err)
		}
	}()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, one := range saved {
		if err := copyFile(f, one.path); err != nil {
			return err
		}
	}
	fresh, err := r.fresh()
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, fresh); err != nil {
		return err
	}
	return writeHashes(f, r.held)
}

func copyFile(out io.Writer, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(out, in)
	return err
}

// open takes over the hashes of a checkpoint. path returns where a file is.
func (r *repeats) open(files hashFiles, path func(name string) string) error {
	var size int64
	for _, name := range files.Names {
		info, err := os.Stat(path(name))
		if err != nil {
			return fmt.Errorf("read hashes: %w", err)
		}
		size += info.Size()
		r.saved = append(r.saved, savedHashes{name, path(name)})
	}
	if size != 8*files.N {
		return fmt.Errorf("the files of %d hashes have %d bytes", files.N, size)
	}
	r.n, r.settled, r.repeated = files.N, files.N, files.Repeated
	return nil
}

func (r *repeats) close() {
	if r.file != nil {
		r.file.Close()
	}
}
