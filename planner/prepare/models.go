package prepare

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// takeModel sets what the plugin prepared about a language model. A model does
// not run, so it is not a node of the plan. It exists for the stages that use
// it.
func (n *answered) takeModel() {
	info := modelInfo(n.prepared.Model)
	n.Outputs = []plan.Port{{Kind: plan.KindModel, Format: plan.FormatRemote, Capabilities: info.Capabilities, Model: &info}}
	n.Model = &plan.Model{
		Address: n.Address, Plugin: n.Plugin, Type: n.Type, Behavior: n.Behavior, Body: n.Body, Files: n.Files, Pins: n.Pins,
		Info: info, Range: n.Range, DependsOn: n.DependsOn,
	}
}

// trainedModel returns the port of a model that a stage trains.
func trainedModel(o *pluginv1.Output) (plan.Port, error) {
	p := plan.Port{
		Name: o.Name, Kind: plan.KindModel, RowsOf: o.RowsOf, Format: o.Format,
		Signature: plan.SignatureFromProto(o.Signature), Capabilities: []string{plan.CanPredict},
	}
	if o.Model == nil {
		return p, nil
	}
	info := modelInfo(o.Model)
	if len(info.Capabilities) == 0 || slices.Contains(info.Capabilities, plan.CanPredict) {
		return p, fmt.Errorf("a language model can chat, complete, score, or embed, but its capabilities are %q", info.Capabilities)
	}
	p.Model, p.Capabilities = &info, slices.Clone(info.Capabilities)
	if len(o.GetSignature().GetOutputs()) > 0 {
		p.Capabilities = slices.Sorted(slices.Values(append(p.Capabilities, plan.CanPredict)))
	}
	return p, nil
}

// checkBatches refuses batched models for a stage that cannot wait for batches.
func (n *answered) checkBatches() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, key := range ordered.Keys(n.Inputs) {
		from := n.Inputs[key].From
		if from == nil || from.Model == nil || from.Model.Info.Batch == nil {
			continue
		}
		if why := n.cannotWait(key); why != "" {
			diags = append(diags, diag.Errorf(n.RangeOf(key), "This stage cannot wait for batches",
				"%s submits its requests as batches, but %s %q %s. Use a model block without batch.", from.Address, n.Kind, n.Type, why))
		}
	}
	return diags
}

// cannotWait returns why the stage needs the answers of a model immediately, or
// nothing.
func (n *answered) cannotWait(model string) string {
	switch {
	case n.prepared.OpenaiApi:
		return "waits for each answer, because a library that it uses does"
	case slices.ContainsFunc(n.prepared.Calls, func(c *pluginv1.ModelCalls) bool { return c.Model == model && c.Most > 0 }):
		return "decides by each answer what to ask next, so it would wait for one batch after another, each of which can take a day"
	}
	return ""
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
	if b := m.GetBatch(); b != nil {
		info.Batch = &plan.BatchLimits{Requests: b.GetRequests(), Bytes: b.GetBytes()}
	}
	return info
}
