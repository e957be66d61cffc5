package data_test

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/datatest"
)

func TestTypeNamesAndArrowTypesCorrespond(t *testing.T) {
	for _, name := range []string{
		"string", "int64", "float64", "bool", "binary", "date", "timestamp",
		"list<string>", "list<list<int64>>", "struct<a:int64,b:list<struct<c:bool>>>",
		`struct<"a b":int64,"\"":string,"":date>`,
	} {
		at, err := data.ArrowType(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := data.TypeName(at)
		if err != nil || back != name {
			t.Errorf("%s came back as %q, %v", name, back, err)
		}
	}
}

func TestInvalidTypeNamesAreRefused(t *testing.T) {
	for _, name := range []string{
		"", "text", "int", "String", "list", "list<", "list<>", "list<string", "string>", "list<string>>",
		"struct<>", "struct<a>", "struct<a:>", "struct<:int64>", "struct<a:int64,a:int64>", "struct<a:int64,>", `struct<"a:int64>`,
	} {
		if at, err := data.ArrowType(name); err == nil {
			t.Errorf("%q is taken as %s", name, at)
		}
	}
	deep := ""
	for range 1000 {
		deep += "list<"
	}
	if _, err := data.ArrowType(deep); err == nil {
		t.Error("a type without end is taken")
	}
}

func TestArrowTypesWithoutANameAreRefused(t *testing.T) {
	for _, at := range []arrow.DataType{
		arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Float32, arrow.BinaryTypes.LargeString, arrow.Null,
		arrow.FixedWidthTypes.Timestamp_ns, arrow.ListOf(arrow.PrimitiveTypes.Uint8),
		&arrow.TimestampType{Unit: arrow.Microsecond},
	} {
		if name, err := data.TypeName(at); err == nil {
			t.Errorf("%s is called %q", at, name)
		}
	}
}

func TestSchemasSurviveArrowAndProtocol(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		s := datatest.Schema(r)
		back, err := data.FromArrow(s.Arrow())
		if err != nil || !back.Equal(s) {
			t.Fatalf("%v came back from Arrow as %v, %v", s, back, err)
		}
		if back := data.FromProto(s.Proto()); !back.Equal(s) {
			t.Fatalf("%v came back from the protocol as %v", s, back)
		}
	}
}

func TestASchemaWithADuplicateOrEmptyNameIsRefused(t *testing.T) {
	for _, s := range []data.Schema{
		{{Name: "a", Type: "int64"}, {Name: "a", Type: "string"}},
		{{Name: "", Type: "int64"}},
		{{Name: "a", Type: "int"}},
	} {
		if s.Check() == nil {
			t.Errorf("%v is taken", s)
		}
	}
}

func FuzzArrowType(f *testing.F) {
	f.Add("struct<a:int64,\"b c\":list<string>>")
	f.Fuzz(func(t *testing.T, name string) {
		at, err := data.ArrowType(name)
		if err != nil {
			return
		}
		canonical, err := data.TypeName(at)
		if err != nil {
			t.Fatalf("%q has no name: %v", name, err)
		}
		again, err := data.ArrowType(canonical)
		if err != nil || !arrow.TypeEqual(at, again) {
			t.Fatalf("%q became %q, which is another type: %v", name, canonical, err)
		}
	})
}
