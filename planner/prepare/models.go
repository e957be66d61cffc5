package prepare

import (
	"slices"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// takeModel sets what the plugin prepared about a language model. A model does
// not run, so it is not a node of the plan. It exists for the stages that use
// it.
func (n *answered) takeModel() {
	info := n.prepared.Model
	n.Outputs = []plan.Port{{Kind: plan.KindModel, Format: plan.FormatRemote, Capabilities: slices.Sorted(slices.Values(info.GetCapabilities()))}}
	n.Model = &plan.Model{
		Address: n.Address, Plugin: n.Plugin, Type: n.Type, Behavior: n.Behavior, Body: n.Body, Files: n.Files, Pins: n.Pins,
		Info: modelInfo(info), Range: n.Range, DependsOn: n.DependsOn,
	}
}

func modelInfo(m *pluginv1.ModelInfo) plan.ModelInfo {
	info := plan.ModelInfo{
		Capabilities: slices.Sorted(slices.Values(m.GetCapabilities())), Tokenizer: m.GetTokenizer(),
		MaxConcurrency: m.GetMaxConcurrency(), RequestsPerMinute: m.GetRequestsPerMinute(), TokensPerMinute: m.GetTokensPerMinute(),
		TimeoutSeconds: m.GetTimeoutSeconds(), Retries: m.GetRetries(), Cache: m.GetCache(),
		MaxTokens: m.GetMaxTokens(), Host: m.GetHost(),
	}
	if p := m.GetPrice(); p != nil {
		info.Price = &plan.Price{Input: p.Input, Output: p.Output, CachedInput: p.CachedInput, Source: p.Source}
	}
	return info
}
