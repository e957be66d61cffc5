package llm

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Classifier makes models answer with one of several classes, and parses their
// answers. It does so in the same way as the labeler, so for the same row and
// prompt, both send the same request.
type Classifier struct {
	classes classes
	// asPrompted says that the prompt itself tells the model how to answer.
	// Otherwise, instructions are added.
	asPrompted  bool
	instruction string
	output      *llm.Output // nil: answers are text
}

// The formats of a classifier's answers.
const (
	AnswerJSON   = "json"
	AnswerText   = "text"
	AnswerPrompt = "prompt" // as the prompt says
)

// NewClassifier parses classes: a list of names, or a map from names to
// descriptions. The first line of its errors is the summary.
func NewClassifier(given cty.Value, answer string) (*Classifier, error) {
	all, err := readClasses(given)
	if err != nil {
		return nil, err
	}
	c := &Classifier{classes: classes{form: form{text: answer == AnswerText}, all: all}, asPrompted: answer == AnswerPrompt}
	if err := c.classes.check(); err != nil {
		return nil, err
	}
	if c.asPrompted {
		return c, nil
	}
	c.instruction = c.classes.instruction()
	if schema := c.classes.schema(); schema != nil {
		c.output = &llm.Output{Name: "label", Schema: schema, Strict: true}
	}
	return c, nil
}

// Instruct adds the classes and the format of the answer to a request. It adds
// nothing if the prompt does so.
func (c *Classifier) Instruct(r *llm.Request) {
	if c.asPrompted {
		return
	}
	prompting.Instruct(r, c.instruction)
	if c.output != nil {
		r.Output = c.output
	}
}

// Read returns the class that an answer names. If the prompt tells the model
// how to answer, the answer must be the class alone, or JSON with the class as
// its "label".
func (c *Classifier) Read(text string) (string, error) {
	form := c.classes
	if c.asPrompted {
		_, err := prompting.Object(text)
		form.text = prompting.IsBare(err)
	}
	a, err := form.parse(text)
	if err != nil {
		return "", err
	}
	return a.values[0].(string), nil
}

// Added returns the text that Instruct adds.
func (c *Classifier) Added() string {
	if c.output == nil {
		return c.instruction
	}
	return c.instruction + "\n\n" + string(c.output.Schema)
}

// Longest returns the longest answer that names a class, or "" if the prompt
// decides how to answer.
func (c *Classifier) Longest() string {
	if c.asPrompted {
		return ""
	}
	return c.classes.longest()
}
