package arguments

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
)

// Flag is the value of a flag.
type Flag[T any] struct {
	Value T

	name     string
	byItself T // the value if the flag is given without one
	isSet    func() bool
}

// declare binds a flag to the field that receives its value.
func declare[T any, C any, V cli.ValueCreator[T, C]](to *Flag[T], f cli.FlagBase[T, C, V]) cli.Flag {
	f.Destination = &to.Value
	*to = Flag[T]{Value: f.Value, name: f.Name, byItself: f.Value, isSet: f.IsSet}
	return &f
}

// Given reports whether the flag was set, on the command line or by an
// environment variable, even if to its default.
func (f *Flag[T]) Given() bool { return f.isSet != nil && f.isSet() }

// Name returns the flag's name with its dash.
func (f *Flag[T]) Name() string { return "-" + f.name }

// String returns the flag as a user writes it to request something:
// -refresh-only, but -refresh=false.
func (f *Flag[T]) String() string {
	if any(f.byItself) == any(true) {
		return f.Name() + "=false"
	}
	return f.Name()
}

// inUse reports whether the flag requests something: -json=false does not.
func (f *Flag[T]) inUse() bool {
	v, ok := any(f.Value).(bool)
	return f.Given() && (!ok || v != any(f.byItself))
}

// option is a flag of any type.
type option interface {
	fmt.Stringer
	Name() string
	Given() bool
	inUse() bool
}

// exclusive rejects an option together with any of others. why is the reason,
// which may be empty.
func exclusive(why string, one option, others ...option) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, other := range others {
		if one.inUse() && other.inUse() {
			diags = append(diags, refuse(fmt.Sprintf("%s and %s cannot be combined", one, other), why)...)
		}
	}
	return diags
}

// atLeast validates a flag whose value must be at least least.
func atLeast(least int) func(int) error {
	return func(n int) error {
		if n < least {
			return fmt.Errorf("must be at least %d", least)
		}
		return nil
	}
}

// flags concatenates groups of flags.
func flags(groups ...[]cli.Flag) []cli.Flag { return slices.Concat(groups...) }
