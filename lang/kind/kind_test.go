package kind_test

import (
	"slices"
	"testing"

	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/sdk/go/host/client"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

func TestStagesAreAllKindsButModelsAndPrompts(t *testing.T) {
	want := slices.DeleteFunc(kind.Names(), func(name string) bool { return name == kind.Model || name == kind.Prompt })
	if got := kind.Those(kind.Kind.IsStage); !slices.Equal(got, want) {
		t.Errorf("the stages are %v", got)
	}
}

func TestPluginsOfferTheTypedKinds(t *testing.T) {
	want := []string{
		plugin.KindSource, plugin.KindTransform, plugin.KindModelBlock, plugin.KindLabel, plugin.KindTrain, plugin.KindEvaluate, plugin.KindDeploy,
	}
	if got := kind.Those(kind.Kind.Typed); !slices.Equal(got, want) {
		t.Errorf("the typed kinds are %v, those of the SDK %v", got, want)
	}
}

func TestTheModesOfEachKindAreThoseThatAPluginMayOffer(t *testing.T) {
	for _, name := range kind.Names() {
		for number := range pluginv1.Mode_name {
			mode := pluginv1.Mode(number)
			err := client.CheckSchema(&pluginv1.GetSchemaResponse{Version: "1.0.0", Types: []*pluginv1.Type{{Kind: name, Name: "x", Mode: mode}}})
			if allowed := slices.Contains(kind.Of(name).Modes, mode); allowed != (err == nil) {
				t.Errorf("the table says %t of %s types of %s, the check of schemas: %v", allowed, name, mode, err)
			}
		}
	}
}

func TestAnUnknownNameHasNoKind(t *testing.T) {
	for _, name := range []string{"", "sources", "var", "module"} {
		if kind.Is(name) || kind.Of(name).IsStage() || kind.Of(name).Typed() {
			t.Errorf("%q is a kind", name)
		}
	}
	for _, name := range kind.Names() {
		if !kind.Is(name) || kind.Of(name).Name != name || kind.Of(name).Plural == "" {
			t.Errorf("%q is %+v", name, kind.Of(name))
		}
	}
}
