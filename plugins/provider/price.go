package provider

import (
	"regexp"
	"strconv"

	"github.com/quern-dev/quern/sdk/go/llm"
)

// Row is the price of a well-known model, in US dollars per million tokens.
type Row struct {
	Model  string
	Input  float64
	Cached float64 // input that the provider had cached; 0 means the same as Input
	Output float64
}

// Table contains a provider's prices on a certain date.
type Table struct {
	// Page is the address of the price list, and Date is when it was read.
	Page, Date string
	Rows       []Row
}

// snapshot matches the suffix of model names that denotes a fixed version.
var snapshot = regexp.MustCompile(`-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$`)

// Base returns a model's name without the suffix of a fixed version.
func Base(model string) string { return snapshot.ReplaceAllString(model, "") }

// Price returns the price of a model, or nil if the table does not contain it.
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

func priceKey(i int, name string) string { return "price." + strconv.Itoa(i) + "." + name }
