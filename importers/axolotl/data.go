package axolotl

import (
	"path"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/finetune"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// data reads the datasets.
func (im *importer) data() {
	texts := im.Take("pretraining_dataset")
	for _, n := range texts.Listed() {
		im.recipe.Data = append(im.recipe.Data, im.dataset(n, true))
	}
	for _, n := range im.Take("datasets").Listed() {
		im.recipe.Data = append(im.recipe.Data, im.dataset(n, false))
	}
	for _, n := range im.Take("test_datasets").Listed() {
		im.recipe.Validation = append(im.recipe.Validation, im.dataset(n, false))
	}
	if len(im.recipe.Data) == 0 {
		im.Lost(im.Root(), "datasets", "the configuration names none.")
	}
}

// entry is a dataset of the configuration.
type entry struct {
	*finetune.Options
	*importer
	at config.Node
	// columns are those of the first row, or nil if they are not known.
	columns []string
}

func (im *importer) dataset(n config.Node, texts bool) finetune.Dataset {
	e := &entry{Options: finetune.NewOptions(im.Folder, n), importer: im, at: n}
	where := e.Options.Take("path").Text()
	if n.IsText() {
		where = n.Text()
	}
	d := finetune.Dataset{Name: im.names.Name("source", strings.TrimSuffix(path.Base(where), path.Ext(where)), "data")}
	e.source(&d, where)
	d.Columns = e.rows(texts)
	e.Options.Rest(datasetNotes, datasetLost)
	return d
}

// source finds the file of a dataset, or its repository.
func (e *entry) source(d *finetune.Dataset, where string) {
	files := e.Options.Take("data_files").Listed()
	kind := e.Options.Take("ds_type").Text()
	if len(files) > 1 {
		e.Lost(files[1], "data_files", "a source reads one file or pattern. Set path to a pattern that matches all of them.")
	}
	name := where
	if len(files) > 0 {
		name = files[0].Text()
		if e.IsFolder(where) {
			name = path.Join(where, name)
		}
	}
	format, known := finetune.Format(kind, name)
	switch {
	case e.IsFolder(name):
		d.Format = "parquet"
		d.Source.Set("path", hcltext.Quote(finetune.Relative(e.Path(name), e.into)+"/**/*.parquet"))
		e.Note(e.at, "dataset "+name, "the source reads the Parquet files of the folder. Change its type and its path if the folder has others.")
	case e.onHub(where, len(files) > 0) || !known:
		e.hub(d, where, files)
		return
	default:
		e.columns = d.FromFile(e.Folder, name, format, e.into)
	}
	e.Options.Take("split")
}

// onHub reports whether a path is a repository of the Hub from which a file is
// read, and not a folder or the type of a file, such as json.
func (e *entry) onHub(where string, files bool) bool {
	_, isFile := finetune.Format(where, where)
	return files && !isFile && strings.Count(where, "/") == 1 && !strings.HasPrefix(where, ".") && !e.IsFolder(where)
}

// hub sets the source to a repository. Axolotl reads the split train by default.
func (e *entry) hub(d *finetune.Dataset, repo string, files []config.Node) {
	hub := finetune.Hub{Repo: repo, Config: e.Options.Take("name").Text(), Revision: e.Options.Take("revision").Text()}
	at := e.Options.At("split")
	if hub.Split = e.Options.Take("split").Text(); hub.Split == "" {
		hub.Split, at = "train", e.at
	}
	if len(files) > 0 {
		hub.Files = files[0].Text()
	}
	d.FromHub(e.Folder, at, hub)
}

// has reports whether a row has a column, or may have it.
func (e *entry) has(name string) bool { return e.columns == nil || slices.Contains(e.columns, name) }

// rows returns what the training stage reads of the rows.
func (e *entry) rows(texts bool) finetune.Attributes {
	kind := e.Options.Take("type")
	switch {
	case texts:
		name := e.Options.Take("text_column").Text()
		if name == "" {
			name = "text"
		}
		return finetune.Attributes{{Name: "text", Text: finetune.Column(name)}}
	case kind.IsMap():
		return e.custom(kind)
	case e.recipe.Type == "hf_dpo":
		return e.preferences(kind.Text())
	case e.recipe.Type == "hf_reward":
		return e.comparisons()
	}
	return e.examples(kind.Text())
}

// instruction are the columns of a format of instructions.
type instruction struct{ system, question, input, answer string }

// instructions are the formats of instructions.
var instructions = map[string]instruction{
	"alpaca":                         {question: "instruction", input: "input", answer: "output"},
	"alpaca_chat":                    {question: "instruction", input: "input", answer: "response"},
	"alpaca_chat.load_qa":            {question: "question", answer: "answer"},
	"alpaca_chat.load_concise":       {question: "instruction", input: "input", answer: "response"},
	"alpaca_chat.load_camel_ai":      {question: "message_1", answer: "message_2"},
	"alpaca_w_system":                {system: "system", question: "instruction", input: "input", answer: "output"},
	"alpaca_w_system.load_open_orca": {system: "system_prompt", question: "question", answer: "response"},
	"gpteacher":                      {question: "instruction", input: "input", answer: "response"},
	"oasst":                          {question: "INSTRUCTION", answer: "RESPONSE"},
}

// examples reads the formats of supervised training.
func (e *entry) examples(kind string) finetune.Attributes {
	name, style, _ := strings.Cut(kind, ":")
	if f, ok := instructions[name]; ok {
		if style != "" {
			e.Note(e.Options.At("type"), "type "+kind, "the imported stage renders instructions with the model's chat template.")
		} else {
			e.Note(e.Options.At("type"), "type "+kind, "instructions become conversations in the model's chat template. Axolotl writes them under headings such as \"### Instruction:\".")
		}
		return finetune.Attributes{{Name: "messages", Text: e.instructed(f)}}
	}
	switch {
	case name == "completion":
		field := e.Options.Take("field").Text()
		if field == "" {
			field = "text"
		}
		return finetune.Attributes{{Name: "text", Text: finetune.Column(field)}}
	case strings.HasPrefix(name, "chat_template"):
		return finetune.Attributes{{Name: "messages", Text: e.conversation()}}
	case strings.HasPrefix(name, "sharegpt"):
		e.Options.Take("conversation")
		c := finetune.Conversation{Column: "row.conversations", Role: "from", Content: "value", Roles: defaultRoles}
		return finetune.Attributes{{Name: "messages", Text: c.Messages()}}
	}
	e.Lost(e.Options.At("type"), strings.TrimSpace("type "+kind), "this format has no equivalent. Write the conversation of a row as messages.")
	return finetune.Attributes{{Name: "messages", Text: "row.messages"}}
}

// instructed is the expression for the conversation of an instruction.
func (e *entry) instructed(f instruction) string {
	user := finetune.Column(f.question)
	if f.input != "" && e.has(f.input) {
		user = finetune.Joined(user, finetune.Column(f.input))
	}
	turns := []finetune.Turn{{Role: "user", Content: user}, {Role: "assistant", Content: finetune.Column(f.answer)}}
	if f.system != "" && e.has(f.system) {
		turns = append([]finetune.Turn{{Role: "system?", Content: finetune.Column(f.system)}}, turns...)
	}
	return finetune.Messages(turns...)
}

// defaultRoles are the roles that Axolotl knows by other names.
var defaultRoles = []finetune.Role{{From: "human", To: "user"}, {From: "gpt", To: "assistant"}}

// conversation is the expression for a conversation in a column.
func (e *entry) conversation() string {
	return e.conversationIn(e.text("field_messages", "messages"))
}

func (e *entry) conversationIn(column string) string {
	properties := e.Options.Take("message_property_mappings")
	role, content := e.text("message_field_role", ""), e.text("message_field_content", "")
	if role == "" {
		role = properties.Get("role").Text()
	}
	if content == "" {
		content = properties.Get("content").Text()
	}
	if role == "" {
		role = "role"
	}
	if content == "" {
		content = "content"
	}
	for _, p := range properties.Entries() {
		if p.Key != "role" && p.Key != "content" {
			e.Lost(p.At, "message property "+p.Key, "messages have a role and a content.")
		}
	}
	e.trained()
	return finetune.Conversation{Column: finetune.Column(column), Role: role, Content: content, Roles: e.roles()}.Messages()
}

// trained reads which messages the model learns.
func (e *entry) trained() {
	for _, r := range e.Options.Take("roles_to_train").Listed() {
		if r.Text() != "assistant" && r.Text() != "gpt" {
			e.Lost(r, "roles_to_train "+r.Text(), "the training stage learns the messages of the assistant.")
		}
	}
	for _, key := range []string{"train_on_eos", "train_on_eot"} {
		if n := e.Options.Take(key); n.IsSet() && n.Text() != "turn" {
			e.Lost(e.Options.At(key), key+" "+n.Text(), "the training stage learns the token that ends each message of the assistant.")
		}
	}
}

// roles returns the roles that have other names in the data.
func (e *entry) roles() []finetune.Role {
	given := e.Options.Take("roles")
	if !given.IsSet() {
		if e.recipe.Type == "hf_sft" && e.Options.Peek("message_property_mappings").IsSet() {
			return defaultRoles
		}
		return nil
	}
	var roles []finetune.Role
	for _, to := range given.Entries() {
		for _, from := range to.Value.Listed() {
			if from.Text() != to.Key {
				roles = append(roles, finetune.Role{From: from.Text(), To: to.Key})
			}
		}
	}
	return roles
}

// text returns the text of an option of the dataset, or a default.
func (e *entry) text(key, other string) string {
	if s := e.Options.Take(key).Text(); s != "" {
		return s
	}
	return other
}

// custom reads a format that the configuration describes by the names of
// columns.
func (e *entry) custom(kind config.Node) finetune.Attributes {
	o := finetune.NewOptions(e.Folder, kind)
	field := func(key, other string) string {
		if s := o.Take(key).Text(); s != "" {
			return s
		}
		return other
	}
	column := func(key, other string) string { return finetune.Column(field(key, other)) }
	var out finetune.Attributes
	switch {
	case e.judged():
		out = finetune.Judged(finetune.Question(e.optional(field("field_system", "")), column("field_prompt", "prompt")), column("field_completion", "completion"), column("field_label", "label"))
	case e.recipe.Type == "hf_dpo":
		out = finetune.Preference(finetune.Question(e.optional(field("field_system", "")), column("field_prompt", "prompt")), column("field_chosen", "chosen"), column("field_rejected", "rejected"))
	default:
		f := instruction{question: field("field_instruction", "instruction"), input: field("field_input", "input"), answer: field("field_output", "output"), system: field("field_system", "")}
		out = finetune.Attributes{{Name: "messages", Text: e.instructed(f)}}
	}
	o.Rest(nil, finetune.Explained{
		"format": customFormat, "*_format": customFormat, "no_input_format": customFormat, "prompt_format": customFormat, "chosen_format": customFormat,
		"rejected_format": customFormat, "system_format": customFormat,
		"system_prompt": "add a message with the role system to messages.",
	})
	return out
}

const customFormat = "conversations are rendered with the model's chat template. To use another, set template."

// judged reports whether the data has single answers, good and bad.
func (e *entry) judged() bool {
	return slices.Contains(e.recipe.Arguments, finetune.Attribute{Name: "loss", Text: `"kto"`})
}

// optional is the expression for a column that rows may lack, or "".
func (e *entry) optional(name string) string {
	if name == "" || !e.has(name) {
		return ""
	}
	return finetune.Column(name)
}

// questions are the columns of the question in formats of preferences.
var questions = map[string]string{"argilla": "instruction", "intel": "question", "icr": "input", "prompt_pairs": "prompt", "ultra": "prompt"}

// preferences reads the formats of preference training, which are named by a
// chat template and a layout.
func (e *entry) preferences(kind string) finetune.Attributes {
	template, layout, _ := strings.Cut(kind, ".")
	if template != "" && template != "chat_template" {
		e.Note(e.Options.At("type"), "type "+kind, "the imported stage uses the base model's own template.")
	}
	system := e.optional("system")
	question, known := questions[layout]
	asked := finetune.Question(system, finetune.Column(question))
	switch {
	case e.judged() && known:
		return finetune.Judged(asked, "row.completion", "row.label")
	case e.judged() && layout == "argilla_chat":
		return finetune.Judged(finetune.Question("", "row.completion[0].content"), "row.completion[1].content", "row.label")
	case template == "chat_template" && (layout == "" || layout == "default"):
		return finetune.Preference(e.conversation(), finetune.Column(e.text("field_chosen", "chosen"))+".content", finetune.Column(e.text("field_rejected", "rejected"))+".content")
	case layout == "argilla_chat" || template == "chat_template" && layout == "argilla":
		return finetune.Preference(finetune.Question(system, "row.chosen[0].content"), "row.chosen[1].content", "row.rejected[1].content")
	case layout == "ultra":
		return finetune.Preference(asked, "row.chosen[1].content", "row.rejected[1].content")
	case layout == "argilla":
		return finetune.Preference(asked, "row.chosen_response", "row.rejected_response")
	case known:
		return finetune.Preference(asked, "row.chosen", "row.rejected")
	}
	e.Lost(e.Options.At("type"), strings.TrimSpace("type "+kind), "this format has no equivalent. Set messages, chosen, and rejected to what they are in a row.")
	return finetune.Preference(finetune.Question("", "row.prompt"), "row.chosen", "row.rejected")
}

// comparisons reads the format of reward models.
func (e *entry) comparisons() finetune.Attributes {
	return finetune.Preference(finetune.Question(e.optional("system"), "row.input"), "row.chosen", "row.rejected")
}

var datasetNotes = finetune.Explained{
	"shards": "quern reads the whole file.", "preprocess_shards": "quern reads datasets in parts.", "name": "the name of a configuration of a repository does not matter for files.",
}

var datasetLost = finetune.Explained{
	"revision":      "a file has no revisions.",
	"chat_template": "the template is that of the base model. To use another, set template.",
	"field_tools":   "messages cannot offer functions.",
}
