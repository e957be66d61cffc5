// Package redact provides transform "redact", which replaces personal data and
// secrets in texts. It finds what has a form that can be checked: addresses,
// numbers with check digits, and the secrets that gitleaks knows. Names and places
// need a model; see plugins/ner.
//
// Nothing that it returns, except for the texts themselves, contains what was
// found: not its columns, its values, its errors, or its logs.
package redact

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Types returns the transforms of this package.
func Types() []plugin.Type {
	return []plugin.Type{
		plugin.NewMapper(plugin.Info{Kind: plugin.KindTransform, Name: "redact", Doc: doc(), BehaviorVersion: 2}, redaction{}),
	}
}

// The key is not declared as sensitive, because results depend on it: another one
// has to redact all rows again. quern protects it if it comes from a sensitive
// variable.
type args struct {
	Input    plugin.Dataset    `quern:"input,required" doc:"The dataset to redact."`
	Columns  []string          `quern:"columns,required" doc:"The columns to redact: texts, and lists and structs that contain texts, such as messages. The other columns stay as they are."`
	Kinds    []string          `quern:"kinds" doc:"The kinds to look for, such as '[\"email\", \"national_id\"]'. By default, all of them."`
	Except   []string          `quern:"except" doc:"Kinds not to look for."`
	Action   string            `quern:"action" default:"\"mask\"" oneof:"mask,pseudonym,remove" doc:"What to do with what is found. \"mask\" writes its kind, such as '<EMAIL>'. \"pseudonym\" adds a token to it, such as '<EMAIL_3f9a61c07be2d514>', which is the same wherever the same value occurs, however it is written. \"remove\" leaves nothing."`
	Actions  map[string]string `quern:"actions" doc:"Other actions for some kinds, such as '{ card = \"remove\" }'."`
	Key      string            `quern:"key" doc:"For pseudonyms: the key from which they are computed, of at least 16 characters. Whoever has it can find out whose pseudonym is whose, so use a sensitive variable. Another key gives other pseudonyms."`
	Regions  []string          `quern:"phone_regions" default:"[\"US\"]" doc:"Countries, as two letters, whose phone numbers are found without a country code. Numbers with a country code are found for all countries."`
	Bare     bool              `quern:"bare_numbers" default:"false" doc:"Whether to count numbers without separators also if no word nearby says what they are. By default, a number such as 078051120 is a Social Security number only if a word such as \"SSN\" is near, because a weak check digit, or none, fits many numbers."`
	Allow    []string          `quern:"allow" doc:"Texts that are never redacted, such as '[\"support@example.com\"]', in any case."`
	Spans    bool              `quern:"spans" default:"false" doc:"Whether to add the column NAME_spans, which says where something was found."`
	Patterns []pattern         `quern:"pattern,block" doc:"A kind of your own, which is named after the block."`

	replacer *replacer
}

func doc() string {
	return `Replaces personal data and secrets in texts.

Each column in ` + "`columns`" + ` is replaced by one without what was found. ` + "`NAME_kinds`" + ` lists the kinds that were found in a row, once for each place, and is null if nothing was. The stage's values count them: ` + "`counts.NAME_kinds[\"email\"]`" + ` is the number of e-mail addresses, and ` + "`coverage.NAME_kinds`" + ` is the share of rows in which something was found. With ` + "`spans = true`" + `, ` + "`NAME_spans`" + ` has the column, the kind, and the first and last place (` + "`start`, `end`" + `, exclusive) of each in the input's text, in characters; in a list or struct, the column is a path such as ` + "`messages[0].content`" + `. None of these contains an original value.

| kind | what is found |
| --- | --- |
| ` + "`email`" + ` | e-mail addresses whose domain ends in a public suffix |
| ` + "`phone`" + ` | phone numbers that are valid in their country, by the metadata of libphonenumber |
| ` + "`iban`" + ` | bank account numbers with the length of their country and valid check digits |
| ` + "`card`" + ` | numbers of payment cards in the ranges of the networks, with Luhn's check digit |
| ` + "`ip`, `mac`" + ` | IPv4, IPv6, and hardware addresses |
| ` + "`wallet`" + ` | addresses of cryptocurrencies, with their checksums |
| ` + "`credentials`" + ` | the user and password in URLs |
| ` + "`secret`" + ` | API keys, tokens, and private keys, by the rules of gitleaks |
| ` + "`national_id`" + ` | all of: ` + describeNationals() + ` |

Where two matches overlap, both are replaced as one, of the longer one's kind. Names of people and places have no form that can be checked: use the plugin ner for them.

` + "```hcl" + `
transform "redact" "private" {
  input         = source.mails
  columns       = ["subject", "text"]
  action        = "pseudonym"
  actions       = { secret = "remove", card = "mask" }
  key           = var.pseudonym_key
  phone_regions = ["US", "DE"]

  pattern "customer" {
    regex = "\\bC-\\d{8}\\b"
    check = "luhn"
  }
}
` + "```"
}

