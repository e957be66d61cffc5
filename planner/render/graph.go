package render

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/lang/kind"
	"github.com/quern-dev/quern/planner/plan"
)

// GraphDocument is a plan's graph for programs.
type GraphDocument struct {
	Format string      `json:"format"` // quern.graph/v1
	Nodes  []GraphNode `json:"nodes"`
	Edges  []GraphEdge `json:"edges"`
}

// GraphNode is an instance.
type GraphNode struct {
	Address string      `json:"address"`
	Kind    string      `json:"kind"`
	Type    string      `json:"type,omitempty"`
	Action  plan.Action `json:"action,omitempty"`
}

// GraphEdge leads from an instance to one that needs it.
type GraphEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Graph returns a plan's graph: the configured instances, each after the
// instances that it needs.
func Graph(p *plan.Plan) GraphDocument {
	g := GraphDocument{Format: "quern.graph/v1", Nodes: []GraphNode{}, Edges: []GraphEdge{}}
	for _, n := range p.Nodes {
		g.Nodes = append(g.Nodes, GraphNode{Address: n.Address, Kind: n.Kind, Type: n.Type, Action: n.Action})
		for _, d := range n.DependsOn {
			g.Edges = append(g.Edges, GraphEdge{From: d, To: n.Address})
		}
	}
	if p.Deferred == nil {
		return g
	}
	for _, s := range p.Deferred.Stages {
		g.Nodes = append(g.Nodes, GraphNode{Address: s.Address, Kind: s.Kind, Type: s.Type})
		for _, d := range s.DependsOn {
			g.Edges = append(g.Edges, GraphEdge{From: d, To: s.Address})
		}
	}
	return g
}

// shapes of kinds in DOT.
var shapes = map[string]string{
	kind.Source: "cylinder", kind.Transform: "box", kind.Label: "note", kind.Train: "component",
	kind.Evaluate: "tab", kind.Gate: "diamond", kind.Deploy: "house",
}

// fills of actions.
var fills = map[plan.Action]string{
	plan.Keep: "#f6f8fa", plan.Run: "#dafbe1", plan.Reuse: "#ddf4ff", plan.MayRun: "#ddf4ff", plan.Check: "#fff8c5",
	plan.Create: "#dafbe1", plan.Update: "#fff8c5", plan.Replace: "#ffebe9", plan.Delete: "#ffebe9", plan.Forget: "#ffebe9", plan.Refresh: "#fff8c5",
}

// DOT writes a plan's graph for Graphviz.
func DOT(w io.Writer, p *plan.Plan) error {
	b := bufio.NewWriter(w)
	g := Graph(p)
	fmt.Fprint(b, "digraph quern {\n  rankdir = LR\n  node [style = filled, fontname = \"Helvetica\"]\n")
	for _, n := range g.Nodes {
		shape := shapes[n.Kind]
		if shape == "" {
			shape = "box"
		}
		fmt.Fprintf(b, "  %s [label = %s, shape = %s, fillcolor = %q]\n", dotQuote(n.Address), dotQuote(label(n, "\n")), shape, fill(n))
	}
	for _, e := range g.Edges {
		fmt.Fprintf(b, "  %s -> %s\n", dotQuote(e.From), dotQuote(e.To))
	}
	fmt.Fprint(b, "}\n")
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write graph: %w", err)
	}
	return nil
}

func fill(n GraphNode) string {
	if f := fills[n.Action]; f != "" {
		return f
	}
	return fills[plan.Keep]
}

func label(n GraphNode, newline string) string {
	text := n.Address
	if n.Type != "" {
		text += newline + n.Type
	}
	if n.Action != "" && n.Action != plan.Keep {
		text += newline + string(n.Action)
	}
	return text
}

// dotQuote writes a DOT string, in which only quotes and backslashes are
// special.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// mermaidShapes are the brackets of kinds in Mermaid.
var mermaidShapes = map[string][2]string{
	kind.Source: {"[(", ")]"}, kind.Train: {"[[", "]]"}, kind.Gate: {"{", "}"}, kind.Deploy: {"[/", "\\]"}, kind.Label: {">", "]"},
}

// Mermaid writes a plan's graph as a Mermaid flowchart.
func Mermaid(w io.Writer, p *plan.Plan) error {
	b := bufio.NewWriter(w)
	g := Graph(p)
	ids := make(map[string]string, len(g.Nodes))
	fmt.Fprint(b, "flowchart LR\n")
	for i, n := range g.Nodes {
		// Addresses may contain any text, so nodes are numbered.
		id := "n" + strconv.Itoa(i+1)
		ids[n.Address] = id
		shape, ok := mermaidShapes[n.Kind]
		if !ok {
			shape = [2]string{"[", "]"}
		}
		fmt.Fprintf(b, "  %s%s\"%s\"%s\n", id, shape[0], mermaidText(label(n, "\n")), shape[1])
		if f := fill(n); f != fills[plan.Keep] {
			fmt.Fprintf(b, "  style %s fill:%s\n", id, f)
		}
	}
	for _, e := range g.Edges {
		fmt.Fprintf(b, "  %s --> %s\n", ids[e.From], ids[e.To])
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write graph: %w", err)
	}
	return nil
}

func mermaidText(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", "<br/>").Replace(s)
}
