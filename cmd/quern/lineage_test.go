package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/quern-dev/quern/inspect"
	"github.com/quern-dev/quern/store"
)

// generated is a row that a generator wrote to a file.
type generated struct {
	file  string
	row   int64 // in the file
	price int
	tags  []string
}

// generate writes rows to several files, and returns them in the order in which a
// source reads them. Few rows are unique.
func generate(t *testing.T, dir string, files, rows int) []generated {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var all []generated
	for f := range files {
		name := fmt.Sprintf("data/%02d.jsonl", f)
		var text strings.Builder
		for row := range rows {
			g := generated{file: name, row: int64(row), price: random.IntN(40)}
			for range 1 + random.IntN(3) {
				g.tags = append(g.tags, string(rune('a'+random.IntN(4))))
			}
			line, err := json.Marshal(map[string]any{"price": g.price, "tags": g.tags})
			if err != nil {
				t.Fatal(err)
			}
			text.Write(append(line, '\n'))
			all = append(all, g)
		}
		write(t, dir, name, text.String())
	}
	return all
}

// sourceRows returns the files and rows that a row came from, and whether all of
// them are exact.
func sourceRows(r *inspect.Row) (rows []string, exact bool) {
	if r.File != "" {
		return []string{fmt.Sprintf("%s %d", r.File, r.Row)}, r.Match == inspect.Exact
	}
	exact = r.Match == inspect.Exact || r.Match == ""
	for _, from := range r.From {
		found, all := sourceRows(from)
		rows, exact = append(rows, found...), exact && all
	}
	return rows, exact
}

func TestTheSourceRowsOfAnyRowAreNamed(t *testing.T) {
	dir := folder(t, map[string]string{"main.quern.hcl": `
source "jsonl" "orders" {
  path = "data/*.jsonl"
}

transform "filter" "dear" {
  input = source.orders
  where = row.price > 9
}

label "rules" "size" {
  input = transform.dear
  rule "big" {
    when  = row.price > 20
    label = "big"
  }
}

transform "explode" "tags" {
  input  = label.size
  values = row.tags
  as     = "tag"
}

transform "map" "named" {
  input   = transform.tags
  columns = { name = "${row.tag} ${row.price}" }
}

transform "sql" "sorted" {
  inputs = { tags = transform.tags }
  query  = "select tag, price, size from tags order by price"
}
`})
	all := generate(t, dir, 3, 500)
	quernIn(t, dir, "apply", "-auto-approve")

	var want []string // by row of the output
	at := map[string][]string{}
	for _, g := range all {
		for _, tag := range g.tags {
			if g.price > 9 {
				place := fmt.Sprintf("%s %d", g.file, g.row)
				want = append(want, place)
				at[fmt.Sprint(tag, g.price)] = append(at[fmt.Sprint(tag, g.price)], place)
			}
		}
	}
	s, err := store.Open(filepath.Join(dir, ".quern"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.States().Load("default")
	if err != nil {
		t.Fatal(err)
	}
	lineageOf := func(address string, row int64) *inspect.Row {
		a, err := inspect.FindArtifact(st, address)
		if err != nil {
			t.Fatal(err)
		}
		r, err := inspect.RowLineage(context.Background(), s, a, st.Instances[address].ActionKey, row)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		row := random.IntN(len(want))
		rows, exact := sourceRows(lineageOf("transform.named", int64(row)))
		if len(rows) != 1 || rows[0] != want[row] || !exact {
			t.Fatalf("row %d: got %v, exact %t, want %s", row, rows, exact, want[row])
		}
	}
	// SQL has no row numbers: every row that has the values of the row is named, if
	// they are few, and nothing more is claimed.
	for range 50 {
		r := lineageOf("transform.sorted", int64(random.IntN(len(want))))
		var values struct {
			Tag   string
			Price int
		}
		if err := json.Unmarshal(r.Values, &values); err != nil {
			t.Fatal(err)
		}
		rows, exact := sourceRows(r)
		possible := at[fmt.Sprint(values.Tag, values.Price)]
		if exact || len(possible) > 10 && len(rows) > 0 || len(possible) <= 10 && len(rows) != len(possible) {
			t.Fatalf("row %d: got %v, exact %t, of %v", r.Row, rows, exact, possible)
		}
		for _, row := range rows {
			if !strings.Contains(strings.Join(possible, "\n")+"\n", row+"\n") {
				t.Fatalf("row %d: %s is not one of %v", r.Row, row, possible)
			}
		}
	}
}

func TestEventsOfOpenLineageFollowItsSchemas(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.csv": "id,text\n1,a\n2,b\n3,c\n",
		"b.csv": "id,city\n1,Rome\n2,Oslo\n",
		"main.quern.hcl": `
source "csv" "texts" {
  path = "a.csv"
}

source "csv" "cities" {
  path = "b.csv"
}

transform "sql" "joined" {
  inputs = { texts = source.texts, cities = source.cities }
  query  = "select text, upper(city) as city from texts join cities using (id) where texts.id > 0"
}

train "linear" "student" {
  dataset = transform.joined
  text    = row.text
  target  = row.city
}

deploy "directory" "prod" {
  artifact = train.student
  path     = "serve"
}
`})
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	git("add", "main.quern.hcl")
	git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "Start")
	git("remote", "add", "origin", "https://user:secret@example.com/team/repo.git")
	quernIn(t, dir, "apply", "-auto-approve")
	out := quernIn(t, dir, "lineage", "-format=openlineage", "-namespace=team", "deploy.prod")
	schemas := openLineageSchemas(t)
	names := map[string]int{}
	for line := range strings.Lines(out) {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		schemas.check(t, document)
		event := document.(map[string]any)
		names[event["eventType"].(string)+" "+event["job"].(map[string]any)["name"].(string)]++
	}
	if fmt.Sprint(names) != "map[COMPLETE deploy.prod:1 COMPLETE source.cities:1 COMPLETE source.texts:1 COMPLETE train.student:1 COMPLETE transform.joined:1 "+
		"START deploy.prod:1 START source.cities:1 START source.texts:1 START train.student:1 START transform.joined:1]" {
		t.Errorf("got events %v", names)
	}
	for _, text := range []string{
		`"city":{"inputFields":[{"field":"city","name":"source.cities","namespace":"team","transformations":[{"subtype":"TRANSFORMATION","type":"DIRECT"}]}]}`,
		`"text":{"inputFields":[{"field":"text","name":"source.texts","namespace":"team","transformations":[{"subtype":"IDENTITY","type":"DIRECT"}]}]}`,
		`"repoUrl":"https://example.com/team/repo.git"`, `"rowCount":2`, `"namespace":"file","name":"a.csv"`, `"dialect":"duckdb"`,
	} {
		if !strings.Contains(out, text) {
			t.Errorf("the events lack %s\n%s", text, out)
		}
	}
	if strings.Contains(out, "secret") {
		t.Error("the events contain the credentials of the remote")
	}
	if schemas.facets < 20 {
		t.Errorf("only %d facets were checked", schemas.facets)
	}
}

