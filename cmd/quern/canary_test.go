package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/quern-dev/quern/lang/funcs"
	"github.com/quern-dev/quern/plugins/openai/openaitest"
)

// The canaries are unmistakable secrets: one with characters that encodings
// escape, one that can be a key, one in an object, and a number.
const (
	oddCanary    = `Zq7"kX é&<9\vB'w+/%R5tY`
	keyCanary    = "sk-8f3kQz71LmWpVd02"
	nestedCanary = "Vt6#hJ2$mN8(qRx4"
	numberCanary = "7391284650173"
)

const canaryVariables = `
variable "s" {
  type      = string
  sensitive = true
}

variable "key" {
  type      = string
  sensitive = true
}

variable "o" {
  type      = object({ user = string, password = string })
  sensitive = true
}

variable "n" {
  type      = number
  sensitive = true
}

variable "chosen" {
  type      = number
  sensitive = true
}

source "csv" "t" {
  path = "t.csv"
}
`

const canaryTable = "id,text\n1,cat\n2,dog\n3,cow\n"

const canaryPipeline = `
quern {
  required_plugins {
    test = {}
  }
}

locals {
  derived = base64encode("user:${var.s}")
  hidden  = sensitive(strrev("20dVpWmL17zQk3f8-ks"))
}

transform "filter" "chosen" {
  input = source.t
  where = row.id == var.chosen
}

transform "map" "hashed" {
  input   = source.t
  columns = { id = row.id, hash = sha256("${row.text}${var.s}"), size = length("${row.text}${var.o.password}") }
}

transform "sql" "others" {
  inputs = { t = source.t }
  query  = "select id, text from t where text <> '${var.key}' and id <> ${var.n}"
}

transform "map" "hidden" {
  input   = source.t
  columns = { id = row.id, hash = sha256("${row.text}${local.hidden}") }
}

label "test_upper" "quiet" {
  input = source.t
  text  = row.text
  token = local.hidden
}

label "test_upper" "loud" {
  input = source.t
  text  = row.text
  token = var.s
}

label "rules" "ruled" {
  input = source.t
  rule "secret" {
    when  = row.text == var.s || length(row.text) < var.n
    label = "secret"
  }
}

model "openai" "chat" {
  name     = "chat"
  base_url = %[1]q
  api_key  = var.key
  headers  = { "X-Extra" = var.key }
}

prompt "told" {
  system = "The password is ${var.o.password}, the number ${var.n}."
  user   = "What does ${row.text} have to do with ${var.s} and ${local.derived}, or ${local.hidden}?"
}

label "llm" "free" {
  input  = source.t
  model  = model.chat
  prompt = prompt.told
}

label "llm" "kind" {
  input      = source.t
  model      = model.chat
  text       = row.text
  guidelines = "Whatever has ${var.s} in it is a cat."
  classes    = ["cat", "dog"]
  explain    = true
}

evaluate "prompt" "answers" {
  dataset = source.t
  subjects = {
    told    = { model = model.chat, prompt = prompt.told }
    written = row.text
  }
  metrics = {
    right = output.text == "${row.text}${var.s}"
    size  = length(output.text)
  }
  judge "fair" {
    model  = model.chat
    rubric = "The answer is polite."
  }
}

transform "explode" "parts" {
  input  = source.t
  values = [for i in range(2) : sha256("${row.text}${i}${var.s}")]
  as     = "part"
}

transform "explode" "keys" {
  input  = source.t
  values = row.text == var.key ? [row.text] : split("", row.text)
  as     = "letter"
}

transform "chunk" "pieces" {
  input = source.t
  text  = "${row.text} ${sha512("${local.derived}${local.hidden}")}"
  size  = 16
  unit  = "tokens"
}

transform "test_words" "words" {
  input = source.t
  text  = "${row.text} ${md5(var.o.password)}"
  token = var.s
}

check "passing" {
  assert {
    condition     = source.t.rows > 1 && var.s != "" && local.hidden == var.key
    error_message = "Not with ${var.s} and ${local.derived}."
  }
}

check "failing" {
  assert {
    condition     = var.s == var.key || var.n < source.t.rows
    error_message = "The secret is not the key."
  }
}

deploy "test_service" "live" {
  artifact = transform.hashed
  path     = "live"
  token    = var.s
}

output "secret" {
  value     = { text = var.s, derived = local.derived, number = var.n, nested = var.o }
  sensitive = true
}

output "hidden" {
  value     = sensitive("${source.t.rows} ${local.hidden}")
  sensitive = true
}

output "rows" {
  value = transform.chosen.rows
}
`

