package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// match compares what came with what a scenario expects, and says where they
// differ. Members that are not expected can have any value.
func match(want, got any, at string) error {
	switch want := want.(type) {
	case map[string]any:
		return matchObject(want, got, at)
	case []any:
		return matchList(want, got, at)
	case string:
		return matchText(want, got, at)
	case json.Number:
		return matchNumber(want, got, at)
	case bool:
		if given, _ := got.(bool); given == want {
			return nil
		}
	case nil:
		if got == nil {
			return nil
		}
	}
	return differ(want, got, at)
}

func differ(want, got any, at string) error {
	return fmt.Errorf("%s is %s, want %s", at, show(got), show(want))
}

func show(v any) string {
	if v == nil {
		return "not set"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(b) > 600 {
		b = append(b[:600], "…"...)
	}
	return string(b)
}

func matchObject(want map[string]any, got any, at string) error {
	given, ok := got.(map[string]any)
	if !ok && got != nil || got == nil && len(want) == 0 {
		return differ(want, got, at)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if err := match(want[name], given[name], at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func matchList(want []any, got any, at string) error {
	given, ok := got.([]any)
	if !ok && got != nil || len(given) != len(want) {
		return differ(want, got, at)
	}
	for i := range want {
		at := fmt.Sprintf("%s[%d]", at, i)
		if (want[i] == nil) != (given[i] == nil) { // a null is no empty value
			return differ(want[i], given[i], at)
		}
		if err := match(want[i], given[i], at); err != nil {
			return err
		}
	}
	return nil
}

// matchText compares texts; a text that begins with ~ is a regular expression.
func matchText(want string, got any, at string) error {
	given, ok := got.(string)
	if !ok && got != nil {
		return differ(want, got, at)
	}
	pattern, isPattern := strings.CutPrefix(want, "~")
	if !isPattern {
		if given != want {
			return differ(want, got, at)
		}
		return nil
	}
	re, err := regexp.Compile(`(?s)` + pattern)
	if err != nil {
		return err
	}
	if !re.MatchString(given) {
		return differ(want, got, at)
	}
	return nil
}

func matchNumber(want json.Number, got any, at string) error {
	given, ok := got.(json.Number)
	if !ok && got != nil {
		return differ(want, got, at)
	}
	if !ok {
		given = "0"
	}
	a, okA := new(big.Rat).SetString(want.String())
	b, okB := new(big.Rat).SetString(given.String())
	if !okA || !okB || a.Cmp(b) != 0 {
		return differ(want, got, at)
	}
	return nil
}
