package local

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
	"github.com/quern-dev/quern/runner/failure"
	"github.com/quern-dev/quern/runner/stage"
	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/store/blob"
)

// guard keeps secrets out of what a stage produces.
type guard struct {
	*stage.Stage
	redactor *secret.Redactor
	blobs    *blob.Store
	// redacted are the columns for which a warning about secrets was given.
	redacted map[string]bool
	// inputSecrets reports whether inputs contain a secret, or is nil if that
	// has not been checked.
	inputSecrets *bool
}

// rows returns the form of rows that may be stored. If a stage calls language
// models, requests and answers are among its results, and secrets in them are
// redacted. Elsewhere, a secret is an error, unless the stage's inputs contain
// it: a filter for a secret keeps the rows that contain it.
func (g *guard) rows(ctx context.Context, rec arrow.RecordBatch) (arrow.RecordBatch, error) {
	if g.redactor.Empty() || !g.UsesSecrets() {
		return rec, nil
	}
	columns := make([]arrow.Array, rec.NumCols())
	for i, column := range rec.Columns() {
		columns[i] = column
		if !g.secretIn(column) {
			continue
		}
		if g.asksModels() {
			columns[i] = g.redactedColumn(column)
			g.warn(rec.ColumnName(i))
			continue
		}
		had, err := g.inputsHave(ctx)
		if err != nil {
			return nil, err
		}
		if !had {
			return nil, g.exposes(fmt.Sprintf("column %q of its output", rec.ColumnName(i)))
		}
	}
	return array.NewRecordBatch(rec.Schema(), columns, rec.NumRows()), nil
}

func (g *guard) asksModels() bool { return g.ConcurrentCalls() > 0 }

// warn warns once per column. It does not warn about requests, which are
// expected to contain what the prompt says.
func (g *guard) warn(column string) {
	if g.redacted[column] || column == "request" || strings.HasSuffix(column, "_request") {
		return
	}
	if g.redacted == nil {
		g.redacted = map[string]bool{}
	}
	g.redacted[column] = true
	g.Warn(g.Range.Ptr(), "Secret in a result", "Values of column %q of %s contain a sensitive value. They are stored with %s instead.", column, g.Address, value.Redacted)
}

// inputsHave reports whether an input dataset of the stage contains a secret.
func (g *guard) inputsHave(ctx context.Context) (bool, error) {
	if g.inputSecrets != nil {
		return *g.inputSecrets, nil
	}
	found := false
	for _, in := range g.Inputs {
		m := in.Artifact.Dataset
		if m == nil || found {
			continue
		}
		shards, err := m.Files(g.blobs, m.Schema.Names())
		if err != nil {
			return false, err
		}
		for rec, err := range data.Read(ctx, shards, m.Schema.Names(), 0) {
			if err != nil {
				return false, err
			}
			found = found || slices.ContainsFunc(rec.Columns(), g.secretIn)
		}
	}
	g.inputSecrets = &found
	return found, nil
}

// value is rows for plain values.
func (g *guard) value(v cty.Value) (cty.Value, error) {
	if v == cty.NilVal || !g.UsesSecrets() {
		return v, nil
	}
	redacted, changed := g.redactor.Value(v)
	if changed && !g.asksModels() {
		return v, g.exposes("its values")
	}
	return redacted, nil
}

// folder is rows for files.
func (g *guard) folder(folder string) error {
	if g.redactor.Empty() || !g.UsesSecrets() {
		return nil
	}
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && g.redactor.In(string(text)) {
			err = g.exposes("the file " + d.Name())
		}
		return err
	})
}

// token refuses the token of a pending row if it contains a secret: the plugin
// must get back the very bytes.
func (g *guard) token(token []byte) error {
	if g.redactor.Empty() || !g.redactor.In(string(token)) {
		return nil
	}
	return failure.Errorf(g.Range.Ptr(), "Secret in a token",
		"%s answered a row as pending, and its token contains a sensitive value, which would be stored unencrypted. The plugin %q must find the row again without it: report this to its author.", g.Address, g.Plugin)
}

// exposes returns the error for a result that contains a secret.
func (g *guard) exposes(where string) error {
	_, secrets := g.Body.Refs()
	refs := ""
	for i, name := range secrets {
		if i > 0 {
			refs += ", "
		}
		refs += secret.Ref(name)
	}
	return failure.Errorf(g.Range.Ptr(), "Secret in a result",
		"%s uses %s, and the value is in %s, which would be stored unencrypted. Nothing was stored. Leave the value out of the result, store a hash of it, such as sha256(…), or, if it is not a secret here, wrap it in nonsensitive(…).", g.Address, refs, where)
}

// secretIn reports whether a text in a column contains a secret.
func (g *guard) secretIn(column arrow.Array) bool {
	switch column := column.(type) {
	case *array.String:
		if !g.redactor.In(string(column.ValueBytes())) { // all at once, because it is rare
			return false
		}
		for i := range column.Len() {
			if column.IsValid(i) && g.redactor.In(column.Value(i)) {
				return true
			}
		}
	case *array.Binary:
		for i := range column.Len() {
			if column.IsValid(i) && g.redactor.In(column.ValueString(i)) {
				return true
			}
		}
	case array.ListLike:
		return g.secretIn(column.ListValues())
	case *array.Struct:
		for i := range column.NumField() {
			if g.secretIn(column.Field(i)) {
				return true
			}
		}
	}
	return false
}

// redactedColumn returns a column of texts with secrets redacted. In columns of
// other types, values with secrets become null.
func (g *guard) redactedColumn(column arrow.Array) arrow.Array {
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
		b.Append(g.redactor.Text(texts.Value(i)))
	}
	return b.NewArray()
}
