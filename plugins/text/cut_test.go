package text

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/internal/tokens"
)

func BenchmarkChunksOfTokens(b *testing.B) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "Sentence %d says that the quick brown fox jumps over %d lazy dogs, doesn't it? ", i, i*i)
		if i%7 == 0 {
			text.WriteString("\n\n")
		}
	}
	count := tokens.For("o200k_base")
	count.Text("load")
	for _, overlap := range []int{0, 50} {
		b.Run(fmt.Sprintf("overlap=%d", overlap), func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				limit{500, overlap, count}.prose(text.String())
			}
		})
	}
}

func TestSearchNearFindsTheSameAsSearch(t *testing.T) {
	for size := range 20 {
		for want := range size + 1 {
			for guess := -3; guess < size+3; guess++ {
				calls := 0
				got := searchNear(0, size, guess, func(i int) bool { calls++; return i >= want })
				if got != want {
					t.Errorf("of %d from %d: %d, not %d", size, guess, got, want)
				}
				if guess == want && calls > 3 {
					t.Errorf("of %d from the right guess %d: %d calls", size, guess, calls)
				}
			}
		}
	}
}
