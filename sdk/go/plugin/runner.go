package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Runner gets whole inputs as files and makes any artifacts.
type Runner[A any] interface {
	// Prepare declares the outputs with AddDataset, AddModel, AddReport and
	// SetValueType, and what is read with ReadAll and ReadColumns.
	Prepare(context.Context, *Prepare[A]) error
	// Run does the work. When ctx ends it leaves a checkpoint in WorkDir, if
	// it can, and returns. It may take 30 seconds for that, or as long as
	// Stopper says.
	Run(context.Context, *Run[A]) error
}

// ModelLoader is an optional interface of a Runner: the models that it
// makes can predict.
type ModelLoader interface {
	// ModelFormats are the formats that LoadModel takes.
	ModelFormats() []string
	// LoadModel gets a model ready. A loaded model is used for many batches,
	// by one goroutine, and closed in the end if it is an io.Closer.
	LoadModel(context.Context, *ModelFiles) (Predictor, error)
}

// Predictor is a loaded model.
type Predictor interface {
	// Predict gets the columns of the signature's inputs and returns as many
	// rows of its outputs; the caller releases them. A RowError's row counts
	// in the batch; its outputs are of no account.
	Predict(context.Context, arrow.RecordBatch) (arrow.RecordBatch, []RowError, error)
}

// NewRunner returns a type that works on whole inputs.
func NewRunner[A any](info Info, impl Runner[A]) Type {
	return &runner[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_RUN, impl: impl}, impl}
}

// Run is a stage that is being carried out. It belongs to one goroutine,
// except for Progress, Failed, and Warnf.
type Run[A any] struct {
	Args *A
	// WorkDir is the action's own folder, absolute. It is kept when a run is
	// interrupted and offered again, so that checkpoints can be left there.
	WorkDir string
	*execution
}

// Address is the instance's address, for messages.
func (r *execution) Address() string { return r.instance.Address }

// Name is the block's name, the second part of the address.
func (r *execution) Name() string { return addressName(r.instance.Address) }

// Dataset returns a dataset input; nil: it was not given.
func (r *execution) Dataset(d Dataset) *DatasetInput { return newDatasetInput(d.Key, r.inputs) }

// Model returns a model input; nil: it was not given.
func (r *execution) Model(m Model) *ModelInput { return r.host.model(m.Key, r.inputs) }

// Artifact returns an input of any kind; nil: it was not given.
func (r *execution) Artifact(a Artifact) *ArtifactInput { return newArtifactInput(a.Key, r.inputs) }

// Host returns the way to the models that the stage was given.
func (r *execution) Host() *Host { return &Host{r.host} }

// RowArgument returns the type of a row expression's values and, if the
// expression is a bare row.x, x.
func (r *execution) RowArgument(key string) (typ, column string) {
	a := r.instance.RowArguments[key]
	return a.GetType(), a.GetColumn()
}

// Write adds rows to a dataset output. What is too large for one message is sent
// in several. Once ctx has ended it returns ctx's error. The caller keeps its reference to rec.
func (r *execution) Write(output string, rec arrow.RecordBatch) error { return r.write(output, rec) }

// Folder returns the folder for the files of a model or report output, which
// is there and, in a first attempt, empty.
func (r *execution) Folder(output string) (string, error) { return r.folder(output) }

// SetValue gives the plain values: an object of the type that Prepare
// declared.
func (r *execution) SetValue(v cty.Value) { r.value = v }

// Progress says how far the work is; total 0: unknown. Calls that follow each
// other too fast are dropped.
func (r *execution) Progress(done, total int64, unit, message string) {
	r.stream.progress(done, total, unit, message)
}

// Failed reports a result that is missing since a row, counted from 0 in its
// dataset, failed. When more are missing than the stage's max_errors allows,
// quern ends the run. Temporary: another try may succeed, and the next apply
// makes it. Any number of goroutines may call it.
func (r *execution) FailRow(row int64, temporary bool, err error) error {
	return r.stream.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Failure{
		Failure: &pluginv1.RowError{Row: row, Message: legible(err.Error()), Temporary: temporary},
	}})
}

// Warnf reports something that the user should know and that ends nothing. The
// text's first line is its summary; argument says what it is about, or is empty.
func (r *execution) Warnf(argument, format string, args ...any) error {
	summary, detail, _ := strings.Cut(legible(fmt.Sprintf(format, args...)), "\n")
	return r.stream.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Diagnostic{Diagnostic: &pluginv1.Diagnostic{
		Severity: pluginv1.Diagnostic_SEVERITY_WARNING, Summary: summary, Detail: detail, Argument: argument,
	}}})
}

// ModelInput is a model input of a stage.
type ModelInput struct {
	*ModelFiles
	Key     string
	predict func(context.Context, arrow.RecordBatch) (arrow.RecordBatch, []RowError, error)
}

// Predict applies the model to rows that have the columns of its signature's
// inputs. The host has it done by the plugin that made the model. The result
// has as many rows; the caller releases it.
func (m *ModelInput) Predict(ctx context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, []RowError, error) {
	return m.predict(ctx, rec)
}
