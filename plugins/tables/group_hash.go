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

// hashGrouper aggregates rows in a hash table of their groups, which needs no sorting if each
// group takes little memory. It adds the rows of a group in the same order as grouper does,
// so that sums are the same.
type hashGrouper struct {
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

// hashable reports whether a hashGrouper can compute all aggregates.
func (a *groupArgs) hashable() bool {
	return !slices.ContainsFunc(a.aggregates, func(g aggregate) bool { return g.ordered() || g.byValue() })
}

func newHashGrouper(a *groupArgs, in *plugin.DatasetInput) *hashGrouper {
	g := &hashGrouper{groupArgs: a, numbers: map[string]int{}}
	for _, c := range a.by {
		g.keys = append(g.keys, c.key)
	}
	g.identities = array.NewRecordBuilder(memory.DefaultAllocator, argumentSchema(in, g.keys).Arrow())
	for _, c := range a.aggregates {
		value, _, _ := in.Arguments.Lookup(c.key)
		g.types = append(g.types, value.Type)
		if c.key != "" {
			g.keys = append(g.keys, c.key)
		}
	}
	return g
}

func (g *hashGrouper) release() { g.identities.Release() }

// add adds rows: the values of the row arguments in the order of keys.
func (g *hashGrouper) add(columns []arrow.Array, rows int64) error {
	for i := range int(rows) {
		number, err := g.group(columns[:len(g.by)], i)
		if err != nil {
			return err
		}
		at := len(g.by)
		for k, c := range g.aggregates {
			var values arrow.Array
			if c.key != "" {
				values = columns[at]
				at++
			}
			if err := g.state(number, k).add(nil, values, i); err != nil {
				return c.failed(err)
			}
		}
	}
	for _, e := range g.changed {
		grown, err := e.own()
		if err != nil {
			return err
		}
		g.bytes += grown
	}
	g.changed = g.changed[:0]
	return nil
}

func (g *hashGrouper) state(number, aggregate int) state {
	return g.states[number*len(g.aggregates)+aggregate]
}

// group returns the number of a row's group.
func (g *hashGrouper) group(by []arrow.Array, i int) (int, error) {
	var err error
	if g.key, err = ordering.AppendKey(g.key[:0], by, nil, i); err != nil {
		return 0, err
	}
	if number, ok := g.numbers[string(g.key)]; ok {
		return number, nil
	}
	for c, values := range by {
		if err := ordering.AppendValue(g.identities.Field(c), values, i); err != nil {
			return 0, err
		}
	}
	return g.begin(string(g.key))
}

// Estimates in bytes of the memory for a group, the state of an aggregate, and a value that
// is kept, without the bytes of keys and values.
const (
	groupBytes = 128
	stateBytes = 64
	valueBytes = 512
)

// begin adds a group.
func (g *hashGrouper) begin(key string) (int, error) {
	number := len(g.numbers)
	g.numbers[key] = number
	g.bytes += groupBytes + 2*int64(len(key)) + stateBytes*int64(len(g.aggregates))
	for k, c := range g.aggregates {
		s, err := newState(c.function, g.types[k])
		if err != nil {
			return 0, err
		}
		if e, ok := s.(*extreme); ok {
			s = &ownExtreme{extreme: *e, changed: &g.changed}
		}
		s.begin(nil)
		g.states = append(g.states, s)
	}
	return number, nil
}

// write writes the groups, sorted by what identifies them.
func (g *hashGrouper) write(write func(arrow.RecordBatch) error) error {
	if len(g.by) == 0 && len(g.numbers) == 0 { // all rows are one group, even if there are none
		if _, err := g.begin(""); err != nil {
			return err
		}
	}
	by := g.identities.NewRecordBatch()
	defer by.Release()
	out := ordering.NewOutput(g.columns.Arrow(), write)
	defer out.Release()
	for _, key := range slices.Sorted(maps.Keys(g.numbers)) {
		number := g.numbers[key]
		for c, values := range by.Columns() {
			if err := ordering.AppendValue(out.Builder.Field(c), values, number); err != nil {
				return err
			}
		}
		for k, c := range g.aggregates {
			if err := g.state(number, k).finish(out.Builder.Field(len(g.by) + k)); err != nil {
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

// own copies the value, and returns by how many bytes its memory has grown.
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
