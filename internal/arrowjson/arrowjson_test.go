package arrowjson_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/internal/arrowjson"
)

// nested is the type of what the tests write.
var nested = arrow.ListOf(arrow.StructOf(
	arrow.Field{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	arrow.Field{Name: "f", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	arrow.Field{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	arrow.Field{Name: "raw", Type: arrow.BinaryTypes.Binary, Nullable: true},
))

func TestNestedValuesKeepTheirTypesInJSON(t *testing.T) {
	in := `[[{"text":"<a> & \"b\"","f":1,"day":"2026-01-31","raw":"AP8="},null,{"text":null,"f":0.1,"day":null,"raw":null}],null,[]]`
	a, _, err := array.FromJSON(memory.DefaultAllocator, nested, strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	for i, want := range []string{
		`[{"text":"<a> & \"b\"","f":1.0,"day":"2026-01-31","raw":"AP8="},null,{"text":null,"f":0.1,"day":null,"raw":null}]`, "null", "[]",
	} {
		got, err := arrowjson.Encoder{}.Append(nil, a, i)
		if err != nil || string(got) != want || !json.Valid(got) {
			t.Errorf("row %d: %s, %v\nwant: %s", i, got, err, want)
		}
	}
}

func TestNumbersThatJSONCannotRepresentAreErrorsOrText(t *testing.T) {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues([]float64{math.Inf(-1), math.NaN()}, nil)
	a := b.NewArray()
	defer a.Release()
	for i, want := range []string{`"-Infinity"`, `"NaN"`} {
		if _, err := (arrowjson.Encoder{}).Append(nil, a, i); !errors.Is(err, arrowjson.ErrNotFinite) {
			t.Errorf("row %d: %v", i, err)
		}
		if got, err := (arrowjson.Encoder{NonFinite: true}).Append(nil, a, i); err != nil || string(got) != want {
			t.Errorf("row %d: %s, %v", i, got, err)
		}
	}
}
