package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

type batchArgs struct {
	Input plugin.Dataset `quern:"input,required" doc:"Rows to label."`
	Text  plugin.Column  `quern:"text,required" type:"string" doc:"Text to label."`
	Jobs  string         `quern:"jobs,required,operational" doc:"Folder of the service: the texts of 'submitted' were submitted, those of 'done' have a label, those of 'failed' have none."`
	Hold  string         `quern:"hold,operational" doc:"As for test_upper, for a batch with the text 'hold'."`
	Token string         `quern:"token,sensitive" doc:"A credential, which is part of the tokens of rows."`
}

// batch has texts labeled by a service that takes its time.
type batch struct{}

func (batch) Prepare(_ context.Context, p *plugin.Prepare[batchArgs]) error {
	p.KeepInput("input")
	p.AddColumn(p.Name(), "string")
	return nil
}

func (batch) BatchRows() int { return 2 }

func (batch) Map(ctx context.Context, a *batchArgs, b *plugin.Batch) error {
	texts := make([]string, b.N)
	for row := range b.N {
		texts[row], _ = b.String(a.Text, row)
	}
	if slices.Contains(texts, "hold") {
		if err := hold(ctx, a.Hold); err != nil {
			return err
		}
	}
	done, failed := readLines(a.Jobs, "done"), readLines(a.Jobs, "failed")
	var submitted []string
	for row, text := range texts {
		switch id := b.Token(row); {
		case id == nil:
			submitted = append(submitted, text)
			job := "job of " + text
			b.SetPending(row, []byte(job+a.Token), &plugin.Pending{Reason: job + " is in progress", CheckAfter: time.Hour})
		case string(id) != "job of "+text+a.Token:
			return fmt.Errorf("%q came with the token %q", text, id)
		case slices.Contains(failed, text):
			b.Fail(row, false, fmt.Errorf("the %s expired", id))
		case slices.Contains(done, text):
			b.SetString(b.Name(), row, strings.ToUpper(text))
		default:
			b.SetPending(row, id, &plugin.Pending{Reason: string(id) + " is in progress", CheckAfter: time.Hour})
		}
	}
	if len(submitted) == 0 {
		return nil
	}
	return appendTo(filepath.Join(a.Jobs, "submitted"), strings.Join(submitted, "\n")+"\n")
}

func readLines(dir, name string) []string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

type jobArgs struct {
	Dataset plugin.Dataset `quern:"dataset,required" doc:"Rows to learn from."`
	Jobs    string         `quern:"jobs,required,operational" doc:"Folder of the service: 'trainings' has a line for each training that was submitted, and 'trained' exists when it is over."`
}

// job trains with a hosted job.
type job struct{}

func (job) Prepare(_ context.Context, p *plugin.Prepare[jobArgs]) error {
	p.ReadAll("dataset")
	p.AddReport("")
	p.SetValueType(cty.Object(map[string]cty.Type{"job": cty.String}))
	return nil
}

func (job) Run(_ context.Context, r *plugin.Run[jobArgs]) error {
	file := filepath.Join(r.WorkDir, "job")
	id, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		id = fmt.Append(nil, "training ", len(readLines(r.Args.Jobs, "trainings"))+1)
		if err := appendTo(filepath.Join(r.Args.Jobs, "trainings"), "training\n"); err != nil {
			return err
		}
		err = os.WriteFile(file, id, 0o600)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(r.Args.Jobs, "trained")); err != nil {
		return &plugin.Pending{Reason: string(id) + " is running", CheckAfter: time.Hour}
	}
	if _, err := r.Folder(""); err != nil {
		return err
	}
	r.SetValue(cty.ObjectVal(map[string]cty.Value{"job": cty.StringVal(string(id))}))
	return nil
}
