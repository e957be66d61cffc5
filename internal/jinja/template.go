// Package jinja renders Jinja templates, as far as chat templates use them, exactly
// as jinja2 does with the settings of transformers: trim_blocks, lstrip_blocks, loop
// controls, and a sandbox in which nothing can be changed.
//
// A template that needs more is an error, and so is what is an error in Python:
// nothing is rendered that jinja2 would render differently.
package jinja

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// Filter computes value|filter(args, named).
type Filter func(value any, args []any, named *Dict) (any, error)

// Template is a template. Several goroutines can use it.
type Template struct{ body []statement }

// Parse reads a template. filters are its own filters.
func Parse(source string, filters map[string]Filter) (*Template, error) {
	all, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: all, filters: filters}
	body, _, err := p.body()
	if err != nil {
		return nil, err
	}
	return &Template{body}, nil
}

// Render returns the text. variables are the values that the template can use.
func (t *Template) Render(variables map[string]any) (string, error) {
	return t.render(variables, mostSteps)
}

func (t *Template) render(variables map[string]any, most int) (string, error) {
	r := &run{most: most}
	globals := &scope{values: maps.Clone(globals()), run: r}
	maps.Copy(globals.values, variables)
	var out strings.Builder
	if err := execute(t.body, globals.inner(), &out); err != nil {
		return "", err
	}
	return out.String(), nil
}

// run is one rendering.
type run struct{ steps, most, depth int }

// mostSteps bounds how long a template runs, and so how much it writes.
const mostSteps = 20_000_000

func (r *run) step() error {
	if r.steps++; r.steps > r.most {
		return errors.New("the template does too much")
	}
	return nil
}

// charged counts the size of a result as steps, because texts can be joined many times.
func (r *run) charged(v any, err error) (any, error) {
	switch v := v.(type) {
	case string:
		r.steps += len(v) / 64
	case []any:
		r.steps += len(v) / 8
	}
	return v, cmp.Or(err, r.step())
}

// scope has the variables of a template, a loop's iteration, or a macro's call.
type scope struct {
	values map[string]any
	outer  *scope
	run    *run
}

func (s *scope) inner() *scope { return &scope{values: map[string]any{}, outer: s, run: s.run} }

func (s *scope) lookup(name string) (any, error) {
	if err := s.run.step(); err != nil {
		return nil, err
	}
	for ; s != nil; s = s.outer {
		if v, ok := s.values[name]; ok {
			return v, nil
		}
	}
	return undefined{fmt.Sprintf("'%s' is undefined", name)}, nil
}

// statement writes its text.
type statement func(s *scope, out *strings.Builder) error

// errBreak and errContinue end an iteration of a loop.
var errBreak, errContinue = errors.New("break outside of a loop"), errors.New("continue outside of a loop")

func execute(all []statement, s *scope, out *strings.Builder) error {
	for _, st := range all {
		if err := s.run.step(); err != nil {
			return err
		}
		if err := st(s, out); err != nil {
			return err
		}
		if out.Len() > longest {
			return errors.New("the text is too long")
		}
	}
	return nil
}
