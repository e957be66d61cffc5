package audit

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/columnar"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/dataset"
)

func newTester(r *rule, schema data.Schema) (tester, error) {
	for _, name := range r.Columns {
		if _, _, ok := schema.Lookup(name); !ok {
			return nil, fmt.Errorf("the dataset has no column %q", name)
		}
	}
	switch r.Kind {
	case plan.RuleNotNull:
		return notNull(r.Columns[0]), nil
	case plan.RuleUnique:
		return &keyed{rule: r}, nil
	case plan.RuleReferences:
		return &keyed{rule: r, skipNull: true}, nil
	case plan.RuleFreshness:
		return &latest{column: r.Columns[0]}, nil
	case plan.RuleCondition:
		program, err := columnar.New(r.Condition, schema, nil)
		return &condition{program}, err
	}
	column, _, _ := schema.Lookup(r.Columns[0])
	test, err := valueTest(r.Rule, column.Type)
	return &values{column.Name, test}, err
}

// notNull tests that a column has values.
type notNull string

func (t notNull) test(_ context.Context, b *batch, violated func(int)) (int, error) {
	column := b.column(string(t))
	for i := range column.Len() {
		if column.IsNull(i) {
			violated(i)
		}
	}
	return column.Len(), nil
}

// condition tests that a row expression is true. It is violated by a row for which
// the expression is null or fails.
type condition struct{ program *columnar.Program }

func (t *condition) test(ctx context.Context, b *batch, violated func(int)) (int, error) {
	result, _, err := t.program.Eval(ctx, b.RecordBatch)
	if err != nil {
		return 0, err
	}
	defer result.Release()
	holds, ok := result.(*array.Boolean)
	if !ok {
		return 0, fmt.Errorf("the condition is %s, not bool", result.DataType())
	}
	for i := range holds.Len() {
		if holds.IsNull(i) || !holds.Value(i) {
			violated(i)
		}
	}
	return holds.Len(), nil
}

// keyed collects the keys of rows, which are compared when all are known.
type keyed struct {
	rule     *rule
	skipNull bool
}

func (t *keyed) test(_ context.Context, b *batch, _ func(int)) (int, error) {
	keys, err := dataset.RowKeys(b.RecordBatch, t.rule.Columns, "")
	if err != nil {
		return 0, err
	}
	applies := 0
	column := b.column(t.rule.Columns[0])
	return applies, t.rule.keys.add(keys, func(i int) int64 {
		if t.skipNull && column.IsNull(i) {
			return none
		}
		applies++
		return b.first + int64(i)
	})
}

// renamed returns a batch of one column with another name.
func renamed(rec arrow.RecordBatch, name string) arrow.RecordBatch {
	field := rec.Schema().Field(0)
	field.Name = name
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{field}, nil), rec.Columns(), rec.NumRows())
}

// latest finds the latest value of a column of dates or timestamps.
type latest struct {
	column string
	mu     sync.Mutex
	found  bool
	time   time.Time
}

func (t *latest) test(_ context.Context, b *batch, _ func(int)) (int, error) {
	read, err := ticks(b.column(t.column))
	if err != nil {
		return 0, err
	}
	applies, most := 0, int64(math.MinInt64)
	for i := range int(b.NumRows()) {
		if v, ok := read(i); ok {
			applies++
			most = max(most, v)
		}
	}
	if applies == 0 {
		return 0, nil
	}
	at := time.UnixMicro(most).UTC()
	if b.column(t.column).DataType().ID() == arrow.DATE32 {
		at = time.Unix(most*86400, 0).UTC()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.found || at.After(t.time) {
		t.found, t.time = true, at
	}
	return applies, nil
}

func (t *latest) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.found {
		return ""
	}
	return t.time.Format(time.RFC3339Nano)
}

// ticks returns the values of a column that are whole numbers inside: int64, dates
// in days, and timestamps in microseconds.
func ticks(column arrow.Array) (func(i int) (int64, bool), error) {
	switch c := column.(type) {
	case *array.Int64:
		return func(i int) (int64, bool) { return c.Value(i), c.IsValid(i) }, nil
	case *array.Date32:
		return func(i int) (int64, bool) { return int64(c.Value(i)), c.IsValid(i) }, nil
	case *array.Timestamp:
		return func(i int) (int64, bool) { return int64(c.Value(i)), c.IsValid(i) }, nil
	}
	return nil, fmt.Errorf("a column of type %s has no order", column.DataType())
}

// values tests the values of a column that are not null.
type values struct {
	column string
	// good returns the test for the values of an array.
	good func(arrow.Array) (func(i int) bool, error)
}

