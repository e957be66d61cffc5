package state

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/quern-dev/quern/store/backend"
)

// keptPrefix returns the prefix of the states that runs of an environment left.
func keptPrefix(env string) string { return object(env, "runs/") }

const keptSuffix = ".json"

// Keep keeps the present state of an environment as the one that a run left.
func (s *Store) Keep(env, run string) error {
	err := s.backend.Copy(s.ctx, object(env, stateFile), backend.Any, keptPrefix(env)+run+keptSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the run changed nothing
	}
	if err != nil {
		return fmt.Errorf("keep the state after run %s: %w", run, err)
	}
	return nil
}

// Kept returns the state that a run left. If it was not kept, the error is
// fs.ErrNotExist.
func (s *Store) Kept(env, run string) (*State, error) {
	if CheckName(env) != nil {
		return nil, fmt.Errorf("the state after run %s was not kept: %w", run, fs.ErrNotExist)
	}
	at := keptPrefix(env) + run + keptSuffix
	text, _, err := s.backend.Get(s.ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the state after run %s was not kept: %w", run, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return Decode(s.backend.Place(at), text)
}

// Drop removes the state that a run left, if it was kept.
func (s *Store) Drop(env, run string) error {
	if CheckName(env) != nil {
		return nil
	}
	return s.backend.Delete(s.ctx, keptPrefix(env)+run+keptSuffix, backend.Any)
}

// dropAll removes the states that all runs of an environment left.
func (s *Store) dropAll(env string) error {
	var runs []string
	for o, err := range s.backend.List(s.ctx, keptPrefix(env)) {
		if err != nil {
			return err
		}
		if run, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, keptPrefix(env)), keptSuffix); ok {
			runs = append(runs, run)
		}
	}
	for _, run := range runs {
		if err := s.Drop(env, run); err != nil {
			return err
		}
	}
	return nil
}
