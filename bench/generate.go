package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/quern-dev/quern/sdk/go/data"
)

// textBytes is the approximate length of a text.
const textBytes = 200

var rowSchema = data.Schema{{Name: "id", Type: "int64"}, {Name: "text", Type: "string"}}

// generate writes a Parquet file of rows that are all different, and the same
// on every call, with more additional rows in the middle.
func generate(path string, rows, more int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := data.NewFileWriter(f, rowSchema)
	if err != nil {
		return err
	}
	const batch = 65536
	g := newGenerator(7)
	for from := 0; from < rows; from += batch {
		to := min(from+batch, rows)
		if middle := rows / 2; more > 0 && from <= middle && middle < to {
			err = errors.Join(g.write(w, from, middle), newGenerator(8).write(w, rows, rows+more), g.write(w, middle, to))
		} else {
			err = g.write(w, from, to)
		}
		if err != nil {
			return fmt.Errorf("generate rows: %w", err)
		}
	}
	return errors.Join(w.Close(), f.Close())
}

type generator struct {
	random *rand.Rand
	words  []string
}

func newGenerator(seed uint64) *generator {
	g := &generator{random: rand.New(rand.NewPCG(seed, 1))}
	letters := rand.New(rand.NewPCG(1, 1))
	for range 4000 {
		word := make([]byte, 2+letters.IntN(9))
		for i := range word {
			word[i] = byte('a' + letters.IntN(26))
		}
		g.words = append(g.words, string(word))
	}
	return g
}

func (g *generator) write(w *data.FileWriter, from, to int) error {
	rec := g.batch(from, to)
	defer rec.Release()
	if rec.NumRows() == 0 {
		return nil
	}
	return w.Write(rec)
}

func (g *generator) batch(from, to int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, rowSchema.Arrow())
	defer b.Release()
	ids, texts := b.Field(0).(*array.Int64Builder), b.Field(1).(*array.StringBuilder)
	for id := from; id < to; id++ {
		ids.Append(int64(id))
		texts.Append(g.text(textBytes))
	}
	return b.NewRecordBatch()
}

// text returns a text of about the given number of bytes.
func (g *generator) text(bytes int) string {
	text := make([]byte, 0, 2*bytes)
	for len(text) < bytes-6 {
		text = append(append(text, g.words[g.random.IntN(len(g.words))]...), ' ')
	}
	return string(text[:len(text)-1])
}
