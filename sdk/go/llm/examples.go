package llm

import "math/rand/v2"

// ExampleSelection says which examples of a dataset a prompt shows.
type ExampleSelection struct {
	// Count is the number of examples.
	Count int `json:"count"`
	// Select is SelectFirst, SelectRandom, or SelectNearest.
	Select string `json:"select"`
	// Seed is for SelectRandom.
	Seed int64 `json:"seed"`
}

// How examples are chosen.
const (
	SelectFirst   = "first"
	SelectRandom  = "random"
	SelectNearest = "nearest"
)

// NewExampleSelection returns the defaults of a prompt.
func NewExampleSelection() *ExampleSelection { return &ExampleSelection{Count: 3, Select: SelectFirst} }

// Order returns the order in which to take n examples; nil if it differs by
// row. A random order is the same for all rows, so that providers can cache the
// beginning of the prompt.
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