// Whatever a pipeline does with secrets, they are never printed or stored.
func TestNoSecretIsPrintedOrStored(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	e := openaitest.Serve(t, openaitest.Options{Key: keyCanary})
	dir := folder(t, map[string]string{"t.csv": canaryTable, "main.quern.hcl": canaryVariables + fmt.Sprintf(canaryPipeline, e.URL())})
	c.must(dir, "init")
	c.must(dir, "validate", "-json")
	c.must(dir, "plan", "-out=saved.plan")
	c.must(dir, "plan", "-json")
	c.must(dir, "plan", "-format=markdown")
	c.must(dir, "show", "saved.plan")
	c.must(dir, "show", "-json", "saved.plan")
	if said, err := c.with(dir, []string{"QUERN_LOG=trace", "QUERN_LOG_PATH=trace.log"}, "", "apply", "-json", "saved.plan"); err != nil {
		t.Fatalf("apply: %v\n%s", err, said)
	}
	var log struct {
		Runs []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(c.must(dir, "log", "-json")), &log); err != nil || len(log.Runs) != 1 {
		t.Fatalf("log -json: %v, %v", log, err)
	}
	for _, args := range [][]string{
		{"show"}, {"show", "-json"}, {"show", "label.free"}, {"show", "-json", "evaluate.answers"}, {"show", "evaluate.answers", "-failures"},
		{"state", "list"}, {"state", "show", "deploy.live"}, {"state", "show", "-json", "deploy.live"}, {"state", "show", "-json", "label.kind"},
		{"artifact", "show", "-json", "-rows=9", "transform.parts"}, {"artifact", "show", "transform.pieces", "-rows=9"}, {"why", "transform.words"},
		{"output"}, {"output", "-json"}, {"log"}, {"log", log.Runs[0].ID}, {"log", log.Runs[0].ID, "-json"},
		{"why", "label.free"}, {"why", "-json", "transform.others"}, {"lineage", "deploy.live"}, {"lineage", "-json", "evaluate.answers"},
		{"graph"}, {"graph", "-json"}, {"report", "evaluate.answers", "-out=report.html"},
		{"artifact", "list"}, {"artifact", "show", "label.free"}, {"artifact", "show", "-json", "transform.hashed"},
		{"show", "prompt.told"}, {"show", "-json", "prompt.told", "-row=2"},
		{"artifact", "export", "label.free", "free.jsonl"}, {"artifact", "export", "evaluate.answers.rows", "answers.csv"},
		{"state", "pull"}, {"plan", "-refresh-only"}, {"plan", "-refresh-only", "-json"}, {"apply", "-refresh-only", "-auto-approve"},
		{"plan", "-destroy", "-json"}, {"apply", "-auto-approve", "-replace=label.kind"}, {"apply", "-json", "-auto-approve", "-var", "key=" + keyCanary, "-replace=transform.others"},
	} {
		c.must(dir, args...)
	}
	if said, err := c.with(dir, nil, c.must(dir, "state", "pull"), "state", "push", "-"); err != nil {
		t.Errorf("state push: %v\n%s", err, said)
	}
	for _, args := range [][]string{
		{"output", "secret"}, {"output", "-json", "secret"},
		{"plan", "-var", "s=" + oddCanary, "-var", "n=" + oddCanary}, {"plan", "-var", "o=" + nestedCanary}, {"plan", "-nonsense", oddCanary},
	} {
		_, _ = c.quern(dir, args...)
	}
	if rows := strings.TrimSpace(c.must(dir, "output", "-raw", "rows")); rows != "1" {
		t.Errorf("%s rows are chosen", rows)
	}
	if said := c.must(dir, "plan"); strings.Count(said, "Check failed") != 1 || !strings.Contains(said, "failing fails") || strings.Contains(said, "passing fails") {
		t.Errorf("the checks are reported otherwise:\n%s", said)
	}
	c.searchFiles(dir)
	// The plugin that destroys a deployment gets its credential.
	c.must(dir, "destroy", "-auto-approve")
	if _, err := os.Stat(filepath.Join(dir, "live")); err == nil {
		t.Error("the deployment is there after destroy")
	}
	c.searchFiles(dir)
	c.searchFiles(c.cache)
	for _, kind := range []string{"files", "Parquet files", "compressed files", "answers"} {
		if c.seen[kind] == 0 {
			t.Errorf("no %s were searched", kind)
		}
	}
	t.Logf("searched: %v", c.seen)
}

