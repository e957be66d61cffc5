package planner_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/llm"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// talker is a type of models that chat.
type talker struct{}

type talkerArgs struct {
	Name  string `quern:"name,required" doc:"Which."`
	Batch bool   `quern:"batch,operational" doc:"Whether requests are batched."`
}

func (talker) Prepare(_ context.Context, p *plugin.Prepare[talkerArgs]) error {
	info := plugin.ModelInfo{Cache: true}
	if p.Args.Batch {
		info.Batch = &plugin.BatchLimits{}
	}
	p.SetModelInfo(info)
	return nil
}

func (talker) SubmitBatch(context.Context, *talkerArgs, *plugin.BatchSubmission) ([]byte, error) {
	return nil, nil
}

func (talker) ReadBatch(context.Context, *talkerArgs, []byte) (*plugin.BatchStatus, error) {
	return &plugin.BatchStatus{}, nil
}

// library evaluates a model with a library that calls it over HTTP.
type library struct{}

type libraryArgs struct {
	Model plugin.Model `quern:"model,required" doc:"What is evaluated."`
}

func (library) Prepare(_ context.Context, p *plugin.Prepare[libraryArgs]) error {
	p.UseOpenAIAPI()
	p.AddReport("")
	return nil
}

func (library) Run(context.Context, *plugin.Run[libraryArgs]) error { return nil }

// searcher makes a limited number of requests, each of which depends on the
// answers so far.
type searcher struct{}

type searcherArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"What is asked."`
	Text    plugin.Column  `quern:"text,required" rows_of:"dataset" doc:"A request."`
	Model   plugin.Model   `quern:"model,required" doc:"What is asked."`
}

func (searcher) Prepare(_ context.Context, p *plugin.Prepare[searcherArgs]) error {
	p.AddModelCalls(plugin.ModelCalls{Prompt: p.Args.Text.Key, Model: "model", PerRow: 1, Most: 10})
	p.AddReport("")
	return nil
}

func (searcher) Run(context.Context, *plugin.Run[searcherArgs]) error { return nil }

// A library would take a missing answer for an error, and a search would wait for
// a batch each time that it asks.
func TestAStageThatNeedsAnswersImmediatelyIsNotGivenABatchedModel(t *testing.T) {
	const config = `
source "lines" "tickets" { path = "a.txt" }

model "talker" "m" {
  name  = "m"
  batch = %t
}

`
	const library = `
evaluate "library" "e" {
  model = model.m
}
`
	const search = `
evaluate "searcher" "e" {
  dataset = source.tickets
  text    = row.text
  model   = model.m
}
`
	for stage, why := range map[string]string{library: "because a library that it uses does", search: "decides by each answer what to ask next"} {
		p := newPipeline(t)
		p.mustPlan(fmt.Sprintf(config, false) + stage)
		_, diags := p.plan(fmt.Sprintf(config, true) + stage)
		text := strings.Join(strings.Fields(strings.ReplaceAll(p.print(diags), "│", " ")), " ")
		if !strings.Contains(text, "This stage cannot wait for batches") || !strings.Contains(text, "model.m") || !strings.Contains(text, why) {
			t.Errorf("the plan says %s", text)
		}
	}
}

func (talker) Chat(context.Context, *talkerArgs, *llm.Request) (*llm.Response, error) {
	return &llm.Response{}, nil
}

// contest evaluates subjects, which may be models with prompts, by late metrics.
type contest struct{}

type contestArgs struct {
	Dataset  plugin.Dataset               `quern:"dataset,required" doc:"Rows."`
	Subjects map[string]plugin.Subject    `quern:"subjects,required" type:"string" doc:"What is compared."`
	Metrics  map[string]plugin.LateColumn `quern:"metrics" late:"output=output" doc:"By what."`
}

func (contest) Prepare(_ context.Context, p *plugin.Prepare[contestArgs]) error {
	for name, s := range p.Args.Subjects {
		// The error shows which inputs the plugin received.
		if want := "subjects." + name + ".prompt"; name == "asked" && (s.Prompt.Key != want || !p.Input(s.Model.Key).Can(plugin.CanChat)) {
			p.Errorf("subjects", "The subject came as %+v", s)
		}
	}
	p.AddReport("")
	return nil
}

func (contest) Run(context.Context, *plugin.Run[contestArgs]) error { return nil }

func contestOf(subjects, metrics string) string {
	return fmt.Sprintf(`
