package main

import (
	"reflect"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func TestTheLanguageOfATextIsDetected(t *testing.T) {
	got, err := plugintest.Map(t, langid(), plugintest.Case{
		Type: "langid_language",
		Name: "language",
		Args: map[string]any{"text": plugintest.Row("body")},
		Rows: []map[string]any{
			{"body": "I am still waiting for my card to arrive"},
			{"body": "Ich warte noch immer auf die neue Karte"},
			{"body": "Pourquoi est-ce que ma carte n'est pas dans le courrier ?"},
			{"body": "¿Por qué no está mi tarjeta en el correo?"},
			{"body": "Perché la mia carta non è nella posta?"},
			{"body": "Waarom is mijn kaart nog niet bij de post?"},
			{"body": "Por que o meu cartão não está com você?"},
			{"body": "4711"},
			{"body": ""},
			{"body": nil},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []any{"en", "de", "fr", "es", "it", "nl", "pt", nil, nil, nil}
	if !reflect.DeepEqual(got.Column("language"), want) {
		t.Errorf("got  %v\nwant %v", got.Column("language"), want)
	}
	if names := got.Columns.Names(); !reflect.DeepEqual(names, []string{"body", "language"}) {
		t.Errorf("got columns %v", names)
	}
}

func TestOnlyTheNamedLanguagesAreConsidered(t *testing.T) {
	got, err := plugintest.Map(t, langid(), plugintest.Case{
		Type: "langid_language",
		Args: map[string]any{"text": plugintest.Row("body"), "among": []string{"de", "nl"}, "min_words": 1},
		Rows: []map[string]any{{"body": "die rote Karte ist da"}, {"body": "the card and nothing but the card"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []any{"de", nil}; !reflect.DeepEqual(got.Column("test"), want) {
		t.Errorf("got %v, want %v", got.Column("test"), want)
	}
}

func TestAnUnknownLanguageIsAnErrorInItsArgument(t *testing.T) {
	got, err := plugintest.Prepare(t, langid(), plugintest.Case{
		Type: "langid_language",
		Args: map[string]any{"text": plugintest.Row("body"), "among": []string{"en", "tlh"}},
		Rows: []map[string]any{{"body": "a"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != 1 || got.Errors[0].Argument != "among" {
		t.Errorf("got %v", got.Errors)
	}
}

func TestTheProgramStarts(t *testing.T) {
	plugintest.BuildProgram(t, ".")
}
