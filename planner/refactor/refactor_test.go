package refactor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/store/state"
)

// blocks reads moves as "FROM TO", one a line, and the errors in them.
func blocks(t testing.TB, moves string) (*Blocks, []string) {
	t.Helper()
	b := newBlocks()
	var errors []string
	for i, line := range strings.Split(strings.TrimSpace(moves), "\n") {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		m := &Move{Range: hcl.Range{Filename: "m", Start: hcl.Pos{Line: i + 1}}}
		var err error
		if m.From, err = addr.ParseTarget(from); err == nil {
			m.To, err = addr.ParseTarget(to)
		}
		if err != nil {
			t.Fatal(err)
		}
		if d := b.add(m); d != nil {
			errors = append(errors, d.Summary+": "+d.Detail)
		}
	}
	for _, d := range b.cycles() {
		errors = append(errors, d.Summary+": "+d.Detail)
	}
	return b, errors
}

func stateWith(addresses ...string) *state.State {
	st := &state.State{Instances: map[string]*state.Instance{}, Pending: map[string]*state.Pending{}}
	for _, a := range addresses {
		st.Instances[a] = &state.Instance{Address: a}
	}
	return st
}

func TestMovesLeadToTheLastAddress(t *testing.T) {
	for _, test := range []struct {
		name, moves string
		state       []string
		want        map[string]string
		warnings    int
	}{
		{"a stage with all its keys", `label.a label.b`, []string{"label.a", `label.a["k"]`, "label.a[0]", "label.ab", "gate.a"}, map[string]string{"label.a": "label.b", `label.a["k"]`: `label.b["k"]`, "label.a[0]": "label.b[0]"}, 0},
		{"one instance", `label.a["k"] label.b["l"]`, []string{`label.a["k"]`, `label.a["l"]`}, map[string]string{`label.a["k"]`: `label.b["l"]`}, 0},
		{"to for_each", `label.a label.a["k"]`, []string{"label.a"}, map[string]string{"label.a": `label.a["k"]`}, 0},
		{"from count", `label.a[0] label.a`, []string{"label.a[0]", "label.a[1]"}, map[string]string{"label.a[0]": "label.a"}, 0},
		{"into a module", `label.a module.m["k"].label.a`, []string{"label.a", "label.a[0]"}, map[string]string{"label.a": `module.m["k"].label.a`, "label.a[0]": `module.m["k"].label.a[0]`}, 0},
		{"out of a module", `module.m.label.a label.b`, []string{"module.m.label.a", "module.n.label.a"}, map[string]string{"module.m.label.a": "label.b"}, 0},
		{"a module with all its keys", `module.a module.b`, []string{`module.a["k"].label.x`, "module.a.module.c.gate.y", "module.ab.label.x"}, map[string]string{`module.a["k"].label.x`: `module.b["k"].label.x`, "module.a.module.c.gate.y": "module.b.module.c.gate.y"}, 0},
		{"an instance of a module", `module.a["k"] module.b`, []string{`module.a["k"].label.x`, `module.a["l"].label.x`}, map[string]string{`module.a["k"].label.x`: "module.b.label.x"}, 0},
		{"a chain", "label.a label.b\nlabel.b label.c", []string{"label.a"}, map[string]string{"label.a": "label.c"}, 0},
		{"the smallest target first", "module.a module.b\nmodule.a.label.x module.a.label.y", []string{"module.a.label.x"}, map[string]string{"module.a.label.x": "module.b.label.y"}, 0},
		{"a stage after its module", "module.a module.b\nmodule.b.label.x module.b.label.y", []string{"module.a.label.x"}, map[string]string{"module.a.label.x": "module.b.label.y"}, 0},
		{"out of a nested module of the same name", "module.a.module.a module.a", []string{"module.a.module.a.module.a.label.x"}, map[string]string{"module.a.module.a.module.a.label.x": "module.a.module.a.label.x"}, 0},
		{"a taken address", `label.a label.b`, []string{"label.a", "label.b"}, map[string]string{}, 1},
		{"the end of a chain is taken by its middle", "label.a label.b\nlabel.b label.c", []string{"label.a", "label.b"}, map[string]string{"label.b": "label.c"}, 1},
		{"what stays is in the way", "label.a label.b\nlabel.b label.c\nlabel.x label.a", []string{"label.x", "label.c"}, map[string]string{}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, errors := blocks(t, test.moves)
			if len(errors) > 0 {
				t.Fatal(errors)
			}
			st := stateWith(test.state...)
			moves, warnings := b.Moves(st)
			got := map[string]string{}
			for _, m := range moves {
				got[m.From] = m.To
			}
			if d := cmp.Diff(test.want, got); d != "" || len(warnings) != test.warnings {
				t.Errorf("%s%v", d, warnings)
			}
			if err := st.Move(moves); err != nil || len(st.Instances) != len(test.state) {
				t.Errorf("%v: %d of %d instances", err, len(st.Instances), len(test.state))
			}
		})
	}
}

func TestContradictoryMovesAreErrors(t *testing.T) {
	for moves, want := range map[string]string{
		"label.a label.a":                                      "Redundant move",
		"label.a label.b\nlabel.a label.c":                     "Ambiguous move: label.a is moved to label.c here, and to label.b at m:1",
		"label.a label.c\nlabel.b label.c":                     "Ambiguous move: label.b is moved to label.c here, and label.a is moved there at m:1",
		"label.a label.b\nlabel.b label.a":                     "Cycle of moves",
		"module.a module.b.module.a\nmodule.b module.a":        "Cycle of moves",
		"module.a module.a.module.b":                           "Cycle of moves",
		"module.a module.b\nmodule.b.label.x module.a.label.x": "Cycle of moves",
	} {
		if _, errors := blocks(t, moves); len(errors) == 0 || !strings.HasPrefix(errors[0], want) {
			t.Errorf("%q: %q", moves, errors)
		}
	}
	for _, moves := range []string{
		"label.a label.b\nlabel.a label.b", `label.a label.a["k"]`, "label.a[0] label.a", `label.a["a"] label.a["b"]`,
		"module.a module.b\nmodule.b.label.x module.c.label.x", "module.a.module.b module.a",
	} {
		if _, errors := blocks(t, moves); len(errors) > 0 {
			t.Errorf("%q: %q", moves, errors)
		}
	}
}

func TestWhatIsDeclaredHasNotMovedAway(t *testing.T) {
	b, _ := blocks(t, "label.a label.a[\"k\"]\nlabel.b label.c\nmodule.m module.n")
	for address, moved := range map[string]bool{
		"label.a": true, `label.a["k"]`: false, "label.b": true, "label.b[0]": true, "label.c": false, `module.m["k"].label.x`: true, "module.n.label.x": false,
	} {
		if d := b.CheckDeclared(address); (d != nil) != moved {
			t.Errorf("%s: %v", address, d)
		}
	}
}

func BenchmarkMoves(b *testing.B) {
	var lines []string
	var addresses []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("label.a%d module.m.label.a%d", i, i))
	}
	for i := range 10000 {
		addresses = append(addresses, fmt.Sprintf("label.a%d", i))
	}
	st := stateWith(addresses...)
	for b.Loop() {
		all, _ := blocks(b, strings.Join(lines, "\n"))
		if moves, _ := all.Moves(st); len(moves) != 1000 {
			b.Fatal(len(moves))
		}
	}
}
