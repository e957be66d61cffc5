package tokenizer

import "math/bits"

// table maps keys to values with linear probing. It is filled once and then read
// by any number of goroutines.
type table struct {
	keys   []uint64 // key+1; 0 is empty
	values []uint64
	shift  uint
}

func newTable(n int) *table {
	size := max(16, 1<<bits.Len(uint(2*n)))
	return &table{make([]uint64, size), make([]uint64, size), uint(64 - bits.TrailingZeros(uint(size)))}
}

// slot returns the slot of a key, or the empty one where it belongs.
func (t *table) slot(key uint64) int {
	i, mask := int(key*0x9e3779b97f4a7c15>>t.shift), len(t.keys)-1
	for t.keys[i] != 0 && t.keys[i] != key+1 {
		i = (i + 1) & mask
	}
	return i
}

func (t *table) put(key, value uint64) {
	i := t.slot(key)
	t.keys[i], t.values[i] = key+1, value
}

func (t *table) get(key uint64) (uint64, bool) {
	i := t.slot(key)
	return t.values[i], t.keys[i] != 0
}

// trie finds strings that begin at a place in a text.
type trie struct {
	first [256]uint32 // nodes after the first byte; 0: none
	next  *table      // node<<8 | byte → node
	ends  []int32     // by node: the value of the string that ends there, or -1
}

// newTrie returns a trie of strings with their values. Empty strings are left
// out.
func newTrie(strings []string, values []int32) *trie {
	bytes := 0
	for _, s := range strings {
		bytes += len(s)
	}
	t := &trie{next: newTable(bytes), ends: []int32{-1}}
	for i, s := range strings {
		if s == "" {
			continue
		}
		node := t.first[s[0]]
		if node == 0 {
			node = t.add()
			t.first[s[0]] = node
		}
		for _, b := range []byte(s[1:]) {
			key := uint64(node)<<8 | uint64(b)
			child, ok := t.next.get(key)
			if !ok {
				child = uint64(t.add())
				t.next.put(key, child)
			}
			node = uint32(child)
		}
		t.ends[node] = values[i]
	}
	return t
}

func (t *trie) add() uint32 {
	t.ends = append(t.ends, -1)
	return uint32(len(t.ends) - 1)
}

// step returns the node after a byte; node 0 is the root. It is 0 if no string
// continues with that byte.
func (t *trie) step(node uint32, b byte) uint32 {
	if node == 0 {
		return t.first[b]
	}
	child, _ := t.next.get(uint64(node)<<8 | uint64(b))
	return uint32(child)
}

// longest returns the value and the length of the longest string that s begins
// with, continuing from a node. The length is 0 if there is none.
func (t *trie) longest(node uint32, s string) (value int32, length int) {
	value = -1
	for i := range len(s) {
		if node = t.step(node, s[i]); node == 0 {
			break
		}
		if t.ends[node] >= 0 {
			value, length = t.ends[node], i+1
		}
	}
	return value, length
}
