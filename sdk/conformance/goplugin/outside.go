package goplugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

type modelArgs struct {
	Limit int    `quern:"limit" default:"10" doc:"The number of characters that a message can have."`
	Name  string `quern:"name" doc:"A name to pin."`
	Batch bool   `quern:"batch" default:"false" doc:"Submit requests as batches."`
}

// model repeats messages in capital letters.
type model struct{}

func (model) Prepare(_ context.Context, p *plugin.Prepare[modelArgs]) error {
	if name := p.Args.Name; name != "" {
		_, err := p.Pin(name, func() (string, error) {
			if name == "gone" {
				return "", plugin.ArgumentErrorf("name", "gone cannot be resolved\nWrite another name.")
			}
			return "commit of " + name, nil
		})
		if err != nil {
			return err
		}
	}
	price := 1.5
	info := plugin.ModelInfo{MaxConcurrency: 8, Timeout: time.Minute, Retries: 3, Cache: true, Price: &llm.Price{Input: &price, Output: &price}}
	if p.Args.Batch {
		info.Batch = &plugin.BatchLimits{Requests: 3}
	}
	p.SetModelInfo(info)
	return nil
}

func (model) Check(_ context.Context, a *modelArgs) error {
	if a.Limit == 0 {
		return &llm.CallError{Message: "the limit is 0"}
	}
	return nil
}

func (model) Chat(_ context.Context, a *modelArgs, r *llm.Request) (*llm.Response, error) {
	text := r.Messages[len(r.Messages)-1].Content
	if n := utf8.RuneCountInString(text); n > a.Limit {
		wait := 1500 * time.Millisecond
		return nil, &llm.CallError{Status: 429, Message: fmt.Sprintf("%d characters are too many", n), Temporary: true, RetryAfter: &wait}
	}
	return &llm.Response{Text: strings.ToUpper(text), FinishReason: llm.FinishStop, Usage: llm.Usage{Input: 2, Output: 1}}, nil
}

// SubmitBatch returns the requests as the token, so that no batch has to be kept.
func (model) SubmitBatch(_ context.Context, _ *modelArgs, b *plugin.BatchSubmission) ([]byte, error) {
	if b.Again {
		return []byte(b.Name + " again"), nil
	}
	token := b.Name
	for r, err := range b.Requests {
		if err != nil {
			return nil, err
		}
		token += "\n" + r.ID + " " + r.Request.Messages[len(r.Request.Messages)-1].Content
	}
	if b.Name == "refused" {
		return nil, &llm.CallError{Status: 400, Message: "it was refused"}
	}
	return []byte(token), nil
}

func (m model) ReadBatch(ctx context.Context, a *modelArgs, token []byte) (*plugin.BatchStatus, error) {
	switch string(token) {
	case "waits":
		return &plugin.BatchStatus{Answered: 1, Total: 2, Message: "1 of 2 are done", CheckAfter: time.Minute}, nil
	case "gone":
		return &plugin.BatchStatus{Done: true, Message: "it is gone"}, nil
	}
	lines := strings.Split(string(token), "\n")[1:]
	n := int64(len(lines))
	return &plugin.BatchStatus{Done: true, Answered: n, Total: n, Answers: func(yield func(plugin.BatchAnswer, error) bool) {
		for _, line := range lines {
			id, text, ok := strings.Cut(line, " ")
			if !ok {
				yield(plugin.BatchAnswer{}, &llm.CallError{Message: "it is cut off", Temporary: true})
				return
			}
			answer := plugin.BatchAnswer{ID: id}
			answer.Response, answer.Err = m.Chat(ctx, a, &llm.Request{Messages: []llm.Message{{Role: llm.User, Content: text}}})
			if !yield(answer, nil) {
				return
			}
		}
	}}, nil
}

