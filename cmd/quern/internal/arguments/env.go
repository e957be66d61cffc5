package arguments

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/urfave/cli/v3"
)

// Lifetime is the flag that says when an environment expires.
type Lifetime struct{ ExpiresIn Flag[time.Duration] }

func (l *Lifetime) flag() cli.Flag {
	return declare(&l.ExpiresIn, cli.DurationFlag{Name: "expires-in", HideDefault: true, Usage: "let the environment expire after `DURATION`, such as 72h; gc then deletes it", Validator: positive})
}

// Until returns when the environment expires, or nil if it does not.
func (l *Lifetime) Until(now time.Time) *time.Time {
	if !l.ExpiresIn.Given() {
		return nil
	}
	at := now.Add(l.ExpiresIn.Value).UTC()
	return &at
}

// positive validates a duration.
func positive(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("must be positive")
	}
	return nil
}

// EnvList is quern env list.
type EnvList struct{ Document }

// Flags implements [Set].
func (e *EnvList) Flags() []cli.Flag { return []cli.Flag{e.Document.flag()} }

// Parse implements [Set].
func (e *EnvList) Parse(given Positional) hcl.Diagnostics { return given.none() }

// EnvCreate is quern env create.
type EnvCreate struct {
	Lock
	Lifetime
	From Flag[string]
	Name string
}

// Flags implements [Set].
func (e *EnvCreate) Flags() []cli.Flag {
	return flags([]cli.Flag{
		declare(&e.From, cli.StringFlag{Name: "from", Usage: "use the results of the environment `ENV`; nothing is copied"}),
		e.Lifetime.flag(),
	}, e.Lock.timeoutFlag())
}

// Parse implements [Set].
func (e *EnvCreate) Parse(given Positional) hcl.Diagnostics {
	e.Lock.parse(given)
	return given.one(&e.Name, "a name")
}

// EnvExtend is quern env extend.
type EnvExtend struct {
	Lock
	Lifetime
	Never Flag[bool]
	Name  string
}

// Flags implements [Set].
func (e *EnvExtend) Flags() []cli.Flag {
	return flags([]cli.Flag{
		e.Lifetime.flag(),
		declare(&e.Never, cli.BoolFlag{Name: "never", Usage: "let the environment not expire anymore"}),
	}, e.Lock.timeoutFlag())
}

// Parse implements [Set].
func (e *EnvExtend) Parse(given Positional) hcl.Diagnostics {
	e.Lock.parse(given)
	diags := all(given.one(&e.Name, "a name"), exclusive("", &e.ExpiresIn, &e.Never))
	if !e.ExpiresIn.Given() && !e.Never.Value {
		diags = append(diags, refuse(given.Command+" needs -expires-in or -never", "For example: quern env extend NAME -expires-in=72h")...)
	}
	return diags
}

// EnvDelete is quern env delete.
type EnvDelete struct {
	Lock
	Name string
}

// Flags implements [Set].
func (e *EnvDelete) Flags() []cli.Flag { return e.Lock.flags() }

// Parse implements [Set].
func (e *EnvDelete) Parse(given Positional) hcl.Diagnostics {
	e.Lock.parse(given)
	return given.one(&e.Name, "a name")
}
