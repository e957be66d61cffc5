package tables

import (
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/plugins/ordering"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// groupTable computes aggregates that take little memory for each group, without sorting
// the rows. It adds the rows of a group in the same order as a grouper, so that sums are the
// same.
type groupTable struct {
	*groupArgs
	keys       []string // of the row arguments
	types      []string // of the aggregates' values
	numbers    map[string]int
	identities *array.RecordBuilder // what identifies each group, by its number
	states     []state              // of all aggregates of the first group, then of the next
	changed    []*ownExtreme        // by the batch that is being added
	key        []byte
	bytes      int64 // an estimate of the memory for groups
}

// tabulated reports whether a groupTable can compute all aggregates.
func (a *groupArgs) tabulated() bool {
	return !slices.ContainsFunc(a.aggregates, func(g aggregate) bool { return g.ordered() || g.byValue() })
}

func newGroupTable(a *groupArgs, in *plugin.DatasetInput) *groupTable {
	t := &groupTable{groupArgs: a, numbers: map[string]int{}}
	for _, c := range a.by {
		t.keys = append(t.keys, c.key)
	}
	t.identities = array.NewRecordBuilder(memory.DefaultAllocator, argumentSchema(in, t.keys).Arrow())
	for _, c := range a.aggregates {
		value, _, _ := in.Arguments.Lookup(c.key)
		t.types = append(t.types, value.Type)
		if c.key != "" {
			t.keys = append(t.keys, c.key)
		}
	}
	return t
}

func (t *groupTable) release() { t.identities.Release() }

// add adds rows: the values of the row arguments in the order of keys.
func (t *groupTable) add(columns []arrow.Array, rows int64) error {
	for i := range int(rows) {
		number, err := t.group(columns[:len(t.by)], i)
		if err != nil {
			return err
		}
		at := len(t.by)
		for k, c := range t.aggregates {
			var values arrow.Array
			if c.key != "" {
				values = columns[at]
				at++
			}
			if err := t.state(number, k).add(nil, values, i); err != nil {
				return c.failed(err)
			}
		}
	}
	for _, e := range t.changed {
		grown, err := e.own()
		if err != nil {
			return err
		}
		t.bytes += grown
	}
	t.changed = t.changed[:0]
	return nil
}

func (t *groupTable) state(number, aggregate int) state {
	return t.states[number*len(t.aggregates)+aggregate]
}

// group returns the number of a row's group.
func (t *groupTable) group(by []arrow.Array, i int) (int, error) {
	var err error
	if t.key, err = ordering.AppendKey(t.key[:0], by, nil, i); err != nil {
		return 0, err
	}
	if number, ok := t.numbers[string(t.key)]; ok {
		return number, nil
	}
	for c, values := range by {
		if err := ordering.AppendValue(t.identities.Field(c), values, i); err != nil {
			return 0, err
		}
	}
	return t.begin(string(t.key))
}

// The memory of a group, and of a value that it keeps, apart from what they contain.
const (
	groupBytes = 128
	stateBytes = 64
	valueBytes = 512
)

// begin adds a group.
func (t *groupTable) begin(key string) (int, error) {
	number := len(t.numbers)
	t.numbers[key] = number
	t.bytes += groupBytes + 2*int64(len(key)) + stateBytes*int64(len(t.aggregates))
	for k, c := range t.aggregates {
		s, err := newState(c.function, t.types[k])
		if err != nil {
			return 0, err
		}
		if e, ok := s.(*extreme); ok {
			s = &ownExtreme{extreme: *e, changed: &t.changed}
		}
		s.begin(nil)
		t.states = append(t.states, s)
	}
	return number, nil
}

// write writes the groups, sorted by what identifies them.
func (t *groupTable) write(write func(arrow.RecordBatch) error) error {
	if len(t.by) == 0 && len(t.numbers) == 0 { // all rows are one group, even if there are none
		if _, err := t.begin(""); err != nil {
			return err
		}
	}
	by := t.identities.NewRecordBatch()
	defer by.Release()
	out := ordering.NewOutput(t.columns.Arrow(), write)
	defer out.Release()
	for _, key := range slices.Sorted(maps.Keys(t.numbers)) {
		number := t.numbers[key]
		for c, values := range by.Columns() {
			if err := ordering.AppendValue(out.Builder.Field(c), values, number); err != nil {
				return err
			}
		}
		for k, c := range t.aggregates {
			if err := t.state(number, k).finish(out.Builder.Field(len(t.by) + k)); err != nil {
				return c.failed(err)
			}
		}
		if err := out.Added(int64(len(key))); err != nil {
			return err
		}
	}
	return out.Flush()
}

// ownExtreme copies its value at the end of a batch, so that groups do not keep batches.
type ownExtreme struct {
	extreme
	changed *[]*ownExtreme
	waits   bool // to be copied
	bytes   int64
}

func (s *ownExtreme) add(b array.Builder, values arrow.Array, i int) error {
	if err := s.extreme.add(b, values, i); err != nil {
		return err
	}
	if s.best.values == values && !s.waits {
		s.waits = true
		*s.changed = append(*s.changed, s)
	}
	return nil
}

// own copies the value, and returns how much memory more it takes.
func (s *ownExtreme) own() (grown int64, err error) {
	s.waits = false
	copied, err := data.Ranges(s.best.values, []data.Range{{From: s.best.i, To: s.best.i + 1}})
	if err != nil {
		return 0, err
	}
	s.best.drop()
	s.best = kept{values: copied}
	before := s.bytes
	s.bytes = valueBytes + int64(cap(s.key)+cap(s.next)+len(s.key))
	return s.bytes - before, nil
}
