package llamafactory

import (
	"cmp"
	"fmt"
	"path"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/finetune"
)

// catalog is dataset_info.json.
type catalog struct {
	*importer
	dir  string
	root config.Node
}

func (c *catalog) read() {
	name := path.Join(c.dir, "dataset_info.json")
	root, err := c.Read(name)
	if err != nil {
		c.Lost(c.At("dataset"), "file "+name, "%s. It describes the datasets.", config.Sentence(err))
		return
	}
	c.root = root
}

// datasets returns the datasets that an option names, with at most so many rows
// of each.
func (c *catalog) datasets(key string, rows int) []finetune.Dataset {
	var out []finetune.Dataset
	for _, name := range c.listed(key) {
		described := c.root.Get(name)
		if !described.IsSet() {
			c.Lost(c.At(key), "dataset "+name, "dataset_info.json does not describe it.")
			continue
		}
		out = append(out, c.dataset(name, described, rows))
	}
	return out
}

// dataset is one entry of the catalog.
func (c *catalog) dataset(name string, described config.Node, rows int) finetune.Dataset {
	o := finetune.NewOptions(&config.Folder{Dir: c.Dir}, described)
	d := finetune.Dataset{Name: c.names.Name("source", name, "data"), Rows: rows}
	if n, ok := o.Take("num_samples").Number(); ok && (rows == 0 || int(n) < rows) {
		d.Rows = int(n)
	}
	c.source(&d, o)
	e := &entry{Options: o, catalog: c, columns: o.Take("columns"), tags: o.Take("tags")}
	d.Columns = e.rows()
	for _, key := range []string{"images", "videos", "audios"} {
		if n := e.columns.Get(key); n.IsSet() {
			c.Lost(n, "column "+key, "the plugin hf trains on texts.")
		}
	}
	o.Rest(nil, nil)
	c.Findings = append(c.Findings, o.Findings...)
	return d
}

func (c *catalog) source(d *finetune.Dataset, o *finetune.Options) {
	hub := finetune.Hub{Repo: o.Take("hf_hub_url").Text(), Config: o.Take("subset").Text(), Split: cmp.Or(o.Take("split").Text(), "train")}
	if folder := o.Take("folder").Text(); folder != "" {
		hub.Files = folder + "/**"
	}
	for _, key := range []string{"ms_hub_url", "om_hub_url"} { // the same dataset elsewhere
		o.Take(key)
	}
	name := o.Take("file_name").Text()
	switch format, known := finetune.Format("", name); {
	case hub.Repo != "":
		d.FromHub(c.Folder, c.At("dataset"), hub)
	case known:
		d.FromFile(c.Folder, path.Join(c.dir, name), format, c.into)
	default:
		d.Format = "json"
		d.Source.Value("path", name)
		c.Lost(c.At("dataset"), "dataset "+d.Name, "the import does not know the format of its file. Set the type of the source and its path.")
	}
}

// entry is what a dataset's description says of its rows.
type entry struct {
	*finetune.Options
	*catalog
	columns, tags config.Node
	formatting    string
}

// column returns the name of a column, or a default of LLaMA-Factory.
func (e *entry) column(key, other string) string {
	if s := e.columns.Get(key).Text(); s != "" {
		return s
	}
	return other
}

func (e *entry) tag(key, other string) string {
	if s := e.tags.Get(key).Text(); s != "" {
		return s
	}
	return other
}

// rows returns what the training stage reads of the rows.
func (e *entry) rows() finetune.Attributes {
	e.formatting = e.Options.Take("formatting").Text()
	ranking, shared := e.Options.Take("ranking").IsTrue(), e.formatting == "sharegpt" || e.formatting == "openai"
	switch {
	case e.catalog.Peek("stage").Text() == "pt":
		return finetune.Attributes{{Name: "text", Text: finetune.Column(e.column("prompt", "text"))}}
	case ranking && shared:
		return finetune.Preference(e.conversation().Messages(), e.answer("chosen"), e.answer("rejected"))
	case ranking:
		return finetune.Preference(e.instruction(false), e.answer("chosen"), e.answer("rejected"))
	case e.catalog.Peek("stage").Text() == "kto":
		return e.judged(shared)
	case shared:
		return finetune.Attributes{{Name: "messages", Text: e.conversation().Messages()}}
	}
	return finetune.Attributes{{Name: "messages", Text: e.instruction(true)}}
}

// answer is the expression for a column with an answer, which is a message in
// ShareGPT's format.
func (e *entry) answer(key string) string {
	column := finetune.Column(e.column(key, key))
	if e.formatting == "" || e.formatting == "alpaca" {
		return column
	}
	return column + "." + e.tag("content_tag", "value")
}

// judged reads single answers, good and bad. A conversation ends with the answer.
func (e *entry) judged(shared bool) finetune.Attributes {
	label := finetune.Column(e.column("kto_tag", "kto_tag"))
	if !shared {
		return finetune.Judged(e.instruction(false), finetune.Column(e.column("response", "output")), label)
	}
	c := e.conversation()
	column := c.Column
	last := fmt.Sprintf("length(%s) - 1", column)
	c.Column = fmt.Sprintf("slice(%s, 0, %s)", column, last)
	return finetune.Judged(c.Messages(), fmt.Sprintf("%s[%s].%s", column, last, c.Content), label)
}

func (e *entry) conversation() finetune.Conversation {
	if tools := e.columns.Get("tools"); tools.IsSet() {
		e.Lost(tools, "column tools", "messages cannot offer functions.")
	}
	if system := e.columns.Get("system"); system.IsSet() {
		e.Lost(system, "column system", "add a message with the role system to messages.")
	}
	c := finetune.Conversation{
		Column: finetune.Column(e.column("messages", "conversations")), Role: e.tag("role_tag", "from"), Content: e.tag("content_tag", "value"),
	}
	for _, r := range []struct{ key, other, to string }{
		{"user_tag", "human", "user"}, {"assistant_tag", "gpt", "assistant"}, {"observation_tag", "observation", "tool"},
		{"function_tag", "function_call", "assistant"}, {"system_tag", "system", "system"},
	} {
		if from := e.tag(r.key, r.other); from != r.to {
			c.Roles = append(c.Roles, finetune.Role{From: from, To: r.to})
		}
	}
	return c
}

// instruction is the expression for the conversation of an instruction.
func (e *entry) instruction(answered bool) string {
	user := finetune.Column(e.column("prompt", "instruction"))
	if query := e.column("query", "input"); e.columns.Get("query").IsSet() || !e.columns.IsSet() {
		user = finetune.Joined(user, finetune.Column(query))
	}
	turns := []finetune.Turn{{Role: "user", Content: user}}
	if answered {
		turns = append(turns, finetune.Turn{Role: "assistant", Content: finetune.Column(e.column("response", "output"))})
	}
	if system := e.column("system", ""); system != "" {
		turns = append([]finetune.Turn{{Role: "system?", Content: finetune.Column(system)}}, turns...)
	}
	if history := e.columns.Get("history"); history.IsSet() {
		e.Lost(history, "column history", "add the earlier messages to messages.")
	}
	return finetune.Messages(turns...)
}
