package rowwise

import (
	"maps"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestElementsOfListsAreCounted(t *testing.T) {
	lists, _, err := array.FromJSON(memory.DefaultAllocator, arrow.ListOf(arrow.BinaryTypes.String), strings.NewReader(`[["a","b"],null,[],["a",null,"a"]]`))
	if err != nil {
		t.Fatal(err)
	}
	for name, rows := range map[string]arrow.Array{"all": lists, "sliced": array.NewSlice(lists, 1, 4)} {
		got := map[string]int64{}
		if !count(got, rows) {
			t.Fatal("there are not too many values")
		}
		want := map[string]int64{"a": 3, "b": 1}
		if name == "sliced" {
			want = map[string]int64{"a": 2}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
