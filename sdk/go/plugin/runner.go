package plugin

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Runner reads whole inputs and produces any artifacts. For the same arguments
// and inputs, it must produce the same bytes: take a seed as an argument if it
// needs randomness.
type Runner[A any] interface {
	// Prepare declares the outputs with AddDataset, AddModel, AddReport, and
	// SetValueType, and the columns to read with ReadAll and ReadColumns.
	Prepare(context.Context, *Prepare[A]) error
	// Run does the work. When ctx ends, it saves a checkpoint in WorkDir if it
	// can, and returns within 30 seconds, or the time that Stopper allows. If the
	// work waits for something outside, such as a hosted job, Run saves in WorkDir
	// what it needs to continue and returns a *Pending; the next apply calls it
	// again with the same WorkDir.
	Run(context.Context, *Run[A]) error
}

// ModelLoader is an optional interface of a Runner that trains models: it loads
// them, so that any stage can predict with them.
type ModelLoader interface {
	// ModelFormats returns the formats that LoadModel accepts.
	ModelFormats() []string
	// LoadModel loads a model. One goroutine uses it for many batches and, if it
	// is an [io.Closer], closes it at the end.
	LoadModel(context.Context, *ModelFiles) (Predictor, error)
}

// Predictor is a loaded model.
type Predictor interface {
	// Predict takes the columns of the signature's inputs and returns the
	// columns of its outputs, with the same number of rows; the caller releases
	// them. RowErrors count rows within the batch, and the outputs of those rows
	// are ignored.
	Predict(context.Context, arrow.RecordBatch) (arrow.RecordBatch, []RowError, error)
}

// NewRunner returns a type that works on whole inputs.
func NewRunner[A any](info Info, impl Runner[A]) Type {
	return &runner[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_RUN, impl: impl}, impl}
}

// Run is one execution of a Runner. Use it from one goroutine, except for
// Progress, FailRow, Warnf, and Host.
type Run[A any] struct {
	Args *A
	// WorkDir is the absolute path of a folder for this stage alone. If a run is
	// interrupted, the next one gets the same folder with its contents, so save
	// checkpoints there.
	WorkDir string
	*execution
}

// Address returns the instance's address, such as train.intent["a"], for
// messages.
func (r *execution) Address() string { return r.instance.Address }

// Name returns the block's name, the second part of the address.
func (r *execution) Name() string { return addressName(r.instance.Address) }

// Dataset returns a dataset input, or nil if the argument is not set.
func (r *execution) Dataset(d Dataset) *DatasetInput { return newDatasetInput(d.Key, r.inputs) }

// Model returns a model input, or nil if the argument is not set.
func (r *execution) Model(m Model) *ModelInput { return r.host.model(m.Key, r.inputs) }

// ModelBlock returns the model block at a key, or nil if it is not a block whose
// type this plugin offers.
func (r *execution) ModelBlock(m Model) *ModelBlock { return modelBlock(r.instance, m.Key) }

// Artifact returns an input of any kind, or nil if the argument is not set.
func (r *execution) Artifact(a Artifact) *ArtifactInput { return newArtifactInput(a.Key, r.inputs) }

// Host returns the stage's access to models.
func (r *execution) Host() *Host { return &Host{r.host} }

// RowArgument returns the type of a row expression's values and, if the
// expression is just row.NAME, that name.
func (r *execution) RowArgument(key string) (typ, column string) {
	a := r.instance.RowArguments[key]
	return a.GetType(), a.GetColumn()
}

// Write appends rows to a dataset output, in several messages if they are too
// large for one. It returns ctx's error once ctx has ended. The caller keeps
// its reference to rec.
func (r *execution) Write(output string, rec arrow.RecordBatch) error { return r.write(output, rec) }

// WriteSelected is Write for the next rows of an output that KeepInput declared with
// a Selection: rows for which keep is false are dropped. rec has the columns of
// AddColumn, possibly none.
func (r *execution) WriteSelected(output string, rec arrow.RecordBatch, keep []bool) error {
	return r.writeSelected(output, rec, keep)
}

// Kept returns the files that the last run of the same definition kept, by name. They
// save work, such as computing again what is known about rows that are still there; the
// result must be the same without them. There are none at first, and when the user
// requests a new result.
func (r *execution) Kept() map[string]File { return r.kept() }

// KeepAgain keeps files of Kept for the next run, by name.
func (r *execution) KeepAgain(names ...string) { r.keptAgain = append(r.keptAgain, names...) }

// KeepFolder returns the folder for new files that the next run of the same
// definition gets as Kept. It exists. If a run is interrupted, the next attempt finds
// the files there, so a file should get its name when it is complete.
func (r *execution) KeepFolder() (string, error) { return r.keepFolder() }

// Folder returns the folder for the files of a model or report output. It
// exists, and is empty when a run first asks for it.
func (r *execution) Folder(output string) (string, error) { return r.folder(output) }

// SetValue sets the plain values of the stage: an object of the type that
// Prepare declared with SetValueType.
func (r *execution) SetValue(v cty.Value) { r.value = v }

// MoneyLeft returns the most that the run may pay now, because of budgets; false: no
// budget limits it. A run that Prepare declared with Pays must fail before it pays more.
func (r *execution) MoneyLeft() (float64, bool) {
	if r.moneyLeft == nil {
		return 0, false
	}
	return *r.moneyLeft, true
}

// Paid reports money that the run has just paid, or can no longer avoid paying, in
// addition to what it reported before, also in earlier runs of the stage. A negative
// amount corrects an earlier one that was an estimate.
func (r *execution) Paid(money float64) error {
	return r.stream.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Paid{Paid: money}})
}

// Progress reports how much is done; total is 0 if unknown. Calls in quick
// succession are combined.
func (r *execution) Progress(done, total int64, unit, message string) {
	r.stream.progress(done, total, unit, message)
}

// FailRow reports that a row, counted from 0 in its dataset, has no result. If
// more rows fail than the stage's max_errors allows, quern ends the run. If
// temporary is true, the next apply tries the row again. A call to a model that is
// pending is not a failure: the stage ends as pending, and its next run asks again.
func (r *execution) FailRow(row int64, temporary bool, err error) error {
	if pendingOf(err) != nil {
		return nil
	}
	return r.stream.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Failure{
		Failure: &pluginv1.RowError{Row: row, Message: legible(err.Error()), Temporary: temporary},
	}})
}

// Warnf shows the user a warning without ending the run. The first line of the
// text is the summary. argument is the key of the argument at fault, or empty.
func (r *execution) Warnf(argument, format string, args ...any) error {
	warning := described(pluginv1.Diagnostic_SEVERITY_WARNING, argument, fmt.Sprintf(format, args...))
	return r.stream.send(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Diagnostic{Diagnostic: warning}})
}

// ModelInput is a model input of a stage.
type ModelInput struct {
	*ModelFiles
	Key     string
	predict func(context.Context, arrow.RecordBatch) (arrow.RecordBatch, []RowError, error)
}

// Predict applies the model to rows that have the columns of its signature's
// inputs. quern has the plugin that trained the model do it. The result has as
// many rows, and the caller releases it. RowErrors are rows that failed; their
// results are null.
func (m *ModelInput) Predict(ctx context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, []RowError, error) {
	return m.predict(ctx, rec)
}
