package plugintest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// RunResult is the output of a Runner.
type RunResult struct {
	// Datasets and Folders (of models and reports) are by output name.
	Datasets map[string]*Table
	Folders  map[string]string
	// Models are by output name, ready to be arguments of another case.
	Models map[string]Model
	// Value is cty.EmptyObjectVal if the type has no plain values.
	Value cty.Value
	// Failures are from FailRow. Warnings are from Warnf: summary and detail on
	// two lines.
	Failures []plugin.RowError
	Warnings []string
	// Kept is the folder with the files that the run keeps for the next one.
	Kept string
}

// Run runs a Runner. It fails the test if a second run, which gets the files that the
// first one kept, has different results, to the byte. If the stage is pending, the error is a *plugin.Pending.
func Run(t testing.TB, p plugin.Plugin, c Case) (*RunResult, error) {
	t.Helper()
	s := start(t, p, c)
	b := s.bind(c)
	prepared, err := s.ready(b)
	if err != nil {
		return nil, err
	}
	first, err := s.run(b, prepared)
	if err != nil || c.WorkDir != "" {
		return first, err
	}
	b.kept = first.Kept
	second, err := s.run(b, prepared)
	if err != nil {
		return nil, fmt.Errorf("second pass: %w", err)
	}
	s.compare(first, second)
	return first, nil
}

// compare fails the test if two runs differ.
func (s *session) compare(a, b *RunResult) {
	s.t.Helper()
	if diff := difference(a.Datasets, b.Datasets); diff != "" {
		s.t.Errorf("two runs wrote different rows (-first +second):\n%s", diff)
	}
	if !a.Value.RawEquals(b.Value) {
		s.t.Errorf("two runs set different values:\n%#v\nthen\n%#v", a.Value, b.Value)
	}
	for name, dir := range a.Folders {
		for _, f := range modelFiles(s.t, dir) {
			x, err := os.ReadFile(f.Path)
			if err != nil {
				s.t.Fatal(err)
			}
			y, err := os.ReadFile(filepath.Join(b.Folders[name], filepath.FromSlash(f.Name)))
			if err != nil || !bytes.Equal(x, y) {
				s.t.Errorf("two runs wrote different bytes to file %q of output %q (%v)", f.Name, name, err)
			}
		}
	}
}

func (s *session) run(b *bound, prepared *pluginv1.Prepared) (*RunResult, error) {
	s.t.Helper()
	req := &pluginv1.RunRequest{Instance: b.instance, Inputs: map[string]*pluginv1.Artifact{}, WorkDir: b.workDir, Call: s.stop, Kept: s.keptFiles(b.kept)}
	if req.WorkDir == "" {
		req.WorkDir = s.t.TempDir()
	}
	for key := range b.datasets {
		req.Inputs[key] = s.datasetArtifact(b, key, prepared.Reads[key])
	}
	models := b.modelArtifacts(s)
	maps.Copy(req.Inputs, models)
	if b.needsHost() {
		address, stop, err := s.client.Host(&host{session: s, models: models, bound: b})
		if err != nil {
			return nil, err
		}
		defer stop()
		req.HostSocket, req.Host = address.Socket, address.Broker
	}
	stream, err := s.client.Service().Run(s.t.Context(), req)
	if err != nil {
		return nil, err
	}
	out := &RunResult{Datasets: map[string]*Table{}, Folders: map[string]string{}, Models: map[string]Model{}}
	rows := map[string]*received{}
	for _, o := range prepared.Outputs {
		if o.Kind == pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET {
			rows[o.Name] = b.receiver(o)
			out.Datasets[o.Name] = rows[o.Name].table
		}
	}
	done, err := s.receive(stream, out, rows)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if err := r.end(); err != nil {
			return nil, err
		}
	}
	if out.Kept, err = s.keep(b.kept, done); err != nil {
		return nil, err
	}
	return out, out.finish(done, prepared)
}

