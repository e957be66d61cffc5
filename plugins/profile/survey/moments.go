package survey

import (
	"math"
	"math/big"
)

// moments computes the mean and the standard deviation of numbers without
// rounding before the end, so that the order of the numbers does not matter and
// large numbers that differ little, such as timestamps, are no problem.
type moments struct {
	N   int64
	Sum exactSum
	// Squares contains sums of squares by the size of the numbers, which are
	// scaled so that their squares are neither infinite nor rounded to 0.
	Squares [3]exactSum
}

// What the numbers of each class of size are multiplied with: 2^-560 from 2^480
// on, 2^560 below 2^-480.
var squareScales = [3]int{560, 0, -560}

func (m *moments) add(v float64) {
	m.N++
	m.Sum.add(v)
	class := 1
	switch size := math.Abs(v); {
	case size == 0:
		return
	case size < 0x1p-480:
		class = 0
	case size >= 0x1p480:
		class = 2
	}
	if class != 1 {
		v = math.Ldexp(v, squareScales[class])
	}
	square := v * v
	m.Squares[class].add(square)
	m.Squares[class].add(math.FMA(v, v, -square))
}

// precision is the number of bits that exact sums of doubles and of their squares
// can have.
const precision = 4400

// mean returns the mean; NaN without numbers.
func (m *moments) mean() float64 {
	if m.N == 0 {
		return math.NaN()
	}
	mean, _ := new(big.Float).SetPrec(precision).Quo(m.Sum.value(), big.NewFloat(float64(m.N))).Float64()
	return mean
}

// std returns the standard deviation of the sample, with n-1; NaN for fewer than
// two numbers.
func (m *moments) std() float64 {
	if m.N < 2 {
		return math.NaN()
	}
	squares := new(big.Float).SetPrec(precision)
	for class := range m.Squares {
		part := m.Squares[class].value()
		squares.Add(squares, part.SetMantExp(part, -2*squareScales[class]))
	}
	n := big.NewFloat(float64(m.N))
	sum := m.Sum.value()
	sum.Mul(sum, sum).Quo(sum, n)
	squares.Sub(squares, sum).Quo(squares, big.NewFloat(float64(m.N-1)))
	if squares.Sign() <= 0 {
		return 0
	}
	std, _ := squares.SetPrec(200).Sqrt(squares).Float64()
	return std
}

// exactSum adds doubles without rounding (Neal 2015, Fast exact summation using
// small and large superaccumulators). It consists of overlapping integers, each
// worth 2^32 times as much as the one before, whose upper bits leave room for
// carries.
type exactSum struct {
	Limbs [sumLimbs]int64
	// Left is how many more numbers fit before carries must be propagated.
	Left int
}

const (
	limbBits = 32
	sumLimbs = 2100/limbBits + 3
	// A number adds less than 2^33 to a limb.
	addsPerCarry = 1 << 28
)

func (s *exactSum) add(v float64) {
	b := math.Float64bits(v)
	exponent := int(b >> 52 & 0x7ff)
	mantissa := b & (1<<52 - 1)
	if exponent == 0 {
		exponent = 1
	} else {
		mantissa |= 1 << 52
	}
	if s.Left == 0 {
		s.carry()
	}
	s.Left--
	at, by := exponent/limbBits, uint(exponent%limbBits)
	low := int64(mantissa << by & (1<<limbBits - 1))
	middle := int64(mantissa >> (limbBits - by) & (1<<limbBits - 1))
	high := int64(mantissa >> (2*limbBits - by))
	if b>>63 == 1 {
		low, middle, high = -low, -middle, -high
	}
	s.Limbs[at] += low
	s.Limbs[at+1] += middle
	s.Limbs[at+2] += high
}

func (s *exactSum) carry() {
	s.Left = addsPerCarry
	for i := range sumLimbs - 1 {
		up := s.Limbs[i] >> limbBits
		s.Limbs[i] -= up << limbBits
		s.Limbs[i+1] += up
	}
}

// value returns the sum. The unit of the lowest limb is the least double, 2^-1074,
// and the exponent of that is 1.
func (s *exactSum) value() *big.Float {
	sum, limb := new(big.Int), new(big.Int)
	for i := sumLimbs - 1; i >= 0; i-- {
		sum.Lsh(sum, limbBits).Add(sum, limb.SetInt64(s.Limbs[i]))
	}
	f := new(big.Float).SetPrec(precision).SetInt(sum)
	return f.SetMantExp(f, -1074-1)
}
