package responses

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quern-dev/quern/store/disk"
)

// exportedName is the file of a cache's folder with the answers of another cache.
const exportedName = "exported"

// largestAnswer is the size from which an exported entry cannot be right.
const largestAnswer = 1 << 30

// Export writes all answers that can be read into the folder of another cache, which
// has them from then on. The same answers give the same bytes, which the files of a
// database do not promise.
func (c *Cache) Export(dir string) (err error) {
	f, err := os.OpenFile(filepath.Join(dir, exportedName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return disk.Explain(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	err = c.each(func(key Key, value []byte, _ *entry) error {
		head := binary.LittleEndian.AppendUint32(key[:], uint32(len(value)))
		if _, err := w.Write(head); err != nil {
			return err
		}
		_, err := w.Write(value)
		return err
	})
	return disk.Explain(errors.Join(err, w.Flush()))
}

// takeExported durably moves exported answers into c. If the file was cut off, those
// before are moved, and the rest is requested again.
func (c *Cache) takeExported(dir string) error {
	path := filepath.Join(dir, exportedName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return disk.Explain(err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var end error
	err = c.batched(func(b *batch) error {
		for {
			key, value, err := readExported(r)
			if err != nil {
				end = err
				return nil
			}
			if err := b.set(key, value); err != nil {
				return err
			}
		}
	})
	cut := errors.Is(end, io.ErrUnexpectedEOF)
	switch {
	case err != nil:
		return err
	case !cut && !errors.Is(end, io.EOF):
		return disk.Explain(end)
	}
	err = os.Remove(path)
	if cut {
		err = errors.Join(errors.New("the file was cut off"), err)
	}
	return err
}

// readExported returns the next entry, or io.EOF after the last one.
func readExported(r io.Reader) (key Key, value []byte, err error) {
	if _, err := io.ReadFull(r, key[:]); err != nil {
		return key, nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return key, nil, io.ErrUnexpectedEOF
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > largestAnswer {
		return key, nil, io.ErrUnexpectedEOF
	}
	value = make([]byte, n)
	if _, err := io.ReadFull(r, value); err != nil {
		return key, nil, io.ErrUnexpectedEOF
	}
	return key, value, nil
}
