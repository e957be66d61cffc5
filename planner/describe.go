package planner

import (
	"context"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/planner/plan"
)

// Describe returns a configuration as a plan without actions, for comparisons with
// other configurations. It depends on no state: whatever comes from a result
// remains an expression. With Options.Refresh, it contains the fingerprints of
// sources. A stage whose instances are not known without results is one node whose
// only field is the text of its block; so are the block of a module and the stages in
// it, if its instances are not known.
func Describe(ctx context.Context, o Options) (*plan.Plan, hcl.Diagnostics) {
	o.State, o.RefreshOnly, o.Destroy, o.Targets, o.Excludes, o.Replace = nil, false, false, nil, nil, nil
	o.Variables, o.validating, o.Compared = assumed(o.Variables), true, true
	b := newBuilder(ctx, o)
	defer b.close()
	p, diags := b.build()
	if p != nil {
		b.describeDeferred(p)
	}
	return p, diags
}

// describeDeferred makes nodes of deferred stages.
func (b *builder) describeDeferred(p *plan.Plan) {
	if p.Deferred == nil {
		return
	}
	for _, d := range p.Deferred.Stages {
		n := &plan.Node{Address: d.Address, Kind: d.Kind, Type: d.Type, DependsOn: d.DependsOn, Range: d.Range}
		p.Nodes = append(p.Nodes, n)
		if call := b.deferrals[d.Address].call; call != nil {
			n.Preimage = b.blockField(call.Config().Range)
			call.EachBlock(func(a addr.Stage, s *config.Stage) {
				p.Nodes = append(p.Nodes, &plan.Node{
					Address: a.String(), Kind: a.Kind, Type: s.Type, DependsOn: []string{d.Address}, Range: diag.NewRange(s.DeclRange), Preimage: b.blockField(s.Range),
				})
			})
		} else if a, err := addr.Parse(d.Address); err == nil {
			n.Preimage = b.blockField(b.root.Tree.Stage(a.Stage).Config.Range)
		}
	}
}

func (b *builder) blockField(at hcl.Range) []plan.Field {
	return []plan.Field{{Name: "argument block", Value: blockText(b.Module.Sources, at)}}
}

// blockText returns the text of a block without comments and formatting.
func blockText(sources map[string][]byte, at hcl.Range) string {
	src := at.SliceBytes(sources[at.Filename])
	if strings.HasSuffix(at.Filename, config.JSONSuffix) {
		return string(src)
	}
	tokens, _ := hclsyntax.LexConfig(src, at.Filename, at.Start)
	var lines []string
	var line []string
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenComment && t.Type != hclsyntax.TokenNewline && t.Type != hclsyntax.TokenEOF {
			line = append(line, string(t.Bytes))
			continue
		}
		if len(line) > 0 && strings.HasSuffix(string(t.Bytes), "\n") || t.Type == hclsyntax.TokenEOF {
			lines, line = append(lines, strings.Join(line, " ")), nil
		}
	}
	return strings.Join(lines, "\n")
}

// cache is the name of the cache of plugins' answers. Descriptions have their own,
// because they ask about inputs without results.
func (o *Options) cache() string {
	if o.validating {
		return o.Environment + ".described"
	}
	return o.Environment
}
