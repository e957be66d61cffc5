package runner

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/quern-dev/quern/store/state"
)

// A large state takes long to write. Writing it every second would take most of a
// run's time.
func TestALargeStateIsWrittenLessOften(t *testing.T) {
	for _, write := range []struct {
		takes       time.Duration
		least, most int
	}{{time.Millisecond, 59, 61}, {time.Second, 5, 6}} {
		synctest.Test(t, func(*testing.T) {
			writes := 0
			v := newSaver(&state.State{}, func(*state.State) error {
				writes++
				time.Sleep(write.takes)
				return nil
			}, func(error) {})
			for range 60 * 10 {
				v.set("transform.a", &state.Instance{})
				time.Sleep(100 * time.Millisecond)
			}
			v.close()
			if writes < write.least || writes > write.most {
				t.Errorf("in a minute, a state that takes %s to write was written %d times", write.takes, writes)
			}
		})
	}
}
