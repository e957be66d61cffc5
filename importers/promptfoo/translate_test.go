package promptfoo

import (
	"github.com/quern-dev/quern/importers/internal/importtest"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/funcs"
)

// The rows and the answer that the tests use.
var (
	testColumns = map[string]column{
		"name": {typ: typeString}, "empty": {typ: typeString}, "n": {typ: typeNumber}, "yes": {typ: typeBool},
		"items": {typ: typeList, elem: typeString}, "who": {typ: typeObject},
	}
	testRow = cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal("Ada"), "empty": cty.StringVal(""), "n": cty.NumberIntVal(3), "yes": cty.True,
		"items": cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("b")}),
		"who":   cty.ObjectVal(map[string]cty.Value{"first": cty.StringVal("Grace")}),
	})
	testAnswer = cty.ObjectVal(map[string]cty.Value{
		"text": cty.StringVal(`{"tags":["x","y"],"score":7,"label":"good"}`),
		"json": cty.ObjectVal(map[string]cty.Value{
			"tags": cty.TupleVal([]cty.Value{cty.StringVal("x"), cty.StringVal("y")}), "score": cty.NumberIntVal(7), "label": cty.StringVal("good"),
		}),
		"tool_calls": cty.ListVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{
			"name": cty.StringVal("look_up"), "arguments": cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal("7")}),
		})}),
	})
)

func evaluated(t *testing.T, text string) cty.Value {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(text+"\n"), "test", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", text, diags)
	}
	v, diags := e.Value(&hcl.EvalContext{Functions: funcs.Pure(), Variables: map[string]cty.Value{"row": testRow, "output": testAnswer}})
	if diags.HasErrors() {
		t.Fatalf("%s: %v", text, diags)
	}
	return v
}

// The expected texts were rendered with nunjucks 3.2.4.
func TestTemplatesRenderAsInNunjucks(t *testing.T) {
	for src, want := range map[string]string{
		"plain":                                             "plain",
		"Hello {{ name }}!":                                 "Hello Ada!",
		"{{name}}{{ n }}{{yes}}":                            "Ada3true",
		"{{ name | upper | lower }}":                        "ada",
		"{{ items }}":                                       "a,b",
		"{{ items | join('-') }}":                           "a-b",
		"{{ items | first }}{{ items | last }}":             "ab",
		`{{ ('{"length":"brief"}' | load).length }}`:        "brief",
		`{{ ('[1, 2]' | load).length }} of them`:            "2 of them",
		"{{ items | length }}":                              "2",
		"{{ who.first }} {{ who['first'] }}":                "Grace Grace",
		"{{ name | dump }}":                                 `"Ada"`,
		"{{ nothing }}":                                     "",
		"{{ n + 1 }} {{ n * 2 - 1 }}":                       "4 5",
		"{{ name ~ '-' ~ n }}":                              "Ada-3",
		"{{ 'x' if yes else 'y' }}":                         "x",
		"{% if empty %}a{% elif n > 2 %}b{% endif %}":       "b",
		"{% if not empty and yes %}a{% else %}b{% endif %}": "a",
		"{% if name == \"Ada\" or n < 0 %}y{% endif %}":     "y",
		"{% for i in items %}[{{ i }}]{% endfor %}":         "[a][b]",
		"{% set x = name | upper %}{{ x }}":                 "ADA",
		"a {{- name -}} b":                                  "aAdab",
		"{# not seen #}x":                                   "x",
		"{% raw %}{{ name }}{% endraw %}":                   "{{ name }}",
		"${name} %{if} {\"a\": 1}":                          "${name} %{if} {\"a\": 1}",
		"two\nlines of {{ name }}\n":                        "two\nlines of Ada\n",
		"  indented\n\n    more\n":                          "  indented\n\n    more\n",
		"EOT\n{{ name }}\nends with \\":                     "EOT\nAda\nends with \\",
		"\n\nfirst\ttab \"quoted\"\n\n":                     "\n\nfirst\ttab \"quoted\"\n\n",
		"{{ 'it''s' }":                                      "{{ 'it''s' }",
		"{% if yes %}\n${x}\n{% endif %}\nend":              "\n${x}\n\nend",
	} {
		pieces, err := (&scope{columns: testColumns}).template(src)
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		for depth := range 3 {
			text := expression(pieces, depth)
			if got := evaluated(t, text); got.Type() != cty.String || got.AsString() != want {
				t.Errorf("%q is %#v, want %q, by\n%s", src, got, want, text)
			}
		}
	}
}