// If a secret changes, exactly what depends on it changes. A plan that was
// saved with another value is stale.
func TestAChangedSecretIsDetected(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	dir := folder(t, map[string]string{"t.csv": canaryTable, "main.quern.hcl": canaryVariables + `
transform "filter" "chosen" {
  input = source.t
  where = row.id == var.chosen
}

transform "filter" "rest" {
  input = source.t
  where = row.id != 2
}
`})
	c.must(dir, "apply", "-auto-approve")
	if said := c.must(dir, "plan"); !strings.Contains(said, "No changes") && !strings.Contains(said, "othing to do") {
		t.Errorf("with the same secret the plan says\n%s", said)
	}
	changed := []string{"QUERN_VAR_chosen=3"}
	said, err := c.with(dir, changed, "", "plan", "-out=saved.plan")
	if err != nil || !strings.Contains(said, "transform.chosen") || strings.Contains(said, "transform.rest") {
		t.Errorf("with another secret the plan says (%v)\n%s", err, said)
	}
	if said, err := c.quern(dir, "apply", "saved.plan"); err == nil || !strings.Contains(said, "stale") {
		t.Errorf("with the former secret the saved plan is applied: %v\n%s", err, said)
	}
	if said, err := c.with(dir, changed, "", "apply", "saved.plan"); err != nil {
		t.Fatalf("apply: %v\n%s", err, said)
	}
	if said := c.must(dir, "artifact", "show", "transform.chosen"); !strings.Contains(said, "cow") || strings.Contains(said, "dog") {
		t.Errorf("the rows are not those of the new secret:\n%s", said)
	}
	c.searchFiles(dir)
}

// Every function is called with a secret as each of its arguments, both
// directly and inside other values, and the result is put into an error.
func TestNoFunctionRevealsASecret(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	dir := folder(t, map[string]string{"t.csv": canaryTable, "main.quern.hcl": canaryVariables})
	calls := callsWithSecrets(t)
	said, _ := c.with(dir, nil, strings.Join(calls, "\n")+"\n", "console")
	if n := strings.Count(said, "Error:"); n < len(calls)/4 {
		t.Errorf("of %d calls %d fail; most should\n%s", len(calls), n, said[:min(len(said), 2000)])
	}
	c.searchFiles(dir)
}

