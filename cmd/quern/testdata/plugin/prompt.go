package main

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type promptArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows to try the prompt on."`
	Prompt  plugin.Prompt  `quern:"prompt,required" doc:"The prompt to start from."`
	Model   plugin.Model   `quern:"model" doc:"The model that the prompt is for."`
	Calls   int            `quern:"calls" doc:"The maximum number of calls."`
	System  string         `quern:"system,required" doc:"The new system message."`
	Version int            `quern:"version" doc:"Any number."`
	Answer  string         `quern:"answer" doc:"What an example is answered with."`
}

// prompter makes a prompt with another system message and an example.
type prompter struct{}

func (prompter) Prepare(_ context.Context, p *plugin.Prepare[promptArgs]) error {
	p.AddPrompt("prompt")
	if p.Args.Model.IsSet() {
		p.AddModelCalls(plugin.ModelCalls{Prompt: "prompt", Model: "model", PerRow: 10, Most: p.Args.Calls})
	}
	p.SetValueType(cty.Object(map[string]cty.Type{"messages": plugin.PromptMessages}))
	return nil
}

func (prompter) Run(_ context.Context, r *plugin.Run[promptArgs]) error {
	messages := []cty.Value{message("system", r.Args.System)}
	if r.Args.Answer != "" {
		messages = append(messages, message("user", "For example?"), message("assistant", r.Args.Answer))
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"messages": cty.ListVal(messages)}))
	return nil
}

func message(role, content string) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"role": cty.StringVal(role), "content": cty.StringVal(content)})
}
