package plugin

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/parallel"
	"github.com/quern-dev/quern/sdk/go/host/wire"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// addFunctions adds the plugin's functions to its schema.
func (s *server) addFunctions(functions []Function) error {
	s.functions = make(map[string]Function, len(functions))
	for _, f := range functions {
		schema, err := f.schema()
		if err != nil {
			return err
		}
		if s.functions[schema.Name] != nil {
			return fmt.Errorf("function %q is declared twice", schema.Name)
		}
		s.functions[schema.Name] = f
		s.schema.Functions = append(s.schema.Functions, schema)
	}
	return nil
}

func (s *server) CallFunction(ctx context.Context, req *pluginv1.CallFunctionRequest) (*pluginv1.CallFunctionResponse, error) {
	f := s.functions[req.Name]
	if f == nil {
		return nil, status.Errorf(codes.NotFound, "the plugin has no function %q", req.Name)
	}
	var out *pluginv1.CallFunctionResponse
	err := parallel.Call(func() (err error) {
		out, err = f.call(ctx, req.Arguments)
		return err
	})
	crash(err)
	switch {
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case isMalformed(err):
		return nil, status.Error(codes.InvalidArgument, err.Error())
	case err != nil:
		return nil, status.Error(codes.Internal, err.Error())
	}
	return out, nil
}

// arguments are the calls of a request.
type arguments struct {
	parameters []parameter
	columns    []arrow.Array
}

func newArguments(t reflect.Type, rec arrow.RecordBatch) (*arguments, error) {
	parameters, err := parametersOf(t)
	if err != nil {
		return nil, err
	}
	a := &arguments{parameters: parameters, columns: rec.Columns()}
	last := parameters[len(parameters)-1]
	if fixed := len(parameters); last.variadic && len(a.columns) < fixed-1 || !last.variadic && len(a.columns) != fixed {
		return nil, fmt.Errorf("the function has %d parameters, but the request has %d arguments", fixed, len(a.columns))
	}
	for i, column := range a.columns {
		p := parameters[min(i, len(parameters)-1)].proto
		if name, err := data.TypeName(column.DataType()); err != nil || name != p.Type {
			return nil, fmt.Errorf("argument %q has type %s, not %s", p.Name, column.DataType(), p.Type)
		}
	}
	return a, nil
}

