package plugin

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// SampleChecker is an optional interface of a Runner that can say something about
// its rows before it runs: that texts lack what it needs, or how long it will take.
type SampleChecker[A any] interface {
	// CheckSample looks at some rows of the datasets. quern calls it while planning
	// if the stage will run and some of its rows are known, so it must be quick and
	// must not have side effects. An error fails the plan, as one of Prepare does.
	CheckSample(context.Context, *SampleCheck[A]) error
}

// SampleCheck is one call of CheckSample.
type SampleCheck[A any] struct {
	// Args are as Prepare left them, with zeros where values are not known yet.
	Args *A
	*sampleCheck
}

// sampleCheck is the part of SampleCheck that does not depend on the type of the
// arguments.
type sampleCheck struct {
	preparation *preparation
	samples     map[string]*Sample
}

// Sample is some rows of a dataset: the first ones if the dataset exists, and
// otherwise rows that it is expected to have, such as those before a split.
type Sample struct {
	// Rows has the columns that Prepare declared as read, and the row arguments.
	// Find them with data.Columns.Find and data.Arguments.Find.
	Rows arrow.RecordBatch
	// Total is the number of rows of the dataset, which is an estimate if the
	// dataset does not exist yet; nil means unknown.
	Total *int64
	// Complete is true if these are all rows. Otherwise the dataset may have other
	// rows, and may lack some of these.
	Complete bool
}

// Sample returns the rows of a dataset, or nil if none is known yet or the
// argument is not set.
func (c *sampleCheck) Sample(d Dataset) *Sample { return c.samples[d.Key] }

// Address returns the instance's address, for messages.
func (c *sampleCheck) Address() string { return c.preparation.Address() }

// Known is as in Prepare.
func (c *sampleCheck) Known(key string) bool { return c.preparation.Known(key) }

// Input is as in Prepare.
func (c *sampleCheck) Input(key string) *InputInfo { return c.preparation.Input(key) }

// ModelBlock is as in Prepare.
func (c *sampleCheck) ModelBlock(m Model) *ModelBlock { return c.preparation.ModelBlock(m) }

// Errorf reports a mistake, as in Prepare. quern adds which rows were checked.
func (c *sampleCheck) Errorf(argument, format string, args ...any) {
	c.preparation.Errorf(argument, format, args...)
}

// Warnf reports something that may be a mistake.
func (c *sampleCheck) Warnf(argument, format string, args ...any) {
	c.preparation.Warnf(argument, format, args...)
}

// SetEstimate replaces the fields of Prepare's estimate that are not nil.
func (c *sampleCheck) SetEstimate(e Estimate) { c.preparation.SetEstimate(e) }

// checkSample calls CheckSample for an instance.
func (r *runner[A]) checkSample(ctx context.Context, req *pluginv1.CheckSampleRequest) (*pluginv1.CheckSampleResponse, error) {
	impl, ok := r.impl.(SampleChecker[A])
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "%s %q checks no samples", r.info.Kind, r.info.Name)
	}
	args, prepared := r.prepared(ctx, req.Instance, true)
	if prepared.hasErrors() {
		return &pluginv1.CheckSampleResponse{Diagnostics: prepared.out.Diagnostics}, nil
	}
	check := &sampleCheck{preparation: newPreparation(req.Instance, prepared.unknown), samples: map[string]*Sample{}}
	for key, s := range req.Samples {
		rows, err := data.DecodeBatch(s.GetRows())
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "sample of %s: %s", key, err)
		}
		check.samples[key] = &Sample{Rows: rows, Total: s.Total, Complete: s.Complete}
	}
	if err := impl.CheckSample(ctx, &SampleCheck[A]{Args: args, sampleCheck: check}); err != nil {
		check.preparation.out.Diagnostics = append(check.preparation.out.Diagnostics, diagnostic(err))
	}
	return &pluginv1.CheckSampleResponse{Diagnostics: check.preparation.out.Diagnostics, Estimate: check.preparation.out.Estimate}, nil
}
