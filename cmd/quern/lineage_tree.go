package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/internal/printable"
)

// tree is a lineage as it is printed.
type tree struct {
	name  string
	words []string // about it
	// key identifies what is shown: the same thing can occur several times.
	key string
	// down is set if the branches were made from it, rather than it from them.
	down     bool
	branches []*tree
}

// print prints a tree with lines between what belongs together.
func (t *tree) print(ui *terminal) { t.printFrom(ui, "", "") }

func (t *tree) printFrom(ui *terminal, first, rest string) {
	line := printable.Pad(first+t.name, 36) + "  " + strings.Join(t.words, "  ")
	ui.printf("%s\n", strings.TrimRight(line, " "))
	for i, b := range t.branches {
		branch, trunk := "├─ ", "│  "
		if i == len(t.branches)-1 {
			branch, trunk = "└─ ", "   "
		}
		b.printFrom(ui, rest+branch, rest+trunk)
	}
}

// mermaid writes a tree as a Mermaid flowchart, in which everything occurs once.
func (t *tree) mermaid(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "flowchart LR\n")
	g := &flowchart{w: b, ids: map[string]string{}, edges: map[string]bool{}}
	g.add(t)
	return b.Flush()
}

type flowchart struct {
	w     io.Writer
	ids   map[string]string
	edges map[string]bool
}

// add writes a tree and returns the ID of its root.
func (g *flowchart) add(t *tree) string {
	key := t.key
	if key == "" {
		key = t.name
	}
	id, known := g.ids[key]
	if !known {
		// Addresses may contain any text, so nodes are numbered.
		id = "n" + strconv.Itoa(len(g.ids)+1)
		g.ids[key] = id
		fmt.Fprintf(g.w, "  %s[\"%s\"]\n", id, mermaidText(t.name))
	}
	for _, b := range t.branches {
		from, to := g.add(b), id
		if t.down {
			from, to = to, from
		}
		if edge := from + " --> " + to; !g.edges[edge] {
			g.edges[edge] = true
			fmt.Fprintf(g.w, "  %s\n", edge)
		}
	}
	return id
}

func mermaidText(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", "<br/>").Replace(s)
}

const (
	seeAbove  = "(see above)"
	entryGone = "(its entry is no longer in the store)"
)

func ancestorTree(a *inspect.Ancestor) *tree {
	t := &tree{name: a.Address, key: a.Action + " " + a.Address, words: ancestorWords(a)}
	for _, from := range a.From {
		t.branches = append(t.branches, ancestorTree(from))
	}
	return t
}

func ancestorWords(a *inspect.Ancestor) []string {
	if a.Repeated {
		return []string{seeAbove}
	}
	words := artifactWords(a.Digests)
	if a.Role != "" {
		words = append([]string{string(a.Role)}, words...)
	}
	if a.Plugin.Name != "" {
		words = append(words, strings.TrimSpace(a.Plugin.Name+" "+a.Plugin.Version+" "+shortDigest(a.Plugin.Digest)))
	}
	for _, argument := range slices.Sorted(maps.Keys(a.Seeds)) {
		words = append(words, argument+" "+a.Seeds[argument])
	}
	words = append(words, commitWords(a.Commit, a.Dirty)...)
	if !a.Created.IsZero() {
		words = append(words, a.Created.Local().Format("2006-01-02 15:04:05"))
	}
	if a.Missing {
		words = append(words, entryGone)
	}
	return words
}

// artifactWords describes the result of a stage: its own artifact, or the
// number of artifacts.
func artifactWords(digests map[string]string) []string {
	if own, ok := digests[""]; ok {
		return []string{shortDigest(own)}
	}
	if len(digests) > 1 {
		return []string{english.Count(len(digests), "artifact")}
	}
	for _, digest := range digests {
		return []string{shortDigest(digest)}
	}
	return nil
}

func commitWords(commit string, dirty bool) []string {
	switch {
	case commit == "":
		return nil
	case dirty:
		return []string{"commit " + commit[:min(len(commit), 12)] + " with changes"}
	}
	return []string{"commit " + commit[:min(len(commit), 12)]}
}

