package client

import (
	"slices"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestAPluginThatReadsJSONGetsValuesAsJSON(t *testing.T) {
	config, err := EncodeValue(cty.ObjectVal(map[string]cty.Value{
		"a/b":  cty.UnknownVal(cty.String),
		"n":    cty.MustParseNumberVal("0.1"),
		"big":  cty.MustParseNumberVal("18446744073709551616"),
		"none": cty.NullVal(cty.String),
		"text": cty.StringVal("<é>\n"),
		"rule": cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"on": cty.True, "say": cty.UnknownVal(cty.String).RefineNotNull()})}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	shared := &pluginv1.Instance{Config: config}
	req := &pluginv1.PrepareRequest{Instances: []*pluginv1.Instance{shared}}
	p := &Plugin{}
	if got, err := p.request(req); err != nil || got != any(req) {
		t.Errorf("a plugin that reads msgpack gets another request: %v", err)
	}
	p.UseJSON(true)
	sent, err := p.request(req)
	if err != nil {
		t.Fatal(err)
	}
	in := sent.(*pluginv1.PrepareRequest).Instances[0]
	want := `{"a/b":null,"big":18446744073709551616,"n":0.1,"none":null,"rule":[{"on":true,"say":null}],"text":"<é>\n"}`
	if string(in.ConfigJson) != want {
		t.Errorf("got %s, want %s", in.ConfigJson, want)
	}
	if pointers := []string{"/a~1b", "/rule/0/say"}; !slices.Equal(in.Unknown, pointers) {
		t.Errorf("got unknown %q, want %q", in.Unknown, pointers)
	}
	if shared.ConfigJson != nil {
		t.Error("the instance that was given is changed")
	}
}

func TestValuesThatPluginsSendAsJSONAreRead(t *testing.T) {
	done := &pluginv1.Done{ValueJson: []byte(`{"accuracy": 0.1, "labels": ["a", null]}`)}
	if err := response(&pluginv1.RunResponse{Event: &pluginv1.RunResponse_Done{Done: done}}); err != nil {
		t.Fatal(err)
	}
	v, err := DecodeValue(done.Value)
	if err != nil || !v.GetAttr("accuracy").RawEquals(cty.MustParseNumberVal("0.1")) || v.GetAttr("labels").LengthInt() != 2 {
		t.Errorf("got %#v, %v", v, err)
	}
	state := &pluginv1.DeploymentState{ValueJson: []byte(`{"place": "x"}`)}
	if err := response(&pluginv1.ApplyDeploymentResponse{State: state}); err != nil {
		t.Fatal(err)
	}
	if v, err := DecodeValue(state.Value); err != nil || v.GetAttr("place").AsString() != "x" || state.ValueJson != nil {
		t.Errorf("got %#v, %v", v, err)
	}
	if err := response(&pluginv1.ReadDeploymentResponse{State: &pluginv1.DeploymentState{ValueJson: []byte("{")}}); err == nil {
		t.Error("invalid JSON was accepted")
	}
}
