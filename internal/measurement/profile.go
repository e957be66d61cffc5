package measurement

import (
	"encoding/json"
	"errors"
)

// ProfileVersion identifies the form of a [Profile].
const ProfileVersion = "quern.profile/v1"

// Profile says what the columns of a dataset contain. It is the metrics.json of
// evaluate "profile".
type Profile struct {
	Version string `json:"profile"`
	Rows    int64  `json:"rows"`
	// Sampled is the number of rows that figures with intervals come from. It
	// equals Rows if all rows were used.
	Sampled    int64   `json:"sampled"`
	Confidence float64 `json:"confidence"`
	// DuplicateRows counts the rows that equal an earlier one.
	DuplicateRows int64 `json:"duplicate_rows"`
	// NullCells counts nulls in all columns.
	NullCells    int64           `json:"null_cells"`
	Columns      []ProfileColumn `json:"columns"`
	Associations []Association   `json:"associations"`
	Warnings     []ProfileNote   `json:"warnings"`
	Drift        *Drift          `json:"drift,omitempty"`
}

// ErrNoProfile is the error for a report that is not a profile.
var ErrNoProfile = errors.New("it is not a profile")

// ReadProfile reads a profile.
func ReadProfile(text []byte) (*Profile, error) {
	p := &Profile{}
	if json.Unmarshal(text, p) != nil || p.Version != ProfileVersion {
		return nil, ErrNoProfile
	}
	return p, nil
}

// Column returns the column with a name, or nil.
func (p *Profile) Column(name string) *ProfileColumn {
	for i := range p.Columns {
		if p.Columns[i].Name == name {
			return &p.Columns[i]
		}
	}
	return nil
}

// ProfileColumn says what a column contains.
type ProfileColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Nulls counts nulls, and Values everything else.
	Nulls  int64 `json:"nulls"`
	Values int64 `json:"values"`
	// Distinct is the number of distinct values, and Duplicates the number of
	// values that equal an earlier one.
	Distinct   Estimated `json:"distinct"`
	Duplicates Estimated `json:"duplicates"`
	// Constant is set if there is exactly one distinct value, and no null.
	Constant bool `json:"constant"`
	// Unique is set if no value occurs twice. It is never an estimate.
	Unique bool `json:"unique"`
	// Identifier is set if the column looks as if it only identifies rows.
	Identifier bool       `json:"identifier"`
	Top        []TopValue `json:"top"`
	Balance    *Balance   `json:"balance,omitempty"`
	Numbers    *Numbers   `json:"numbers,omitempty"`
	Texts      *Texts     `json:"texts,omitempty"`
	// Items are the lengths of lists, or the bytes of binary values.
	Items *Lengths `json:"items,omitempty"`
}

// Estimated is a count that is exact, or has an interval.
type Estimated struct {
	Value int64 `json:"value"`
	Low   int64 `json:"low"`
	High  int64 `json:"high"`
}

// Exact returns a count that is exact.
func Exact(n int64) Estimated { return Estimated{n, n, n} }

// Exact reports whether the count is exact.
func (e Estimated) Exact() bool { return e.Low == e.High }

// TopValue is a frequent value.
type TopValue struct {
	Value string `json:"value"`
	// Cut is set if Value is only the beginning.
	Cut   bool  `json:"cut,omitempty"`
	Count int64 `json:"count"`
	// Most is greater than Count if the count is not exact.
	Most int64 `json:"most"`
}

// Balance says how evenly the rows are spread over the distinct values. It is
// known if there are at least two, and all are counted.
type Balance struct {
	// Entropy is in bits, and Evenness its share of the greatest possible entropy.
	Entropy  float64 `json:"entropy"`
	Evenness float64 `json:"evenness"`
	// Majority is the share of the most frequent value.
	Majority float64 `json:"majority"`
	// Imbalance is how often the most frequent value occurs for each time that
	// the rarest does.
	Imbalance float64 `json:"imbalance"`
}

