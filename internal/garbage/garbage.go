// Package garbage chooses how often a process of quern collects garbage.
//
// Its init function delays the first collection until the heap has eight times
// its usual size, about 25 MB, because most commands and many plugins end
// before that. The package imports little, so that it is initialized before the
// packages whose init functions allocate.
package garbage

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// How much garbage is allowed on top of live memory, in percent. A plan keeps
// most of what it allocates, so collecting a little earlier than Go's default
// saves memory and costs almost no time. Applying keeps little, and much memory
// passes through.
const (
	usual   = 80
	working = 300
)

var (
	percent   atomic.Int64 // takes effect after the first collection
	collected atomic.Bool
)

func init() {
	percent.Store(usual)
	debug.SetGCPercent(8 * usual)
	first := new([64]byte) // too large to share its memory, and therefore its lifetime, with other values
	runtime.AddCleanup(first, func(struct{}) {
		collected.Store(true)
		debug.SetGCPercent(int(percent.Load()))
	}, struct{}{})
}

// Work allows more garbage. Call it before data is processed.
func Work() {
	percent.Store(working)
	if collected.Load() {
		debug.SetGCPercent(working)
	}
}
