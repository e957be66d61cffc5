package openai

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/plugins/provider"
)

// columnNames are the columns of a result file for each column of the curves.
var columnNames = map[string][]string{
	"step":          {"step"},
	"loss":          {"train_loss", "training_loss"},
	"accuracy":      {"train_accuracy", "train_mean_token_accuracy", "training_token_accuracy"},
	"eval_loss":     {"valid_loss", "validation_loss"},
	"eval_accuracy": {"valid_mean_token_accuracy", "validation_token_accuracy"},
}

// writeCurves writes the losses of the job's result files.
func (t *tuning) writeCurves(ctx context.Context, j *tuningJob) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, curvesSchema.Arrow())
	defer b.Release()
	for _, file := range j.ResultFiles {
		call, err := t.endpoint.call(ctx, "files/"+url.PathEscape(file)+"/content")
		if err != nil {
			return err
		}
		text, err := resultText(ctx, call)
		if err == nil {
			err = addCurves(b, text)
		}
		if err != nil {
			return fmt.Errorf("The result file %s of job %s cannot be read\n%w", file, j.ID, err)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	return t.Write(curves, rec)
}

// resultText returns a result file, which OpenAI encodes in base64.
func resultText(ctx context.Context, call *provider.Call) (string, error) {
	var text strings.Builder
	for line, err := range call.Lines(ctx) {
		if err != nil {
			return "", err
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	plain := strings.ReplaceAll(text.String(), "\n", "")
	if decoded, err := base64.StdEncoding.DecodeString(plain); err == nil && plain != "" {
		return string(decoded), nil
	}
	return text.String(), nil
}

func addCurves(b *array.RecordBuilder, text string) error {
	r := csv.NewReader(strings.NewReader(text))
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i, name := range header {
		at[name] = i
	}
	if _, ok := at["step"]; !ok {
		return errors.New("It has no column step.")
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for c, column := range curvesSchema {
			v := math.NaN()
			for _, name := range columnNames[column.Name] {
				if i, ok := at[name]; ok {
					v = number(row[i])
				}
			}
			add(b.Field(c), v)
		}
	}
}

func number(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// add appends a value, or null for NaN.
func add(b array.Builder, v float64) {
	switch b := b.(type) {
	case *array.Int64Builder:
		if math.IsNaN(v) {
			b.AppendNull()
		} else {
			b.Append(int64(v))
		}
	case *array.Float64Builder:
		if math.IsNaN(v) {
			b.AppendNull()
		} else {
			b.Append(v)
		}
	}
}
