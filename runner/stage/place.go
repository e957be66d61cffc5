package stage

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/quern-dev/quern/store"
)

// Place is where a stage works. The folder Work remains if the stage is
// interrupted or fails, and the next attempt at the same action receives it.
type Place struct {
	Work      string
	Arguments string // computed row arguments
	root      string
}

// NewPlace returns the place of an action. Two environments may run one action
// at the same time.
func NewPlace(s *store.Store, key, environment string) (*Place, error) {
	root, err := s.Staging(strings.TrimPrefix(key, "sha256:")[:32] + "-" + environment)
	if err != nil {
		return nil, err
	}
	p := &Place{root: root, Work: filepath.Join(root, "work"), Arguments: filepath.Join(root, "arguments")}
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

// Remove removes the place.
func (p *Place) Remove() error { return os.RemoveAll(p.root) }
