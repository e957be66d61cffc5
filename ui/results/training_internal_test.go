package results

import (
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

// logged are the first rows of a training: step, loss (null in every other row),
// tokens, and seconds.
func logged(rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, data.Schema{
		{Name: "step", Type: "int64"}, {Name: "loss", Type: "float64"}, {Name: "tokens", Type: "int64"}, {Name: "seconds", Type: "float64"},
	}.Arrow())
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		if i%2 == 0 {
			b.Field(1).(*array.Float64Builder).Append(float64(i))
		} else {
			b.Field(1).AppendNull()
		}
		b.Field(2).(*array.Int64Builder).Append(int64(100 * i))
		b.Field(3).(*array.Float64Builder).Append(float64(i) / 2)
	}
	return b.NewRecordBatch()
}

var loggedNames = []string{"step", "loss", "tokens", "seconds"}

func TestCurvesSkipNullsAndContainTheSpeed(t *testing.T) {
	l := newLog(loggedNames, 5)
	l.add(logged(5))
	got := l.curves()
	if len(got) != 2 || got[0].Name != "loss" || got[1].Name != speed {
		t.Fatalf("got %+v", got)
	}
	if want := []Point{{0, 0}, {2, 2}, {4, 4}}; !slices.Equal(got[0].Points, want) {
		t.Errorf("loss: got %v", got[0].Points)
	}
	if want := []Point{{1, 200}, {2, 200}, {3, 200}, {4, 200}}; !slices.Equal(got[1].Points, want) {
		t.Errorf("speed: got %v", got[1].Points)
	}
}

func TestManyRowsBecomeMeans(t *testing.T) {
	const rows = 4 * mostPoints
	l := newLog(loggedNames, rows)
	l.add(logged(rows))
	loss := l.curves()[0]
	if loss.Mean != 4 || len(loss.Points) != rows/8 || loss.Points[0] != (Point{3, 3}) {
		t.Errorf("%d points, each of %d rows, the first is %v", len(loss.Points), loss.Mean, loss.Points[0])
	}
}
