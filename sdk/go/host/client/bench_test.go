package client_test

import (
	"errors"
	"io"
	"testing"
)

// BenchmarkMap sends rows of 200 bytes through a plugin that answers with a
// string column of the same size.
func BenchmarkMap(b *testing.B) {
	const batch = 16384
	p := start(b, "good")
	rec := rows("text", batch)
	defer rec.Release()
	b.SetBytes(batch * 200)
	s, err := p.Map(b.Context(), upper(""), label)
	if err != nil {
		b.Fatal(err)
	}
	sent := make(chan error, 1)
	b.ResetTimer()
	go func() {
		for range b.N {
			if err := s.Send(rec); err != nil {
				sent <- err
				return
			}
		}
		sent <- s.CloseSend()
	}()
	for {
		a, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		a.Rows.Release()
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "rows/s")
	if err := <-sent; err != nil {
		b.Fatal(err)
	}
}