source "lines" "tickets" { path = "a.txt" }
source "lines" "others" { path = "b.txt" }
model "talker" "small" { name = "small" }
prompt "short" {
  system = "Be short."
  user   = row.text
}
train "toy" "student" {
  dataset = source.others
  text    = row.text
  target  = row.text
}
evaluate "contest" "answers" {
  dataset  = source.tickets
  subjects = { %s }
  metrics  = { %s }
}
`, subjects, metrics)
}

func TestAModelWithItsPromptIsOneSubjectAndTwoInputs(t *testing.T) {
	p := newPipeline(t)
	for _, asked := range []string{"{ model = model.small, prompt = prompt.short }", "({ prompt = prompt.short, \"model\" = model.small })"} {
		made := p.mustPlan(contestOf("asked = "+asked+", column = row.text, student = train.student", "long = length(output.text) > length(row.text), two = length(row.text) == 2"))
		n := made.Nodes[len(made.Nodes)-1]
		bound, diags := n.Body.Bind(nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if in := bound.Inputs["subjects.asked.model"]; in == nil || in.Address != "model.small" || in.Of != "" {
			t.Errorf("the model: %+v", in)
		}
		prompt := bound.Rows["subjects.asked.prompt"]
		if prompt == nil || prompt.Late || !strings.Contains(prompt.Expr.Text, "row.text") {
			t.Errorf("the prompt: %+v", prompt)
		}
		if row := bound.Rows["subjects.column"]; row == nil || row.Late {
			t.Errorf("the column: %+v", row)
		}
		if in := bound.Inputs["subjects.student"]; in == nil || in.Of != "dataset" {
			t.Errorf("the trained model: %+v", in)
		}
		// A metric is late because of its argument, whatever it reads.
		for _, name := range []string{"metrics.long", "metrics.two"} {
			if row := bound.Rows[name]; row == nil || !row.Late || row.Expr.ColumnType != "bool" {
				t.Errorf("%s: %+v", name, row)
			}
		}
		if reads := fmt.Sprint(n.PluginReads["dataset"].Columns); reads != "[text]" {
			t.Errorf("the plugin receives %s of the rows to pass on", reads)
		}
		key := bound.Config.GetAttr("subjects").GetAttr("asked").GetAttr("prompt").AsString()
		if key != "subjects.asked.prompt" {
			t.Errorf("the configuration names %q", key)
		}
	}
}

func TestASubjectMayComeFromAForExpression(t *testing.T) {
	p := newPipeline(t)
	made := p.mustPlan(strings.Replace(contestOf("", "x = output.text == row.text"), "{  }", "{ for name, m in { a = model.small } : name => { model = m, prompt = prompt.short } }", 1))
	bound, diags := made.Nodes[len(made.Nodes)-1].Body.Bind(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if bound.Inputs["subjects.a.model"] == nil || bound.Rows["subjects.a.prompt"] == nil {
		t.Errorf("inputs %v, rows %v", bound.Inputs, bound.Rows)
	}
}

func TestMistakesInSubjectsArePointedAt(t *testing.T) {
	for name, c := range map[string]struct{ subjects, metrics, want string }{
		"a wrong key":        {"a = { model = model.small, promt = prompt.short }", "", `Did you mean "prompt"?`},
		"no prompt":          {"a = { model = model.small }", "", `This element of the argument "subjects" has no prompt.`},
		"a bare prompt":      {"a = prompt.short", "", "Write { model = model.…, prompt = prompt.short }."},
		"a prompt as model":  {"a = { model = prompt.short, prompt = prompt.short }", "", "prompt.short is a prompt"},
		"an unknown answer":  {"a = row.text", "x = output.txt == row.text", `Did you mean "text"?`},
		"an unknown column":  {"a = row.text", "x = output.text == row.txt", `has no column "txt"`},
		"output too early":   {"a = output.text", "", "output"},
		"a list of subjects": {"a = [row.text]", "", "string"},
	} {
		p := newPipeline(t)
		_, diags := p.plan(contestOf(c.subjects, c.metrics))
		if text := p.print(diags); !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(text, "│", "")), " "), c.want) {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}
