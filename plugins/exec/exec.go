// Package exec provides models that are commands: a command reads requests as
// lines of JSON and writes its answers the same way. It keeps running between
// requests and is restarted if it dies.
package exec

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/plugins/provider"
	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the types of this package. root returns the folder in which
// commands run.
func Types(root func() string) []plugin.Type {
	return []plugin.Type{plugin.NewProvider(plugin.Info{Name: "exec", Doc: doc, BehaviorVersion: 1}, impl{root})}
}

const doc = `A language model that runs as a local command. It reads requests and writes answers as JSON lines.

A request is ` + "`{\"id\": 1, \"request\": {\"messages\": [{\"role\": \"user\", \"content\": \"…\"}]}}`" + `, with ` + "`tools`, `output`, `temperature`" + ` and so on next to the messages if the request has them. An answer is ` + "`{\"id\": 1, \"text\": \"…\"}`" + ` or, with more detail, ` + "`{\"id\": 1, \"response\": {\"text\": \"…\", \"finish_reason\": \"stop\", \"usage\": {\"input\": 10, \"output\": 2}}}`" + `; a failure is ` + "`{\"id\": 1, \"error\": {\"message\": \"…\", \"temporary\": true}}`" + `. For embeddings it reads ` + "`{\"id\": 1, \"texts\": [\"…\"]}`" + ` and writes ` + "`{\"id\": 1, \"embeddings\": [[0.1, 0.2]]}`" + `, a list of numbers for each text.

A script that the command names, by a path relative to the folder of the root module, is part of the model: if it changes, all answers are requested again. If you set ` + "`version`" + `, that alone decides. Files over 16 MiB, files elsewhere, and what a script itself reads are never part of the model.

The command receives up to ` + "`max_concurrency`" + ` requests before it has answered the first one, and may answer them in any order. An answer without an id belongs to the oldest request. The command runs until quern exits, which closes its standard input.

` + "```hcl" + `
model "exec" "rules" {
  command         = ["python3", "model.py"]
  version         = "3"
  max_concurrency = 1
}
` + "```" + `
`

type args struct {
	Command     []string          `quern:"command,required" doc:"The program and its arguments. It runs in the folder of the root module."`
	Environment map[string]string `quern:"environment,sensitive,operational" doc:"Additional environment variables. The command gets PATH, HOME, LANG, and the like, but no API keys of other models."`
	Version     string            `quern:"version" doc:"Any text, which takes the place of the content of the command's files. Change it when the program changes, so that all answers are requested again."`
	Embeddings  bool              `quern:"embeddings,operational" doc:"Whether the command can also compute embeddings."`
	provider.Sampling
	provider.Reading
	provider.Limits

	process *process
}

type impl struct{ root func() string }

// Prepare checks the arguments.
func (i impl) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	a := p.Args
	provider.Check(p, &a.Sampling, &a.Limits)
	if p.Known("command") && (len(a.Command) == 0 || a.Command[0] == "") {
		p.Errorf("command", "the command is empty")
	}
	if p.Known("command") && p.Known("version") && a.Version == "" {
		if err := addFiles(p, i.root(), a.Command); err != nil {
			return err
		}
	}
	info := a.Info(&a.Sampling, "", nil)
	info.Capabilities = []string{plugin.CanChat}
	if a.Embeddings {
		info.Capabilities = append(info.Capabilities, plugin.CanEmbed)
	}
	p.SetModelInfo(info)
	return nil
}

// largestFile is the size up to which a file that a command names is part of the
// model: a script, not the weights of a model.
const largestFile = 16 << 20

// addFiles declares that answers depend on the files in a folder that a command
// names.
func addFiles(p *plugin.Prepare[args], root string, command []string) error {
	for _, arg := range command {
		if !filepath.IsLocal(arg) {
			continue
		}
		path := filepath.Join(root, arg)
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > largestFile {
			continue
		}
		if err := p.AddFile(filepath.ToSlash(filepath.Clean(arg)), path); err != nil {
			return err
		}
	}
	return nil
}

// Open prepares the process. The command starts with the first call.
func (i impl) Open(_ context.Context, a *args) error {
	a.process = &process{command: a.Command, dir: i.root(), env: environment(a.Environment)}
	return nil
}

// environment returns the plugin's own environment, without the keys of other
// models.
func environment(further map[string]string) []string {
	out := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasSuffix(name, "_API_KEY")
	})
	for name, v := range further {
		out = append(out, name+"="+v)
	}
	return out
}

// question is a line that the command reads.
type question struct {
	ID      int64           `json:"id"`
	Request json.RawMessage `json:"request,omitempty"`
	Texts   []string        `json:"texts,omitempty"`
}

// answer is a line that the command writes.
type answer struct {
	ID         *int64        `json:"id"`
	Text       *string       `json:"text"`
	Response   *llm.Response `json:"response"`
	Embeddings [][]float32   `json:"embeddings"`
	Error      *struct {
		Message    string   `json:"message"`
		Status     int      `json:"status"`
		Temporary  bool     `json:"temporary"`
		RetryAfter *float64 `json:"retry_after"` // in seconds
	} `json:"error"`
}

func (a *answer) failure() error {
	if a.Error == nil {
		return nil
	}
	out := &llm.CallError{Message: a.Error.Message, Status: a.Error.Status, Temporary: a.Error.Temporary}
	if out.Status == 0 {
		// The endpoint was reached.
		out.Status = 500
	}
	if s := a.Error.RetryAfter; s != nil && *s >= 0 {
		d := time.Duration(*s * float64(time.Second))
		out.RetryAfter = &d
	}
	return out
}

// Chat makes one attempt.
func (impl) Chat(ctx context.Context, a *args, r *llm.Request) (*llm.Response, error) {
	request, err := a.Complete(r).Encode()
	if err != nil {
		return nil, &llm.CallError{Message: "write the request: " + err.Error()}
	}
	got, err := a.process.ask(ctx, question{Request: request})
	if err != nil {
		return nil, err
	}
	switch {
	case got.Response != nil:
		a.Read(got.Response)
		return got.Response, nil
	case got.Text != nil:
		out := &llm.Response{Text: *got.Text, FinishReason: llm.FinishStop}
		a.Read(out)
		return out, nil
	}
	return nil, &llm.CallError{Message: fmt.Sprintf("the command %q sent an answer without text, response, or error", a.Command[0]), Status: 200}
}

// Embed makes one attempt.
func (impl) Embed(ctx context.Context, a *args, texts []string) (*plugin.Embeddings, error) {
	got, err := a.process.ask(ctx, question{Texts: texts})
	if err != nil {
		return nil, err
	}
	return &plugin.Embeddings{Vectors: got.Embeddings}, nil
}
