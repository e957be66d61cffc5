package stats

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/quern-dev/quern/sdk/go/host/parallel"
)

// Purposes separate the random streams of one seed.
const (
	purposeBootstrap = iota + 1
	purposePermutation
)

// stream seeds a source for one draw. Each draw has its own source, so it does
// not matter which processor makes it.
func stream(to *rand.PCG, seed int64, purpose, draw int) {
	to.Seed(mix(uint64(seed)^mix(uint64(purpose))), mix(uint64(draw)+uint64(purpose)<<48))
}

// mix scrambles bits (the finalizer of SplitMix64), so that adjacent seeds give
// unrelated sources.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// spread calls work for 0 to n-1 on all processors and waits. prepare returns
// the function that one goroutine uses, with its own buffers.
func spread(n int, prepare func() func(i int)) {
	const chunk = 16
	workers := min(runtime.GOMAXPROCS(0), (n+chunk-1)/chunk)
	if workers <= 1 {
		work := prepare()
		for i := range n {
			work(i)
		}
		return
	}
	var next atomic.Int64
	parallel.For(workers, workers, func(int) {
		work := prepare()
		for {
			end := int(next.Add(chunk))
			for i := end - chunk; i < min(end, n); i++ {
				work(i)
			}
			if end >= n {
				return
			}
		}
	})
}

// picker picks indexes below n, which is at most 2^32, with equal probability.
// By Lemire's method, it gets two from each number of its source.
type picker struct {
	source *rand.PCG
	n      uint64
	// Products whose low half is below least would favor some indexes.
	least uint32
	spare uint64 // 0, or 1<<32 plus 32 more bits
}

func newPicker(source *rand.PCG, n int) picker {
	return picker{source: source, n: uint64(n), least: -uint32(n) % uint32(n)}
}

func (p *picker) pick() int {
	for {
		bits := p.spare
		if bits != 0 {
			p.spare = 0
		} else {
			bits = p.source.Uint64()
			p.spare = bits>>32 | 1<<32
		}
		product := uint64(uint32(bits)) * p.n
		if uint32(product) >= p.least {
			return int(product >> 32)
		}
	}
}

// resample computes o.Resamples values, each with its own source. prepare
// returns the function with which one goroutine draws.
func resample(o Options, prepare func() func(source *rand.PCG) float64) []float64 {
	values := make([]float64, o.Resamples)
	spread(o.Resamples, func() func(int) {
		draw, source := prepare(), &rand.PCG{}
		return func(i int) {
			stream(source, o.Seed, purposeBootstrap, i)
			values[i] = draw(source)
		}
	})
	return values
}

// quantile returns the p-quantile of sorted values, with linear interpolation
// (type 7 of Hyndman and Fan, as in numpy and R).
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	low := int(math.Floor(at))
	if low >= len(sorted)-1 {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// defined removes NaN from values, in place.
func defined(values []float64) []float64 {
	return slices.DeleteFunc(values, math.IsNaN)
}
