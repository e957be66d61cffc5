package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func texts(lengths ...int) arrow.RecordBatch {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i, n := range lengths {
		b.Append(fmt.Sprint(i, strings.Repeat("x", n)))
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	return array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, int64(len(lengths)))
}

func TestPiecesOfABatchAreJoined(t *testing.T) {
	defer func(most int) { MaxRows = most }(MaxRows)
	MaxRows = 3000
	for name, c := range map[string]struct {
		lengths []int
		counts  []int64
		pieces  int
		lost    []int64 // rows of the batch that are too large
	}{
		"no rows":              {nil, nil, 1, nil},
		"a few":                {[]int{1, 2, 3}, nil, 1, nil},
		"many":                 {[]int{2000, 2000, 2000, 2000}, nil, 4, nil},
		"a large one":          {[]int{5, 6, 5000, 7}, nil, 3, []int64{2}},
		"nothing but large":    {[]int{5000, 5000}, nil, 2, []int64{0, 1}},
		"counts of no rows":    {nil, []int64{}, 1, nil},
		"counts of few":        {[]int{1, 2, 3}, []int64{0, 2, 1, 0}, 1, nil},
		"counts of many":       {[]int{2000, 5, 2000, 2000, 2000}, []int64{2, 0, 1, 1, 1}, 4, nil},
		"a count of large":     {[]int{5, 2000, 2000, 7}, []int64{1, 2, 0, 1}, 3, []int64{1}},
		"counts of large rows": {[]int{5000, 5000}, []int64{1, 1}, 2, []int64{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := texts(c.lengths...)
			pieces, err := Cut(rec, c.counts)
			if err != nil {
				t.Fatal(err)
			}
			batch := int64(len(c.lengths))
			if c.counts != nil {
				batch = int64(len(c.counts))
			}
			all := Gathering{Rows: batch, Flat: c.counts != nil}
			defer all.Release()
			var lost []int64
			for i, p := range pieces {
				if len(p.Rows) > MaxRows || p.From != all.answered {
					t.Errorf("piece %d begins with row %d and has %d bytes", i, p.From, len(p.Rows))
				}
				m := &pluginv1.MapResponse{Rows: p.Rows, Counts: p.Counts, More: i < len(pieces)-1}
				if p.TooLarge() {
					lost = append(lost, p.From)
					m.Errors = []*pluginv1.RowError{{Message: p.Excess()}}
				}
				if whole, err := all.Add(m); err != nil || whole == m.More {
					t.Fatalf("piece %d: %v, %v", i, whole, err)
				}
			}
			if len(pieces) != c.pieces || !slices.Equal(lost, c.lost) {
				t.Errorf("%d pieces, without rows %v", len(pieces), lost)
			}
			for i, e := range all.Errors {
				if e.Row != lost[i] {
					t.Errorf("error %d is of row %d", i, e.Row)
				}
			}
			checkGathered(t, &all, rec, c.counts, lost)
		})
	}
}

// checkGathered compares an answer with the batch that was split. The rows in
// lost are missing.
func checkGathered(t *testing.T, all *Gathering, rec arrow.RecordBatch, counts, lost []int64) {
	t.Helper()
	got, err := all.Record()
	if err != nil {
		t.Fatal(err)
	}
	var want, values []string
	from, column := 0, rec.Column(0).(*array.String)
	for row := range all.Rows {
		n := 1
		if counts != nil {
			n = int(counts[row])
		}
		gone := slices.Contains(lost, row)
		if gone && counts == nil {
			want = append(want, "")
		}
		for i := range n {
			if !gone {
				want = append(want, column.Value(from+i))
			}
		}
		if counts != nil && !gone && all.Counts[row] != counts[row] {
			t.Errorf("%d rows came of row %d", all.Counts[row], row)
		}
		from += n
	}
	for i := range int(got.NumRows()) {
		values = append(values, got.Column(0).(*array.String).Value(i))
	}
	if !slices.Equal(values, want) {
		t.Errorf("%d values came, not %d, or other ones", len(values), len(want))
	}
}

func TestMessagesThatDoNotMatchTheBatchAreErrors(t *testing.T) {
	rows := func(lengths ...int) []byte {
		pieces, err := Cut(texts(lengths...), nil)
		if err != nil {
			t.Fatal(err)
		}
		return pieces[0].Rows
	}
	other, err := data.EncodeBatch(Nulls(arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil), 1))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		flat     bool
		messages []*pluginv1.MapResponse // for a batch of three rows
		want     string
	}{
		"too few":             {false, []*pluginv1.MapResponse{{Rows: rows(1, 2)}}, "answered 2 rows, but the batch has 3"},
		"too few in all":      {false, []*pluginv1.MapResponse{{Rows: rows(1), More: true}, {Rows: rows(1)}}, "answered 2 rows, but the batch has 3"},
		"too many":            {false, []*pluginv1.MapResponse{{Rows: rows(1, 2), More: true}, {Rows: rows(1, 2)}}, "answered 4 rows, but the batch has 3"},
		"no end":              {false, []*pluginv1.MapResponse{{Rows: rows(1, 2, 3), More: true}}, "more rows follow"},
		"no rows and more":    {false, []*pluginv1.MapResponse{{Rows: rows(), More: true}}, "more rows follow"},
		"no counts and more":  {true, []*pluginv1.MapResponse{{Rows: rows(), More: true}}, "more rows follow"},
		"too few counts":      {true, []*pluginv1.MapResponse{{Rows: rows(1, 2), Counts: []int64{1, 1}}}, "answered 2 rows, but the batch has 3"},
		"a negative count":    {true, []*pluginv1.MapResponse{{Rows: rows(1), Counts: []int64{2, -1, 0}}}, "output rows for row 0"},
		"counts of more rows": {true, []*pluginv1.MapResponse{{Rows: rows(1, 2), Counts: []int64{1, 0, 0}}}, "sent 2"},
		"an error of a row of another message": {false, []*pluginv1.MapResponse{
			{Rows: rows(1, 2), More: true}, {Rows: rows(3), Errors: []*pluginv1.RowError{{Row: 2}}},
		}, "row 2 of 1"},
		"other columns": {false, []*pluginv1.MapResponse{{Rows: rows(1, 2), More: true}, {Rows: other}}, "different columns"},
	} {
		t.Run(name, func(t *testing.T) {
			g := Gathering{Rows: 3, Flat: c.flat}
			defer g.Release()
			var err error
			for i, m := range c.messages {
				if _, err = g.Add(m); err != nil && i < len(c.messages)-1 {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