// Numbers describes numbers that are neither NaN nor infinite. Dates are days
// since 1970, and timestamps are microseconds.
type Numbers struct {
	NaN       int64 `json:"nan"`
	Infinite  int64 `json:"infinite"`
	Zeros     int64 `json:"zeros"`
	Negatives int64 `json:"negatives"`
	// Mean and Std are nil if they are not defined. Std is that of a sample.
	Mean      *float64   `json:"mean"`
	Std       *float64   `json:"std"`
	Quantiles []Quantile `json:"quantiles"`
	// Outliers counts the numbers that are more than three interquartile ranges
	// outside the quartiles. It is nil if the quartiles are equal.
	Outliers  *int64 `json:"outliers"`
	Histogram []Bin  `json:"histogram"`
}

// Quantile is the value below which a share of the values is.
type Quantile struct {
	Share float64 `json:"share"`
	Value float64 `json:"value"`
}

// Quantile returns a quantile by its share, or nil.
func (n *Numbers) Quantile(share float64) *float64 { return quantile(n.Quantiles, share) }

func quantile(all []Quantile, share float64) *float64 {
	for i := range all {
		if all[i].Share == share {
			return &all[i].Value
		}
	}
	return nil
}

// Bin counts the values from Low, included, to High, excluded except for the last
// bin.
type Bin struct {
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Count int64   `json:"count"`
}

// Texts describes texts.
type Texts struct {
	// Empty counts empty texts, and Blank those that consist of white space.
	Empty      int64   `json:"empty"`
	Blank      int64   `json:"blank"`
	Invalid    int64   `json:"invalid_utf8"`
	Bytes      int64   `json:"bytes"`
	Characters Lengths `json:"characters"`
	Words      Lengths `json:"words"`
	// Tokens is nil if there is no text in the sample.
	Tokens *Tokens `json:"tokens"`
	// Languages and PII are shares of the texts.
	Languages []Share `json:"languages,omitempty"`
	PII       []Share `json:"pii,omitempty"`
}

// Lengths describes lengths.
type Lengths struct {
	Total     int64      `json:"total"`
	Mean      *float64   `json:"mean"`
	Quantiles []Quantile `json:"quantiles"`
	Histogram []Bin      `json:"histogram"`
}

// Quantile returns a quantile by its share, or nil.
func (l *Lengths) Quantile(share float64) *float64 { return quantile(l.Quantiles, share) }

// Tokens is an estimate from the sample.
type Tokens struct {
	Tokenizer string `json:"tokenizer"`
	// Mean is for each text, and Total the sum of all texts.
	Mean  Figure `json:"mean"`
	Total Figure `json:"total"`
}

// Share is a share of the rows.
type Share struct {
	Name string `json:"name"`
	Figure
}

// Association is how closely two columns are related.
type Association struct {
	A string `json:"a"`
	B string `json:"b"`
	// Method is pearson, spearman, or cramers_v.
	Method string `json:"method"`
	Figure
}

// ProfileNote is something that may be wrong with a dataset.
type ProfileNote struct {
	// Column is "" if it concerns the rows.
	Column string `json:"column,omitempty"`
	// Kind identifies it for programs, and Text says it to people.
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Drift says how the columns differ from those of a baseline.
type Drift struct {
	BaselineRows int64         `json:"baseline_rows"`
	Columns      []ColumnDrift `json:"columns"`
	// Added and Removed are columns that only one of both datasets has, and
	// Retyped are those whose types differ.
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Retyped []string `json:"retyped"`
	// Drifted are the columns with a corrected p-value below 1 minus the confidence
	// level, and Largest is the largest PSI.
	Drifted []string `json:"drifted"`
	Largest *float64 `json:"largest_psi"`
}

// ColumnDrift says how the values of a column differ from those of a baseline.
type ColumnDrift struct {
	Name string `json:"name"`
	// Of says which values are compared: values, characters, or items.
	Of string `json:"of"`
	// PSI is the population stability index, with its interval.
	PSI Figure `json:"psi"`
	// Distance is the greatest difference between both cumulative distributions
	// of numbers (Kolmogorov and Smirnov), or half of the sum of all differences
	// of shares (total variation).
	Distance Figure `json:"distance"`
	// Nulls is the share of nulls minus that of the baseline.
	Nulls Figure `json:"nulls"`
	// P is for the hypothesis that both come from the same distribution.
	P         *float64 `json:"p"`
	PAdjusted *float64 `json:"p_adjusted"`
	Test      string   `json:"test"`
}
