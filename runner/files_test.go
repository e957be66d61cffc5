package runner_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/runner"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// scripted adds the content of a file to every row, as the code in it would.
type scripted struct{ w *world }

type scriptedArgs struct {
	Input  plugin.Dataset `quern:"input,required" doc:"Rows."`
	Script string         `quern:"script,required,operational" doc:"The path of the file."`
	Text   plugin.Column  `quern:"text,required" type:"string" doc:"Text."`
}

func (*scripted) Prepare(_ context.Context, p *plugin.Prepare[scriptedArgs]) error {
	p.KeepInput("input")
	p.AddColumn("said", "string")
	if err := p.AddFile("script", p.Args.Script); err != nil {
		p.Errorf("script", "Script cannot be read\n%s.", err)
	}
	return nil
}

func (s *scripted) Map(_ context.Context, a *scriptedArgs, b *plugin.Batch) error {
	script, err := os.ReadFile(a.Script)
	if err != nil {
		return err
	}
	s.w.called("scripted")
	texts := b.Strings(a.Text)
	for row := range b.N {
		text, _ := texts.At(row)
		b.SetString("said", row, string(script)+" "+text)
	}
	return nil
}

func TestTheContentOfAFileIsPartOfADefinition(t *testing.T) {
	p := newPipeline(t)
	p.world.set("raw.txt", "a", "b")
	one, other := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "other")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src := func(path string) string {
		return `
source "lines" "raw" { path = "raw.txt" }
transform "scripted" "s" {
  input  = source.raw
  script = "` + path + `"
  text   = row.text
}
`
	}
	calls := func(want int, what string) {
		t.Helper()
		if n := p.world.taken("scripted"); n != want {
			t.Errorf("%s: %d calls, want %d", what, n, want)
		}
	}
	write(one, "say")
	p.mustApply(src(one))
	calls(1, "first apply")
	p.mustApply(src(one))
	calls(0, "nothing has changed")
	write(other, "say")
	p.mustApply(src(other))
	calls(0, "the same content at another path")
	write(one, "shout")
	made := p.plan(src(one))
	if n := made.Nodes[len(made.Nodes)-1]; n.Action != "run" {
		t.Errorf("%s: %s", n.Address, n.Action)
	}
	res := p.mustApply(src(one))
	calls(1, "another content")
	p.wantColumn("transform.s", "", "said", "shout a", "shout b")
	if why := p.stage(res, "transform.s"); why.Action != "run" {
		t.Errorf("%+v", why)
	}
	// A plan is for the content that it saw.
	p.world.set("raw.txt", "a", "b", "c")
	made = p.plan(src(one))
	write(one, "whisper")
	res = p.carryOut(t.Context(), made)
	if res.Status != runner.Failed || !strings.Contains(told(res), "A file has changed since the plan: transform.s depends on "+one) {
		t.Errorf("%s: %s", res.Status, told(res))
	}
	calls(0, "a plan for an earlier content")
}
