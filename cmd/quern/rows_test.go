package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quern-dev/quern/store/history"
)

// combinations returns a pipeline that joins, unites, mixes, groups, and queries the
// tables a, b, and c. In b, k is unique.
func combinations() string {
	var out strings.Builder
	add := func(format string, arguments ...any) { fmt.Fprintf(&out, format+"\n", arguments...) }
	for _, name := range []string{"a", "b", "c"} {
		add("source \"csv\" %q {\n path = %q\n schema = { k = \"int64\", v = \"int64\" }\n}", name, name+".csv")
	}
	with := func(dataset, kind, cardinality, prefix string) string {
		return fmt.Sprintf("with \"other\" {\n dataset = %s\n on = [\"k\"]\n kind = %q\n cardinality = %q\n %s\n}", dataset, kind, cardinality, prefix)
	}
	add("transform \"group\" \"keys\" {\n input = source.a\n by = { k = row.k }\n rows = \"n\"\n}")
	add("transform \"group\" \"whole\" {\n input = source.a\n rows = \"n\"\n}")
	for _, kind := range []string{"inner", "left", "right", "full", "semi", "anti"} {
		prefix := `prefix = "o_"`
		if kind == "semi" || kind == "anti" {
			prefix = ""
		}
		add("transform \"join\" \"up_%s\" {\n input = source.a\n %s\n}", kind, with("source.b", kind, "many_to_one", prefix))
		add("transform \"join\" \"down_%s\" {\n input = source.b\n %s\n}", kind, with("source.a", kind, "one_to_many", prefix))
		add("transform \"join\" \"one_%s\" {\n input = transform.keys\n %s\n}", kind, with("source.b", kind, "one_to_one", prefix))
		if kind == "inner" || kind == "left" {
			second := strings.Replace(with("source.b", "left", "many_to_one", `prefix = "p_"`), "other", "second", 1)
			add("transform \"join\" \"two_%s\" {\n input = source.a\n %s\n %s\n}", kind, with("source.b", kind, "many_to_one", prefix), second)
		}
		if sql := kind + " join"; kind != "semi" && kind != "anti" {
			add("transform \"sql\" \"sql_%s\" {\n inputs = { a = source.a, b = source.b }\n query = \"select a.v, n from a %s (select k, count(*) as n from b group by k) g using (k)\"\n}", kind, sql)
			add("transform \"sql\" \"lqs_%s\" {\n inputs = { a = source.a, b = source.b }\n query = \"select b.v, n from (select k, count(*) as n from a group by k) g %s b on g.k = b.k\"\n}", kind, sql)
		}
	}
	add("transform \"concat\" \"all\" {\n inputs = [source.a, source.b, source.c]\n}")
	add("transform \"filter\" \"chosen\" {\n input = transform.all\n where = row.v > 4\n}")
	for i, query := range []string{
		"select v from a union all select v from c", "select v from a union select v from c", "select v from a except select v from c",
		"select v from a intersect select v from c", "select sum(v) as s from a", "select a.v, s from a, (select max(v) as s from c)",
		"select v, (select max(v) from c where c.k = a.k) as s from a", "select v from a where k in (select k from c)",
		"with u as (select v from a union all select v from c) select v from u where v > 3",
	} {
		add("transform \"sql\" \"q%d\" {\n inputs = { a = source.a, c = source.c }\n query = %q\n}", i, query)
	}
	return out.String()
}

