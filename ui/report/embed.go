package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/ui/results"
)

// embedded is the data for the page's script. Names are short because there are
// many of them.
type embedded struct {
	Subjects []string `json:"subjects"`
	// Ranked are the indices of the subjects, best first. The first Few have
	// columns.
	Ranked  []int            `json:"ranked"`
	Few     int              `json:"few"`
	Metrics []embeddedMetric `json:"metrics"`
	// Texts are the texts in prompts, most of which are the same for every row.
	Texts []string      `json:"texts"`
	Rows  []embeddedRow `json:"rows"`

	places map[string]int
	bytes  int
	cut    bool
}

type embeddedMetric struct {
	Name      string   `json:"name"`
	Share     bool     `json:"share"`
	Threshold *float64 `json:"threshold,omitempty"`
}

type embeddedRow struct {
	Row     int64            `json:"i"`
	ID      string           `json:"id,omitempty"`
	Cluster string           `json:"c,omitempty"`
	Given   [][2]string      `json:"g,omitempty"`
	Target  string           `json:"t,omitempty"`
	Summary string           `json:"h,omitempty"`
	Answers []embeddedAnswer `json:"a"`
}

type embeddedAnswer struct {
	Subject int     `json:"s"`
	Draw    int64   `json:"d,omitempty"`
	Text    *string `json:"x"`
	Failed  bool    `json:"bad,omitempty"`
	// Values and Explanations are in the order of metrics.
	Values       []*float64     `json:"v,omitempty"`
	Explanations map[int]string `json:"e,omitempty"`
	// Asked is the prompt: roles and indices in Texts.
	Asked  [][2]any    `json:"q,omitempty"`
	Misses string      `json:"m,omitempty"`
	Error  string      `json:"err,omitempty"`
	Facts  [][2]string `json:"f,omitempty"`
}

// embed embeds the first rows, as many as the options allow.
func embed(e *results.Evaluation, rows iter.Seq2[*results.Row, error], o Options) (*embedded, error) {
	out := &embedded{Subjects: e.Names(), Ranked: e.Ranked(), Few: results.Few, Texts: []string{}, Rows: []embeddedRow{}, places: map[string]int{}}
	var metrics []results.Metric
	for _, m := range e.Metrics {
		if m.Rowwise {
			metrics = append(metrics, m)
			out.Metrics = append(out.Metrics, embeddedMetric{m.Name, m.Share, m.Threshold})
		}
	}
	for row, err := range rows {
		if errors.Is(err, results.ErrNoRows) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if len(out.Rows) == o.Rows || out.bytes > o.Bytes {
			out.cut = true
			break
		}
		one := embeddedRow{Row: row.Row, ID: row.ID, Cluster: row.Cluster, Target: row.Target, Summary: results.Brief(row.Summary(), 200)}
		for _, f := range row.Given {
			text := beginning(f.Text())
			one.Given = append(one.Given, [2]string{f.Name, text})
			out.bytes += len(text)
		}
		for i := range row.Answers {
			one.Answers = append(one.Answers, out.answer(e, metrics, &row.Answers[i]))
		}
		out.Rows = append(out.Rows, one)
	}
	return out, nil
}

// longestField is how much of a value in a row is embedded, in bytes: all of a
// text that a person would read, and the beginning of embeddings and the like.
const longestField = 10_000

func beginning(text string) string {
	if len(text) <= longestField {
		return text
	}
	return strings.ToValidUTF8(text[:longestField], "") + "…"
}

func (out *embedded) answer(e *results.Evaluation, metrics []results.Metric, a *results.Answer) embeddedAnswer {
	one := embeddedAnswer{Draw: a.Draw, Text: a.Text, Failed: a.Failed(), Error: a.Error, Explanations: map[int]string{}}
	for i, name := range out.Subjects {
		if name == a.Subject {
			one.Subject = i
		}
	}
	for i, m := range metrics {
		var v *float64
		if known, ok := a.Values[m.Name]; ok {
			v = &known
		}
		one.Values = append(one.Values, v)
		if text := a.Explanations[m.Name]; text != "" {
			one.Explanations[i] = text
			out.bytes += len(text)
		}
	}
	if one.Failed {
		one.Misses = strings.Join(e.Misses(a), ", ")
	}
	one.Asked = out.asked(a.Request)
	one.Facts = facts(a)
	if a.Text != nil {
		out.bytes += len(*a.Text)
	}
	out.bytes += 200 + len(a.Error)
	return one
}

// asked returns a request as messages. Anything that is not a request is shown
// unchanged.
func (out *embedded) asked(request json.RawMessage) [][2]any {
	if len(request) == 0 {
		return nil
	}
	var r llm.Request
	if err := json.Unmarshal(request, &r); err != nil || len(r.Messages) == 0 {
		return [][2]any{{"request", out.text(string(request))}}
	}
	var parts [][2]any
	for _, m := range r.Messages {
		text := m.Content
		for _, call := range m.ToolCalls {
			text += "\n" + call.Name + "(" + call.Arguments + ")"
		}
		parts = append(parts, [2]any{m.Role, out.text(text)})
	}
	for _, t := range r.Tools {
		parts = append(parts, [2]any{"tool " + t.Name, out.text(t.Description + "\n" + string(t.Parameters))})
	}
	if r.Output != nil {
		parts = append(parts, [2]any{"output schema", out.text(string(r.Output.Schema))})
	}
	return parts
}

// text returns the index of a text in Texts.
func (out *embedded) text(s string) int {
	at, known := out.places[s]
	if !known {
		at = len(out.Texts)
		out.places[s] = at
		out.Texts = append(out.Texts, s)
		out.bytes += len(s)
	}
	return at
}

// facts returns what else is known about an answer, formatted for people.
func facts(a *results.Answer) [][2]string {
	var out [][2]string
	add := func(name, text string) { out = append(out, [2]string{name, text}) }
	if a.FinishReason != "" {
		add("ended by", a.FinishReason)
	}
	if a.Refused {
		add("refused", "yes")
	}
	if a.Confidence != nil {
		add("confidence", results.Short(*a.Confidence))
	}
	if a.InputTokens != nil && a.OutputTokens != nil {
		add("tokens", fmt.Sprintf("%d in, %d out", *a.InputTokens, *a.OutputTokens))
	}
	if a.Cost != nil {
		add("cost", results.Money(a.Cost))
	}
	if a.Latency != nil {
		add("latency", results.Seconds(a.Latency))
	}
	if len(a.ToolCalls) > 0 {
		add("tool calls", string(a.ToolCalls))
	}
	return out
}
