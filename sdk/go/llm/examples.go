package llm

import "math/rand/v2"

// Drawing is how the examples of a prompt are drawn from a dataset.
type ExampleSelection struct {
	// Count is how many.
	Count int `json:"count"`
	// Select is SelectFirst, SelectRandom or SelectNearest.
	Select string `json:"select"`
	// Seed of a random drawing.
	Seed int64 `json:"seed"`
}

// How examples are chosen.
const (
	SelectFirst   = "first"
	SelectRandom  = "random"
	SelectNearest = "nearest"
)

// NewDrawing is what a prompt draws that says nothing about it.
func NewExampleSelection() *ExampleSelection { return &ExampleSelection{Count: 3, Select: SelectFirst} }

// Order is the order in which n examples are taken; nil: it is another one for
// each row. A random one is the same for all rows, so that providers can keep
// what comes first.
func (d *ExampleSelection) Order(n int) []int {
	switch d.Select {
	case SelectNearest:
		return nil
	case SelectRandom:
		return rand.New(rand.NewPCG(uint64(d.Seed), 0x9e3779b97f4a7c15)).Perm(n)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}
