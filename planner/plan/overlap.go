package plan

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/lang/expr"
)

// OverlapName is the attribute that quern adds to the values of an evaluation
// of trained models. It counts, by subject, the evaluated rows that are also in
// the data that the model was trained on.
const OverlapName = "overlap"

// Overlap counts the overlapping rows of one subject. Rows are equal if the
// features that the model reads are equal.
type Overlap struct {
	Rows     int64 // evaluated rows that are also in the training data
	N        int64 // rows that were compared
	Distinct int64 // distinct rows among those compared
	Skipped  int64 // rows whose features are all empty
}

var overlapType = cty.Object(map[string]cty.Type{"rows": cty.Number, "n": cty.Number, "distinct": cty.Number, "skipped": cty.Number})

// OverlapType is the type of the attribute for these subjects.
func OverlapType(subjects []string) cty.Type {
	attrs := map[string]cty.Type{}
	for _, name := range subjects {
		attrs[name] = overlapType
	}
	return cty.Object(attrs)
}

// OverlapValue is the attribute's value. The counts of a subject without counts
// are null, which no condition of a gate takes for zero.
func OverlapValue(t cty.Type, counts map[string]*Overlap) cty.Value {
	attrs := map[string]cty.Value{}
	for name := range t.AttributeTypes() {
		null := cty.NullVal(cty.Number)
		of := map[string]cty.Value{"rows": null, "n": null, "distinct": null, "skipped": null}
		if c := counts[name]; c != nil {
			of = map[string]cty.Value{
				"rows": cty.NumberIntVal(c.Rows), "n": cty.NumberIntVal(c.N),
				"distinct": cty.NumberIntVal(c.Distinct), "skipped": cty.NumberIntVal(c.Skipped),
			}
		}
		attrs[name] = cty.ObjectVal(of)
	}
	return cty.ObjectVal(attrs)
}

// ReadOverlap reads the counts of a subject from the attribute's value. It
// returns nil if the subject has no counts.
func ReadOverlap(v cty.Value, subject string) *Overlap {
	if v == cty.NilVal || v.IsNull() || !v.Type().IsObjectType() || !v.Type().HasAttribute(subject) {
		return nil
	}
	of := v.GetAttr(subject)
	if of.IsNull() || !of.Type().Equals(overlapType) || of.GetAttr("rows").IsNull() {
		return nil
	}
	count := func(name string) int64 {
		n, _ := of.GetAttr(name).AsBigFloat().Int64()
		return n
	}
	return &Overlap{Rows: count("rows"), N: count("n"), Distinct: count("distinct"), Skipped: count("skipped")}
}

// OverlapSubjects names the subjects whose models have these input keys: by the
// last part of the key, or by the whole key if two keys end in the same part.
func OverlapSubjects(keys []string) (byKey map[string]string) {
	count := map[string]int{}
	for _, key := range keys {
		count[lastPart(key)]++
	}
	byKey = map[string]string{}
	for _, key := range keys {
		byKey[key] = key
		if count[lastPart(key)] == 1 {
			byKey[key] = lastPart(key)
		}
	}
	return byKey
}

func lastPart(key string) string { return key[strings.LastIndex(key, ".")+1:] }

// Warning returns a warning about an overlap. It returns nil if there is none,
// or if the features do not identify rows: features with few values, such as a
// country, are equal in rows that differ, so they say nothing about duplicates.
// features are the expressions that compute the model's inputs for a row.
func (o *Overlap) Warning(subject *hcl.Range, model string, features map[string]*expr.Compiled) *hcl.Diagnostic {
	if o == nil || o.Rows == 0 || 2*o.Distinct <= o.N {
		return nil
	}
	by := overlapKey(features)
	return diag.Warningf(subject, "Evaluated on training data",
		"%d of %d evaluated rows are also among the rows that %s was trained on: %s is the same. On such rows, a model looks better than it is on new ones. Remove the duplicates before you split the data, or keep them in one part: in a transform \"split\", write by = %s.",
		o.Rows, o.N, model, by, by)
}

// overlapKey returns an expression that is equal for rows with equal features.
func overlapKey(features map[string]*expr.Compiled) string {
	var texts []string
	for _, name := range ordered.Keys(features) {
		texts = append(texts, features[name].Text)
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return fmt.Sprintf("jsonencode([%s])", strings.Join(texts, ", "))
}
