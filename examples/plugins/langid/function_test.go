package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/quern-dev/quern/sdk/go/plugintest"
)

func TestAFunctionReturnsTheLanguage(t *testing.T) {
	got, err := plugintest.Call(t, langid(), "language",
		[]any{"I am still waiting for my card to arrive"}, []any{"Ich warte noch immer auf die neue Karte"}, []any{"4711"})
	if err != nil || !reflect.DeepEqual(got, []any{"en", "de", nil}) {
		t.Errorf("got %v, %v", got, err)
	}
	got, err = plugintest.Call(t, langid(), "language", []any{"I am still waiting for my card to arrive", "de", "fr"})
	if err != nil || !reflect.DeepEqual(got, []any{nil}) {
		t.Errorf("among German and French: got %v, %v", got, err)
	}
}

func TestAnUnknownLanguageFailsTheCall(t *testing.T) {
	got, err := plugintest.Call(t, langid(), "language", []any{"I am still waiting for my card", "en"}, []any{"a", "xx"})
	if err == nil || !strings.Contains(err.Error(), `call 1 of language, among: unknown language "xx"`) {
		t.Errorf("got the error %v", err)
	}
	if !reflect.DeepEqual(got, []any{"en", nil}) {
		t.Errorf("got %v", got)
	}
}
