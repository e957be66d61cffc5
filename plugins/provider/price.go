package provider

import (
	"regexp"
	"strconv"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Row is what a well-known model costs, in US dollars per million tokens.
type Row struct {
	Model  string
	Input  float64
	Cached float64 // input that the provider had in its cache; 0: as Input
	Output float64
}

// Table is a provider's prices on a day.
type Table struct {
	// Page is where the figures come from and Date the day they stood there.
	Page, Date string
	Rows       []Row
}

// snapshot is the date that names of fixed versions of a model end in.
var snapshot = regexp.MustCompile(`-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$`)

// Base is a model's name without the date of a fixed version.
func Base(model string) string { return snapshot.ReplaceAllString(model, "") }

// Price finds what a model costs; nil: the table does not have it.
func (t *Table) Price(model string) *llm.Price {
	for _, r := range t.Rows {
		if r.Model != Base(model) {
			continue
		}
		p := &llm.Price{Input: &r.Input, Output: &r.Output, Source: t.Page + " on " + t.Date}
		if r.Cached > 0 {
			p.CachedInput = &r.Cached
		}
		return p
	}
	return nil
}

// Free is the price of a model that nobody bills for.
func Free() *llm.Price {
	zero := 0.0
	return &llm.Price{Input: &zero, Output: &zero, CachedInput: &zero, Source: "runs here, and nobody bills for it"}
}

func priceKey(i int, name string) string { return "price." + strconv.Itoa(i) + "." + name }
