package main

import (
	"context"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// languageArgs are the parameters of langid::language.
type languageArgs struct {
	Text  string   `quern:"text" doc:"The text."`
	Among []string `quern:"among,variadic" doc:"The languages to consider. By default, all of them."`
}

// language is a function for expressions: langid::language(row.body, "en", "de").
var language = plugin.NewFunction(plugin.FunctionInfo{
	Name: "language", Summary: "Returns the language of a text, or null if it is not clear.", BehaviorVersion: 1,
}, func(ctx context.Context, a *languageArgs) (*string, error) {
	for _, code := range a.Among {
		if !slices.Contains(languages, code) {
			return nil, plugin.ArgumentErrorf("among", "unknown language %q. Use any of %s.", code, strings.Join(languages, ", "))
		}
	}
	l := &args{Among: a.Among, MinWords: 2}
	if err := (labeler{}).Open(ctx, l); err != nil {
		return nil, err
	}
	if code := l.language(a.Text); code != "" {
		return &code, nil
	}
	return nil, nil
})
