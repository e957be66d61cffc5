package main

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// How much garbage is allowed on top of live memory, in percent. A
// plan holds most of what it allocates; to collect it a little earlier than Go
// does saves memory and next to no time. Where work is carried out little is
// held, and much passes through.
const (
	gcUsual   = 80
	gcWorking = 300
)

// gcPercent is what is in force from the first collection on.
var gcPercent atomic.Int64

func setGCPercent(percent int) {
	gcPercent.Store(int64(percent))
	debug.SetGCPercent(percent)
}

// collectLate puts the first collection off until the heap is eight times as
// large as is usual, some 25 MB: most commands end before that.
func collectLate() {
	gcPercent.Store(gcUsual)
	debug.SetGCPercent(8 * gcUsual)
	first := new([64]byte) // too large to share its memory, and so its fate, with other values
	runtime.AddCleanup(first, func(struct{}) { debug.SetGCPercent(int(gcPercent.Load())) }, struct{}{})
}
