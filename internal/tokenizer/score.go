package tokenizer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// score is a number that is rounded as in tokenizers, whose JSON library does not
// always choose the nearest one. The last bit matters: it decides between ways to
// divide a word whose scores have the same sum, such as "." "..." and "..." ".".
type score float64

// UnmarshalJSON reads a number.
func (s *score) UnmarshalJSON(text []byte) error {
	exact, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("%s is not a number", text)
	}
	number, negative := strings.CutPrefix(string(text), "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(number), "e")
	exponent := 0
	if power != "" {
		exponent, err = strconv.Atoi(power)
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits, ok := significand(whole, fraction, &exponent)
	if err != nil || !ok || exponent > 308 || exponent < -2*308 {
		*s = score(exact)
		return nil
	}
	f := float64(digits)
	if exponent < -308 {
		f, exponent = f/1e308, exponent+308
	}
	if exponent < 0 {
		f /= powerOfTen(-exponent)
	} else {
		f *= powerOfTen(exponent)
	}
	if negative {
		f = -f
	}
	*s = score(f)
	return nil
}

// significand returns the digits as a number, as many as 64 bits can represent,
// and lowers the exponent for those after the point. It is not ok if the whole
// part alone has too many.
func significand(whole, fraction string, exponent *int) (n uint64, ok bool) {
	for i, d := range []byte(whole + fraction) {
		digit := uint64(d - '0')
		if n > (math.MaxUint64-digit)/10 {
			return n, i >= len(whole)
		}
		n = 10*n + digit
		if i >= len(whole) {
			*exponent--
		}
	}
	return n, true
}

// powerOfTen returns the number that is nearest to a power of ten.
func powerOfTen(n int) float64 {
	f, _ := strconv.ParseFloat("1e"+strconv.Itoa(n), 64)
	return f
}
