package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quern-dev/quern/store/backend"
)

// Run runs the conformance tests of a backend. open returns a backend without
// objects. Run repeats a call that returns a *Fault, like a caller that finds
// out what happened.
func Run(t *testing.T, open func(t *testing.T) backend.Backend) {
	for name, test := range map[string]func(*client){
		"what was written is read":                testWhatWasWrittenIsRead,
		"ranges are read":                         testRanges,
		"of many first writers one wins":          testFirstWriters,
		"of many next writers one wins":           testNextWriters,
		"a swap needs the present version":        testSwapNeedsThePresentVersion,
		"a copy is independent":                   testCopy,
		"what is deleted is gone":                 testDelete,
		"lists are complete and sorted":           testLists,
		"readers never see half a write":          testReadersNeverSeeHalf,
		"a large object is written and read":      testLargeObject,
		"keys that leave the backend are refused": testInvalidKeys,
	} {
		t.Run(name, func(t *testing.T) { test(&client{t: t, b: open(t)}) })
	}
}

// client repeats calls that failed because of an injected fault.
type client struct {
	t *testing.T
	b backend.Backend
}

var ctx = context.Background()

// again repeats a call until it returns something other than a fault. lost
// reports whether an earlier try may have taken effect.
func again(call func() error) (lost bool, err error) {
	for {
		if err := call(); !IsFault(err) {
			return lost, err
		}
		lost = true
	}
}

func (c *client) get(key string) (text string, v backend.Version, err error) {
	_, err = again(func() error {
		var b []byte
		b, v, err = c.b.Get(ctx, key)
		text = string(b)
		return err
	})
	return text, v, err
}

