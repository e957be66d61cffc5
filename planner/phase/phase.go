// Package phase runs a phase of planning over the instances of a level.
package phase

import (
	"context"
	"runtime"
	"slices"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// Each calls f for all instances, on all processors, and returns the results in
// the same order. If f returns nil, the instance has errors, which f has
// reported, and is left out. If ctx is canceled, the remaining instances are
// left out, too.
func Each[In any, Out any](ctx context.Context, instances []In, f func(In) *Out) []*Out {
	return Waiting(ctx, runtime.GOMAXPROCS(0), instances, f)
}

// Waiting is Each for a function that waits for disks and networks rather than
// for processors. calls is the number of concurrent calls.
func Waiting[In any, Out any](ctx context.Context, calls int, instances []In, f func(In) *Out) []*Out {
	out := make([]*Out, len(instances))
	parallel.For(len(instances), calls, func(i int) {
		if ctx.Err() == nil {
			out[i] = f(instances[i])
		}
	})
	return slices.DeleteFunc(out, func(o *Out) bool { return o == nil })
}
