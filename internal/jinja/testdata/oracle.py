"""Makes rendered.json.gz: what jinja2 makes of small templates, with the settings of transformers.

Usage: oracle.py

The committed file comes from jinja2 3.1.6. It covers each operator, filter, test, and method with values of all types, and the
whitespace around tags.
"""

import gzip
import itertools
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

VALUES = ["none", "true", "0", "1", "-7", "1.5", "1e20", "''", "'a'", "'Ab cß'", "[]", "[1, 'x']", "['b', 'A', 'b']", "(1,)", "{}", "{'k': 1, 'B': none}", "missing"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
UNARY = ["not X", "-X", "+X", "X if X else 'no'", "X if X", "(X)", "[X]", "(X, 1)", "{'x': X}", "X.k", "X['k']", "X[0]", "X[-1]", "X[5]", "X[1:]", "X[:-1]", "X[::-1]",
         "X.k.l", "X['k']['l']", "X.items()", "X.get('k')", "X.get('z', 5)", "X()", "X.upper()", "-X|abs", "X is none == false", "X ~ X|length", "not X is defined",
         "1 < X < 3", "X == X == X", "'x' 'y' ~ X", "X.keys()|list", "X.values()|list"]
FILTERS = ["trim", "trim('a')", "length", "count", "string", "safe", "upper", "lower", "capitalize", "title", "default('d')", "default('d', true)", "d('e')", "first", "last", "list", "items|list",
           "join", "join(', ')", "replace('a', 'bb')", "replace('b', '', 1)", "dictsort", "dictsort(reverse=true)", "dictsort(true)", "reverse|list", "int", "int(5)", "float", "abs", "unique|list",
           "map('upper')|list", "map(attribute='k')|list", "select|list", "reject|list", "select('string')|list", "selectattr('k')|list", "rejectattr('k', 'equalto', 1)|list"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "boolean", "integer", "float", "true", "false", "number", "iterable", "sequence", "odd", "even", "eq 1", "equalto('a')", "ne 1",
         "lt 2", "gt(0)", "in [1, 'a']", "divisibleby 3", "callable"]
TEXTS = ["''", "'a'", "' \\n<think>a</think>b \\t'", "'x,y,,z'", "'É ß ﬁ Σς ǆ'", "'☃ 𝕏\\u2028'", "'it\\'s \"q\" \\\\'", "'{{ x }}'"]
METHODS = ["upper()", "lower()", "capitalize()", "strip()", "lstrip()", "rstrip('b \\n\\t')", "strip('x')", "split()", "split(',')", "split(',', 1)", "rsplit(',', 1)", "split('</think>')[-1]", "split('<think>')[0]",
           "replace('a', 'o')", "replace('', '-')", "replace('a', 'o', 1)", "startswith('a')", "endswith(('b', 'z'))", "startswith(1)", "removeprefix('x,')", "removesuffix('z')", "find('y')", "find('q')",
           "count('a')", "count('')", "join(['1', '2'])", "join([1])", "nothing", "nothing()", "upper(1)", "split(none)", "split('')"]
STATEMENTS = [
    "{% for x in [1, 2, 3] %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.revindex0 }}{{ loop.previtem }}{{ loop.nextitem|default('e') }}{{ loop.cycle('a', 'b') }};{% endfor %}",
    "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in [1, 2, 3, 4] if x is even %}{{ loop.index }}{{ x }}{{ loop.length }}{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }} {% endfor %}", "{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}", "{% for a, b in [(1, 2), (3,)] %}{{ a }}{% endfor %}",
    "{% for x in 'héy' %}[{{ x }}]{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x in missing %}a{% else %}b{% endfor %}", "{% for x in [1,2,3] %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in [1, 2] %}{% for y in 'ab' %}{{ loop.depth }}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }};{% endfor %}{{ x }}", "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set ns = namespace(n=0, s='') %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ ns.s }}{{ ns.t }}", "{% set x.y = 1 %}", "{% set x = {} %}{% set x.y = 1 %}",
    "{% set a, b = 1, 2 %}{{ b }}{{ a }}", "{% set a, b = [1] %}", "{% set x = 1, 2 %}{{ x }}", "{% set x %} a {{ 1 }} {% endset %}[{{ x }}]",
    "{% macro m(a, b='x', c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}{{ m(1, 2, 3) }}{{ m(b=1, a=2) }}", "{% macro m(a) %}[{{ a }}]{{ a is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}",
    "{% macro m() %}{{ x }}{% endmacro %}{% set x = 5 %}{{ m() }}", "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{{ m }}", "{% set m = 'a' %}{% macro m() %}b{% endmacro %}{{ m() }}",
    "{% if 0 %}a{% elif '' %}b{% elif [0] %}c{% else %}d{% endif %}", "{% if missing %}a{% endif %}b", "{% if missing.x %}a{% endif %}", "{# {{ x }} {% if %} #}a", "{% raw %}{{ x }} {% if %}{% endraw %}", "{%- raw -%} a {%- endraw -%} b",
    "{% generation %} a {% set x = 1 %}{{ x }}{% endgeneration %}{{ x }}", "{{ range(3)|list }}{{ range(5, 1, -2)|list }}{{ range(1, 3)|list }}", "{{ range(200000)|length }}", "{{ dict(b=1, a=2) }}{{ dict({'z': 1}, y=2) }}",
    "{{ ('<a>'|safe) + '<b>' }}{{ '<b>' + ('<a>'|safe) }}{{ ('<a>'|safe) ~ '<b>' }}{{ (1|safe) + \"'\" }}", "{{ ('<a>'|safe) == '<a>' }}{{ '<a>' == ('<a>'|safe) }}{{ ('a'|safe) is string }}", "{{ ('<a>'|safe)|upper }}",
    "{% set x = '<a>'|safe %}{{ x }}{{ [x, '<b>']|join('<') }}", "{{ ('<'|safe).upper() }}{{ ('<'|safe) + 1 }}", "{{ '1_000'|int }}{{ '12abc'|int }}{{ ' 7 '|int }}{{ '1e3'|int }}{{ 'nan'|float }}", "{{ '0x1p4'|float }}", "{{ '١٢'|int }}",
    "{% macro m() %}{{ varargs }}{% endmacro %}{{ m(1) }}", "{{ varargs }}", "{% for x in 1, 2 %}{{ x }}{% endfor %}",
    "{{ 0x10 }}", "{{ 1_000 }}", "{{ 1.5e3 }}{{ 2E-2 }}{{ 10.0 }}{{ 1e16 }}{{ 1e-5 }}{{ 0.1 + 0.2 }}", "{{ 9223372036854775807 + 1 }}", "{{ 3 ** 2 }}", "{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 % -3 }}", "{{ 'a' * 3 }}{{ [1] * 2 }}{{ 2 * 'ab' }}",
    "{{ 'a\\n\\t\\x41\\u00e9\\U0001F600\\q\\\\' }}", '{{ "\'" + \'"\' }}', "{{ ['it\\'s', '\"', '\\n', '\\u200b', 'é', '\\x7f'] }}", "{{ {'a': [1.0, true, none, {'b': ()}]} }}", "{{ 1, 2 }}", "{{ () }}{{ (1,) }}{{ (1, 2) }}",
    "{{ true and 'a' or 'b' }}{{ '' or none }}{{ 0 and 1 }}", "{{ not true == false }}", "{{ 1 if false else 2 if false else 3 }}", "{{ [1, 2 if true else 3, 4] }}", "{{ 'a' in 'abc' and 'z' not in 'abc' }}", "{{ 1 + 2 ~ 3 * 2 }}", "{{ -2|abs }}{{ 1 - 2|abs }}",
    "{{ 'a' is string and 1 is not string }}", "{{ 'ab'|first|upper ~ 'x' }}", "{{ 'x'.upper().lower() ~ 'y'|upper }}", "{{ {'items': 1}.items }}", "{{ {'items': 1}['items'] }}", "{{ {'a': 1}['items'] is defined }}", "{{ 'abc'[1] }}{{ 'abc'[-1] }}{{ 'abc'[7] }}", "{{ [1][0.5] }}", "{{ {'a': 1}[0] }}",
    "{{ missing }}", "{{ missing.x }}", "{{ none.x }}", "{{ none.x.y }}", "{{ x() }}", "{{ 'a'.b }}", "{{ [1,2,3][1:][0] }}", "{{ [3,1]|sort }}", "{{ x y }}", "{{ }}", "{{ 1 + }}", "{% unknown %}", "{% if x %}", "{% endif %}", "{{ 'a }}", "{{ x", "{# x", "{% raw %}", "{{ a[ }}", "{{ (1 }}", "{{ {1: 2}[1] }}",
    "{{ '}}' }}{{ {'a': {}} }}", "{{'a'}}{{-'b'-}} {{'c'}}", "a\r\nb\rc\n", "\n", "a\n\n", "{{ 'é'|length }}{{ '𝕏x'[1] }}{{ '𝕏'|length }}", "{% set true = 1 %}", "{{ loop }}", "{{ loop.index }}", "{% break %}", "{% for loop in [1] %}{{ loop }}{% endfor %}",
]
WHITESPACE = [f"a\n  {begin}{tag}{close}{after}b" for begin, tag, close, after in itertools.chain(
    itertools.product(["{% ", "{%- ", "{%+ "], ["if true", "set x = 1"], [" %}", " -%}", " +%}"], ["\n  ", " \n\n", ""]),
    itertools.product(["{{ ", "{{- "], ["'x'"], [" }}", " -}}"], ["\n  ", " \n\n", ""]),
    itertools.product(["{# ", "{#- ", "{#+ "], ["c"], [" #}", " -#}", " +#}"], ["\n  ", " \n\n", ""]),
    itertools.product(["{% ", "{%- ", "{%+ "], ["raw %} \n y {% endraw"], [" %}", " -%}"], ["\n  ", ""]))]
WHITESPACE = [t + ("{% endif %}\n" if "if true" in t else "") for t in WHITESPACE] + [" {% if true %}\n\t {% endif %}\n{% if true %} x{% endif %} \n  {# c #} {% set y = 1 %}\n  z"]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("mark"), [], [], body).set_lineno(lineno)

    def mark(self, caller):
        return caller()


env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])


def render(template):
    try:
        return {"text": env.from_string(template).render()}
    except Exception as e:
        return {"error": str(e)[:80]}


assert jinja2.__version__ == "3.1.6"
expressions = [f"({a}) {op} ({b})" for op in BINARY for a in VALUES for b in VALUES]
expressions += [u.replace("X", f"({v})") for u in UNARY for v in VALUES]
expressions += [f"({v})|{f}" for f in FILTERS for v in VALUES] + [f"({v}) is {t}" for t in TESTS for v in VALUES]
expressions += [f"({v}).{m}" for m in METHODS for v in TEXTS]
templates = [f"{{{{ {e} }}}}" for e in expressions] + STATEMENTS + WHITESPACE
out = [{"template": t, **render(t)} for t in templates]
out = [r for r in out if "0x" not in r.get("text", "")]  # the address of an object
with open("rendered.json.gz", "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, compresslevel=9, mtime=0) as z:
    z.write(json.dumps(out, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
print(len(out), sum("error" in r for r in out))