// receive collects a run's events.
func (s *session) receive(stream pluginv1.PluginService_RunClient, out *RunResult, rows map[string]*received) (*pluginv1.Done, error) {
	var done *pluginv1.Done
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && done == nil:
			return nil, errors.New("the plugin ended the run without Done")
		case errors.Is(err, io.EOF):
			return done, nil
		case err != nil:
			return nil, err
		}
		if err := s.stopIfAsked(); err != nil {
			return nil, err
		}
		switch e := resp.Event.(type) {
		case *pluginv1.RunResponse_Rows:
			r := rows[e.Rows.Output]
			if r == nil {
				return nil, fmt.Errorf("the plugin wrote rows to output %q, which Prepare did not declare", e.Rows.Output)
			}
			if err := r.add(e.Rows); err != nil {
				return nil, err
			}
		case *pluginv1.RunResponse_Diagnostic:
			if err := client.Failure(s.client.Name(), []*pluginv1.Diagnostic{e.Diagnostic}); err != nil {
				return nil, err
			}
			out.Warnings = append(out.Warnings, e.Diagnostic.GetSummary()+"\n"+e.Diagnostic.GetDetail())
		case *pluginv1.RunResponse_Failure:
			out.Failures = append(out.Failures, plugin.RowError{
				Row: int(e.Failure.GetRow()), Message: e.Failure.GetMessage(), Temporary: e.Failure.GetTemporary(),
			})
		case *pluginv1.RunResponse_Pending:
			return nil, &plugin.Pending{Reason: e.Pending.GetReason(), CheckAfter: seconds(e.Pending.CheckAfterSeconds)}
		case *pluginv1.RunResponse_Done:
			done = e.Done
		}
	}
}

// finish reads Done.
func (r *RunResult) finish(done *pluginv1.Done, prepared *pluginv1.Prepared) error {
	var err error
	if r.Value, err = client.DecodeValue(done.Value); err != nil {
		return err
	}
	r.Folders = done.Folders
	for _, o := range prepared.Outputs {
		if o.Kind == pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL {
			r.Models[o.Name] = Model{
				Format: o.Format, Dir: done.Folders[o.Name], Language: o.Model.GetCapabilities(),
				Signature: plugin.Signature{
					Inputs: data.FromProto(o.Signature.GetInputs()), Outputs: data.FromProto(o.Signature.GetOutputs()),
				},
			}
		}
	}
	return nil
}

// datasetArtifact writes a dataset's columns to Parquet files, one for each shard.
func (s *session) datasetArtifact(b *bound, key string, reads *pluginv1.Reads) *pluginv1.Artifact {
	s.t.Helper()
	given := b.rowColumns(key, reads)
	defer given.Release()
	columns, err := data.Columns.Schema(given.Schema())
	if err != nil {
		s.t.Fatal(err)
	}
	arguments, err := data.Arguments.Schema(given.Schema())
	if err != nil {
		s.t.Fatal(err)
	}
	out := &pluginv1.Artifact{
		Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_DATASET, Rows: given.NumRows(),
		Columns: columns.Proto(), Arguments: arguments.Proto(),
	}
	if given.NumCols() == 0 {
		return out
	}
	var group data.Group
	stored := make(data.Schema, 0, given.NumCols()) // names in files are unique
	for i, c := range arguments {
		stored = append(stored, data.Column{Name: "argument" + strconv.Itoa(i), Type: c.Type})
		group.Columns = append(group.Columns, data.Stored{Stored: stored[i].Name, Name: c.Name, Namespace: data.Arguments})
	}
	for i, c := range columns {
		name := "column" + strconv.Itoa(i)
		stored = append(stored, data.Column{Name: name, Type: c.Type})
		group.Columns = append(group.Columns, data.Stored{Stored: name, Name: c.Name})
	}
	rec := array.NewRecordBatch(stored.Arrow(), given.Columns(), out.Rows)
	defer rec.Release()
	var shards []data.Shard
	dir, step := s.t.TempDir(), out.Rows
	if b.shardRows > 0 {
		step = int64(b.shardRows)
	}
	for from := int64(0); from < out.Rows; from += step {
		group.Path = filepath.Join(dir, strconv.Itoa(len(shards))+".parquet")
		shards = append(shards, s.writeShard(rec.NewSlice(from, min(from+step, out.Rows)), stored, group))
	}
	out.Shards = data.ShardsToProto(shards)
	return out
}

