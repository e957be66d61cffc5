package dedup

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// digest identifies a value by 128 bits of hash. The zero digest is that of null.
type digest struct{ high, low uint64 }

func (p digest) compare(q digest) int {
	return cmp.Or(cmp.Compare(p.high, q.high), cmp.Compare(p.low, q.low))
}

func (p digest) String() string { return fmt.Sprintf("%016x%016x", p.high, p.low) }

// prints are what is known about the values of one shard. They are a file, which the
// next run gets for a shard with the same values:
//
//	magic    8 bytes
//	rows, bands, slots    uint64 each
//	print    16 bytes for each row
//	band     uint32 for each row, for each band: its hash; 0 if the text has no shingles
//	slots    so many bytes for each row
//
// Numbers are little-endian. The slots are what candidates are compared by: a byte for each
// slot of a signature, or a vector. For method "exact", there are no bands, and the slots are
// a hash of all columns, which orders rows with equal values.
type prints struct {
	layout
	rows    int
	content []byte
	file    []byte // if content is a file in memory
}

// layout is how much is kept about a row.
type layout struct{ bands, slots int }

const (
	printsMagic  = "qdedup1\n"
	printsHeader = len(printsMagic) + 3*8
)

func newPrints(rows int, l layout) *prints {
	s := &prints{rows: rows, layout: l}
	s.content = make([]byte, s.size())
	s.setHeader()
	return s
}

func (s *prints) setHeader() {
	b := append(s.content[:0], printsMagic...)
	for _, n := range []int{s.rows, s.bands, s.slots} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
}

// setSlots sets the number of bytes of slots, of which there were none.
func (s *prints) setSlots(slots int) {
	s.slots = slots
	s.content = append(s.content, make([]byte, slots*s.rows)...)
	s.setHeader()
}

func (s *prints) size() int { return printsHeader + s.rows*(16+4*s.bands+s.slots) }

func (s *prints) print(row int) digest {
	b := s.content[printsHeader+16*row:]
	return digest{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
}

func (s *prints) setPrint(row int, p digest) {
	b := s.content[printsHeader+16*row:]
	binary.LittleEndian.PutUint64(b, p.high)
	binary.LittleEndian.PutUint64(b[8:], p.low)
}

// band returns the hashes of a band, of all rows.
func (s *prints) band(band int) []byte {
	at := printsHeader + 16*s.rows + 4*s.rows*band
	return s.content[at : at+4*s.rows]
}

func (s *prints) setBand(band, row int, hash uint32) {
	binary.LittleEndian.PutUint32(s.band(band)[4*row:], hash)
}

func (s *prints) slotsOf(row int) []byte {
	at := printsHeader + s.rows*(16+4*s.bands) + s.slots*row
	return s.content[at : at+s.slots]
}

// contentBytes is the size of the slots of method "exact".
const contentBytes = 8

func (s *prints) contentOf(row int) uint64 { return binary.LittleEndian.Uint64(s.slotsOf(row)) }

func (s *prints) setContent(row int, hash uint64) {
	binary.LittleEndian.PutUint64(s.slotsOf(row), hash)
}

// release lets the system take the memory of a mapped file back. What is needed again is
// read again.
func (s *prints) release() error {
	if s.file == nil {
		return nil
	}
	return unix.Madvise(s.file, unix.MADV_DONTNEED)
}

// copy copies what is known about a row of another shard.
func (s *prints) copy(row int, from *prints, of int) {
	for band := range s.bands {
		copy(s.band(band)[4*row:], from.band(band)[4*of:4*of+4])
	}
	copy(s.slotsOf(row), from.slotsOf(of))
}

// openPrints maps a file into memory. It returns nil if it is not one with this layout.
// Negative numbers of rows and slots are any.
func openPrints(path string, rows int, l layout) (*prints, error) {
	content, err := mapFile(path)
	if err != nil || content == nil {
		return nil, err
	}
	s := &prints{content: content, file: content}
	if len(content) >= printsHeader && bytes.HasPrefix(content, []byte(printsMagic)) {
		for i, n := range []*int{&s.rows, &s.bands, &s.slots} {
			*n = int(binary.LittleEndian.Uint64(content[len(printsMagic)+8*i:]))
		}
	}
	is := func(n, want int) bool { return n == want || want < 0 && n >= 0 && n <= len(content) }
	if !is(s.rows, rows) || s.bands != l.bands || !is(s.slots, l.slots) || s.size() != len(content) {
		return nil, s.close()
	}
	return s, s.release() // the system maps more than the header
}

func (s *prints) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	file := s.file
	s.file, s.content = nil, nil
	return syscall.Munmap(file)
}

// mapFile maps a file into memory, or returns nil if it is empty.
func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	content, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s into memory: %w", path, err)
	}
	return content, nil
}
