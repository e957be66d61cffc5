// Package garbage chooses how often a process of quern collects garbage.
//
// Most commands and many plugins end before the heap has 25 MB, so the first
// collection waits for that. The package imports little, so that it is
// initialized before the packages whose init functions allocate.
//
// A plan keeps most of what it allocates, so collecting often while its heap is
// small would look at the same values again and again. Until the heap reaches a
// size at which memory matters, collections are therefore rare.
package garbage

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// How much garbage is allowed on top of live memory, in percent. A plan keeps
// most of what it allocates, so collecting a little earlier than Go's default
// saves memory and costs almost no time. Where even that would be much memory, least
// is allowed. Where more is allowed in bytes, there is a limit in percent.
const (
	usual = 60
	least = 30
	most  = 300
)

// small is the size of a heap, in bytes, up to which more garbage is allowed. From much
// bytes of garbage, less than the usual share is.
const (
	small = 104 << 20
	much  = 112 << 20
)

// How much garbage to allow, in bytes.
const (
	// Workspace is for data that is processed: little is kept, and much memory passes
	// through.
	Workspace = 128 << 20
	// Reserve is for commands that keep nearly all that they allocate, so that collecting
	// takes time and frees little.
	Reserve = 384 << 20
)

// first is the percentage until the first collection.
const first = 640

var allowed atomic.Uint64

func init() {
	debug.SetGCPercent(first)
	watch()
}

// watch chooses the percentage again after each collection.
func watch() {
	// Go sweeps the largest values first. The cleanup of a small one can come so late
	// on busy processors that the heap has grown by the percentage of a smaller heap.
	value := new([64 << 10]byte)
	runtime.AddCleanup(value, func(struct{}) {
		debug.SetGCPercent(percent(sizes()))
		watch()
	}, struct{}{})
}

// percent returns how much garbage is allowed on top of live memory. heap is the size of
// both now. If it is not small any more, the percentage for a small heap starts a
// collection at once. What is allocated during one survives it, as does the value that is
// watched, so that percentage would apply to the larger heap, too.
func percent(live, heap uint64) int {
	live = max(live, 1)
	if bytes := allowed.Load(); bytes > 0 {
		return min(most, max(usual, int(100*bytes/live)))
	}
	share := max(least, min(usual, int(100*much/live)))
	if heap < small {
		share = max(share, int(100*small/live)-100)
	}
	return share
}

// sizes returns the size of what the last collection kept, and of the heap.
func sizes() (live, heap uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

// Allow allows that many bytes of garbage from the next collection on, unless more are
// allowed already.
func Allow(bytes uint64) { allowed.Store(max(allowed.Load(), bytes)) }
