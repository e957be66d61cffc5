// Package goplugin is the conformance plugin, which ../README.md specifies, on
// the Go SDK.
package goplugin

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// settings are the arguments of the plugin's block.
type settings struct {
	Greeting string `quern:"greeting" default:"\"hello\"" doc:"What conform_values returns."`
}

// New returns the plugin.
func New() plugin.Plugin {
	config := &settings{}
	c := &child{}
	return plugin.Plugin{
		Name: "conform", Version: "1.0.0", Config: config,
		Configure: func(_ context.Context, root string) error {
			if config.Greeting == "" {
				return plugin.ArgumentErrorf("greeting", "there is no greeting\nWrite one.")
			}
			c.root = root
			return nil
		},
		Functions: functions(),
		Types: []plugin.Type{
			plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "conform_parts", BehaviorVersion: 1}, parts{}),
			plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "conform_types", BehaviorVersion: 1}, types{}),
			plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "conform_child", BehaviorVersion: 1}, c),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "conform_length", BehaviorVersion: 1}, length{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "conform_twins", BehaviorVersion: 1}, twins{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "conform_copy", BehaviorVersion: 1}, copier{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "conform_repeat", BehaviorVersion: 1}, repeat{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "conform_ask", BehaviorVersion: 1}, ask{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "conform_later", BehaviorVersion: 1}, later{}),
			plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "conform_host", BehaviorVersion: 1}, hosted{}),
			plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "conform_words", BehaviorVersion: 1}, words{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "conform_values", BehaviorVersion: 1}, values{config}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "conform_sum", BehaviorVersion: 1}, sum{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "conform_first", BehaviorVersion: 1}, first{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTransform, Name: "conform_both", BehaviorVersion: 1}, both{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "conform_mean", BehaviorVersion: 1}, mean{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindEvaluate, Name: "conform_base", BehaviorVersion: 1}, base{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "conform_prompt", BehaviorVersion: 1}, prompter{}),
			plugin.NewRunner(plugin.Info{Kind: plugin.KindTrain, Name: "conform_echo", BehaviorVersion: 1}, echo{}),
			plugin.NewProvider(plugin.Info{Name: "conform_wrapped", BehaviorVersion: 1}, wrap{}),
			plugin.NewProvider(plugin.Info{Name: "conform_model", BehaviorVersion: 1}, model{}),
			plugin.NewDeployment(plugin.Info{Kind: plugin.KindDeploy, Name: "conform_file", BehaviorVersion: 1, StateVersion: 1}, file{}),
		},
	}
}

// child is a source that starts a process which outlives the call.
type child struct{ root string }

func (*child) Prepare(_ context.Context, p *plugin.Prepare[struct{}]) error {
	p.AddDataset("", partColumns)
	return nil
}

func (c *child) Fingerprint(context.Context, *struct{}, []byte) (plugin.Fingerprint, error) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		return plugin.Fingerprint{}, err
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	return plugin.Fingerprint{Value: pid}, os.WriteFile(filepath.Join(c.root, "child"), []byte(pid), 0o644)
}

func (*child) Read(context.Context, *struct{}, *plugin.RowWriter) error {
	return fmt.Errorf("it has no rows")
}
