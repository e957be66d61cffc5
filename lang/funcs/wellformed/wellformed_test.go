package wellformed

import (
	"strings"
	"testing"
)

func holds(t *testing.T, what string, f func(string) bool, yes, no []string) {
	t.Helper()
	for _, text := range yes {
		if !f(text) {
			t.Errorf("%q does not count as %s", text, what)
		}
	}
	for _, text := range no {
		if f(text) {
			t.Errorf("%q counts as %s", text, what)
		}
	}
}

func TestJSONIsRecognized(t *testing.T) {
	holds(t, "JSON", IsJSON,
		[]string{`{}`, ` [1, "a", null] `, `"a"`, `1e3`, "{\"a\":\n1}"},
		[]string{``, `{a: 1}`, `{'a': 1}`, `{"a": 1,}`, `{"a": 1} x`, "```json\n{}\n```", `NaN`})
	holds(t, "with JSON in it", ContainsJSON,
		[]string{`{}`, "Here:\n```json\n{\"a\": [1]}\n```", `{{"a": 1}}`, `{ not {"a": {"b": 2}} this`, `[{"a": 1}]`},
		[]string{``, `[1]`, `see [1]`, `{a}`, `{"a": `, `no`})
}

func TestSchemasAreCheckedWithFormats(t *testing.T) {
	s, err := ParseSchema(`{"type": "object", "required": ["mail"], "additionalProperties": false, "properties": {
		"mail": {"type": "string", "format": "email"}, "n": {"type": "integer", "minimum": 0}, "x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"enum": ["a", "b"]}}}`)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, "fitting", func(text string) bool { return s.Check(text) == nil },
		[]string{`{"mail": "a@b.c"}`, `{"mail": "a@b.c", "n": 3.0, "x": "b"}`},
		[]string{`{}`, `{"mail": "a"}`, `{"mail": "a@b.c", "n": -1}`, `{"mail": "a@b.c", "y": 1}`, `{"mail": "a@b.c", "x": "c"}`, `[]`, `x`, ``})
	holds(t, "with what fits in it", s.In,
		[]string{`The answer is {"mail": "a@b.c"}.`, `{"a": 1} {"mail": "a@b.c"}`, `[{"mail": "a@b.c"}]`},
		[]string{`{"mail": 1}`, `mail: a@b.c`})
	if again, _ := ParseSchema(`true`); again.Check(`1`) != nil || again == s {
		t.Error("schemas are mixed up")
	}
}

func TestInvalidSchemasAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                             "not valid JSON",
		`{"type": "strin"}`:             "not a valid JSON schema",
		`3`:                             "not a valid JSON schema",
		`{"pattern": "("}`:              "not a valid JSON schema",
		`{"$ref": "file:///etc/hosts"}`: "cannot refer to another document",
		`{"$ref": "http://x.test/a"}`:   "cannot refer to another document",
		`{"$ref": "other.json"}`:        "cannot refer to another document",
		`{"$ref": "#/$defs/none"}`:      "not a valid JSON schema",
	} {
		if _, err := ParseSchema(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for i := range 2 * mostSchemas {
		if _, err := ParseSchema(`{"maximum": ` + strings.Repeat("1", 1+i%300) + `}`); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(compiled.schemas); n > mostSchemas {
		t.Errorf("%d schemas are cached", n)
	}
}

func TestXMLIsRecognized(t *testing.T) {
	holds(t, "XML", func(text string) bool { return IsXML(text) },
		[]string{`<a/>`, " <a x='1'><b>t &amp; u</b></a>\n", `<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE a><!-- c --><a/><!-- d -->`, `<x:a xmlns:x="u"/>`, `<a><![CDATA[<]]></a>`},
		[]string{``, `text`, `<a>`, `<a></b>`, `<a/><b/>`, `<a/> x`, `x <a/>`, `<a x=1/>`, `<a x="1" x="2"/>`, `<a>&nope;</a>`, `<a/><!-- open`, `<a b/>`, `<br>`})
	holds(t, "XML with what is required", func(text string) bool { return IsXML(text, "order.item.name", "order.id") },
		[]string{`<order><id>1</id><item><name>x</name></item></order>`},
		[]string{`<order><id>1</id><item/></order>`, `<order><id/><item/><name/></order>`, `<item><name/></item>`})
	holds(t, "with XML in it", func(text string) bool { return ContainsXML(text) },
		[]string{`Here: <a>1</a>.`, `a < b and <c/>`, "```xml\n<a><b/></a>\n```", `<a><b></b>`},
		[]string{``, `a < b > c`, `<a>`, `</a>`, `<a></b>`, `<!-- x -->`})
	holds(t, "with required XML in it", func(text string) bool { return ContainsXML(text, "item.name") },
		[]string{`x <item><name/></item>`, `<order><item><name/></item></order>`}, []string{`<item/>`})
}

func TestHTMLIsRecognized(t *testing.T) {
	holds(t, "HTML", IsHTML,
		[]string{
			"<!DOCTYPE html>\n<html><head><title>a < b</title></head><body><p>Hi<br>there</body></html>", `<p>One<p>Two`, `<ul><li>a<li>b</ul>`, `<div><x-y>1</x-y></div>`,
			`<svg><path d="M0"/></svg>`, `<script>if (a < b) {}</script>`, `<!-- c --><h1>A</h1> <img src=x>`, `<table><tr><td>1<td>2</table>`,
		},
		[]string{``, `text`, `Hi <b>there</b>`, `<b>Hi</b> there`, `<div>`, `<div><b></div></b>`, `<foo>1</foo>`, `</p>`, `<!-- c -->`, `<order><item/></order>`, `a < b`})
	holds(t, "with HTML in it", ContainsHTML,
		[]string{`Hi <b>there</b>`, `one<br>two`, `<!DOCTYPE html>`, "```html\n<p>x</p>\n```", `x <img src="a"/>`},
		[]string{``, `a < b and c > d`, `<foo>1</foo>`, `<b>`, `if x <b and c`, `&amp;`})
}

func TestSQLIsRecognizedInEachDialect(t *testing.T) {
	for dialect, texts := range map[string]struct{ yes, no []string }{
		"postgresql": {
			[]string{`select a::int from "t" where b ilike 'x%'`, `insert into t (a) values (1) returning a`, `select distinct on (a) a from t`, `SELECT 1; SELECT 2;`, `with x as (select 1) select * from x -- c`},
			[]string{"select `a` from t", `select from where`, `selec 1`, `select 1 limit 1, 2`, `select * from t where`, `hello`, ``, `;`, `-- c`},
		},
		"mysql":  {[]string{"select `a` from t limit 1, 2", `insert into t set a = 1`, `replace into t values (1)`}, []string{`select a::int from t`, `select 'a`, `insert into t (a) values (1) returning a`}},
		"sqlite": {[]string{`select * from t where rowid = ?1`, `pragma table_info(t)`, `insert or ignore into t values (1)`}, []string{`select a::int from t`, `drop everything`}},
		"":       {[]string{`select 1`, "select `a` from t", `pragma table_info(t)`}, []string{`The answer is 42.`, `select from where`, ``}},
	} {
		holds(t, "SQL of "+dialect, func(text string) bool {
			is, err := IsSQL(text, dialect)
			if err != nil {
				t.Error(err)
			}
			return is
		}, texts.yes, texts.no)
	}
	holds(t, "with SQL in it", func(text string) bool { is, _ := ContainsSQL(text, ""); return is },
		[]string{"Use this:\n```sql\nselect 1\n```\nIt works.", "```\nselect 1;\n```", `select 1`, "```sql\nselec\n```\n```\nselect 1\n```"},
		[]string{"```sql\nselec 1\n```", `Use select 1`, "```select 1```"})
	if _, err := IsSQL("select 1", "postgres"); err == nil || !strings.Contains(err.Error(), "the dialects are postgresql, mysql") {
		t.Error(err)
	}
	for _, text := range []string{"select " + strings.Repeat("(", maxBrackets+1), "select " + strings.Repeat(" ", maxSQL)} {
		if _, err := IsSQL(text, "mysql"); err == nil {
			t.Error("parsing does not stop")
		}
	}
}

// TestEveryTextIsHandledQuickly exceeds the time limit of all tests if a text is not.
func TestEveryTextIsHandledQuickly(t *testing.T) {
	const n = 1 << 17
	for _, part := range []string{"[", "{", `{"a":`, "<a>", "<", "<a ", "<!--", "{[", "<b></"} {
		text := strings.Repeat(part, n/len(part))
		ContainsJSON(text)
		ContainsXML(text)
		ContainsHTML(text)
		IsHTML(text)
		IsXML(text)
		IsJSON(text)
	}
	for _, part := range []string{"not ", "(", "a+", "case when a then ", "(select ", "[", "'", `"`, "/*", "{a:", "- ", "select 1 union "} {
		for _, dialect := range Dialects {
			_, _ = IsSQL(strings.Repeat("select ", 1)+strings.Repeat(part, min(maxBrackets, maxSQL/len(part)-1)), dialect)
			_, _ = IsSQL("select "+strings.Repeat(part, (maxSQL-10)/len(part)), dialect)
		}
	}
}

func FuzzNothingPanics(f *testing.F) {
	f.Add("select a from t where b = '1'")
	f.Add(`<a b="c">{"d": [1]}</a><br>`)
	f.Fuzz(func(t *testing.T, text string) {
		if IsJSON(text) && strings.HasPrefix(strings.TrimSpace(text), "{") && !ContainsJSON(text) {
			t.Error("JSON does not contain JSON")
		}
		if IsXML(text) && !ContainsXML(text) {
			t.Error("XML does not contain XML")
		}
		IsHTML(text)
		ContainsHTML(text)
		if len(text) < 200 {
			_, _ = ContainsSQL(text, "")
		}
	})
}
