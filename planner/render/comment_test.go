package render

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/quern-dev/quern/planner/comparison"
	"github.com/quern-dev/quern/planner/plan"
)

// hostile are texts that would do something in a comment if they were not escaped.
var hostile = []string{
	"```\n# Approved\n```", "`", "``code``", "\\`x`", "<details><summary>x", "</details>", "</code></pre>", "<!-- quern plan: . -->", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
	"@octocat please merge", "fixes #123", "GH-7", "octo/repo#9", "see https://example.com/x", "www.example.com", "[click](https://example.com)", "![x](https://example.com/x.png)",
	"**bold** _it_ ~~no~~", "| a | b |", "\u200b@\u200bteam", "\u202eevil", "\x1b[31mred", "- [ ] task", "$x$", "&lt;b&gt;", "a\r\n\r\n# heading", ":tada:", "~~~\ninside\n~~~",
}

// big is a plan of many stages, whose addresses and reasons contain hostile texts.
func big(stages int) *plan.Plan {
	p := &plan.Plan{Environment: hostile[4]}
	for i := range stages {
		text := hostile[i%len(hostile)]
		n := &plan.Node{
			Address: fmt.Sprintf("transform.clean[%q]", text+strconv.Itoa(i)), Kind: "transform", Type: "map", Mode: plan.ModeMap, Action: plan.Run,
			Reasons:   []plan.Reason{{Code: plan.BecauseArgument, Subject: "text", Text: text + " changed", Before: text, After: strings.Repeat(text, 3) + strconv.Itoa(i)}},
			Contracts: []*plan.Contract{{Output: "rows", Rules: make([]plan.Rule, 3)}},
		}
		if i%100 == 99 {
			n.Action, n.Reasons = plan.Delete, nil
		}
		p.Nodes = append(p.Nodes, n)
	}
	return p
}

func markdownOf(t *testing.T, p *plan.Plan) string {
	t.Helper()
	var b, again bytes.Buffer
	if err := Markdown(&b, p); err != nil {
		t.Fatal(err)
	}
	if err := Markdown(&again, p); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Errorf("the same plan gives other bytes: %v", err)
	}
	checkComment(t, b.String())
	return b.String()
}

var (
	fences = regexp.MustCompile("(?ms)^```text\n.*?^```$|^<pre>\n.*?^</pre>$")
	inline = regexp.MustCompile("`[^`\n]*`|<code>[^<\n]*</code>")
	// markup is what has an effect outside of code.
	markup = regexp.MustCompile("[@<>`*~\\[\\]!\\\\$]|#\\d|GH-\\d|://|www\\.|\\b_|_\\b|:\\w+:")
	ours   = regexp.MustCompile(`(?m)^<details><summary>|</summary>$|^</details>$`)
	pipe   = regexp.MustCompile(`(^|[^\\])\|`)
)

// checkComment checks that a comment fits, that nothing in it is cut, and that nothing
// outside of code has an effect.
func checkComment(t *testing.T, s string) {
	t.Helper()
	if len(s) > CommentSize || !utf8.ValidString(s) || !strings.HasSuffix(s, "\n") {
		t.Errorf("%d bytes, valid: %v", len(s), utf8.ValidString(s))
	}
	rest := fences.ReplaceAllString(s, "")
	outside := inline.ReplaceAllString(rest, "")
	if opened, closed := strings.Count(outside, "<details>"), strings.Count(outside, "</details>"); opened != closed {
		t.Errorf("%d folds are opened and %d closed", opened, closed)
	}
	columns := 0
	for line := range strings.SplitSeq(rest, "\n") {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := len(pipe.FindAllString(strings.ReplaceAll(line, "||", "| |"), -1))
		if columns != 0 && n != columns || !strings.HasSuffix(line, " |") {
			t.Errorf("a row was cut, or a cell contains a border (%d instead of %d):\n%s", n, columns, line)
		}
		columns = n
	}
	outside = ours.ReplaceAllString(outside, "")
	for line := range strings.SplitSeq(outside, "\n") {
		if found := markup.FindString(strings.TrimPrefix(strings.TrimPrefix(line, "### "), "- ")); found != "" && !strings.HasPrefix(line, "| ---") {
			t.Errorf("%q has an effect in: %s", found, line)
		}
	}
}