func (t *values) test(_ context.Context, b *batch, violated func(int)) (int, error) {
	column := b.column(t.column)
	good, err := t.good(column)
	if err != nil {
		return 0, err
	}
	for i := range column.Len() {
		if column.IsValid(i) && !good(i) {
			violated(i)
		}
	}
	return column.Len() - column.NullN(), nil
}

func valueTest(r *plan.Rule, columnType string) (func(arrow.Array) (func(int) bool, error), error) {
	switch {
	case r.Kind == plan.RulePattern:
		return matches(r.Pattern)
	case r.Kind == plan.RuleAllowed:
		return isOneOf(r.Allowed.Value), nil
	case r.Kind != plan.RuleRange:
		return nil, fmt.Errorf("unknown kind of rule %q", r.Kind)
	case columnType == "float64":
		return isBetween(r.Min, r.Max), nil
	}
	low, high, err := tickBounds(r, columnType)
	return func(column arrow.Array) (func(int) bool, error) {
		read, err := ticks(column)
		return func(i int) bool {
			v, _ := read(i)
			return low <= v && v <= high
		}, err
	}, err
}

func matches(pattern string) (func(arrow.Array) (func(int) bool, error), error) {
	re, err := regexp.Compile(pattern)
	return func(column arrow.Array) (func(int) bool, error) {
		c, ok := column.(*array.String)
		if !ok {
			return nil, fmt.Errorf("a column of type %s cannot match a pattern", column.DataType())
		}
		return func(i int) bool { return re.MatchString(c.Value(i)) }, nil
	}, err
}

// isBetween tests floats. NaN is not between any bounds.
func isBetween(from, to *value.Value) func(arrow.Array) (func(int) bool, error) {
	low, high := math.Inf(-1), math.Inf(1)
	if from != nil {
		low, _ = from.AsBigFloat().Float64()
	}
	if to != nil {
		high, _ = to.AsBigFloat().Float64()
	}
	return func(column arrow.Array) (func(int) bool, error) {
		c, ok := column.(*array.Float64)
		if !ok {
			return nil, fmt.Errorf("the column is %s, not float64", column.DataType())
		}
		return func(i int) bool { return low <= c.Value(i) && c.Value(i) <= high }, nil
	}
}

// tickBounds returns the bounds of a range as the numbers that ticks returns.
func tickBounds(r *plan.Rule, columnType string) (low, high int64, err error) {
	low, high = math.MinInt64, math.MaxInt64
	if r.Min != nil {
		if low, err = tick(r.Min.Value, columnType, true); err != nil {
			return 0, 0, err
		}
	}
	if r.Max != nil {
		high, err = tick(r.Max.Value, columnType, false)
	}
	return low, high, err
}

// tick returns a bound as a whole number, rounded up or down.
func tick(v cty.Value, columnType string, up bool) (int64, error) {
	switch columnType {
	case "int64":
		return whole(v.AsBigFloat(), up), nil
	case "date":
		t, err := time.Parse(time.DateOnly, v.AsString())
		return t.Unix() / 86400, err
	}
	t, err := time.Parse(time.RFC3339Nano, v.AsString())
	micros := t.UnixMicro()
	if up && t.Nanosecond()%1000 != 0 {
		micros++
	}
	return micros, err
}

// whole rounds a number up or down to an int64. Numbers beyond become the nearest.
func whole(f *big.Float, up bool) int64 {
	n, accuracy := f.Int64()
	switch {
	case up && accuracy == big.Below && n < math.MaxInt64:
		return n + 1
	case !up && accuracy == big.Above && n > math.MinInt64:
		return n - 1
	}
	return n
}

// isOneOf tests whether a value is one of the elements of a list.
func isOneOf(list cty.Value) func(arrow.Array) (func(int) bool, error) {
	texts, numbers, truths, whole := map[string]bool{}, map[float64]bool{}, map[bool]bool{}, map[int64]bool{}
	for _, v := range list.AsValueSlice() {
		switch v.Type() {
		case cty.String:
			texts[v.AsString()] = true
		case cty.Bool:
			truths[v.True()] = true
		case cty.Number:
			f, _ := v.AsBigFloat().Float64()
			numbers[f] = true
			if n, accuracy := v.AsBigFloat().Int64(); accuracy == big.Exact {
				whole[n] = true
			}
		}
	}
	return func(column arrow.Array) (func(int) bool, error) {
		switch c := column.(type) {
		case *array.String:
			return func(i int) bool { return texts[c.Value(i)] }, nil
		case *array.Boolean:
			return func(i int) bool { return truths[c.Value(i)] }, nil
		case *array.Int64:
			return func(i int) bool { return whole[c.Value(i)] }, nil
		case *array.Float64:
			return func(i int) bool { return numbers[c.Value(i)] }, nil
		}
		return nil, fmt.Errorf("a column of type %s cannot have allowed values", column.DataType())
	}
}
