package prompting

import (
	"context"
	"errors"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Embed returns the embeddings of texts, from one request if the model accepts it. If
// the model refuses a request, which may be for one of its texts, Embed asks for each
// half. A text that is refused alone has no embedding, and fail is called with its
// number.
func Embed(ctx context.Context, host *plugin.Host, m plugin.Model, texts []string, fail func(i int, refused *llm.CallError) error) ([][]float32, error) {
	out := make([][]float32, len(texts))
	return out, embed(ctx, host, m, texts, out, 0, fail)
}

func embed(ctx context.Context, host *plugin.Host, m plugin.Model, texts []string, out [][]float32, first int, fail func(int, *llm.CallError) error) error {
	if len(texts) == 0 {
		return nil
	}
	made, err := host.Embed(ctx, m, texts)
	var refused *llm.CallError
	switch {
	case err == nil:
		copy(out[first:], made)
		return nil
	case !errors.As(err, &refused):
		return err
	case len(texts) > 1 && !refused.Temporary && !refused.Pending:
		half := len(texts) / 2
		if err := embed(ctx, host, m, texts[:half], out, first, fail); err != nil {
			return err
		}
		return embed(ctx, host, m, texts[half:], out, first+half, fail)
	}
	for i := range texts {
		if err := fail(first+i, refused); err != nil {
			return err
		}
	}
	return nil
}