// mixtures cannot be made of parts without rows.
const mixtures = `
transform "mix" "total" {
  total      = 31
  max_epochs = 9
  part "a" {
    input  = source.a
    weight = 2
  }
  part "c" {
    input  = source.c
    weight = 1
  }
}
transform "mix" "most" {
  max_epochs = 1.5
  part "a" {
    input  = source.a
    weight = 2
  }
  part "c" {
    input  = source.c
    weight = 1
  }
}
transform "mix" "sized" {
  total = 60
  part "a" {
    input  = source.a
    weight = 2
    size   = row.v
  }
  part "c" {
    input  = transform.chosen
    weight = 1
    size   = row.v
  }
}
transform "mix" "sized_most" {
  max_epochs = 2.5
  part "a" {
    input  = transform.up_semi
    weight = 2
    size   = row.v
  }
  part "c" {
    input  = source.c
    weight = 1
    size   = row.v
  }
}
transform "limit" "paged" {
  input  = transform.all
  rows   = 30
  offset = 20
}
transform "limit" "per_key" {
  input = source.a
  rows  = 1
  per   = row.k
}
transform "balance" "up" {
  input  = source.a
  by     = tostring(row.k < 5)
  method = "up"
  rows   = 101
  shares = { true = 0.25, false = 0.75 }
}
transform "balance" "down" {
  input  = source.a
  by     = tostring(row.k < 5)
}
`

// evaluations do not accept datasets without rows.
const evaluations = `
model "exec" "echo" {
  command = ["sh", "-c", "while read -r line; do echo '{\"text\": \"x\"}'; done"]
}
prompt "text" {
  user = row.t
}
prompt "number" {
  user = "${row.v}"
}
evaluate "prompt" "answers" {
  dataset  = transform.all
  repeats  = 2
  subjects = { text = { model = model.echo, prompt = prompt.text }, number = { model = model.echo, prompt = prompt.number } }
  metrics  = { any = output.text != "" }
}
evaluate "classification" "classes" {
  dataset  = source.a
  subjects = { guess = { model = model.echo, prompt = prompt.text } }
  classes  = ["x", "y"]
  answer   = "text"
  target   = row.k > 3 ? "x" : null
}
transform "concat" "answered" {
  inputs  = [evaluate.answers.rows, evaluate.classes.rows]
  columns = "common"
}
`

// TestRowsAreWithinTheRangesOfAFirstPlan compares what a first plan says about the rows of
// stages with several inputs with the rows that they have.
func TestRowsAreWithinTheRangesOfAFirstPlan(t *testing.T) {
	tables := func(rows ...int) map[string]string {
		random, files := rand.New(rand.NewPCG(1, uint64(rows[0]))), map[string]string{}
		for i, name := range []string{"a", "b", "c"} {
			var b strings.Builder
			b.WriteString("k,v,t\n")
			for row := range rows[i] {
				key := random.IntN(12)
				if name == "b" {
					key = 2 * row
				}
				fmt.Fprintf(&b, "%d,%d,%s %d\n", key, 1+random.IntN(9), name, row)
			}
			files[name+".csv"] = b.String()
		}
		return files
	}
	for name, c := range map[string]struct {
		files  map[string]string
		config string
	}{
		"many":     {tables(60, 10, 35), combinations() + mixtures + evaluations},
		"none in":  {tables(0, 10, 35), combinations()},
		"none of":  {tables(60, 0, 0), combinations()},
		"one each": {tables(1, 1, 1), combinations()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.files["main.quern.hcl"] = c.config
			for file, content := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			quernIn(t, dir, "apply", "-auto-approve")
			checkRows(t, dir)
		})
	}
}

// checkRows compares the rows in the record of the last run with their estimates.
func checkRows(t *testing.T, dir string) {
	t.Helper()
	var log struct{ Runs []history.Run }
	if err := json.Unmarshal([]byte(quernIn(t, dir, "log", "-json")), &log); err != nil || len(log.Runs) != 1 {
		t.Fatal(err, len(log.Runs))
	}
	for _, n := range log.Runs[0].Instances {
		switch {
		case n.Estimate == nil || n.Estimate.Rows == nil || n.Estimate.Rows.High == nil:
			t.Errorf("%s: a first plan does not know its rows", n.Address)
		case float64(n.Rows) < n.Estimate.Rows.Low || float64(n.Rows) > *n.Estimate.Rows.High:
			t.Errorf("%s has %d rows, but the plan expected %g to %g", n.Address, n.Rows, n.Estimate.Rows.Low, *n.Estimate.Rows.High)
		}
	}
}
