package runner

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/secret"
	"github.com/quern-dev/quern/lang/value"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/runner/events"
	"github.com/quern-dev/quern/sdk/go/data"
)

// newRedactor knows the values of a plan's sensitive variables.
func newRedactor(secrets map[string]cty.Value) *secret.Redactor {
	r := secret.New()
	for _, v := range secrets {
		r.Add(v)
	}
	return r
}

// seal is the keyed digest of a sensitive variable's value.
func (r *run) seal(variable string) (string, error) {
	v, ok := r.secrets([]string{variable})[variable]
	if !ok {
		return "", fmt.Errorf("%s has no value", secret.Ref(variable))
	}
	text, err := value.Value{Value: v}.MarshalJSON()
	if err != nil {
		return "", err
	}
	return r.Store.Seal(text)
}

// conceal makes known what was made of secrets for a plugin, so that no message
// contains it either. What contains a secret as it is is found anyway.
func (r *run) conceal(bound *plan.Bound) {
	for _, v := range bound.Secrets {
		_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
			if v.Type() == cty.String && v.IsKnown() && !v.IsNull() && !r.redactor.In(v.AsString()) {
				r.redactor.AddText(v.AsString())
			}
			return true, nil
		})
	}
}

// redacted is an event without secrets in what it says.
func (r *run) redacted(e events.Event) events.Event {
	if r.redactor.Empty() {
		return e
	}
	for i := range e.Diagnostics {
		d := &e.Diagnostics[i]
		d.Summary, d.Detail = r.redactor.Text(d.Summary), r.redactor.Text(d.Detail)
	}
	if e.Retry != nil {
		retry := *e.Retry
		retry.Error = r.redactor.Text(retry.Error)
		e.Retry = &retry
	}
	if e.Progress != nil {
		progress := *e.Progress
		progress.Message = r.redactor.Text(progress.Message)
		e.Progress = &progress
	}
	return e
}

// usesSecrets says whether secrets influence what a stage makes.
func (w *work) usesSecrets() bool {
	if w.Body == nil {
		return false
	}
	_, secrets := w.Body.Refs()
	return len(secrets) > 0
}

// guarded is what is to be stored of rows that a stage made. Where a stage asks
// language models, requests and answers are among its results: secrets in them
// are redacted. Elsewhere a secret is an error, unless the stage's inputs contain
// it: a filter for a secret keeps the rows that have it.
func (r *run) guarded(ctx context.Context, w *work, res *StageResult, rec arrow.RecordBatch) (arrow.RecordBatch, error) {
	if r.redactor.Empty() || !w.usesSecrets() {
		return rec, nil
	}
	columns := make([]arrow.Array, rec.NumCols())
	for i, column := range rec.Columns() {
		columns[i] = column
		if !r.secretIn(column) {
			continue
		}
		if w.asksModels() {
			columns[i] = r.redactedColumn(column)
			w.warnOfRedaction(res, rec.ColumnName(i))
			continue
		}
		had, err := w.inputsHave(ctx, r)
		if err != nil {
			return nil, err
		}
		if !had {
			return nil, w.exposes(fmt.Sprintf("column %q of its output", rec.ColumnName(i)))
		}
	}
	return array.NewRecordBatch(rec.Schema(), columns, rec.NumRows()), nil
}

func (w *work) asksModels() bool { return concurrentCalls(w) > 0 }

// warnOfRedaction warns once for each column. That requests contain what the
// prompt says is no news.
func (w *work) warnOfRedaction(res *StageResult, column string) {
	if w.redacted[column] || column == "request" || strings.HasSuffix(column, "_request") {
		return
	}
	if w.redacted == nil {
		w.redacted = map[string]bool{}
	}
	w.redacted[column] = true
	res.warn(w.Range.Ptr(), "Secret in a result", "Values of column %q of %s contain a sensitive value. They are stored with %s instead.", column, w.Address, value.Redacted)
}

// inputsHave says whether a dataset that the stage is given contains a secret.
func (w *work) inputsHave(ctx context.Context, r *run) (bool, error) {
	if w.inputSecrets != nil {
		return *w.inputSecrets, nil
	}
	found := false
	for _, in := range w.inputs {
		m := in.artifact.Dataset
		if m == nil || found {
			continue
		}
		shards, err := m.Files(r.Store.Blobs, m.Schema.Names())
		if err != nil {
			return false, err
		}
		for rec, err := range data.Read(ctx, shards, m.Schema.Names(), 0) {
			if err != nil {
				return false, err
			}
			found = found || slices.ContainsFunc(rec.Columns(), r.secretIn)
		}
	}
	w.inputSecrets = &found
	return found, nil
}

// guardedValue is guarded for plain values.
func (r *run) guardedValue(w *work, v cty.Value) (cty.Value, error) {
	if v == cty.NilVal || !w.usesSecrets() {
		return v, nil
	}
	redacted, changed := r.redactor.Value(v)
	if changed && !w.asksModels() {
		return v, w.exposes("its values")
	}
	return redacted, nil
}

// guardFolder is guarded for files.
func (r *run) guardFolder(w *work, folder string) error {
	if r.redactor.Empty() || !w.usesSecrets() {
		return nil
	}
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && r.redactor.In(string(text)) {
			err = w.exposes("the file " + d.Name())
		}
		return err
	})
}

// exposes is the error for a result that contains a secret.
func (w *work) exposes(where string) error {
	_, secrets := w.Body.Refs()
	refs := ""
	for i, name := range secrets {
		if i > 0 {
			refs += ", "
		}
		refs += secret.Ref(name)
	}
	return failuref(w.Range.Ptr(), "Secret in a result",
		"%s uses %s, and the value is in %s, which would be stored unencrypted. Nothing was stored. Leave the value out of the result, store a hash of it, such as sha256(…), or, if it is not a secret here, wrap it in nonsensitive(…).", w.Address, refs, where)
}

// secretIn says whether a column contains a secret in a text.
func (r *run) secretIn(column arrow.Array) bool {
	switch column := column.(type) {
	case *array.String:
		if !r.redactor.In(string(column.ValueBytes())) { // all at once, since it hardly ever is
			return false
		}
		for i := range column.Len() {
			if column.IsValid(i) && r.redactor.In(column.Value(i)) {
				return true
			}
		}
	case *array.Binary:
		for i := range column.Len() {
			if column.IsValid(i) && r.redactor.In(column.ValueString(i)) {
				return true
			}
		}
	case array.ListLike:
		return r.secretIn(column.ListValues())
	case *array.Struct:
		for i := range column.NumField() {
			if r.secretIn(column.Field(i)) {
				return true
			}
		}
	}
	return false
}

// redactedColumn is a column of texts without secrets; of other types it is
// null where there is one.
func (r *run) redactedColumn(column arrow.Array) arrow.Array {
	texts, ok := column.(*array.String)
	if !ok {
		return array.MakeArrayOfNull(memory.DefaultAllocator, column.DataType(), column.Len())
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range texts.Len() {
		if texts.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(r.redactor.Text(texts.Value(i)))
	}
	return b.NewArray()
}
