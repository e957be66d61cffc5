package stage

import (
	"os"
	"path/filepath"

	"github.com/quern-dev/quern/store"
)

// Place is where a stage works. The folder Work remains if the stage is
// interrupted or fails, and the next attempt at the same action receives it.
type Place struct {
	Work      string
	Arguments string // computed row arguments
	root      string
	keep      func() error
	waits     func() bool
}

// NewPlace returns the place of an action.
func NewPlace(s *store.Store, key, environment string) (*Place, error) {
	name := store.Workplace(key, environment)
	root, err := s.Staging(name)
	if err != nil {
		return nil, err
	}
	p := &Place{root: root, keep: func() error { return s.KeepStaging(name) }, waits: func() bool { return s.Waits(name) }, Work: filepath.Join(root, "work"), Arguments: filepath.Join(root, "arguments")}
	if err := os.RemoveAll(p.Arguments); err != nil {
		return nil, err
	}
	for _, dir := range []string{p.Work, p.Arguments} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Clear removes the files that the plugin received. The next attempt does not
// need them, and they may contain secrets, such as those in the prompts of an
// evaluation.
func (p *Place) Clear(err *error) {
	if failed := os.RemoveAll(p.Arguments); *err == nil {
		*err = failed
	}
}

// Restart empties the place of a stage that was pending, so that it does not
// continue with what it waited for. A place with checkpoints stays as it is.
func (p *Place) Restart() error {
	if !p.waits() {
		return nil
	}
	if err := os.RemoveAll(p.Work); err != nil {
		return err
	}
	return os.MkdirAll(p.Work, 0o777)
}

// Keep keeps the place for a stage that is pending, however long that takes.
func (p *Place) Keep() error { return p.keep() }

// Remove removes the place.
func (p *Place) Remove() error { return os.RemoveAll(p.root) }
