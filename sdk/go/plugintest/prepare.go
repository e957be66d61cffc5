package plugintest

import (
	"testing"

	"github.com/zclconf/go-cty/cty"
	"google.golang.org/protobuf/proto"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Prepared is what a type says of an instance before anything runs.
type PrepareResult struct {
	Errors, Warnings []Problem
	Outputs          []Output
	// ValueType is cty.NilType where no values are made.
	ValueType cty.Type
	// Reads names, by dataset argument, the columns that are read beside row
	// expressions; ["*"]: all.
	Reads map[string][]string
	// Model is what a Provider says of its model.
	Model *pluginv1.ModelInfo
}

// Problem is something that is wrong with an instance.
type Problem struct {
	// Argument is the key of the argument at fault; empty: all of it.
	Argument string
	Text     string
}

// Output is an artifact that an instance will make.
type Output struct {
	Name    string
	Kind    string // dataset, model, report
	Columns data.Schema
	Format  string
}

// Prepare asks what an instance will make. What is wrong with the instance is
// in the answer's Errors; the error is for a plugin that breaks the protocol.
func Prepare(t testing.TB, p plugin.Plugin, c Case) (*PrepareResult, error) {
	t.Helper()
	s := start(t, p, c)
	prepared, err := s.prepare(s.bind(c))
	if err != nil {
		return nil, err
	}
	out := &PrepareResult{Reads: map[string][]string{}, Model: prepared.Model}
	for _, d := range prepared.Diagnostics {
		problem := Problem{Argument: d.Argument, Text: d.Summary}
		if d.Detail != "" {
			problem.Text += "\n" + d.Detail
		}
		if d.Severity == pluginv1.Diagnostic_SEVERITY_ERROR {
			out.Errors = append(out.Errors, problem)
		} else {
			out.Warnings = append(out.Warnings, problem)
		}
	}
	for _, o := range prepared.Outputs {
		out.Outputs = append(out.Outputs, Output{
			Name: o.Name, Kind: kindName(o.Kind), Columns: data.FromProto(o.Columns), Format: o.Format,
		})
	}
	for key, r := range prepared.Reads {
		out.Reads[key] = r.Columns
		if r.All {
			out.Reads[key] = []string{"*"}
		}
	}
	if len(prepared.ValueType) > 0 {
		if err := out.ValueType.UnmarshalJSON(prepared.ValueType); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func kindName(k pluginv1.ArtifactKind) string {
	switch k {
	case pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET:
		return "dataset"
	case pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL:
		return "model"
	case pluginv1.ArtifactKind_ARTIFACT_KIND_REPORT:
		return "report"
	}
	return ""
}

// prepareTimes is how often Prepare is asked the same, to find out whether it
// answers the same.
const prepareTimes = 8

// prepare calls Prepare for one instance.
func (s *session) prepare(b *bound) (*pluginv1.Prepared, error) {
	s.t.Helper()
	req := &pluginv1.PrepareRequest{}
	for range prepareTimes {
		req.Instances = append(req.Instances, b.instance)
	}
	resp, err := s.client.Service().Prepare(s.t.Context(), req)
	if err != nil {
		return nil, err
	}
	if len(resp.Prepared) != prepareTimes {
		s.t.Fatalf("Prepare was asked for %d instances and answered for %d", prepareTimes, len(resp.Prepared))
	}
	for _, p := range resp.Prepared[1:] {
		if !proto.Equal(p, resp.Prepared[0]) {
			s.t.Fatalf("Prepare declares something else each time; if it ranges over a map, sort the keys:\n%v\nthen\n%v", resp.Prepared[0], p)
		}
	}
	return resp.Prepared[0], nil
}

// ready is prepare for an instance that has to be right.
func (s *session) ready(b *bound) (*pluginv1.Prepared, error) {
	s.t.Helper()
	prepared, err := s.prepare(b)
	if err != nil {
		return nil, err
	}
	return prepared, client.Failure(s.client.Name(), prepared.Diagnostics)
}
