package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/quern-dev/quern/store/document"
)

// formatPrefix is the prefix of the formats of states of any version.
const formatPrefix = "quern.state/"

// Text returns a state for people and for Parse: its JSON without the checksum,
// so that it can be edited.
func Text(st *State) ([]byte, error) {
	text, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// Parse reads the result of Text, or a state file, whose checksum must then be
// correct. Errors are written for people.
func Parse(text []byte) (*State, error) {
	var head struct {
		Format   string  `json:"format"`
		Checksum *string `json:"checksum"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	switch {
	case !strings.HasPrefix(head.Format, formatPrefix):
		return nil, fmt.Errorf("it is not a state: its format is %q, not %q", head.Format, Format)
	case head.Format != Format:
		return nil, fmt.Errorf("it has the format %q, but this version of quern supports %q: update quern", head.Format, Format)
	case head.Checksum != nil:
		st, err := Decode("the state", text)
		if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) {
			return nil, fmt.Errorf("%s. To push an edited state, remove the member \"checksum\"", damaged.Reason)
		}
		return st, err
	}
	st := &State{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(st); err != nil {
		return nil, err
	}
	return st, st.check()
}

// Unrelated is the error for a state that cannot replace the existing one.
type Unrelated struct{ Reason string }

func (e *Unrelated) Error() string { return e.Reason }

// Push replaces an environment's state, which becomes the backup. It returns
// *Unrelated if the environment's state has another lineage or environment, has
// a higher serial, or has the same serial and different content. With force,
// none of this matters, and the new serial is higher than that of the replaced
// state, so that no saved plan mistakes one for the other. changed is false if
// the state is already there.
func (s *Store) Push(env string, st *State, force bool) (changed bool, err error) {
	if err := CheckName(env); err != nil {
		return false, err
	}
	if !force && st.Environment != env {
		return false, &Unrelated{fmt.Sprintf("it is the state of environment %q, not %q", st.Environment, env)}
	}
	if err := s.backend.Flush(s.ctx); err != nil {
		return false, err
	}
	now, version, err := s.load(env)
	if err != nil {
		return false, err
	}
	pushed := *st
	pushed.Environment = env
	if now != nil {
		if same, err := equal(now, &pushed); err != nil || same {
			return false, err
		}
		if err := follows(now, &pushed); err != nil && !force {
			return false, err
		}
		if force {
			pushed.Serial = max(pushed.Serial, now.Serial+1)
		}
	}
	text, err := document.Encode(&pushed)
	if err != nil {
		return false, err
	}
	_, err = s.replace(&pushed, version, text)
	if conflict := (*Conflict)(nil); errors.As(err, &conflict) {
		conflict.Loaded = 0
		if now != nil {
			conflict.Loaded = now.Serial
		}
	}
	return err == nil, err
}

// follows explains why a state does not come after another one.
func follows(now, pushed *State) error {
	switch {
	case pushed.Lineage != now.Lineage:
		return &Unrelated{fmt.Sprintf("its lineage is %s, but the lineage of the current state is %s: they are unrelated", pushed.Lineage, now.Lineage)}
	case pushed.Serial < now.Serial:
		return &Unrelated{fmt.Sprintf("its serial is %d, but the current state is newer: serial %d", pushed.Serial, now.Serial)}
	case pushed.Serial == now.Serial:
		return &Unrelated{fmt.Sprintf("it has the serial of the current state, %d, but its content is different. If you edited it, raise its serial", pushed.Serial)}
	}
	return nil
}

func equal(a, b *State) (bool, error) {
	x, err := Text(a)
	if err != nil {
		return false, err
	}
	y, err := Text(b)
	return bytes.Equal(x, y), err
}
