package cosine

import (
	"math"
	"math/rand/v2"
	"testing"
)

func direction(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = r.NormFloat64()
	}
	return v
}

// near returns a vector whose cosine with v is about c.
func near(r *rand.Rand, v []float64, c float64) []float64 {
	w, length, across := direction(r, len(v)), 0., 0.
	for i := range v {
		length += v[i] * v[i]
		across += w[i] * w[i]
	}
	out := make([]float64, len(v))
	for i := range v {
		out[i] = 7 * (c*v[i]/math.Sqrt(length) + math.Sqrt(1-c*c)*w[i]/math.Sqrt(across))
	}
	return out
}

func TestPairsAreFoundAsOftenAsTheirCosineSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, threshold := range []float64{0.8, 0.9, 0.97} {
		s := &Signer{Params: Derive(threshold)}
		for _, c := range []float64{0.2, threshold - 0.15, threshold, 0.99} {
			const pairs = 150
			found, expected := 0, 0.
			for range pairs {
				n := 60 + r.IntN(200)
				v := direction(r, n)
				w := near(r, v, c)
				x, y := make([]uint32, s.Bands), make([]uint32, s.Bands)
				a, b := make([]byte, 4*n), make([]byte, 4*n)
				s.Sign(v, x, a)
				s.Sign(w, y, b)
				got, want := Of(a, b), exact(v, w)
				if math.Abs(got-want) > 1e-5 {
					t.Fatalf("cosine %g, want %g", got, want)
				}
				expected += s.Probability(want)
				for k := range x {
					if x[k] == y[k] {
						found++
						break
					}
				}
			}
			if d := math.Abs(float64(found) - expected); d > 0.1*pairs {
				t.Errorf("threshold %g, cosine %g: found %d of %d pairs, expected %.0f", threshold, c, found, pairs, expected)
			}
		}
	}
}

func exact(v, w []float64) float64 {
	var vw, vv, ww float64
	for i := range v {
		vw, vv, ww = vw+v[i]*w[i], vv+v[i]*v[i], ww+w[i]*w[i]
	}
	return vw / math.Sqrt(vv*ww)
}

func TestVectorsWithExtremeNumbersHaveADirection(t *testing.T) {
	s := &Signer{Params: Derive(0.9)}
	for _, v := range [][]float64{{1e300, 1e300}, {1e-300, 1e-300}, {5e-324, 5e-324}} {
		a, b := make([]byte, 8), make([]byte, 8)
		bands := make([]uint32, s.Bands)
		if !s.Sign(v, bands, a) || !s.Sign([]float64{1, 1}, bands, b) {
			t.Fatalf("%v has no direction", v)
		}
		if c := Of(a, b); c < 0.99999 {
			t.Errorf("%v: cosine %g", v, c)
		}
	}
	if s.Sign([]float64{0, 0}, make([]uint32, s.Bands), make([]byte, 8)) || s.Sign(nil, nil, nil) {
		t.Error("zero has a direction")
	}
}
