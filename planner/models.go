package planner

import (
	"slices"

	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// takeModel takes what the plugin prepared about a language model. Nothing is
// carried out for a model, so it becomes no node of the plan: it is there for
// those that were given it.
func (b *builder) takeModel(n *node) {
	info := n.prepared.Model
	n.Outputs = []plan.Port{{Kind: plan.KindModel, Format: plan.FormatRemote, Capabilities: slices.Sorted(slices.Values(info.GetCapabilities()))}}
	n.model = &plan.Model{
		Address: n.Address, Plugin: n.Plugin, Type: n.Type, Behavior: n.Behavior, Body: n.Body,
		Info: modelInfo(info), Range: n.Range,
	}
	n.prepared = nil
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

// decideModel makes a model's key: what stands for it in the keys of those
// that call it.
func (b *builder) decideModel(n *node) {
	if !b.keys(n) {
		return
	}
	n.model.Definition, n.model.Preimage = n.Definition, n.Preimage
	if n.Definition != "" {
		n.result = result{known: true, digests: map[string]string{"": n.Definition}}
	}
}

// models are the language models of the plan that one of its nodes was given.
func (b *builder) models(nodes []*node) map[string]*plan.Model {
	used := map[string]*plan.Model{}
	for _, n := range nodes {
		for _, h := range n.artifacts() {
			if m := h.node.model; m != nil {
				used[m.Address] = m
			}
		}
	}
	return used
}
