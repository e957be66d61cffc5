package plan

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/lang/addr"
	"github.com/quern-dev/quern/lang/value"
)

// maxDecoded bounds the decompressed size of a saved plan, so that a damaged or
// hostile file cannot exhaust memory.
const maxDecoded = 1 << 30

// maxFormatLine bounds the first line of a saved plan.
const maxFormatLine = 64

// WrongFormat is the error for a file that is not a saved plan in a format that
// this version reads.
type WrongFormat struct {
	Got string // "" if the file is not a plan at all
}

func (e *WrongFormat) Error() string {
	if e.Got == "" {
		return "this is not a saved plan: make one with quern plan -out=FILE"
	}
	return fmt.Sprintf("the saved plan has format %s, but this version of quern reads %s: make a new plan", e.Got, Format)
}

// Encode writes a saved plan: a line with the format, then the plan as JSON,
// compressed with zstd. The same plan always has the same encoding.
func Encode(w io.Writer, p *Plan) error {
	if _, err := io.WriteString(w, Format+"\n"); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	if err := json.NewEncoder(z).Encode(p); err != nil {
		return errors.Join(fmt.Errorf("write plan: %w", err), z.Close())
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

// Decode reads what Encode wrote. It returns *WrongFormat for a file of
// another kind or version, and refuses an inconsistent plan.
func Decode(r io.Reader) (*Plan, error) {
	in := bufio.NewReader(r)
	if err := readFormat(in); err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	defer z.Close()
	return decodeJSON(io.LimitReader(z, maxDecoded))
}

func decodeJSON(r io.Reader) (*Plan, error) {
	p := &Plan{}
	if err := json.NewDecoder(r).Decode(p); err != nil {
		return nil, fmt.Errorf("read plan: the file is damaged: %w", err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("read plan: the file is damaged: %w", err)
	}
	return p, nil
}

func readFormat(in *bufio.Reader) error {
	var line strings.Builder
	for line.Len() <= maxFormatLine {
		c, err := in.ReadByte()
		if err != nil {
			return &WrongFormat{}
		}
		if c != '\n' {
			line.WriteByte(c)
			continue
		}
		got := line.String()
		if got == Format {
			return nil
		}
		if strings.HasPrefix(got, "quern.plan/") {
			return &WrongFormat{Got: got}
		}
		break
	}
	return &WrongFormat{}
}

// check verifies what readers of a plan rely on: addresses are valid and
// unique, everything comes after what it needs, and nothing that a reader
// follows is missing.
func (p *Plan) check() error {
	if p.Format != Format {
		return &WrongFormat{Got: p.Format}
	}
	seen := make(map[string]bool, len(p.Nodes))
	for i, n := range p.Nodes {
		if n == nil {
			return fmt.Errorf("node %d is missing", i)
		}
		if err := n.check(seen, p.RefreshOnly); err != nil {
			return fmt.Errorf("%s: %w", n.Address, err)
		}
		seen[n.Address] = true
	}
	for address, m := range p.Models {
		if m == nil || m.Address != address || m.Body == nil {
			return fmt.Errorf("the model %s is missing", address)
		}
		if err := m.Body.check(0); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
	}
	for name, v := range p.Variables {
		if err := checkValue(&v); err != nil {
			return fmt.Errorf("var.%s: %w", name, err)
		}
	}
	if err := p.Deferred.check(); err != nil {
		return err
	}
	for _, c := range p.Checks {
		if c == nil {
			return errors.New("a check is missing")
		}
		if err := checkConditions(c.Conditions); err != nil {
			return fmt.Errorf("check %s: %w", c.Name, err)
		}
	}
	for _, o := range p.Outputs {
		if o == nil || (o.Expr == nil && o.Action != Delete && !o.Deferred) {
			return errors.New("an output has no expression")
		}
		if err := checkValue(o.Before); err != nil {
			return fmt.Errorf("output %s: %w", o.Name, err)
		}
		if err := checkConditions(o.Conditions); err != nil {
			return fmt.Errorf("output %s: %w", o.Name, err)
		}
	}
	return nil
}

func (n *Node) check(before map[string]bool, bodiless bool) error {
	if _, err := addr.Parse(n.Address); err != nil {
		return err
	}
	if before[n.Address] {
		return errors.New("the address appears twice")
	}
	for _, d := range n.DependsOn {
		if !before[d] {
			return fmt.Errorf("it needs %s, which does not come before it", d)
		}
	}
	if n.Deployment != nil {
		if err := checkValue(n.Deployment.Value); err != nil {
			return err
		}
	}
	if err := checkConditions(n.Conditions); err != nil {
		return err
	}
	for _, c := range n.Contracts {
		if err := c.check(); err != nil {
			return err
		}
	}
	if n.Body == nil {
		if !bodiless && n.Action != Delete && n.Action != Forget && n.Mode != "" {
			return errors.New("it has no configuration")
		}
		return nil
	}
	return n.Body.check(0)
}

func checkConditions(all []Condition) error {
	for _, c := range all {
		if c.Test == nil || c.Message == nil {
			return errors.New("a condition has no expression")
		}
	}
	return nil
}

// maxDepth bounds how deeply blocks may be nested.
const maxDepth = 32

func (b *Body) check(depth int) error {
	if b == nil {
		return errors.New("a block has no body")
	}
	if depth > maxDepth {
		return errors.New("blocks are nested too deeply")
	}
	if depth == 0 && !b.Type.Type.IsObjectType() {
		return errors.New("the configuration has no type")
	}
	for name, a := range b.Args {
		if err := a.check(depth); err != nil {
			return fmt.Errorf("argument %s: %w", name, err)
		}
	}
	for _, block := range b.Blocks {
		if block == nil {
			return errors.New("a block is missing")
		}
		if err := block.Body.check(depth + 1); err != nil {
			return fmt.Errorf("block %s: %w", block.Name, err)
		}
	}
	return nil
}

func (a *Arg) check(depth int) error {
	switch {
	case a == nil || depth > maxDepth:
		return errors.New("it is missing")
	case a.Row != nil && a.Row.Expr == nil:
		return errors.New("it has no expression")
	}
	if err := checkValue(a.Value); err != nil {
		return err
	}
	if err := a.Choice.check(depth); err != nil {
		return err
	}
	for _, e := range a.Map {
		if err := e.check(depth + 1); err != nil {
			return err
		}
	}
	for _, e := range a.List {
		if err := e.check(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

func (c *Choice) check(depth int) error {
	switch {
	case c == nil:
		return nil
	case c.Key == nil || len(c.Of) == 0:
		return errors.New("a choice is incomplete")
	}
	for _, a := range c.Of {
		if err := a.check(depth + 1); err != nil {
			return err
		}
		if a.Input == nil && a.Row == nil {
			return errors.New("a choice is among something other than artifacts and prompts")
		}
	}
	return nil
}

// maxExponent bounds the binary exponents of numbers, so that 1e999999999 does
// not expand to a gigabyte of digits.
const maxExponent = 1 << 14

func checkValue(v *value.Value) error {
	if v == nil || v.Value == cty.NilVal {
		return nil
	}
	return cty.Walk(v.Value, func(_ cty.Path, v cty.Value) (bool, error) {
		if v.IsKnown() && !v.IsNull() && v.Type() == cty.Number {
			if e := v.AsBigFloat().MantExp(nil); e > maxExponent || e < -maxExponent {
				return false, errors.New("a number is too large or too small")
			}
		}
		return true, nil
	})
}
