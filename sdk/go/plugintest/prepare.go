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

// PrepareResult is what a type declares before anything runs.
type PrepareResult struct {
	Errors, Warnings []Problem
	Outputs          []Output
	// ValueType is cty.NilType if the type has no plain values.
	ValueType cty.Type
	// Reads maps dataset arguments to the columns that are read in addition to
	// those in row expressions; ["*"] means all.
	Reads map[string][]string
	// Model is what a Provider declares.
	Model *pluginv1.ModelInfo
}

// Problem is an error or warning about an instance.
type Problem struct {
	// Argument is the key of the argument at fault; empty for the whole
	// instance.
	Argument string
	Text     string
}

// Output is an artifact that an instance produces.
type Output struct {
	Name    string
	Kind    string // dataset, model, report
	Columns data.Schema
	Format  string
}

// Prepare returns what an instance declares. Problems with the instance are in
// Errors; the error is for a plugin that violates the protocol.
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

// prepareTimes is how often Prepare is called to find out whether it always
// declares the same.
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
		s.t.Fatalf("Prepare got %d instances and returned %d results", prepareTimes, len(resp.Prepared))
	}
	for _, p := range resp.Prepared[1:] {
		if !proto.Equal(p, resp.Prepared[0]) {
			s.t.Fatalf("Prepare is not deterministic; if it ranges over a map, sort the keys:\n%v\nthen\n%v", resp.Prepared[0], p)
		}
	}
	return resp.Prepared[0], nil
}

// ready is prepare for an instance that must be valid.
func (s *session) ready(b *bound) (*pluginv1.Prepared, error) {
	s.t.Helper()
	prepared, err := s.prepare(b)
	if err != nil {
		return nil, err
	}
	return prepared, client.Failure(s.client.Name(), prepared.Diagnostics)
}
