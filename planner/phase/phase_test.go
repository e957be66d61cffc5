package phase

import (
	"context"
	"slices"
	"testing"
)

func even(n int) *int {
	if n%2 != 0 {
		return nil
	}
	return &n
}

func values(all []*int) (out []int) {
	for _, v := range all {
		out = append(out, *v)
	}
	return out
}

func TestInstancesWithErrorsGoNoFurtherAndTheRestKeepTheirOrder(t *testing.T) {
	in := []int{4, 1, 2, 3, 8, 6}
	if got := values(Each(context.Background(), in, even)); !slices.Equal(got, []int{4, 2, 8, 6}) {
		t.Errorf("got %v", got)
	}
	if got := values(Waiting(context.Background(), 16, in, even)); !slices.Equal(got, []int{4, 2, 8, 6}) {
		t.Errorf("got %v", got)
	}
}

func TestNothingGoesFurtherOnceThePlanIsCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := Each(ctx, []int{2, 4}, even); len(got) != 0 {
		t.Errorf("got %v", values(got))
	}
}