// read fills the struct of a call's arguments.
func (a *arguments) read(into reflect.Value, row int) error {
	for i, p := range a.parameters {
		field := into.Field(p.index)
		if !p.variadic {
			if err := a.value(field, i, row); err != nil {
				return err
			}
			continue
		}
		field.Set(reflect.MakeSlice(field.Type(), len(a.columns)-i, len(a.columns)-i))
		for j := range field.Len() {
			if err := a.value(field.Index(j), i+j, row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *arguments) value(into reflect.Value, column, row int) error {
	p := a.parameters[min(column, len(a.parameters)-1)].proto
	if a.columns[column].IsNull(row) && !p.Nullable {
		return ArgumentErrorf(p.Name, "%s must not be null", p.Name)
	}
	readCell(into, a.columns[column], row)
	return nil
}

// readCell sets a Go value to a value of a column, whose type fits. Null is the zero
// value.
func readCell(into reflect.Value, column arrow.Array, row int) {
	if column.IsNull(row) {
		return
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	switch column := column.(type) {
	case *array.String:
		into.SetString(strings.Clone(column.Value(row)))
	case *array.Int64:
		into.SetInt(column.Value(row))
	case *array.Float64:
		into.SetFloat(column.Value(row))
	case *array.Boolean:
		into.SetBool(column.Value(row))
	case *array.List:
		from, to := column.ValueOffsets(row)
		into.Set(reflect.MakeSlice(into.Type(), int(to-from), int(to-from)))
		for i := range into.Len() {
			readCell(into.Index(i), column.ListValues(), int(from)+i)
		}
	case *array.Struct:
		for i := range column.NumField() {
			readCell(into.Field(i), column.Field(i), row)
		}
	}
}

// results are the results of calls.
type results struct{ builder array.Builder }

func newResults(t reflect.Type) (*results, error) {
	name, err := columnTypeOf(t)
	if err != nil {
		return nil, err
	}
	of, err := data.ArrowType(name)
	if err != nil {
		return nil, err
	}
	return &results{array.NewBuilder(memory.DefaultAllocator, of)}, nil
}

// add adds a result.
func (r *results) add(v reflect.Value) { appendCell(r.builder, v) }

// encode returns as many of the results as fit into a message, and drops the errors
// of the others.
func (r *results) encode(of *pluginv1.CallFunctionResponse) ([]byte, error) {
	column := r.builder.NewArray()
	defer column.Release()
	schema := arrow.NewSchema([]arrow.Field{{Name: "result", Type: column.DataType(), Nullable: true}}, nil)
	rec := array.NewRecordBatch(schema, []arrow.Array{column}, int64(column.Len()))
	defer rec.Release()
	notes := map[int64]int{}
	for _, e := range of.Errors {
		notes[e.Call] = wire.NoteBytes + len(e.Message)
	}
	pieces, err := wire.CutNoted(rec, nil, notes)
	if err != nil {
		return nil, err
	}
	first := pieces[0]
	of.Errors = slices.DeleteFunc(of.Errors, func(e *pluginv1.FunctionError) bool { return e.Call >= first.To })
	if first.TooLarge() {
		of.Errors = append(of.Errors, &pluginv1.FunctionError{Message: "the result takes " + first.Excess()})
	}
	return first.Rows, nil
}

func appendCell(b array.Builder, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			b.AppendNull()
			return
		}
		v = v.Elem()
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(strings.ToValidUTF8(v.String(), "\uFFFD"))
	case *array.Int64Builder:
		b.Append(v.Int())
	case *array.Float64Builder:
		b.Append(v.Float())
	case *array.BooleanBuilder:
		b.Append(v.Bool())
	case *array.ListBuilder:
		b.Append(true)
		for i := range v.Len() {
			appendCell(b.ValueBuilder(), v.Index(i))
		}
	case *array.StructBuilder:
		b.Append(true)
		for i := range v.NumField() {
			appendCell(b.FieldBuilder(i), v.Field(i))
		}
	}
}

// columnTypeOf returns the column type of a parameter or a result.
func columnTypeOf(t reflect.Type) (string, error) {
	switch t.Kind() {
	case reflect.String:
		return "string", nil
	case reflect.Int, reflect.Int64:
		return "int64", nil
	case reflect.Float64:
		return "float64", nil
	case reflect.Bool:
		return "bool", nil
	case reflect.Pointer:
		if t.Elem().Kind() != reflect.Pointer {
			return columnTypeOf(t.Elem())
		}
	case reflect.Slice:
		elem, err := columnTypeOf(t.Elem())
		return "list<" + elem + ">", err
	case reflect.Struct:
		return structColumnType(t)
	}
	return "", fmt.Errorf("%s cannot be a parameter or a result: use string, int, int64, float64, bool, slices, structs, and pointers to these", t)
}

func structColumnType(t reflect.Type) (string, error) {
	if t.NumField() == 0 {
		return "", fmt.Errorf("the struct %s has no fields", t)
	}
	parts := make([]string, t.NumField())
	for i := range parts {
		field := t.Field(i)
		tag, err := readTag(field)
		if err != nil {
			return "", err
		}
		of, err := columnTypeOf(field.Type)
		if err != nil {
			return "", fmt.Errorf("field %s: %w", field.Name, err)
		}
		parts[i] = tag.name + ":" + of
	}
	return "struct<" + strings.Join(parts, ",") + ">", nil
}

// fieldTag is the tag of a field of a function's parameters, or of a struct among
// them.
type fieldTag struct {
	name     string
	variadic bool
}

func readTag(f reflect.StructField) (fieldTag, error) {
	name, option, _ := strings.Cut(f.Tag.Get("quern"), ",")
	switch {
	case !f.IsExported():
		return fieldTag{}, fmt.Errorf("field %s must be exported", f.Name)
	case !namePattern.MatchString(name):
		return fieldTag{}, fmt.Errorf("field %s: %q is not a valid name: use lowercase letters, digits, and underscores", f.Name, name)
	case option != "" && option != "variadic":
		return fieldTag{}, fmt.Errorf("field %s: unknown option %q in its tag", f.Name, option)
	}
	return fieldTag{name, option == "variadic"}, nil
}
