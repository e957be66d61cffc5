//go:build duckdb_arrow

package query

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/data"
)

var lineageTables = []Table{
	{Name: "t", Columns: data.Schema{{Name: "id", Type: "int64"}, {Name: "a", Type: "string"}, {Name: "b", Type: "float64"}, {Name: "d", Type: "string"}, {Name: "l", Type: "list<string>"}}},
	{Name: "u", Columns: data.Schema{{Name: "id", Type: "int64"}, {Name: "z", Type: "string"}, {Name: "at", Type: "timestamp"}}},
}

// named formats sources: t.a is changed, =t.a is unchanged.
func named(all []Source) string {
	var out []string
	for _, s := range all {
		name := s.Table + "." + s.Column
		if s.Unchanged {
			name = "=" + name
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func TestColumnsAreFollowedThroughAQuery(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"select id, upper(a) || z as x from t join u using (id) where d = 'q' order by b", "id: =t.id; x: t.a u.z; rows: t.a t.b t.d t.id u.id u.z"},
		{"select 1 as one, a as other from t", "one: ; other: =t.a; rows: "},
		{"select * from u", "id: =u.id; z: =u.z; at: =u.at; rows: "},
		{"select * exclude (l, d) replace (lower(a) as a) from t", "id: =t.id; a: t.a; b: =t.b; rows: "},
		{"select a, count(*) as n, sum(b) as s from t group by a having max(d) > 'x'", "a: =t.a; n: ; s: t.b; rows: t.a t.d"},
		{"select a, d, sum(b) as s from t group by rollup (a, d)", "a: t.a; d: t.d; s: t.b; rows: t.a t.d"},
		{"select id, row_number() over (partition by a order by b) as r, lag(d) over (order by id) as p from t", "id: =t.id; r: t.a t.b; p: t.d t.id; rows: "},
		{"with c as materialized (select a, b + 1 as b from t) select x.a, y.b from c x, c y", "a: =t.a; b: t.b; rows: "},
		{"with c as (select a from t where b > 0) select a from c", "a: =t.a; rows: t.b"},
		{"select a as x from t union all select z from u", "x: =t.a =u.z; rows: "},
		{"select a as x, 1 as y from t union all select lower(z), 2 from u", "x: t.a u.z; y: ; rows: "},
		{"select a as x from t except select z from u", "x: =t.a; rows: t.a u.z"},
		{"select distinct a from t limit 3", "a: =t.a; rows: t.a"},
		{"select unnest(l) as e, id from t", "e: t.l; id: =t.id; rows: t.l"},
		{"select id, (select max(z) from u where u.id = t.id) as m from t", "id: =t.id; m: u.z; rows: t.id u.id"},
		{"select id from t where exists (select 1 from u where u.id = t.id)", "id: =t.id; rows: t.id u.id"},
		{"select id from t where a in (select z from u)", "id: =t.id; rows: t.a u.z"},
		{"select id from t semi join u using (id)", "id: =t.id; rows: t.id u.id"},
		{"select t.id, z from t left join u on t.id = u.id and z > a", "id: =t.id; z: u.z; rows: t.a t.id u.id u.z"},
		{"select case when b > 1 then a else d end as x from t", "x: t.a t.b t.d; rows: "},
		{"select list_transform(l, e -> e || a) as x from t", "x: t.a t.l; rows: "},
		{"select x, y from (values (1, 'a'), (2, 'b')) v(x, y), t", "x: ; y: ; rows: "},
		{"select count(distinct a) filter (where b > 0) as n from t", "n: t.a t.b; rows: "},
	} {
		a, err := Analyze(context.Background(), c.query, lineageTables)
		if err != nil {
			if c.want != "" {
				t.Errorf("%s: %v", c.query, err)
			}
			continue
		}
		if a.Lineage == nil {
			t.Errorf("%s: not clear", c.query)
			continue
		}
		var parts []string
		for _, column := range a.Columns {
			parts = append(parts, fmt.Sprintf("%s: %s", column.Name, named(a.Lineage.Columns[column.Name])))
		}
		if got := strings.Join(append(parts, "rows: "+named(a.Lineage.Rows)), "; "); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.query, got, c.want)
		}
	}
}

