package evaluation

import (
	"strings"

	"github.com/quern-dev/quern/internal/jsontext"
	"github.com/quern-dev/quern/plugins/subjects"
	"github.com/quern-dev/quern/sdk/go/data"
)

// write writes the chunk's answers: row by row, and for each row by subject and
// draw.
func (c *chunk) write() error {
	rows := subjects.NewRows(c.Args.rowsSchema())
	defer rows.Release()
	ids, clusters := subjects.Texts(c.rec, c.Args.ID.Key), subjects.Texts(c.rec, c.Args.Cluster.Key)
	for i := range c.n {
		read, err := c.given(i)
		if err != nil {
			return err
		}
		for s := range c.Args.subjects {
			for d := range c.Args.Repeats {
				a := c.answers[s][d][i]
				values := map[string]any{
					"row": c.first + int64(i), "subject": c.Args.subjects[s].Name, "draw": int64(d), "given": read,
				}
				if id, ok := subjects.Text(ids, i); ok {
					values["id"] = id
				}
				if name, ok := subjects.Text(clusters, i); ok {
					values["cluster"] = name
				}
				if err := a.describe(values, c.Args.measures); err != nil {
					return err
				}
				if err := rows.Add(values); err != nil {
					return err
				}
			}
		}
	}
	rec := rows.Batch()
	defer rec.Release()
	return c.Write(rowsOutput, rec)
}

// given returns the columns of a row that metrics read, as JSON.
func (c *chunk) given(i int) (string, error) {
	values := map[string]any{}
	for _, column := range c.in.Schema {
		values[column.Name] = data.Columns.Find(c.rec, column.Name).GetOneForMarshal(i)
	}
	text, err := jsontext.Marshal(values)
	return string(text), err
}

// describe adds the known properties of an answer to a row of the output.
func (a *given) describe(values map[string]any, measures []*measure) error {
	if a.Request != nil {
		values["request"] = string(a.Request)
	}
	problems := a.missing
	if a.Err != nil {
		problems = append([]string{a.Err.Error()}, problems...)
	}
	if len(problems) > 0 {
		values["error"] = strings.Join(problems, "\n")
	}
	if r := a.Response; r != nil {
		values["text"] = r.Text
		if !a.Free {
			values["refused"], values["latency"] = r.Refused(), r.Latency
			values["input_tokens"], values["output_tokens"] = r.Usage.Input, r.Usage.Output
		}
		if r.FinishReason != "" {
			values["finish_reason"] = r.FinishReason
		}
		if r.Cost != nil {
			values["cost"] = *r.Cost
		}
		if len(r.ToolCalls) > 0 {
			text, err := jsontext.Marshal(r.ToolCalls)
			if err != nil {
				return err
			}
			values["tool_calls"] = string(text)
		}
	}
	requests, ok, err := a.Asked.JSON()
	if err != nil {
		return err
	}
	if ok {
		values["requests"] = requests
	}
	if a.passed != nil {
		values["passed"] = *a.passed
	}
	values["overall"] = a.overall
	for m, what := range measures {
		values[what.name] = a.values[m]
		if a.explanations[m] != "" {
			values[what.name+"_explanation"] = a.explanations[m]
		}
	}
	return nil
}