func TestTheURLOfARepositoryHasNoCredentials(t *testing.T) {
	for remote, want := range map[string]string{
		"https://user:secret@example.com/team/repo.git": "https://example.com/team/repo.git",
		"git@example.com:team/repo.git":                 "ssh://example.com/team/repo.git",
		"example.com:/srv/repo.git":                     "ssh://example.com/srv/repo.git",
		"ssh://git@example.com:2222/team/repo.git":      "ssh://example.com:2222/team/repo.git",
		"/srv/repo.git":                                 "file:///srv/repo.git",
	} {
		if got := repositoryURL(remote); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}

// eventSchemas are the published schemas of OpenLineage.
type eventSchemas struct {
	*jsonschema.Compiler
	facets int // that were checked
}

func openLineageSchemas(t *testing.T) *eventSchemas {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	files, err := filepath.Glob("../../inspect/testdata/openlineage/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		schema, err := jsonschema.UnmarshalJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(schema.(map[string]any)["$id"].(string), schema); err != nil {
			t.Fatal(err)
		}
	}
	return &eventSchemas{Compiler: c}
}

// check checks an event against the schema that it names, and its facets against
// theirs.
func (s *eventSchemas) check(t *testing.T, document any) {
	t.Helper()
	switch d := document.(type) {
	case []any:
		for _, item := range d {
			s.check(t, item)
		}
	case map[string]any:
		url, isFacet := d["_schemaURL"].(string)
		if isFacet {
			s.facets++
		} else {
			url, _ = d["schemaURL"].(string)
		}
		if url != "" {
			schema, err := s.Compile(url)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(d); err != nil {
				t.Errorf("%s: %v", url, err)
			}
		}
		for _, member := range d {
			s.check(t, member)
		}
	}
}
