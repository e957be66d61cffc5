package render

import (
	"strings"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/planner/plan"
)

// symbolDeferred marks stages that are planned during the run.
const symbolDeferred = "  *"

// deferredCount returns how many stages and modules are planned during the run, as a
// number and in words.
func deferredCount(p *plan.Plan) (n int, what string) {
	stages, modules := p.Deferred.Count()
	var parts []string
	if stages > 0 {
		parts = append(parts, english.Count(stages, "stage"))
	}
	if modules > 0 {
		parts = append(parts, english.Count(modules, "module"))
	}
	return stages + modules, english.And(parts)
}

// deferred shows the stages and modules that are planned during the run.
func (t *text) deferred(p *plan.Plan) {
	if p.Deferred == nil {
		return
	}
	for _, s := range p.Deferred.Stages {
		head := s.Address
		if s.Type != "" {
			head += " (" + s.Type + ")"
		}
		t.printf("%s %s %s\n", t.paint(cyan, symbolDeferred), t.paint(bold, head), deferredPhrase(s))
		for _, r := range s.Reasons {
			t.printf("        %s\n", r.Text)
		}
		if s.Stages > 0 {
			t.printf("        %s in each instance\n", english.Count(s.Stages, "stage"))
		}
		if s.Instances > 0 {
			t.printf("        %s now\n", english.Count(s.Instances, "instance"))
		}
		t.printf("\n")
	}
}

func deferredPhrase(s *plan.DeferredStage) string {
	if s.Expands {
		return "has instances that are known after apply"
	}
	return "is planned after that"
}

func deferredRows(p *plan.Plan) (rows []row) {
	if p.Deferred == nil {
		return nil
	}
	for _, s := range p.Deferred.Stages {
		var why []string
		for _, r := range s.Reasons {
			why = append(why, r.Text)
		}
		rows = append(rows, row{cells: []string{code(strings.TrimSpace(symbolDeferred)), code(s.Address), deferredPhrase(s), cell(strings.Join(why, "; ")), ""}})
	}
	return rows
}