func TestRowsOfInputsAreRecognized(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"select a, b + 1 as b from t order by b", "t"},
		{"select id, row_number() over (order by b) as r from t", "t"},
		{"select a from t limit 3", "t, at most 3"},
		{"select a from t limit 3 offset 1", "some of t, at most 3"},
		{"select a from t limit 10%", "some of t"},
		{"select a from (select a from t limit 3) limit 7", "t, at most 3"},
		{"select a from t where b > 0 limit 5", "some of t, at most 5"},
		{"select distinct a from t", "some of t"},
		{"select a, count(*) as n from t group by a", "some of t"},
		{"select a from t where id in (select id from u)", "some of t"},
		{"select id from t where exists (select 1 from u where u.id > 3)", "some of t"},
		{"select id from t semi join u using (id)", "some of t"},
		{"select a, d, sum(b) as s from t group by rollup (a, d)", ""},
		{"select count(*) as n from t", "one row of t"}, // even if t has no rows
		{"select count(*) as n from t having n > 3", "some of t, at most 1"},
		{"select count(*) as n from t join u using (id)", "one row of t"},
		{"select unnest(l) as e from t", ""},
		{"select 1 as one", ""},
		{"with x as (select a from t where b > 0) select a from x limit 3", "some of t, at most 3"},
		{"select id, (select max(z) from u where u.id = t.id) as m from t", "t"},
		{"select id, b / total as share from t, (select sum(b) as total from t)", "t"},
		{"select t.a, u.z from t, u", ""},

		{"select a from t union all select z from u", "t + u"},
		{"select a from t union all select a from t where b > 0", "t + some of t"},
		{"select a from t union select z from u", "some of t + some of u"},
		{"select a from t union all select z from u limit 3", ""},
		{"select a from t except select z from u", "some of t"},
		{"select a from t intersect select z from u", "some of t, as many as u"},
		{"select a from t intersect select z from u where z > 'k'", "some of t"},

		{"select t.a from t join u using (id)", ""},
		{"select t.a from t left join u using (id)", ""},
		{"select t.a, n from t join (select id, count(*) as n from u group by id) using (id)", "some of t"},
		{"select t.a, n from t left join (select id, count(*) as n from u group by id) using (id)", "t"},
		{"with g as (select id, z from u group by all) select t.a, z from t left join g using (id)", ""},
		{"with g as (select distinct on (id) * from u order by z) select t.a, z from t left join g using (id)", "t"},
		{"select t.a, g.id from t left join (select id from u group by id) g on g.id = t.id and g.id > 4", "t"},
		{"select t.a, g.id from t left join (select id from u group by id) g on g.id > t.id", ""},
		{"select u.z, g.d from (select d, min(id) as id from t group by d) g right join u on g.id = u.id", ""},
		{"select u.z, g.d from (select d, id from t group by d, id) g right join u on g.id = u.id and g.d = u.z", "u"},
		{"select u.z, n from (select id, count(*) as n from t group by id) g right join u on g.id = u.id", "u"},
		{"select u.z, n from (select id, count(*) as n from t group by id) g full join u on g.id = u.id", "u + some of t"},
		{"select u.z, n from u full join (select id, count(*) as n from t group by id) g on g.id = u.id", "u + some of t"},
	} {
		a, err := Analyze(context.Background(), c.query, lineageTables)
		if err != nil || a.Lineage == nil {
			t.Errorf("%s: %v %v", c.query, a, err)
			continue
		}
		var all []string
		for _, s := range a.Lineage.Selections {
			all = append(all, described(s))
		}
		if got := strings.Join(all, " + "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.query, got, c.want)
		}
	}
}

func described(s Selection) string {
	out := s.Table
	if s.Some {
		out = "some of " + out
	}
	if s.One {
		out = "one row of " + out
	}
	if s.Most != nil {
		out += fmt.Sprintf(", at most %d", *s.Most)
	}
	if s.MostOf != "" {
		out += ", as many as " + s.MostOf
	}
	return out
}

// Whatever a column is said to come from, and whatever determines the rows, the
// query must read; and what it reads must be one of the two.
func TestALineageHasTheColumnsThatAQueryReads(t *testing.T) {
	for _, query := range []string{
		"select a, z from t join u using (id)", "select max(b) as m from t group by d", "select a from t order by b",
		"select id, (select max(z) from u where u.id = t.id) as m from t", "select a as x from t union select z from u",
		"select id, sum(b) over (partition by d) as s from t where a is not null qualify s > 1",
	} {
		a, err := Analyze(context.Background(), query, lineageTables)
		if err != nil || a.Lineage == nil {
			t.Fatal(query, err, a)
		}
		have := map[string][]string{}
		all := a.Lineage.Rows
		for _, of := range a.Lineage.Columns {
			all = append(all, of...)
		}
		for _, s := range all {
			if !slices.Contains(have[s.Table], s.Column) {
				have[s.Table] = append(have[s.Table], s.Column)
			}
		}
		for table, columns := range a.Reads {
			slices.Sort(have[table])
			slices.Sort(columns)
			if !slices.Equal(have[table], columns) {
				t.Errorf("%s: the lineage names %v of %s, but %v are read", query, have[table], table, columns)
			}
		}
	}
}

func TestAQueryThatCannotBeFollowedHasNoLineage(t *testing.T) {
	a, err := Analyze(context.Background(), "with recursive r as (select id from t union all select id + 1 from r where id < 3) select id from r", lineageTables)
	if err != nil || a.Lineage != nil {
		t.Error(a, err)
	}
}