func TestTemplatesWithoutACounterpartAreExplained(t *testing.T) {
	for src, want := range map[string]string{
		"{{ name | shout }}":                       "{{ name | shout }}: the filter shout has no equivalent",
		"{% for x in name %}{% endfor %}":          "{% for x in name %}: name is not a list in every test",
		"{% include 'a' %}":                        "{% include 'a' %}: it has no equivalent",
		"{% if yes %}":                             "{% if yes %}: it is not closed",
		"{% endif %}":                              "{% endif %} has no matching opening tag",
		"{{ name. }}":                              "{{ name. }}: it ends too early",
		"{{ f(name) }}":                            "{{ f(name) }}: this call has no equivalent",
		"{% if who %}a{% endif %}":                 "{% if who %}: whether row.who is true depends on its type, which is not known",
		"{% for m in _conversation %}{% endfor %}": "{% for m in _conversation %}: questions cannot use earlier answers",
	} {
		_, err := (&scope{columns: testColumns}).template(src)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}

// The expected values were computed with Node.
func TestCodeReturnsWhatJavaScriptReturns(t *testing.T) {
	for src, want := range map[string]cty.Value{
		"output.includes('good')":                                     cty.True,
		"output.length > 10 && output.length < 1000":                  cty.True,
		"!output.toLowerCase().startsWith(\"x\")":                     cty.True,
		"JSON.parse(output).score >= 7":                               cty.True,
		"output.score === 7 ? 1 : 0":                                  cty.NumberIntVal(1),
		"JSON.parse(output).tags.length":                              cty.NumberIntVal(2),
		"JSON.parse(output).tags.includes('y')":                       cty.True,
		"output.label.includes('oo')":                                 cty.True,
		"JSON.parse(output).tags.some(x => x === 'y')":                cty.True,
		"JSON.parse(output).tags.every((x) => x == 'y')":              cty.False,
		"JSON.parse(output).tags.filter(x => x != 'y').length == 1":   cty.True,
		"/GOOD/i.test(output)":                                        cty.True,
		"output.match(/\\d+/) && true":                                cty.True,
		"output.indexOf('bad') === -1":                                cty.True,
		"output.indexOf('good') > -1":                                 cty.True,
		"output === context.vars.name":                                cty.False,
		"context.vars['name'] === 'Ada'":                              cty.True,
		"typeof output === 'string'":                                  cty.True,
		"typeof JSON.parse(output).score === 'number'":                cty.True,
		"typeof JSON.parse(output).label !== 'string'":                cty.False,
		"Math.max(0, Math.min(1, 1 - (output.length - 3) / 900)) < 1": cty.True,
		"parseInt(\"12\", 10) + 1":                                    cty.NumberIntVal(13),
		"parseInt(\" 12 apples\") === 12":                             cty.True,
		"parseFloat(\"-1.50 of it\") === -1.5":                        cty.True,
		"parseInt(-1.5)":                                              cty.NumberIntVal(-1),
		"`${context.vars.name}!` === 'Ada!'":                          cty.True,
		"context.vars.name + '!' === 'Ada!'":                          cty.True,
		"output.hasOwnProperty('score')":                              cty.True,
		"Object.keys(JSON.parse(output)).length === 3":                cty.True,
		"Array.isArray(JSON.parse(output).tags)":                      cty.True,
		"output.split(',')[0].trim()":                                 cty.StringVal(`{"tags":["x"`),
		"output.replace(/[^a-z]/g, '').slice(0, 4)":                   cty.StringVal("tags"),
		"output[0].function.name === 'look_up'":                       cty.True,
		"JSON.parse(output[0].function.arguments).id":                 cty.StringVal("7"),
		"(output, context) => output.endsWith('}')":                   cty.True,
		"JSON.parse(output).label || 'none'":                          cty.True,
		"const a = output.length;\nconst b = a * 2;\nreturn b > a;":   cty.True,
		"const t = output // all of it\n  .toLowerCase()\n  .trim()\nreturn t.includes('good') &&\n  t.length > 3": cty.True,
		"if (output.includes('bad')) {\n  return false;\n}\nreturn true;":                                          cty.True,
		"if (output.includes('bad')) return 0;\nreturn 0.5":                                                        cty.NumberFloatVal(0.5),
		"return { pass: output.length > 1, score: 1, reason: 'long' }":                                             cty.True,
	} {
		v, err := (&scope{columns: testColumns, output: &value{text: "output.text", typ: typeOutput}}).code(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := evaluated(t, v.text); !got.RawEquals(want) {
			t.Errorf("%s gives %#v, want %#v, by %s", src, got, want, v.text)
		}
	}
}

func TestCodeWithoutACounterpartIsExplained(t *testing.T) {
	for src, want := range map[string]string{
		"await fetch(output)":            "await has no equivalent",
		"for (const x of output) {}":     `"x" has no equivalent`,
		"return":                         "it ends too early",
		"output.localeCompare('x')":      "localeCompare has no equivalent",
		"context.vars.gone":              "no test sets the variable gone",
		"process.env.X":                  "process is not known",
		"output.replace('a', 'b')":       "replacing only the first match has no equivalent",
		"/a(?=b)/.test(output)":          "the regular expression has no equivalent: invalid or unsupported Perl syntax: `(?=`",
		"output.includes('a')) || (true": `")" has no equivalent`,
		"output = 3":                     `"=" has no equivalent`,
		"'open":                          "a ' is not closed",
	} {
		_, err := (&scope{columns: testColumns, output: &value{text: "output.text", typ: typeOutput}}).code(src)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
}

// FuzzImport checks the promise of the import for any configuration: it ends,
// and returns an error or a pipeline without mistakes.
func FuzzImport(f *testing.F) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range archives {
		archive, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range seeds(archive) {
			f.Add(file)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		dir := filepath.Join(t.TempDir(), "p")
		importtest.Write(t, filepath.Join(dir, "promptfooconfig.yaml"), src)
		r, err := Importer{}.Import(dir, dir)
		if err != nil {
			return
		}
		importtest.Sound(t, r)
	})
}
