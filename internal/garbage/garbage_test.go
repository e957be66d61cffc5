package garbage

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestThereIsMoreGarbageWhileTheHeapIsSmall(t *testing.T) {
	for _, test := range []struct {
		live, heap uint64
		want       int
	}{
		{0, 0, 100*small - 100},
		{small / 8, small / 2, 700},
		{small / 2, small / 2, 100},
		{small / 8, small, usual},
		{small, small, usual},
		{180 << 20, 180 << 20, usual},
		{224 << 20, 300 << 20, 50},
		{1 << 40, 1 << 40, least},
	} {
		if got := percent(test.live, test.heap); got != test.want {
			t.Errorf("%d bytes live of %d: %d %%, want %d %%", test.live, test.heap, got, test.want)
		}
	}
}

func TestThePercentageFollowsTheHeap(t *testing.T) {
	if now := gogc(); now != first && now < usual {
		t.Errorf("before the first collection: %d %%", now)
	}
	kept := make([]byte, small)
	collectUntil(t, usual)
	runtime.KeepAlive(kept)
	Allow(Workspace)
	collectUntil(t, most)
}

// collectUntil collects garbage until a percentage is set, which happens after a
// collection.
func collectUntil(t *testing.T, want uint64) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); gogc() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d %%, want %d %%", gogc(), want)
		}
		runtime.GC()
	}
}

func gogc() uint64 {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
