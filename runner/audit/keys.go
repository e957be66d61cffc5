package audit

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// keys compares rows by their keys, which are hashes of 128 bits. It keeps at most
// mostEntries in memory, divided by the first byte of the key. When there are more,
// they go to a temporary file, and one part after the other is read back and sorted.
type keys struct {
	temp string // the folder for the file
	most int

	mu     sync.Mutex
	parts  [parts][]entry
	count  int      // entries in parts
	file   *os.File // nil as long as everything fits in memory
	size   int64    // of the file
	spills [][parts]segment
}

const (
	parts = 256
	// mostEntries takes about 24 MiB.
	mostEntries = 1 << 20
	// entrySize is the size of an entry in the file.
	entrySize = 16 + 8
)

// known is the position of a key that rows may refer to, instead of a row.
const known = -1

type entry struct {
	key [16]byte
	row int64
}

// segment is a part's range of the file.
type segment struct{ at, size int64 }

func newKeys(temp string) *keys { return &keys{temp: temp, most: mostEntries} }

// add adds keys. row returns the position of a key's row by its index.
func (k *keys) add(all [][16]byte, row func(i int) int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, key := range all {
		at := row(i)
		if at < known {
			continue
		}
		p := key[0]
		k.parts[p] = append(k.parts[p], entry{key, at})
		k.count++
	}
	if k.count < k.most {
		return nil
	}
	return k.spill()
}

// none is the position of a row that does not count.
const none = known - 1

// spill moves all entries to the file.
func (k *keys) spill() error {
	if k.file == nil {
		file, err := os.CreateTemp(k.temp, "keys-*")
		if err != nil {
			return fmt.Errorf("create a file for keys: %w", err)
		}
		// Without a name, it is gone with the process.
		if err := os.Remove(file.Name()); err != nil {
			return errors.Join(err, file.Close())
		}
		k.file = file
	}
	var segments [parts]segment
	buffer := make([]byte, 0, k.count*entrySize)
	for p := range k.parts {
		segments[p] = segment{k.size + int64(len(buffer)), int64(len(k.parts[p])) * entrySize}
		for _, e := range k.parts[p] {
			buffer = append(buffer, e.key[:]...)
			buffer = binary.LittleEndian.AppendUint64(buffer, uint64(e.row))
		}
		k.parts[p] = k.parts[p][:0]
	}
	if _, err := k.file.WriteAt(buffer, k.size); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	k.size += int64(len(buffer))
	k.count, k.spills = 0, append(k.spills, segments)
	return nil
}

// repeated calls violated for all rows whose key another row has, too.
func (k *keys) repeated(violated func(row int64)) error {
	return k.groups(func(same []entry) {
		if len(same) < 2 {
			return
		}
		for _, e := range same {
			violated(e.row)
		}
	})
}

// unknown calls violated for all rows whose key is not known.
func (k *keys) unknown(violated func(row int64)) error {
	return k.groups(func(same []entry) {
		if same[0].row == known {
			return
		}
		for _, e := range same {
			violated(e.row)
		}
	})
}

// groups calls f for the entries of each key, sorted by row, known ones first.
func (k *keys) groups(f func(same []entry)) error {
	for p := range k.parts {
		all, err := k.part(p)
		if err != nil {
			return err
		}
		slices.SortFunc(all, byKeyAndRow)
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n].key == all[0].key {
				n++
			}
			f(all[:n])
			all = all[n:]
		}
	}
	return nil
}

// byKeyAndRow compares entries. The first bytes of two keys nearly always differ.
func byKeyAndRow(a, b entry) int {
	if x, y := binary.BigEndian.Uint64(a.key[:]), binary.BigEndian.Uint64(b.key[:]); x != y {
		return cmp.Compare(x, y)
	}
	return cmp.Or(bytes.Compare(a.key[:], b.key[:]), cmp.Compare(a.row, b.row))
}

// part returns the entries of a part, in memory and in the file.
func (k *keys) part(p int) ([]entry, error) {
	all := k.parts[p]
	for _, segments := range k.spills {
		s := segments[p]
		buffer := make([]byte, s.size)
		if _, err := k.file.ReadAt(buffer, s.at); err != nil && s.size > 0 {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		for ; len(buffer) > 0; buffer = buffer[entrySize:] {
			all = append(all, entry{[16]byte(buffer[:16]), int64(binary.LittleEndian.Uint64(buffer[16:]))})
		}
	}
	return all, nil
}

func (k *keys) close() {
	if k.file != nil {
		k.file.Close()
	}
}