// spanType is the type of the column of spans.
const spanType = "list<struct<column:string,kind:string,start:int64,end:int64>>"

// redaction implements transform "redact".
type redaction struct{}

// Concurrency returns the number of processors: the work is computing.
func (redaction) Concurrency() int { return runtime.GOMAXPROCS(0) }

// Prepare declares the redacted columns and the one with the kinds.
func (redaction) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
	p.KeepInput("input")
	if p.Known("columns") {
		replaceColumns(p)
	}
	checkKinds(p)
	checkKey(p)
	for i, region := range p.Args.Regions {
		if region != "" && allPhones().byRegion[region] == nil {
			p.Errorf("phone_regions", "Unknown region %q\nA region is the two capital letters of a country (ISO 3166), such as \"US\". It is number %d of the list.", region, i+1)
		}
	}
	kinds := p.Name() + "_kinds"
	p.AddColumn(kinds, "list<string>")
	if p.HasColumn(kinds) {
		p.CountValues(kinds)
	}
	if p.Args.Spans {
		p.AddColumn(p.Name()+"_spans", spanType)
	}
	return nil
}

func replaceColumns(p *plugin.Prepare[args]) {
	if len(p.Args.Columns) == 0 {
		p.Errorf("columns", "columns is empty\nList at least one column, such as columns = [\"text\"].")
	}
	in := p.Input("input")
	if in == nil {
		return
	}
	seen := map[string]bool{}
	for _, name := range p.Args.Columns {
		c, _, ok := in.Schema.Lookup(name)
		switch {
		case !ok:
			p.Errorf("columns", "The dataset has no column named %q\nIts columns are %v.", name, in.Schema.Names())
			continue
		case seen[name]:
			p.Errorf("columns", "Column %q is listed twice\nList each column once.", name)
			continue
		case !strings.Contains(c.Type, "string"):
			p.Errorf("columns", "Column %q has no text\nIt is %s. Only texts are redacted: convert it in a transform \"map\", such as tostring(row.%s), or drop it there.", name, c.Type, name)
			continue
		}
		seen[name] = true
		p.ReadColumns("input", name)
		p.DropColumn(name)
		p.AddColumn(name, c.Type)
		p.SetLineage("", name, plugin.LineageSource{Input: "input", Column: name})
	}
}

