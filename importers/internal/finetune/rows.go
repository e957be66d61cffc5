package finetune

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// Column is the expression for a column of the current row.
func Column(name string) string {
	if hcltext.IsIdentifier(name) {
		return "row." + name
	}
	return "row[" + hcltext.Quote(name) + "]"
}

// Turn is one message of a conversation. Content is an expression.
type Turn struct{ Role, Content string }

// Messages is the expression for a conversation. A turn whose role ends with "?"
// is left out of rows in which its content is null or empty.
func Messages(turns ...Turn) string {
	messages := make([]string, len(turns))
	optional := ""
	for i, t := range turns {
		role, maybe := strings.CutSuffix(t.Role, "?")
		messages[i] = fmt.Sprintf("{ role = %q, content = %s }", role, t.Content)
		if maybe {
			optional = role
		}
	}
	list := "[" + strings.Join(messages, ", ") + "]"
	if optional == "" {
		return list
	}
	return fmt.Sprintf("[for m in %s : m if m.role != %q || %s]", list, optional, filled("m.content"))
}

// Joined is the expression for two columns on lines of their own. The second may
// be null or empty.
func Joined(first, second string) string {
	return fmt.Sprintf("%s ? \"${%s}\\n${%s}\" : %s", filled(second), first, second, first)
}

// filled is the condition that a text is neither null nor empty.
func filled(text string) string { return fmt.Sprintf("%s != null && %s != \"\"", text, text) }

// Conversation is how a column holds a conversation.
type Conversation struct {
	// Column is an expression for a list of objects.
	Column string
	// Role and Content are the keys of the objects.
	Role, Content string
	// Roles maps roles in the data to those of the plugin. Others stay.
	Roles []Role
}

// Role is a name of a role in the data and in the pipeline.
type Role struct{ From, To string }

// Messages is the expression for the conversation as messages.
func (c Conversation) Messages() string {
	if c.Role == "role" && c.Content == "content" && len(c.Roles) == 0 {
		return c.Column
	}
	role := "m." + c.Role
	for _, r := range slices.Backward(c.Roles) {
		role = fmt.Sprintf("m.%s == %s ? %s : %s", c.Role, hcltext.Quote(r.From), hcltext.Quote(r.To), role)
	}
	return fmt.Sprintf("[for m in %s : { role = %s, content = m.%s }]", c.Column, role, c.Content)
}

// Question is the expression for the conversation before an answer: a user's
// message, with a system message before it if system is not empty. Both are
// expressions.
func Question(system, user string) string {
	turns := []Turn{{"user", user}}
	if system != "" {
		turns = append([]Turn{{"system?", system}}, turns...)
	}
	return Messages(turns...)
}

// Preference is what a training stage reads of two answers to a question. All
// arguments are expressions.
func Preference(question, chosen, rejected string) Attributes {
	return Attributes{{"messages", question}, {"chosen", chosen}, {"rejected", rejected}}
}

// Judged is what a training stage with the loss kto reads of an answer and
// whether it is a good one. All arguments are expressions.
func Judged(question, completion, label string) Attributes {
	return Attributes{{"messages", question}, {"completion", completion}, {"label", label}}
}
