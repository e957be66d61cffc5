// Package format provides the transform format, which converts conversations
// between the forms in which training data is published and trained on: Alpaca,
// ShareGPT, messages, prompts with completions, preferences in pairs or
// alone, and the text that a model's chat template makes of them.
//
// Columns have the names that these forms have on Hugging Face and in TRL. A row
// that does not have the form, or cannot be written in the other one without a
// loss, fails with the reason.
package format

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types returns the transform of this package. Relative paths of templates start
// from root.
func Types(root func() string) []plugin.Type {
	return []plugin.Type{
		plugin.NewFlatMapper(plugin.Info{Kind: plugin.KindTransform, Name: "format", Doc: doc, BehaviorVersion: 2}, transform{root}),
	}
}

const doc = `Converts conversations and instructions into the form that a trainer reads.

'from' and 'to' name the forms by their columns, which replace each other; other columns are kept. To read columns with other names, rename them with transform "map".

- 'alpaca': 'instruction', 'input', 'output', and 'system', all texts. To read, 'input', 'system', and 'history', a list of pairs, are optional.
- 'sharegpt': 'conversations', a list of 'from' and 'value'. To read, a text 'system' is optional, and with 'tool_calls', turns from 'function_call' are calls of tools: JSON objects with 'name' and 'arguments', or lists of them.
- 'messages': 'messages', a list of 'role' and 'content', as OpenAI and TRL use them.
- 'prompt_completion': 'prompt' and 'completion', lists of messages. To read, they can also be texts. The completion is the last message.
- 'preference': 'prompt', 'chosen', and 'rejected', lists of messages. To read, they can also be texts, and 'prompt' can be missing if the answers are conversations: it is then what they have in common.
- 'unpaired': 'prompt', 'completion', and 'label', which is true for a good answer, as TRL's KTOTrainer reads them. To read, the first two can also be texts. A preference becomes two rows: the chosen answer is good, and the rejected one is not.
- 'text': 'text', only to write. It needs 'template'.

With 'template', prompts, completions, and answers become the texts that the model with this chat template reads and writes; joined, they are the text of the whole conversation. The template is the model's 'tokenizer_config.json' or 'chat_template.jinja', or 'chatml'. It does not learn today's date, only the one in 'date'.

Messages can call tools, as in OpenAI's format and that of Hugging Face: an assistant's 'tool_calls' with 'id', 'type', and 'function', a struct of 'name' and 'arguments', and the results as messages of the role 'tool' with 'tool_call_id' and 'name'. Arguments are a JSON text or a struct, of which fields that are null count as missing; they are written as JSON text, and templates get the object. Every call but the last message's needs its result. With 'template', 'tools' are the functions that the template describes.

A row fails, and is left out, if it does not have the form, if nobody answers, if both answers of a preference are equal, or if something would be lost, such as a field of messages that the form does not have. With a template, this includes the content of users and tools, calls, and tools. ` + "`max_errors`" + ` sets how many rows may fail.

` + "```hcl" + `
transform "format" "chats" {
  input = source.instructions
  from  = "alpaca"
  to    = "messages"
}
` + "```"
