package garbage

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestTheFirstCollectionIsLateAndLaterOnesAreNot(t *testing.T) {
	if now := gogc(); !collected.Load() && now != 8*usual {
		t.Errorf("before the first collection: %d %%", now)
	}
	Work()
	runtime.GC()
	for until := time.Now().Add(10 * time.Second); gogc() != working; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("after the first collection: %d %%", gogc())
		}
	}
}

func gogc() uint64 {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