// callsWithSecrets returns expressions, one per line.
func callsWithSecrets(t *testing.T) []string {
	var all []string
	for _, d := range funcs.Docs() {
		if d.Name == "nonsensitive" { // its purpose is to show a value
			continue
		}
		forms := []string{d.Name + "(var.s)", d.Name + "(var.s, var.s)", d.Name + "(var.s, var.s, var.s)", d.Name + "(var.n)", d.Name + "(var.o...)", d.Name + "([var.s]...)"}
		e, diags := hclsyntax.ParseExpression([]byte(d.Example), "", hcl.InitialPos)
		call, ok := e.(*hclsyntax.FunctionCallExpr)
		if diags.HasErrors() || d.Example == "" {
			t.Errorf("the example of %s, %q, can't be parsed: %v", d.Name, d.Example, diags)
			continue
		}
		if ok && call.Name == d.Name {
			for _, a := range call.Args {
				r := a.Range()
				for _, arg := range []string{"var.s", `"1${var.s}"`, "[var.s]", "{ a = var.s }", "{ (var.s) = 1 }", "var.o", "var.n"} {
					forms = append(forms, d.Example[:r.Start.Byte]+arg+d.Example[r.End.Byte:])
				}
			}
		}
		all = append(all, forms...)
		for _, f := range forms[:1] {
			all = append(all, "tonumber(jsonencode(["+f+", var.s]))", "try("+f+", tonumber(var.s))", "{ a = 1 }[tostring("+f+")]", "[for x in [var.s] : "+d.Name+"(x)]")
		}
	}
	return append(all,
		"var.s.foo", "[1, 2][var.s]", "{ a = 1 }[var.s]", "var.s + 1", "-var.s", "var.s ? 1 : 2", "var.o[var.s]", "nope(var.s)", "var.n[0]",
		"{ (var.s) = 1, (var.s) = 2 }", "{ for x in [var.s, var.s] : x => 1 }", `tonumber("${var.s}")`, `tonumber("%{ if var.s == "" }a%{ endif }b")`,
		"tonumber(base64encode(var.s))", "tonumber(urlencode(var.s))", "tonumber(upper(var.s))", "tonumber(strrev(var.s))", "tonumber(substr(var.s, 0, 13))",
		"tobool(var.n)", "tobool(var.n * 2)", "file(var.o.password)", "tonumber(nonsensitive(sha256(var.s)))", "nonsensitive(tonumber(var.s))", "nonsensitive(var.s, 1)", "source.t[var.s]",
	)
}

func TestNoErrorRevealsASecret(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	e := tellingEndpoint(t)
	blocks := maps.Clone(canaryFaults)
	for _, name := range []string{"200", "400", "401", "page"} {
		blocks["model "+name] = fmt.Sprintf(faultyModel, name, e)
	}
	for _, name := range slices.Sorted(maps.Keys(blocks)) {
		dir := folder(t, map[string]string{"t.csv": canaryTable, "main.quern.hcl": canaryVariables + blocks[name]})
		said, err := c.with(dir, []string{"QUERN_LOG=trace"}, "", "apply", "-auto-approve")
		t.Logf("%s: %v", name, err)
		if strings.Contains(said, "bug in quern") {
			t.Errorf("%s:\n%s", name, said)
		}
		if matches, _ := filepath.Glob(filepath.Join(dir, ".quern", "runs", "*.json")); len(matches) > 0 {
			_, _ = c.quern(dir, "log", "-json")
			_, _ = c.quern(dir, "show", "-json")
		}
		c.searchFiles(dir)
	}
	c.searchFiles(c.cache)
	t.Logf("searched: %v", c.seen)
}

// tellingEndpoint is an endpoint that repeats what it was sent in its answers.
// The name of the model says in which part.
func tellingEndpoint(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request struct{ Model string }
		_ = json.Unmarshal(body, &request)
		said := fmt.Sprintf("You sent %s, %s and %s.", r.Header.Get("Authorization"), r.Header.Get("X-Extra"), body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", r.Header.Get("Authorization"))
		switch status, _ := strconv.Atoi(request.Model); {
		case status == http.StatusOK:
			_ = json.NewEncoder(w).Encode(map[string]any{
				"id": said, "object": "chat.completion", "model": request.Model,
				"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": said}}},
				"usage":   map[string]any{"prompt_tokens": 1, "completion_tokens": 1},
			})
		case status > 0:
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": said, "type": "invalid", "code": r.Header.Get("Authorization")}})
		default:
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, "<html><body>%s</body></html>", said)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}
