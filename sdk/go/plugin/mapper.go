package plugin

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Mapper adds columns to rows. What it produces for a row must depend on that
// row and the arguments alone, not on other rows, the time, or earlier calls.
// quern can then pass it any rows in any order, and skips rows whose result it
// already has.
type Mapper[A any] interface {
	// Prepare declares the output with KeepInput, AddColumn, and
	// AddArgumentColumn.
	Prepare(context.Context, *Prepare[A]) error
	// Map fills the declared columns of a batch. Values that are not set are
	// null. Batch.Fail fails one row, Batch.SetPending lets it wait for something
	// outside; an error fails the stage.
	Map(ctx context.Context, args *A, b *Batch) error
}

// Concurrent is an optional interface of a Mapper or FlatMapper.
type Concurrent interface {
	// Concurrency returns the maximum number of batches to process at the same
	// time; the default is 1. Raise it if Map waits for something, such as a
	// model.
	Concurrency() int
}

// Batched is an optional interface of a Mapper or FlatMapper.
type Batched interface {
	// BatchRows returns the maximum number of rows in a batch. If Map waits for
	// each row, use small batches, so that results are saved early, and
	// Concurrent.
	BatchRows() int
}

// NewMapper returns a row-wise type that impl implements.
func NewMapper[A any](info Info, impl Mapper[A]) Type {
	return &mapper[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_MAP, impl: impl}, impl.Map}
}

// FlatMapper produces zero, one, or many rows for each row: it explodes lists,
// splits documents, or drops rows. As with a Mapper, the rows that come from a
// row must depend on that row and the arguments alone. It can also implement
// Concurrent and Batched.
type FlatMapper[A any] interface {
	// Prepare declares the output with KeepInput, AddColumn, and
	// AddArgumentColumn. quern repeats kept columns and arguments on every row
	// that a row produces.
	Prepare(context.Context, *Prepare[A]) error
	// FlatMap yields output rows for the rows of a batch and fills their
	// columns. Batch.Fail fails one row, which then produces none; an error
	// fails the stage.
	FlatMap(ctx context.Context, args *A, b *FlatBatch) error
}

// NewFlatMapper returns a transform that impl implements.
func NewFlatMapper[A any](info Info, impl FlatMapper[A]) Type {
	return &mapper[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_FLAT_MAP, impl: impl}, func(ctx context.Context, args *A, b *Batch) error {
		return impl.FlatMap(ctx, args, &FlatBatch{b})
	}}
}
