package files

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/quern-dev/quern/sdk/go/data"
)

// answers are what Prepare found, by place. An instance is prepared several times in one
// process: for the plan, for a preview, and to be read. If its arguments and its files are
// the same as before, sampling the files again would find the same.
type answers[A any] struct {
	mu      sync.Mutex
	byPlace map[place]*answer[A]
}

// answer is what Prepare found for some arguments and files.
type answer[A any] struct {
	given    A // the arguments as they were decoded
	files    []file
	prepared A // the arguments with what was found
	columns  data.Schema
	warnings []string
}

// lookup returns what was found for these arguments and files, or nil.
func (s *answers[A]) lookup(p place, given *A, files []file) *answer[A] {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.byPlace[p]
	if a == nil || !slices.EqualFunc(a.files, files, unchanged) || !reflect.DeepEqual(&a.given, given) {
		return nil
	}
	return a
}

// unchanged reports whether two looks at a file show the same content.
func unchanged(a, b file) bool {
	return a.full == b.full && a.size == b.size && a.modified == b.modified
}

// put remembers an answer. listed is when its files were found: if one of them changed
// just before, it may change again without showing it.
func (s *answers[A]) put(p place, a *answer[A], listed time.Time) {
	if s == nil || slices.ContainsFunc(a.files, func(f file) bool { return listed.Sub(time.Unix(0, f.modified)) <= settled }) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPlace == nil {
		s.byPlace = map[place]*answer[A]{}
	}
	s.byPlace[p] = a
}
