package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// FunctionInfo describes a function.
type FunctionInfo struct {
	// Name is what follows the plugin's local name in acme::name(…).
	Name string
	// Summary is one line. Doc is Markdown.
	Summary, Doc string
	// Deprecated says why the function should no longer be called, and what to use
	// instead. It is empty if the function is not deprecated.
	Deprecated string
	// BehaviorVersion is part of the cache keys of all stages that use the
	// function. Raise it if, and only if, the same arguments now give different
	// results.
	BehaviorVersion int64
}

// Function is a function that expressions can call. Create one with NewFunction.
type Function interface {
	schema() (*pluginv1.Function, error)
	// call computes rows of the arguments.
	call(ctx context.Context, arguments []byte) (*pluginv1.CallFunctionResponse, error)
}

// NewFunction returns a function that f implements. A is a struct with a field for
// each parameter, in order, which has a tag like an argument of a type:
//
//	type padArgs struct {
//		Text string   `quern:"text" doc:"The text."`
//		Fill *string  `quern:"fill" doc:"What to add, or null."`
//		More []string `quern:"more,variadic" doc:"Further texts."`
//	}
//
// A field is a string, int, int64, float64, bool, a slice of these, or a struct of
// tagged fields. If it is a pointer, the argument can be null; otherwise f is
// not called for null. The last field can have the option variadic: it is a slice
// with all further arguments. R is one of these types, too, and a nil pointer is
// null. So are NaN and the infinities.
//
// f must be pure: the same arguments give the same result, whatever the time, the
// machine, and the plugin's configuration. quern calls it any number of times, from
// several goroutines, also for values that nobody needs in the end, and caches
// results. An error, which can be an ArgumentError with the name of a parameter,
// fails the expression, or one row of it.
func NewFunction[A, R any](info FunctionInfo, f func(context.Context, *A) (R, error)) Function {
	return &function[A, R]{info: info, f: f}
}

type function[A, R any] struct {
	info FunctionInfo
	f    func(context.Context, *A) (R, error)
}

func (f *function[A, R]) schema() (*pluginv1.Function, error) {
	out := &pluginv1.Function{
		Name: f.info.Name, Summary: f.info.Summary, Doc: f.info.Doc, Deprecated: f.info.Deprecated, BehaviorVersion: f.info.BehaviorVersion,
	}
	if !namePattern.MatchString(out.Name) {
		return nil, fmt.Errorf("function %q: a name consists of lowercase letters, digits, and underscores", out.Name)
	}
	parameters, err := parametersOf(reflect.TypeFor[A]())
	if err != nil {
		return nil, fmt.Errorf("function %q: %w", out.Name, err)
	}
	for _, p := range parameters {
		if p.variadic {
			out.Variadic = p.proto
		} else {
			out.Parameters = append(out.Parameters, p.proto)
		}
	}
	if out.Result, err = columnTypeOf(reflect.TypeFor[R]()); err != nil {
		return nil, fmt.Errorf("function %q: its result: %w", out.Name, err)
	}
	return out, nil
}

// parameter is a field of the struct of a function's arguments.
type parameter struct {
	proto    *pluginv1.Parameter
	index    int
	variadic bool
}

func parametersOf(t reflect.Type) ([]parameter, error) {
	if t.Kind() != reflect.Struct || t.NumField() == 0 {
		return nil, fmt.Errorf("its arguments are a %s, but must be a struct with a field for each parameter", t)
	}
	out := make([]parameter, t.NumField())
	for i := range out {
		field := t.Field(i)
		tag, err := readTag(field)
		if err != nil {
			return nil, err
		}
		p := parameter{index: i, variadic: tag.variadic, proto: &pluginv1.Parameter{Name: tag.name, Doc: field.Tag.Get("doc")}}
		of := field.Type
		if tag.variadic {
			if of.Kind() != reflect.Slice || i < len(out)-1 {
				return nil, fmt.Errorf("field %s: only the last field can be variadic, and it must be a slice", field.Name)
			}
			of = of.Elem()
		}
		p.proto.Nullable = of.Kind() == reflect.Pointer
		if p.proto.Type, err = columnTypeOf(of); err != nil {
			return nil, fmt.Errorf("field %s: %w", field.Name, err)
		}
		out[i] = p
	}
	return out, nil
}

func (f *function[A, R]) call(ctx context.Context, arguments []byte) (*pluginv1.CallFunctionResponse, error) {
	rec, err := data.DecodeBatch(arguments)
	if err != nil {
		return nil, malformedError{fmt.Errorf("arguments: %w", err)}
	}
	defer rec.Release()
	in, err := newArguments(reflect.TypeFor[A](), rec)
	if err != nil {
		return nil, malformedError{err}
	}
	results, err := newResults(reflect.TypeFor[R]())
	if err != nil {
		return nil, err
	}
	defer results.builder.Release()
	out := &pluginv1.CallFunctionResponse{}
	for row := range int(rec.NumRows()) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		args := new(A)
		failed := in.read(reflect.ValueOf(args).Elem(), row)
		if failed == nil {
			var result R
			result, failed = f.f(ctx, args)
			if failed == nil {
				results.add(reflect.ValueOf(&result).Elem())
			}
		}
		if failed != nil {
			results.builder.AppendNull()
			out.Errors = append(out.Errors, in.failure(row, failed))
		}
	}
	out.Results, err = results.encode(out)
	return out, err
}

// failure describes why a call failed.
func (a *arguments) failure(row int, err error) *pluginv1.FunctionError {
	crash(err)
	out := &pluginv1.FunctionError{Call: int64(row), Message: legible(err.Error())}
	if at := (*ArgumentError)(nil); errors.As(err, &at) {
		for i, p := range a.parameters {
			if position := int64(i); p.proto.Name == at.Argument {
				out.Argument = &position
			}
		}
	}
	return out
}
