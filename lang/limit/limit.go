// Package limit limits what a configuration can make quern do: how deeply text
// and values may be nested, how large a value may become, and how long it may
// take to compute. A configuration is often somebody else's, as in a pull
// request, so the limits are fixed here. Only the environment can raise them.
//
// No text is passed to a recursive parser unless the parser's
// stack suffices, and checking a value takes no longer than the limits
// allow, however often the value shares its parts.
package limit

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// The environment variables that change the limits.
const (
	DepthVariable    = "QUERN_MAX_DEPTH"
	ElementsVariable = "QUERN_MAX_ELEMENTS"
	BytesVariable    = "QUERN_MAX_BYTES"
	SecondsVariable  = "QUERN_MAX_SECONDS"
)

// Set is one set of limits.
type Set struct {
	// Depth is how deeply brackets, operators, blocks, and the parts of a value
	// may be nested.
	Depth int
	// Elements is how many parts a value may have in all, and a quarter of how
	// often loops may run while one expression is evaluated.
	Elements int
	// Bytes is how long the texts in a value may be together, and how large a
	// file may be that a function reads.
	Bytes int
	// Time is how long the evaluation of one expression may take, for one row
	// if it is evaluated per row.
	Time time.Duration
}

// Default are the limits unless the environment says otherwise.
var Default = Set{Depth: 1000, Elements: 1_000_000, Bytes: 64 << 20, Time: 10 * time.Second}

// Now returns the limits in effect. Check reports environment variables that are not
// positive whole numbers; they change nothing.
var Now = sync.OnceValue(func() Set {
	s, _ := FromEnvironment(os.Getenv)
	return s
})

// Check reports an invalid limit in the environment.
func Check() error {
	_, err := FromEnvironment(os.Getenv)
	return err
}

// FromEnvironment returns the default limits, overridden by those that the environment sets.
func FromEnvironment(getenv func(string) string) (Set, error) {
	s, seconds := Default, int(Default.Time/time.Second)
	var failed error
	for name, into := range map[string]*int{DepthVariable: &s.Depth, ElementsVariable: &s.Elements, BytesVariable: &s.Bytes, SecondsVariable: &seconds} {
		text := getenv(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1<<40 {
			failed = fmt.Errorf("the environment variable %s is %q, but it must be a positive whole number", name, text)
			continue
		}
		*into = n
	}
	s.Time = time.Duration(seconds) * time.Second
	return s, failed
}

// Exceeded is the error about a limit that was exceeded.
type Exceeded struct {
	What     string // what exceeds it
	Variable string // the environment variable that raises it
}

func (e *Exceeded) Error() string {
	return fmt.Sprintf("%s; if this is intended, set the environment variable %s to a higher value", e.What, e.Variable)
}

// TooManyElements is the error about a value with too many parts.
func TooManyElements(what string) error {
	return &Exceeded{fmt.Sprintf("%s would have more than %d elements", what, Now().Elements), ElementsVariable}
}

// TooLong is the error about a text that is too long.
func TooLong(what string) error {
	return &Exceeded{fmt.Sprintf("%s would be longer than %d bytes", what, Now().Bytes), BytesVariable}
}

// TooDeep is the error about something that is nested too deeply.
func TooDeep(what string) error {
	return &Exceeded{fmt.Sprintf("%s is nested more than %d levels deep", what, Now().Depth), DepthVariable}
}

// TooSlow is the error about an evaluation that takes too long.
func TooSlow(what string) error {
	return &Exceeded{fmt.Sprintf("%s takes longer than %s", what, Now().Time), SecondsVariable}
}
