package plugin

import (
	"context"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Mapper works row by row: what it makes of a row depends on that row and
// the arguments alone, so that quern may give it any rows in any order, and
// never gives it a row whose result is known.
type Mapper[A any] interface {
	// Prepare declares the output with KeepInput, AddColumn and AddArgument.
	Prepare(context.Context, *Prepare[A]) error
	// Map fills the declared columns for a batch. An error fails the stage;
	// Batch.Fail fails one row.
	Map(ctx context.Context, args *A, b *Batch) error
}

// Concurrent is an optional interface of a Mapper and a FlatMapper.
type Concurrent interface {
	// Concurrency is how many batches it may be given at the same time; the
	// default is 1. More helps a mapper that waits for something.
	Concurrency() int
}

// Batched is an optional interface of a Mapper and a FlatMapper.
type Batched interface {
	// BatchRows is how many rows a batch has at most; what comes in more is
	// cut. A mapper that waits for something for each row wants few rows a
	// batch, so that its results are kept early, and many batches at a time.
	BatchRows() int
}

// NewMapper returns a row-wise type.
func NewMapper[A any](info Info, impl Mapper[A]) Type {
	return &mapper[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_MAP, impl: impl}, impl.Map}
}

// FlatMapper works row by row as a Mapper does, and makes any number of
// rows of each: it explodes lists, cuts documents into chunks, or leaves rows
// out. It may offer Concurrent and Batched, too.
type FlatMapper[A any] interface {
	// Prepare declares the output with KeepInput, AddColumn and AddArgument. The
	// values of kept columns and of arguments are repeated on each of the rows
	// that come of a row.
	Prepare(context.Context, *Prepare[A]) error
	// FlatMap yields rows for those of a batch and fills their columns. An error
	// fails the stage; Batch.Fail fails one row, which then gives no rows.
	FlatMap(ctx context.Context, args *A, b *FlatBatch) error
}

// NewFlatMapper returns a row-wise type that produces any number of rows for each
// row.
func NewFlatMapper[A any](info Info, impl FlatMapper[A]) Type {
	return &mapper[A]{core[A]{info: info, mode: pluginv1.Mode_MODE_FLAT_MAP, impl: impl}, func(ctx context.Context, args *A, b *Batch) error {
		return impl.FlatMap(ctx, args, &FlatBatch{b})
	}}
}