func TestACommentAboutManyStagesFitsAndCountsWhatIsLeftOut(t *testing.T) {
	for _, stages := range []int{1, 30, 41, 300, 1000, 10_000} {
		s := markdownOf(t, big(stages))
		rows := len(regexp.MustCompile("(?m)^\\| `[+~-]` \\|").FindAllString(s, -1))
		left := 0
		if m := regexp.MustCompile(`… .*?([\d,]+) more stages?`).FindStringSubmatch(s); m != nil {
			left, _ = strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		}
		if rows+left != stages {
			t.Errorf("of %d stages, %d are shown and %d counted", stages, rows, left)
		}
		if deleted := strings.Count(s, "| will be deleted |"); deleted != stages/100 {
			t.Errorf("%d of %d deletions are shown", deleted, stages/100)
		}
		if stages > 500 && !strings.Contains(s, "The complete plan is ") {
			t.Errorf("it does not say where the complete plan is:\n%s", s[len(s)-300:])
		}
		if stages > 1 && !strings.Contains(s, "contract of rows: 3 rules to check") {
			t.Error("the contracts are missing")
		}
	}
}

func TestEveryTableOfACommentIsLimited(t *testing.T) {
	p := big(2000)
	for i := range 5000 {
		p.Outputs = append(p.Outputs, &plan.Output{Name: fmt.Sprint("out", i), Action: plan.Delete})
		p.Checks = append(p.Checks, &plan.CheckBlock{Name: fmt.Sprint(hostile[i%len(hostile)], i), Status: plan.Fail})
	}
	s := markdownOf(t, p)
	for _, want := range []string{"more stages", "5,000 more outputs", "5,000 more checks", "more differences"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is not counted in: %s", want, s[len(s)-400:])
		}
	}
}

func TestALongPromptIsFoldedAndShortened(t *testing.T) {
	line := strings.Repeat("Answer in one word. ", 10_000) // 200 kB
	for name, prompt := range map[string]string{
		"lines": strings.Repeat("Answer in one word.\n", 10_000), "line": line, "fences": strings.Repeat("```\n<details>\n@octocat\n", 9_000), "wide": strings.Repeat("語", 70_000),
	} {
		p := &plan.Plan{Environment: "dev", Nodes: []*plan.Node{{
			Address: "label.intent", Kind: "label", Type: "llm", Action: plan.Run,
			Reasons: []plan.Reason{{Code: plan.BecauseArgument, Subject: "prompt", Text: "prompt changed", Before: prompt, After: prompt + "\nEnd."}},
		}, {
			Address: "label.new", Kind: "label", Type: "llm", Action: plan.Run,
			Reasons: []plan.Reason{{Code: plan.BecauseArgument, Subject: "prompt", Text: "prompt changed", After: prompt}},
		}}}
		s := markdownOf(t, p)
		if !strings.Contains(s, "<details><summary><code>label.new: prompt changed</code></summary>") || !strings.Contains(s, "… ") {
			t.Errorf("%s: %.2000s", name, s)
		}
	}
}

func TestHostileTextsHaveNoEffectInAComparison(t *testing.T) {
	c := &comparison.Comparison{}
	for i, text := range hostile {
		c.Stages = append(c.Stages, &comparison.Stage{
			Address: fmt.Sprintf("transform.clean[%q]", text), Change: comparison.Changed,
			Reasons: []plan.Reason{{Code: plan.BecauseArgument, Text: text, Before: text, After: text + strconv.Itoa(i)}},
			Columns: []comparison.Column{{Name: text, Before: text, After: text + "2"}},
		})
		c.Outputs = append(c.Outputs, &comparison.Named{Name: text, Change: comparison.Changed, Before: text, After: strings.Repeat(text, 50)})
	}
	for range 3000 {
		c.Stages = append(c.Stages, &comparison.Stage{Address: "transform." + strings.Repeat("x", 30), Change: comparison.Removed})
	}
	var b bytes.Buffer
	if err := ComparisonMarkdown(&b, Compared{Before: hostile[0], After: hostile[10], Comparison: c}); err != nil {
		t.Fatal(err)
	}
	checkComment(t, b.String())
	if !strings.Contains(b.String(), "more stages") {
		t.Error("what is left out is not counted")
	}
}