func (model) Embed(_ context.Context, _ *modelArgs, texts []string) (*plugin.Embeddings, error) {
	out := &plugin.Embeddings{InputTokens: 7}
	for _, t := range texts {
		if t == "wrong" {
			return nil, &llm.CallError{Status: 400, Message: "it is wrong"}
		}
		out.Vectors = append(out.Vectors, []float32{float32(utf8.RuneCountInString(t)), 0.5})
	}
	return out, nil
}

type fileArgs struct {
	Artifact plugin.Artifact `quern:"artifact,required" doc:"What is deployed."`
	Path     string          `quern:"path,required" doc:"The file."`
	Fail     bool            `quern:"fail" default:"false" doc:"It fails after the file was written."`
}

// file is a deployment that writes a digest to a file.
type file struct{}

func (file) Prepare(_ context.Context, p *plugin.Prepare[fileArgs]) error {
	p.SetValueType(cty.Object(map[string]cty.Type{"path": cty.String}))
	return nil
}

func path(s *plugin.DeploymentState) string { return s.Value.GetAttr("path").AsString() }

func (file) Read(_ context.Context, r *plugin.DeploymentReadRequest[fileArgs]) (*plugin.DeploymentState, error) {
	_, err := os.Stat(path(r.State))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return r.State, err
}

func (file) Plan(_ context.Context, p *plugin.DeploymentPlanRequest[fileArgs]) (*plugin.DeploymentPlan, error) {
	if in := p.Artifact(p.Args.Artifact); in != nil {
		for _, f := range in.Files {
			b, err := os.ReadFile(f.Path)
			if err != nil {
				return nil, err
			}
			if string(b) == "broken" {
				return nil, plugin.ArgumentErrorf("artifact", "%s of %s is broken", f.Name, in.Digest)
			}
		}
	}
	if p.Prior == nil {
		return &plugin.DeploymentPlan{Action: plugin.ActionCreate}, nil
	}
	if prior := path(p.Prior); p.Known("path") && prior != p.Args.Path {
		return &plugin.DeploymentPlan{Action: plugin.ActionReplace, Coexists: true, Changes: []plugin.DeploymentChange{
			{Argument: "path", Before: prior, After: p.Args.Path, ForcesReplacement: true},
		}}, nil
	}
	if digest, known := p.Digest("artifact"); known && digest == string(p.Prior.Private) {
		return &plugin.DeploymentPlan{Action: plugin.ActionNone}, nil
	}
	return &plugin.DeploymentPlan{Action: plugin.ActionUpdate}, nil
}

func (file) Apply(_ context.Context, a *plugin.DeploymentApplyRequest[fileArgs]) (*plugin.DeploymentState, error) {
	in := a.Artifact(a.Args.Artifact)
	if err := os.WriteFile(a.Args.Path, []byte(in.Digest), 0o644); err != nil {
		return nil, plugin.ArgumentErrorf("path", "the file cannot be written\n%w", err)
	}
	state := &plugin.DeploymentState{
		Value: cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal(a.Args.Path)}), Private: []byte(in.Digest),
	}
	if a.Args.Fail {
		return state, plugin.ArgumentErrorf("fail", "it is half done\nTry again.")
	}
	a.Warnf("path", "the file was written")
	return state, nil
}

func (file) Delete(_ context.Context, d *plugin.DeploymentDeleteRequest[fileArgs]) error {
	return os.RemoveAll(path(d.State))
}

func (file) Import(_ context.Context, r *plugin.DeploymentImportRequest[fileArgs]) (*plugin.DeploymentState, error) {
	b, err := os.ReadFile(r.ID)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, plugin.ArgumentErrorf("path", "there is no such file\n%w", err)
	}
	return &plugin.DeploymentState{Value: cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal(r.ID)}), Private: b}, nil
}

// UpgradeState converts states of version 0, in which path was called where.
func (file) UpgradeState(_ context.Context, _ int64, s *plugin.DeploymentState) (*plugin.DeploymentState, error) {
	return &plugin.DeploymentState{Value: cty.ObjectVal(map[string]cty.Value{"path": s.Value.GetAttr("where")}), Private: s.Private}, nil
}