func descendantTree(d *inspect.Descendant) *tree {
	t := &tree{name: d.Address, key: d.Action + " " + d.Address + " " + strings.Join(d.Environments, " "), down: true}
	if d.Repeated {
		t.words = []string{seeAbove}
		return t
	}
	if d.Role != "" {
		t.words = append(t.words, "uses its "+string(d.Role))
	}
	t.words = append(t.words, artifactWords(d.Digests)...)
	t.words = append(t.words, commitWords(d.Commit, d.Dirty)...)
	if len(d.Environments) > 0 {
		t.words = append(t.words, "in "+strings.Join(d.Environments, ", "))
	}
	for _, to := range d.To {
		t.branches = append(t.branches, descendantTree(to))
	}
	return t
}

// fieldTree returns the lineage of a column. above is the field that comes from it.
func fieldTree(f, above *inspect.Field) *tree {
	t := &tree{name: f.Label(), key: f.Kind + " " + f.Action + " " + f.Label()}
	switch f.Kind {
	case inspect.FieldModel, inspect.FieldReport, inspect.FieldPrompt, inspect.FieldFile:
		t.words = append(t.words, f.Kind)
	}
	if len(f.As) > 0 {
		t.words = append(t.words, "as "+strings.Join(f.As, ", "))
	}
	switch {
	case f.Determines:
		t.words = append(t.words, "determines the rows")
	case above != nil && above.Inexact:
		t.words = append(t.words, "perhaps")
	case f.Unchanged && f.Kind == inspect.FieldColumn:
		t.words = append(t.words, "unchanged")
	}
	switch {
	case f.Repeated:
		t.words = append(t.words, seeAbove)
	case f.Missing:
		t.words = append(t.words, entryGone)
	case f.Inexact:
		t.words = append(t.words, "comes from any of these: the stage does not say which")
	}
	for _, from := range f.From {
		t.branches = append(t.branches, fieldTree(from, f))
	}
	return t
}

func rowTree(r *inspect.Row) *tree {
	t := &tree{name: fmt.Sprintf("%s row %d", strings.TrimSuffix(r.Address+"."+r.Port, "."), r.Row)}
	switch {
	case r.File != "":
		t.name = fmt.Sprintf("%s row %d", r.File, r.Row)
		if r.SetAside > 0 {
			t.words = append(t.words, "without "+english.Count(r.SetAside, "row")+" that could not be read")
		}
	case r.Match == inspect.AnyRow:
		t.name = strings.TrimSuffix(r.Address+"."+r.Port, ".")
		t.words = append(t.words, "any of "+english.Count(r.Of, "row"))
	case r.Match == inspect.ByValue && r.Of > 0:
		t.name = strings.TrimSuffix(r.Address+"."+r.Port, ".")
		t.words = append(t.words, "any of "+english.Count(r.Of, "row")+" with the same values")
	case r.Match == inspect.ByValue:
		t.words = append(t.words, "has the same values")
	}
	switch {
	case r.Repeated:
		t.words = append(t.words, seeAbove)
	case r.Missing:
		t.words = append(t.words, entryGone)
	case r.Values != nil:
		t.words = append(t.words, brief(string(r.Values)))
	}
	for _, from := range r.From {
		t.branches = append(t.branches, rowTree(from))
	}
	t.branches = append(t.branches, callTrees(r)...)
	return t
}

// brief shortens a row.
func brief(values string) string {
	const most = 100
	if text := []rune(values); len(text) > most {
		return string(text[:most-1]) + "…"
	}
	return values
}

// modelsOf returns the model blocks of a stage, and the trained models that it asked
// about a row.
func modelsOf(r *inspect.Row) []string {
	models := slices.Clone(r.Models)
	for _, q := range r.Requests {
		if !slices.Contains(models, q.Model) {
			models = append(models, q.Model)
		}
	}
	return models
}

// callTrees describes the models and prompts that a stage used.
func callTrees(r *inspect.Row) []*tree {
	var all []*tree
	for _, model := range modelsOf(r) {
		t := &tree{name: model, words: []string{"model"}, branches: requestTrees(r, model)}
		if r.Calls != nil {
			t.words = append(t.words, fmt.Sprintf("%s for all rows of the stage, %s cached", english.Count(r.Calls.Calls, "call"), english.Number(r.Calls.CachedCalls)))
		}
		all = append(all, t)
	}
	if r.RequestsUnknown != "" {
		all = append(all, &tree{name: "requests", words: []string{"not known: " + r.RequestsUnknown}, key: "requests " + r.ActionKey})
	}
	for _, prompt := range r.Prompts {
		all = append(all, &tree{name: prompt, words: []string{"prompt"}})
	}
	return all
}