func (c *client) read(key string, offset, n int64) (text string, err error) {
	_, err = again(func() error {
		r, err := c.b.Read(ctx, key, offset, n)
		if err != nil {
			return err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		text = string(b)
		return err
	})
	return text, err
}

func (c *client) put(key, text string) {
	c.t.Helper()
	if _, err := again(func() error { return c.b.Put(ctx, key, backend.Bytes(text)) }); err != nil {
		c.t.Fatal(err)
	}
}

// putIfAbsent recognizes its own content if the answer was lost.
func (c *client) putIfAbsent(key, text string) error {
	lost, err := again(func() error { return c.b.PutIfAbsent(ctx, key, backend.Bytes(text)) })
	if lost && errors.Is(err, fs.ErrExist) {
		if is, _, getErr := c.get(key); getErr == nil && is == text {
			return nil
		}
	}
	return err
}

// stateKey is the key of the object that clients swap.
const stateKey = "envs/dev/state.json"

func (c *client) swap(was backend.Version, text string) (v backend.Version, err error) {
	lost, err := again(func() error {
		v, err = c.b.Swap(ctx, stateKey, was, backend.Bytes(text))
		return err
	})
	if lost && isConflict(err) {
		if is, now, getErr := c.get(stateKey); getErr == nil && is == text {
			return now, nil
		}
	}
	return v, err
}

func (c *client) copy(from string, was backend.Version, to string) error {
	_, err := again(func() error { return c.b.Copy(ctx, from, was, to) })
	return err
}

func (c *client) delete(key string, was backend.Version) error {
	_, err := again(func() error { return c.b.Delete(ctx, key, was) })
	return err
}

func (c *client) list(prefix string) (keys []string) {
	c.t.Helper()
	_, err := again(func() error {
		keys = nil
		for o, err := range c.b.List(ctx, prefix) {
			if err != nil {
				return err
			}
			keys = append(keys, o.Key)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return keys
}

func isConflict(err error) bool { return errors.As(err, new(*backend.Conflict)) }

func (c *client) want(key, text string) {
	c.t.Helper()
	if is, _, err := c.get(key); err != nil || is != text {
		c.t.Errorf("%s is %q, not %q: %v", key, is, text, err)
	}
}

func (c *client) wantNone(key string) {
	c.t.Helper()
	if is, v, err := c.get(key); !errors.As(err, new(*backend.NotFound)) || !errors.Is(err, fs.ErrNotExist) || is != "" || v != "" {
		c.t.Errorf("%s is %q: %v", key, is, err)
	}
	if _, err := c.read(key, 0, -1); !errors.Is(err, fs.ErrNotExist) {
		c.t.Errorf("%s is read: %v", key, err)
	}
}

func testWhatWasWrittenIsRead(c *client) {
	const key = "envs/dev/state.json"
	c.wantNone(key)
	c.put(key, "one")
	c.want(key, "one")
	_, first, _ := c.get(key)
	c.put(key, "two")
	c.want(key, "two")
	if _, second, _ := c.get(key); first == second || first == "" || second == "" {
		c.t.Errorf("two contents have the versions %q and %q", first, second)
	}
	c.put("empty", "")
	c.want("empty", "")
	if _, err := again(func() error { return c.b.Flush(ctx) }); err != nil {
		c.t.Error(err)
	}
	if c.b.Place(key) == c.b.Place("empty") {
		c.t.Error("two objects are in the same place")
	}
}

func testRanges(c *client) {
	c.put("a", "0123456789")
	for _, r := range []struct {
		offset, n int64
		want      string
	}{{0, -1, "0123456789"}, {0, 3, "012"}, {3, 4, "3456"}, {7, -1, "789"}, {8, 100, "89"}, {10, 5, ""}, {5, 0, ""}} {
		if got, err := c.read("a", r.offset, r.n); err != nil || got != r.want {
			c.t.Errorf("%d bytes from %d on are %q: %v", r.n, r.offset, got, err)
		}
	}
}

func testFirstWriters(c *client) {
	for round := range 5 {
		key := fmt.Sprint("actions/", round)
		var wg sync.WaitGroup
		var winner atomic.Value
		var wins atomic.Int32
		for i := range 16 {
			wg.Go(func() {
				text := fmt.Sprint("writer ", i)
				switch err := c.putIfAbsent(key, text); {
				case err == nil:
					wins.Add(1)
					winner.Store(text)
				case !errors.As(err, new(*backend.Exists)) || !errors.Is(err, fs.ErrExist):
					c.t.Error(err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			c.t.Fatalf("%d writers were first", wins.Load())
		}
		c.want(key, winner.Load().(string))
	}
}

// testNextWriters lets writers count: a lost or repeated swap makes the sum
// wrong.
func testNextWriters(c *client) {
	const writers, each = 6, 15
	c.put(stateKey, "0,")
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for k := range each {
				for {
					text, v, err := c.get(stateKey)
					if err != nil {
						c.t.Error(err)
						return
					}
					_, err = c.swap(v, fmt.Sprintf("%d,%d-%d", count(text)+1, i, k))
					if err == nil {
						break
					}
					if !isConflict(err) {
						c.t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	text, _, err := c.get(stateKey)
	n := count(text)
	// A write is repeated if its answer was lost and the object was overwritten
	// since.
	_, faulty := c.b.(*Faulty)
	if n < writers*each || n > writers*each && !faulty || err != nil {
		c.t.Errorf("%d swaps count as %d: %v", writers*each, n, err)
	}
}

// count returns the number that a text begins with, or 0 for an empty text.
func count(text string) int {
	digits, _, _ := strings.Cut(text, ",")
	n, _ := strconv.Atoi(digits)
	return n
}

func testSwapNeedsThePresentVersion(c *client) {
	if _, err := c.swap("old", "x"); !isConflict(err) {
		c.t.Errorf("an object that does not exist was swapped: %v", err)
	}
	first, err := c.swap("", "one")
	if err != nil {
		c.t.Fatal(err)
	}
	c.want(stateKey, "one")
	if _, err := c.swap("", "x"); !isConflict(err) {
		c.t.Errorf("an object that exists was swapped with nothing: %v", err)
	}
	second, err := c.swap(first, "two")
	if err != nil {
		c.t.Fatal(err)
	}
	if _, is, _ := c.get(stateKey); is != second {
		c.t.Errorf("the swap returned the version %q, but it is %q", second, is)
	}
	_, err = c.swap(first, "three")
	var conflict *backend.Conflict
	if !errors.As(err, &conflict) || conflict.Found != second || conflict.Was != first || conflict.Key != stateKey {
		c.t.Errorf("a version that has gone was swapped: %v", err)
	}
	c.want(stateKey, "two")
}

func testCopy(c *client) {
	if err := c.copy("a", backend.Any, "b"); !errors.Is(err, fs.ErrNotExist) {
		c.t.Errorf("nothing was copied: %v", err)
	}
	c.put("a", "one")
	c.put("sub/b", "something else")
	_, v, _ := c.get("a")
	for _, was := range []backend.Version{v, backend.Any} {
		if err := c.copy("a", was, "sub/b"); err != nil {
			c.t.Fatal(err)
		}
		c.want("sub/b", "one")
	}
	c.put("a", "two")
	c.want("sub/b", "one")
	if err := c.copy("a", v, "sub/b"); !isConflict(err) {
		c.t.Errorf("another version was copied: %v", err)
	}
	c.want("sub/b", "one")
	if err := c.delete("a", backend.Any); err != nil {
		c.t.Error(err)
	}
	c.want("sub/b", "one")
}

func testDelete(c *client) {
	if err := c.delete("a/b", backend.Any); err != nil {
		c.t.Error(err)
	}
	if err := c.delete("a/b", "old"); err != nil {
		c.t.Error(err)
	}
	c.put("a/b", "one")
	_, v, _ := c.get("a/b")
	c.put("a/b", "two")
	if err := c.delete("a/b", v); !isConflict(err) {
		c.t.Errorf("another version was deleted: %v", err)
	}
	_, v, _ = c.get("a/b")
	if err := c.delete("a/b", v); err != nil {
		c.t.Error(err)
	}
	c.wantNone("a/b")
	if err := c.putIfAbsent("a/b", "three"); err != nil {
		c.t.Error(err)
	}
	if err := c.delete("a/b", backend.Any); err != nil {
		c.t.Error(err)
	}
	c.wantNone("a/b")
	if keys := c.list(""); len(keys) > 0 {
		c.t.Errorf("left: %q", keys)
	}
}

func testLists(c *client) {
	all := []string{"a.b", "a/b.c", "a/b/c", "a/bc", "ab", "b/c"}
	for i := range all {
		c.put(all[len(all)-1-i], "12")
	}
	for prefix, want := range map[string][]string{
		"": all, "a": all[:5], "a/": all[1:4], "a/b": all[1:4], "a/b/": {"a/b/c"}, "a/b.": {"a/b.c"}, "b/": {"b/c"}, "c": nil, "c/d/": nil,
	} {
		if got := c.list(prefix); !reflect.DeepEqual(got, want) {
			c.t.Errorf("%q: the list is %q, not %q", prefix, got, want)
		}
	}
	for o, err := range c.b.List(ctx, "a/b/c") {
		if err != nil && !IsFault(err) || err == nil && (o.Size != 2 || o.Written.IsZero()) {
			c.t.Errorf("%+v: %v", o, err)
		}
	}
	for _, err := range c.b.List(ctx, "") {
		if err != nil && !IsFault(err) {
			c.t.Error(err)
		}
		break // a caller may stop early
	}
}

func testReadersNeverSeeHalf(c *client) {
	const key = "runs/a.json"
	texts := []string{string(bytes.Repeat([]byte("a"), 100_000)), string(bytes.Repeat([]byte("b"), 50_000))}
	c.put(key, texts[0])
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if is, _, err := c.get(key); err != nil || is != texts[0] && is != texts[1] {
					c.t.Errorf("%d bytes are read: %v", len(is), err)
					return
				}
			}
		})
	}
	for i := range 40 {
		c.put(key, texts[i%2])
	}
	close(done)
	wg.Wait()
}

// repeated is a large content that is not in memory.
type repeated struct{ size int64 }

func (r repeated) Size() int64 { return r.size }

func (r repeated) ReadAt(b []byte, off int64) (int, error) {
	n := int(min(int64(len(b)), r.size-off))
	for i := range n {
		b[i] = byte((off + int64(i)) % 251)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func testLargeObject(c *client) {
	content := repeated{5 << 20}
	if _, err := again(func() error {
		err := c.b.PutIfAbsent(ctx, "blobs/large", content)
		if errors.Is(err, fs.ErrExist) {
			return nil // by an earlier try
		}
		return err
	}); err != nil {
		c.t.Fatal(err)
	}
	got, err := c.read("blobs/large", 1<<20, 100)
	want := make([]byte, 100)
	if _, err := content.ReadAt(want, 1<<20); err != nil {
		c.t.Fatal(err)
	}
	if err != nil || got != string(want) {
		c.t.Errorf("the range is wrong: %v", err)
	}
	if all, err := c.read("blobs/large", 0, -1); err != nil || len(all) != int(content.size) {
		c.t.Errorf("%d bytes: %v", len(all), err)
	}
}

func testInvalidKeys(c *client) {
	for _, key := range []string{"", ".", "..", "/a", "../a", "a/../b", "a//b", "a/"} {
		if err := c.putIfAbsent(key, "x"); err == nil {
			c.t.Errorf("%q is a key", key)
		}
		if _, _, err := c.get(key); err == nil || errors.Is(err, fs.ErrNotExist) {
			c.t.Errorf("%q is a key: %v", key, err)
		}
	}
}
