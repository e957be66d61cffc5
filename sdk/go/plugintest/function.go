package plugintest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Call calls a function of the plugin, once for each list of arguments, and returns
// the results: nil for null. Arguments and results are values as in rows of a
// Dataset. All calls have the same number of arguments. The error joins those of all
// calls that failed, whose results are nil, too.
//
// As quern does, Call refuses a null for a parameter that cannot be null. Unlike
// quern, it converts no arguments.
func Call(t testing.TB, p plugin.Plugin, function string, calls ...[]any) ([]any, error) {
	t.Helper()
	s := start(t, p, Case{})
	f := s.function(function)
	var arguments data.Schema
	rows := make([]map[string]any, len(calls))
	for i, call := range calls {
		if i == 0 {
			arguments = argumentsOf(t, f, len(call))
		}
		if len(call) != len(arguments) {
			t.Fatalf("call %d of %s has %d arguments, but the first one has %d", i, function, len(call), len(arguments))
		}
		rows[i] = map[string]any{}
		for j, v := range call {
			if v == nil && !parameter(f, j).Nullable {
				t.Fatalf("call %d of %s: %s must not be null", i, function, parameter(f, j).Name)
			}
			rows[i][arguments[j].Name] = v
		}
	}
	return s.call(f, arguments, rows)
}

func (s *session) function(name string) *pluginv1.Function {
	s.t.Helper()
	var names []string
	for _, f := range s.schema.Functions {
		if f.Name == name {
			return f
		}
		names = append(names, f.Name)
	}
	s.t.Fatalf("the plugin has no function %q, only these: %s", name, strings.Join(names, ", "))
	return nil
}

// argumentsOf returns a column for each argument of a call.
func argumentsOf(t testing.TB, f *pluginv1.Function, n int) data.Schema {
	t.Helper()
	if fixed := len(f.Parameters); n < fixed || n > fixed && f.Variadic == nil {
		t.Fatalf("%s has %d parameters, but the call has %d arguments", f.Name, fixed, n)
	}
	columns := make(data.Schema, n)
	for i := range columns {
		columns[i] = data.Column{Name: fmt.Sprintf("%d %s", i, parameter(f, i).Name), Type: parameter(f, i).Type}
	}
	return columns
}

// parameter returns the parameter of an argument.
func parameter(f *pluginv1.Function, argument int) *pluginv1.Parameter {
	if argument < len(f.Parameters) {
		return f.Parameters[argument]
	}
	return f.Variadic
}

// call makes calls. A plugin may answer only some of them at once.
func (s *session) call(f *pluginv1.Function, arguments data.Schema, rows []map[string]any) ([]any, error) {
	s.t.Helper()
	var results []any
	var failures []error
	for len(results) < len(rows) {
		done := len(results)
		request, err := data.EncodeBatch(newTable(s.t, Dataset{Columns: arguments, Rows: rows[done:]}).rec)
		if err != nil {
			return nil, err
		}
		response, err := s.client.Service().CallFunction(s.t.Context(), &pluginv1.CallFunctionRequest{Name: f.Name, Arguments: request})
		if err != nil {
			return nil, err
		}
		rec, err := data.DecodeBatch(response.Results)
		if err != nil {
			return nil, err
		}
		for i := range min(int(rec.NumRows()), len(rows)-done) {
			results = append(results, goValue(rec.Column(0), i))
		}
		rec.Release()
		if len(results) == done {
			return nil, errors.New("the plugin answered none of the calls")
		}
		failures = append(failures, failuresOf(f, response, done)...)
	}
	return results, errors.Join(failures...)
}

// failuresOf describes the calls that failed, in a response to calls from the first on.
func failuresOf(f *pluginv1.Function, r *pluginv1.CallFunctionResponse, first int) []error {
	var all []error
	for _, e := range r.Errors {
		at := f.Name
		if e.Argument != nil {
			at += ", " + parameter(f, int(*e.Argument)).Name
		}
		all = append(all, fmt.Errorf("call %d of %s: %s", first+int(e.Call), at, e.Message))
	}
	return all
}
