package main

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
	gcUsual   = 80
	gcWorking = 300
)

// gcPercent takes effect after the first collection.
var gcPercent atomic.Int64

func setGCPercent(percent int) {
	gcPercent.Store(int64(percent))
	debug.SetGCPercent(percent)
}

// collectLate delays the first collection until the heap has eight times its
// usual size, about 25 MB, because most commands end before that.
func collectLate() {
	gcPercent.Store(gcUsual)
	debug.SetGCPercent(8 * gcUsual)
	first := new([64]byte) // too large to share its memory, and therefore its lifetime, with other values
	runtime.AddCleanup(first, func(struct{}) { debug.SetGCPercent(int(gcPercent.Load())) }, struct{}{})
}
