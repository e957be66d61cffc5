package stats_test

import (
	"fmt"
	"slices"

	"github.com/quern-dev/quern/plugins/stats"
)

// Two prompts were asked each of eight questions twice. Draws for the same
// question are one unit, regardless of their number.
func ExampleCompare() {
	questions := []string{"q1", "q1", "q2", "q2", "q3", "q3", "q4", "q4", "q5", "q5", "q6", "q6", "q7", "q7", "q8", "q8"}
	fewShot := []float64{1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0}
	zeroShot := []float64{1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1}
	c, err := stats.Compare(fewShot, zeroShot, stats.Options{Clusters: stats.Clusters(questions)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.3f better, from %.3f to %.3f, p = %.3f by %d questions", c.Value, c.Low, c.High, c.P, c.Units)
	// Output: 0.438 better, from -0.029 to 0.833, p = 0.094 by 8 questions
}

// Any statistic has an interval. Here, it is macro F1 over rows in clusters.
func ExampleBootstrap() {
	right := []string{"card", "card", "loan", "loan", "card", "loan", "card", "loan"}
	given := []string{"card", "loan", "loan", "loan", "card", "card", "card", "loan"}
	customers := []int{1, 1, 2, 2, 3, 3, 4, 4}
	f1 := func(rows []int) float64 {
		var sum float64
		for _, class := range []string{"card", "loan"} {
			both, either := 0, 0
			for _, row := range rows {
				if right[row] == class && given[row] == class {
					both++
				}
				for _, label := range []string{right[row], given[row]} {
					if label == class {
						either++
					}
				}
			}
			sum += 2 * float64(both) / float64(max(either, 1))
		}
		return sum / 2
	}
	e, err := stats.Bootstrap(len(right), f1, stats.Options{Clusters: customers})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.2f, by %s over %d customers", e.Value, e.Method, e.Units)
	// Output: 0.75, by bca over 4 customers
}

// Several p-values are corrected together.
func ExampleHolm() {
	for _, p := range stats.Holm([]float64{0.012, 0.2, 0.03}) {
		fmt.Printf("%.3f ", p)
	}
	// Output: 0.036 0.200 0.060
}

// Three annotators give labels, and one of them is often wrong.
func ExampleDawidSkene() {
	var votes []stats.Vote
	for item, labels := range [][]int{{0, 0, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 0}, {0, 0, 1}, {1, 1, 1}} {
		for annotator, label := range labels {
			votes = append(votes, stats.Vote{Item: item, Annotator: annotator, Label: label})
		}
	}
	m, err := stats.DawidSkene(votes, 6, 3, 2, stats.EMOptions{Smoothing: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	order := []int{0, 1, 2}
	slices.SortFunc(order, func(a, b int) int { return int(100 * (m.Accuracy(a) - m.Accuracy(b))) })
	fmt.Printf("item 3 is %d; annotator %d errs most", m.Choices[3].Label, order[0])
	// Output: item 3 is 1; annotator 2 errs most
}