func checkKinds(p *plugin.Prepare[args]) {
	own := map[string]bool{}
	for _, q := range p.Args.Patterns {
		at := "pattern." + q.Name
		switch {
		case own[q.Name]:
			p.Errorf(at, "Two patterns are named %q\nGive each pattern a unique name.", q.Name)
		case kindsOf(q.Name) != nil:
			p.Errorf(at, "%q is the name of a built-in kind\nGive the pattern another name.", q.Name)
		case p.Known(at + ".regex"):
			if _, err := q.compile(); err != nil {
				p.Errorf(at+".regex", "In pattern %q, %v", q.Name, err)
			}
		}
		own[q.Name] = true
	}
	check := func(argument, kind string) {
		if kind != "" && kindsOf(kind) == nil && !own[kind] {
			p.Errorf(argument, "Unknown kind %q\nThe kinds are %s, those of national_id, such as us_ssn, and the names of patterns.", kind, strings.Join(kindNames(), ", "))
		}
	}
	for _, kind := range p.Args.Kinds {
		check("kinds", kind)
	}
	for _, kind := range p.Args.Except {
		check("except", kind)
	}
	for _, kind := range slices.Sorted(maps.Keys(p.Args.Actions)) {
		check("actions."+kind, kind)
		if a := p.Args.Actions[kind]; a != "" && a != actionMask && a != actionPseudonym && a != actionRemove {
			p.Errorf("actions."+kind, "Unknown action %q\nUse \"mask\", \"pseudonym\", or \"remove\".", a)
		}
	}
}

// shortestKey is the least number of characters of a key.
const shortestKey = 16

func checkKey(p *plugin.Prepare[args]) {
	needed := p.Args.Action == actionPseudonym || slices.Contains(slices.Collect(maps.Values(p.Args.Actions)), actionPseudonym)
	switch {
	case !p.Known("key"):
	case needed && p.Args.Key == "":
		p.Errorf("key", "Pseudonyms need a key\nSet key to a sensitive variable of at least %d random characters, such as key = var.pseudonym_key. Without a key, anyone could compute the pseudonym of an address and look for it.", shortestKey)
	case needed && len(p.Args.Key) < shortestKey:
		p.Errorf("key", "The key is too short\nIt needs at least %d characters, because a short key can be guessed.", shortestKey)
	case !needed && p.Args.Key != "":
		p.Warnf("key", "The key has no effect\nOnly pseudonyms use it: set action = \"pseudonym\".")
	}
}

// Open prepares the detector.
func (redaction) Open(_ context.Context, a *args) error {
	d := &detector{wanted: map[string]bool{}, regions: a.Regions, bare: a.Bare, allowed: map[string]bool{}}
	names := a.Kinds
	if len(names) == 0 {
		names = kindNames()
	}
	for _, name := range names {
		for _, kind := range kindsOf(name) {
			d.wanted[kind] = true
		}
	}
	for _, name := range a.Except {
		for _, kind := range append(kindsOf(name), name) {
			delete(d.wanted, kind)
		}
	}
	for _, p := range a.Patterns {
		if slices.Contains(a.Except, p.Name) || len(a.Kinds) > 0 && !slices.Contains(a.Kinds, p.Name) {
			continue
		}
		own, err := p.compile()
		if err != nil {
			return plugin.ArgumentErrorf("pattern."+p.Name+".regex", "In pattern %q, %v", p.Name, err)
		}
		d.own = append(d.own, own)
	}
	for _, text := range a.Allow {
		d.allowed[strings.ToLower(text)] = true
	}
	d.prepare()
	a.replacer = &replacer{detector: d, action: a.Action, actions: map[string]string{}, key: []byte(a.Key)}
	// A kind's own action goes before that of its group.
	if action, ok := a.Actions[groupNational]; ok {
		for _, kind := range kindsOf(groupNational) {
			a.replacer.actions[kind] = action
		}
	}
	for name, action := range a.Actions {
		a.replacer.actions[name] = action
	}
	return nil
}

// Map redacts the columns of a batch.
func (redaction) Map(_ context.Context, a *args, b *plugin.Batch) error {
	found := make([]finds, b.N)
	rows := make([]int, b.N)
	for i := range rows {
		rows[i] = i
	}
	for _, name := range a.Columns {
		c := column{replacer: a.replacer, found: found}
		b.SetArray(name, c.redact(b.InputColumn(name), rows, func(int) string { return name }))
	}
	b.SetArray(b.Name()+"_kinds", kindsColumn(found))
	if a.Spans {
		t, err := data.ArrowType(spanType)
		if err != nil {
			return err
		}
		b.SetArray(b.Name()+"_spans", spansColumn(t, found))
	}
	return nil
}
