package plan

import "testing"

func TestTheOutputOfAModelThatOnlyEmbedsNeedsNoPrice(t *testing.T) {
	one := 1.0
	for _, c := range []struct {
		price        *Price
		capabilities []string
		want         bool
	}{
		{&Price{Input: &one}, []string{CanEmbed}, true},
		{&Price{Input: &one}, []string{CanChat, CanEmbed}, false},
		{&Price{Input: &one, Output: &one}, []string{CanChat, CanEmbed}, true},
		{&Price{Output: &one}, []string{CanEmbed}, false},
		{nil, []string{CanEmbed}, false},
	} {
		if got := (&ModelInfo{Price: c.price, Capabilities: c.capabilities}).Priced(); got != c.want {
			t.Errorf("%v of %+v: %t", c.capabilities, c.price, got)
		}
	}
}
