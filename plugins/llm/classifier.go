package llm

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/plugins/prompting"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Classifier has models answer with one of some classes, and reads what they
// answer, as the labeler does: asked for the same row by the same prompt they
// are asked the same.
type Classifier struct {
	classes classes
	// asPrompted: the prompt itself says how to answer. Else this is added.
	asPrompted  bool
	instruction string
	output      *llm.Output // nil: answers are text
}

// The forms of a classifier's answers.
const (
	AnswerJSON   = "json"
	AnswerText   = "text"
	AnswerPrompt = "prompt" // as the prompt says
)

// NewClassifier reads classes, a list of names or a map from each to its
// description. The error's first line is its summary.
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

// Instruct adds to a request what the classes are and how to answer; nothing
// where the prompt says it.
func (c *Classifier) Instruct(r *llm.Request) {
	if c.asPrompted {
		return
	}
	prompting.Instruct(r, c.instruction)
	if c.output != nil {
		r.Output = c.output
	}
}

// Read is the class that an answer names. Where the prompt says how to answer,
// that is the class alone, or JSON with the class as its "label".
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

// Added is the text that Instruct adds.
func (c *Classifier) Added() string {
	if c.output == nil {
		return c.instruction
	}
	return c.instruction + "\n\n" + string(c.output.Schema)
}

// Longest is the longest answer that names a class; "": as the prompt says.
func (c *Classifier) Longest() string {
	if c.asPrompted {
		return ""
	}
	return c.classes.longest()
}
