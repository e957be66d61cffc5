package provider

import (
	"fmt"
	"strings"
)

// Proof contains the arguments for the request that shows that a deployed model
// answers.
type Proof struct {
	Prompt    string `quern:"prompt,operational" default:"\"Hello.\"" doc:"What quern asks a new version, at temperature 0, before clients get it."`
	Expect    string `quern:"expect,operational" doc:"The answer to the prompt, such as what the artifact answered in an evaluation. If the new version answers anything else, the deployment fails and the old version stays. By default, any answer will do."`
	MaxTokens int64  `quern:"max_tokens,operational" default:"16" doc:"The length of that answer, in tokens."`
	Raw       bool   `quern:"raw,operational" doc:"Whether the prompt is sent as it is, without a chat template."`
}

// Check reports invalid arguments.
func (p *Proof) Check(to interface {
	Known(key string) bool
	Errorf(key, format string, args ...any)
}) {
	if to.Known("max_tokens") && p.MaxTokens < 1 {
		to.Errorf("max_tokens", "max_tokens must be at least 1")
	}
	if to.Known("prompt") && p.Prompt == "" {
		to.Errorf("prompt", "The prompt is empty")
	}
}

// Judge returns an error if an answer of a model proves that it does not work.
func (p *Proof) Judge(model, answer string) error {
	answer = strings.TrimSpace(answer)
	switch {
	case answer == "":
		return fmt.Errorf("%s does not answer\nIts answer to the prompt %q is empty. The model that was served before still is.", model, p.Prompt)
	case p.Expect != "" && answer != strings.TrimSpace(p.Expect):
		return fmt.Errorf("%s does not answer as expected\nTo the prompt %q, it answers %q instead of %q. The model that was served before still is.", model, p.Prompt, answer, p.Expect)
	}
	return nil
}
