package plugin

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/wire"
)

func TestTheResultsOfRowsAreSentInSeveralMessagesOrTheRowFails(t *testing.T) {
	defer func(most int) { wire.MaxRows = most }(wire.MaxRows)
	wire.MaxRows = 20_000
	b := array.NewRecordBuilder(memory.DefaultAllocator, data.Schema{{Name: "text", Type: "string"}}.Arrow())
	defer b.Release()
	counts := []int64{100, 0, 50, 500, 7, 100} // 500 are too many
	for range 757 {
		b.Field(0).(*array.StringBuilder).Append(strings.Repeat("x", 100))
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	out, err := answerOf(rec, counts, []RowError{{Row: 4, Message: "bad"}})
	if err != nil {
		t.Fatal(err)
	}
	var sent []int64
	failed := map[int]string{}
	for i, m := range out {
		if m.More != (i < len(out)-1) {
			t.Errorf("message %d of %d says of more: %v", i, len(out), m.More)
		}
		part, err := data.DecodeBatch(m.Rows)
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, n := range m.Counts {
			sum += n
		}
		if sum != part.NumRows() || len(m.Rows) > wire.MaxRows {
			t.Errorf("a message of %d bytes counts %d rows of %d", len(m.Rows), sum, part.NumRows())
		}
		for _, e := range m.Errors {
			failed[len(sent)+int(e.Row)] = e.Message
		}
		sent = append(sent, m.Counts...)
		part.Release()
	}
	if len(out) < 3 || len(sent) != len(counts) || sent[0] != 100 || sent[2] != 50 || sent[3] != 0 || sent[5] != 100 {
		t.Errorf("%d messages count %v", len(out), sent)
	}
	if len(failed) != 2 || failed[4] != "bad" || !strings.Contains(failed[3], "the rows that it produces take 1 MiB") {
		t.Errorf("the failures are %v", failed)
	}
}
