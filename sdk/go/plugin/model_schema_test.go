package plugin

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/quern-dev/quern/sdk/go/plugin/output"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

type evaluatorArgs struct {
	Dataset  Dataset               `quern:"dataset,required"`
	Prompt   Prompt                `quern:"prompt" rows_of:"dataset"`
	Subjects map[string]Subject    `quern:"subjects"`
	Metrics  map[string]LateColumn `quern:"metrics" type:"number" late:"output=output,draw=number"`
}

func TestPromptsSubjectsAndLateExpressionsAreDescribed(t *testing.T) {
	body, err := bodySchema(reflect.TypeFor[evaluatorArgs]())
	if err != nil {
		t.Fatal(err)
	}
	prompt, subjects, metrics := body.Arguments[1], body.Arguments[2], body.Arguments[3]
	model, asked := pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL, pluginv1.ArtifactKind_ARTIFACT_KIND_PROMPT
	if prompt.PerRow || prompt.RowsOf != "dataset" || !reflect.DeepEqual(prompt.Accepts, []pluginv1.ArtifactKind{asked}) {
		t.Errorf("got %v", prompt)
	}
	if !subjects.PerRow || !reflect.DeepEqual(subjects.Accepts, []pluginv1.ArtifactKind{model, asked}) {
		t.Errorf("got %v", subjects)
	}
	var got cty.Type
	if err := json.Unmarshal(metrics.Late["output"], &got); err != nil || !got.Equals(output.Type) {
		t.Errorf("got %s, %v", metrics.Late["output"], err)
	}
	if string(metrics.Late["draw"]) != `"number"` || string(metrics.Type) != `"number"` || !metrics.PerRow {
		t.Errorf("got %v", metrics)
	}
}

func TestMistakesInLateTagsAreReportedToTheAuthor(t *testing.T) {
	for _, c := range []any{
		struct {
			M LateColumn `quern:"m"`
		}{},
		struct {
			M LateColumn `quern:"m" late:"output=thing"`
		}{},
		struct {
			M Column `quern:"m" late:"output=output"`
		}{},
	} {
		if _, err := bodySchema(reflect.TypeOf(c)); err == nil || !strings.Contains(err.Error(), "late") {
			t.Errorf("%T: got %v", c, err)
		}
	}
}

func TestASubjectIsAModelWithAPromptATrainedModelOrAColumn(t *testing.T) {
	config, err := msgpack.Marshal(cty.ObjectVal(map[string]cty.Value{"subjects": cty.ObjectVal(map[string]cty.Value{
		"asked":   cty.ObjectVal(map[string]cty.Value{"model": cty.StringVal("subjects.asked.model"), "prompt": cty.StringVal("subjects.asked.prompt")}),
		"trained": cty.StringVal("subjects.trained"),
		"there":   cty.StringVal("subjects.there"),
	})}), cty.DynamicPseudoType)
	if err != nil {
		t.Fatal(err)
	}
	a := &evaluatorArgs{}
	in := &pluginv1.Instance{Config: config, Inputs: map[string]*pluginv1.Input{"subjects.trained": {}, "subjects.asked.model": {}}}
	if _, err := decodeConfig(in, reflect.ValueOf(a).Elem(), false); err != nil {
		t.Fatal(err)
	}
	want := map[string]Subject{
		"asked":   {Key: "subjects.asked", Model: Model{"subjects.asked.model"}, Prompt: Prompt{"subjects.asked.prompt"}},
		"trained": {Key: "subjects.trained", Model: Model{"subjects.trained"}},
		"there":   {Key: "subjects.there"},
	}
	if !reflect.DeepEqual(a.Subjects, want) {
		t.Errorf("got %+v", a.Subjects)
	}
	if c, ok := a.Subjects["there"].Column(); !ok || c.Key != "subjects.there" {
		t.Errorf("got %v, %t", c, ok)
	}
	if _, ok := a.Subjects["trained"].Column(); ok {
		t.Error("a model is no column")
	}
}
