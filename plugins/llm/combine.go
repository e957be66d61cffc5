package llm

import (
	"cmp"
	"encoding/json"
	"slices"
)

// majority returns the answer that most draws gave. If there are several, it
// returns the one that was given first.
func majority(answers []answer, draws int) (answer, float64) {
	counts := make(map[string]int, len(answers))
	best, most := 0, 0
	for _, a := range answers {
		counts[key(a.values)]++
	}
	for i, a := range answers {
		if n := counts[key(a.values)]; n > most {
			best, most = i, n
		}
	}
	return answers[best], float64(most) / float64(draws)
}

// median returns the median score. Draws that can't tell count as answers, and
// win if they are more than half.
func median(answers []answer, draws int) (answer, float64) {
	told := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.values[0] == nil })
	if 2*len(told) < len(answers) || len(told) == 0 {
		at := slices.IndexFunc(answers, func(a answer) bool { return a.values[0] == nil })
		return answers[at], float64(len(answers)-len(told)) / float64(draws)
	}
	slices.SortStableFunc(told, func(a, b answer) int { return cmp.Compare(a.values[0].(float64), b.values[0].(float64)) })
	chosen := told[(len(told)-1)/2]
	agree := 0
	for _, a := range told {
		if a.values[0] == chosen.values[0] {
			agree++
		}
	}
	return chosen, float64(agree) / float64(draws)
}

// key returns a string that identifies a value.
func key(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // values come from JSON
	}
	return string(b)
}
