package main

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// How much garbage there may be on top of what is held, in hundredths of it. A
// plan holds most of what it allocates; to collect it a little earlier than Go
// does saves memory and next to no time. Where work is carried out little is
// held, and much passes through.
const (
	gcUsual   = 80
	gcWorking = 300
)

// gcPercent is what is in force once the heap was collected.
var gcPercent atomic.Int64

func setGCPercent(percent int) {
	gcPercent.Store(int64(percent))
	debug.SetGCPercent(percent)
}

// collectLate lets the heap grow to 32 MiB before it is collected for the first
// time, eight times as much as is usual: most commands end before that.
func collectLate() {
	setGCPercent(gcUsual)
	debug.SetGCPercent(8 * gcUsual)
	collected := new([64]byte)
	runtime.AddCleanup(collected, func(struct{}) { debug.SetGCPercent(int(gcPercent.Load())) }, struct{}{})
}