// writeShard writes the file of a shard that consists of one group. It releases the
// rows.
func (s *session) writeShard(rec arrow.RecordBatch, stored data.Schema, group data.Group) data.Shard {
	s.t.Helper()
	defer rec.Release()
	f, err := os.Create(group.Path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	w, err := data.NewFileWriter(f, stored)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		s.t.Fatal(err)
	}
	group.Columns = slices.Clone(group.Columns)
	for i := range group.Columns {
		values, err := array.NewRecordBatch(arrow.NewSchema(stored[i:i+1].Arrow().Fields(), nil), rec.Columns()[i:i+1], rec.NumRows()).MarshalJSON()
		if err != nil {
			s.t.Fatal(err)
		}
		group.Columns[i].Digest = fmt.Sprintf("sha256:%x", sha256.Sum256(values))
	}
	return data.Shard{Rows: rec.NumRows(), Groups: []data.Group{group}}
}

func (s *session) modelArtifact(m Model) *pluginv1.Artifact {
	s.t.Helper()
	return &pluginv1.Artifact{
		Kind: pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, Format: m.Format, Signature: signatureProto(m),
		Files: modelFiles(s.t, m.Dir),
	}
}

// host answers predictions with the plugin itself, and everything else with the
// case's fakes.
type host struct {
	pluginv1.UnimplementedHostServiceServer
	session *session
	models  map[string]*pluginv1.Artifact
	bound   *bound
}

func (b *bound) modelArtifacts(s *session) map[string]*pluginv1.Artifact {
	out := map[string]*pluginv1.Artifact{}
	for key, m := range b.models {
		out[key] = s.modelArtifact(m)
	}
	return out
}

func (b *bound) needsHost() bool { return len(b.models)+len(b.doubles)+len(b.late) > 0 }

func (h *host) Predict(stream pluginv1.HostService_PredictServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	model := h.models[first.GetStart()]
	if model == nil {
		return fmt.Errorf("no model %q exists", first.GetStart())
	}
	predictions, err := h.session.client.Service().Predict(stream.Context())
	if err != nil {
		return err
	}
	err = predictions.Send(&pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Start{Start: model}})
	for err == nil {
		var req *pluginv1.HostServicePredictRequest
		if req, err = stream.Recv(); errors.Is(err, io.EOF) {
			return predictions.CloseSend()
		}
		if err == nil {
			err = h.answer(predictions, stream, req.GetRows())
		}
	}
	return err
}

func (h *host) answer(predictions pluginv1.PluginService_PredictClient, stream pluginv1.HostService_PredictServer, rows []byte) error {
	err := predictions.Send(&pluginv1.PredictRequest{Event: &pluginv1.PredictRequest_Rows{Rows: rows}})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		resp, err := predictions.Recv()
		if err != nil {
			return err
		}
		err = stream.Send(&pluginv1.HostServicePredictResponse{Rows: resp.Rows, Errors: resp.Errors, More: resp.More})
		if err != nil || !resp.More {
			return err
		}
	}
}

// Predict applies a model that the plugin trained to rows with the columns of
// the signature's inputs.
func Predict(t testing.TB, p plugin.Plugin, m Model, rows []map[string]any) (*MapResult, error) {
	t.Helper()
	s := start(t, p, Case{})
	in := newTable(t, Dataset{Columns: m.Signature.Inputs, Rows: rows})
	stream, err := s.client.Predict(t.Context(), s.modelArtifact(m))
	if err != nil {
		return nil, err
	}
	if err := stream.Send(in.rec); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	a, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	defer a.Rows.Release()
	out := &MapResult{Table: toTable(m.Signature.Outputs, []arrow.RecordBatch{a.Rows}), Failures: Failures{}}
	for _, e := range a.Errors {
		out.Failures[int(e.Row)] = e.Message
	}
	return out, nil
}
