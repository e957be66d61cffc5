package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quern-dev/quern/internal/chattemplate"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// chatML is the template of ChatML, which many models use.
const chatML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// declareTemplate checks the template, whose file is part of the definition.
func (t transform) declareTemplate(p *plugin.Prepare[args]) error {
	if path, ok := p.Args.templateFile(t.root()); ok {
		if err := p.AddFile("template", path); err != nil {
			return err
		}
	}
	_, err := p.Args.parseTemplate(t.root())
	return err
}

// templateFile returns the path of the template's file, if it is in a file.
func (a *args) templateFile(root string) (string, bool) {
	switch {
	case a.Template == "chatml":
		return "", false
	case filepath.IsAbs(a.Template):
		return a.Template, true
	}
	return filepath.Join(root, a.Template), true
}

// parseTemplate reads the template and what it writes as special tokens.
func (a *args) parseTemplate(root string) (*chattemplate.Template, error) {
	var date time.Time
	if a.Date != "" {
		var err error
		if date, err = time.Parse(time.DateOnly, a.Date); err != nil {
			return nil, fmt.Errorf("the date %q is not a date such as 2026-01-31", a.Date)
		}
	}
	path, inFile := a.templateFile(root)
	if !inFile {
		return chattemplate.Parse(chatML, chattemplate.Settings{Date: date})
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := tokenizerConfig{Template: chosenTemplate(content)}
	// The content decides, because it takes the place of the path in the definition.
	if content = bytes.TrimSpace(content); strings.HasSuffix(path, ".json") || isObject(content) {
		c = tokenizerConfig{}
		if err := json.Unmarshal(content, &c); err != nil {
			return nil, fmt.Errorf("%s is not a tokenizer_config.json: %w", a.Template, err)
		}
		if c.Template == "" {
			return nil, fmt.Errorf("%s has no chat_template; the model may have it in chat_template.jinja", a.Template)
		}
	}
	for _, token := range []struct {
		name         string
		given        *string
		from, result *specialToken
	}{{"bos_token", a.BOS, &c.BOS, &c.BOS}, {"eos_token", a.EOS, &c.EOS, &c.EOS}} {
		if token.given != nil {
			token.result.text, token.result.known = *token.given, true
		}
		if !token.result.known && strings.Contains(string(c.Template), token.name) {
			return nil, fmt.Errorf("the template writes %s, so set it, to \"\" if the model has none", token.name)
		}
	}
	return chattemplate.Parse(string(c.Template), chattemplate.Settings{BOS: c.BOS.text, EOS: c.EOS.text, Date: date})
}

func isObject(content []byte) bool {
	return bytes.HasPrefix(content, []byte("{")) && json.Valid(content)
}

// tokenizerConfig is what tokenizer_config.json says about conversations.
type tokenizerConfig struct {
	Template chosenTemplate `json:"chat_template"`
	BOS      specialToken   `json:"bos_token"`
	EOS      specialToken   `json:"eos_token"`
}

// chosenTemplate is a template or, of several with names, the one named default.
type chosenTemplate string

// UnmarshalJSON reads a text, or a list of objects with name and template.
func (t *chosenTemplate) UnmarshalJSON(content []byte) error {
	var text string
	if json.Unmarshal(content, &text) == nil {
		*t = chosenTemplate(text)
		return nil
	}
	var all []struct{ Name, Template string }
	if err := json.Unmarshal(content, &all); err != nil {
		return err
	}
	for _, named := range all {
		if named.Name == "default" {
			*t = chosenTemplate(named.Template)
			return nil
		}
	}
	return errors.New("chat_template has no template named default")
}

// specialToken is a token, which can be null.
type specialToken struct {
	text  string
	known bool
}

// UnmarshalJSON reads a text, an object with content, or null.
func (t *specialToken) UnmarshalJSON(content []byte) error {
	t.known = true
	var object struct{ Content string }
	if json.Unmarshal(content, &t.text) == nil {
		return nil
	}
	err := json.Unmarshal(content, &object)
	t.text = object.Content
	return err
}
