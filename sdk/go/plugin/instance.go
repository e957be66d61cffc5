package plugin

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// preparer is the part that all interfaces of implementations share.
type preparer[A any] interface {
	// Prepare validates an instance and declares what it will make.
	Prepare(context.Context, *Prepare[A]) error
}

// core is the part of a type that all modes share.
type core[A any] struct {
	info Info
	mode pluginv1.Mode
	impl preparer[A]
	// plugin is the plugin's name; empty until it is served.
	plugin string
}

func (t *core[A]) named(plugin string) { t.plugin = plugin }

// fault returns an error that only the plugin's author can fix. Like every
// message that does not come from the author, it names the plugin and the type.
func (t *core[A]) fault(err error) error { return fault(t.plugin, t.info, err) }

func fault(plugin string, info Info, err error) error {
	return fmt.Errorf("plugin %q is faulty\n%s %q: %w. Report it to the plugin's author.", plugin, info.Kind, info.Name, err)
}

func (t *core[A]) schema() (*pluginv1.Type, error) {
	body, err := bodySchema(reflect.TypeFor[A]())
	if err != nil {
		return nil, fmt.Errorf("arguments of %s %q: %w", t.info.Kind, t.info.Name, err)
	}
	return &pluginv1.Type{
		Kind: t.info.Kind, Name: t.info.Name, Doc: t.info.Doc,
		Mode: t.mode, BehaviorVersion: t.info.BehaviorVersion, Body: body, StateVersion: t.info.StateVersion,
	}, nil
}

// prepare prepares one instance. A failure becomes a diagnostic of that
// instance alone.
func (t *core[A]) prepare(ctx context.Context, in *pluginv1.Instance) *pluginv1.Prepared {
	_, prepared := t.instantiate(ctx, in, true)
	return prepared
}

// decode decodes an instance's arguments, which must all be known.
func (t *core[A]) decode(in *pluginv1.Instance) (*A, error) {
	args := new(A)
	_, err := decodeConfig(in, reflect.ValueOf(args).Elem(), false)
	return args, err
}

// instantiate decodes an instance's arguments and prepares them.
func (t *core[A]) instantiate(ctx context.Context, in *pluginv1.Instance, unknowns bool) (*A, *pluginv1.Prepared) {
	args, p := t.prepared(ctx, in, unknowns)
	return args, p.out
}

// prepared is instantiate, but returns everything about the preparation. The
// arguments are nil if they cannot be decoded.
func (t *core[A]) prepared(ctx context.Context, in *pluginv1.Instance, unknowns bool) (*A, *preparation) {
	args := new(A)
	unknown, err := decodeConfig(in, reflect.ValueOf(args).Elem(), unknowns)
	p := &Prepare[A]{Args: args, preparation: newPreparation(in, unknown)}
	if err != nil {
		p.out.Diagnostics = diagnostics(err)
		return nil, p.preparation
	}
	if err := t.impl.Prepare(ctx, p); err != nil {
		p.out.Diagnostics = append(p.out.Diagnostics, diagnostic(err))
	}
	if s, ok := t.impl.(Stopper); ok {
		p.out.StopSeconds = s.StopGrace().Seconds()
	}
	_, p.out.ChecksSample = t.impl.(SampleChecker[A])
	if p.err != nil {
		p.out.Diagnostics = append(p.out.Diagnostics, diagnostic(t.fault(p.err)))
	}
	return args, p.preparation
}

// ready is instantiate for the work itself: everything is known, and a
// diagnostic of severity error is an error.
func (t *core[A]) ready(ctx context.Context, in *pluginv1.Instance) (*A, *pluginv1.Prepared, error) {
	args, prepared := t.instantiate(ctx, in, false)
	for _, d := range prepared.Diagnostics {
		if d.Severity == pluginv1.Diagnostic_SEVERITY_ERROR {
			return nil, nil, diagnosticError(d)
		}
	}
	if o, ok := t.impl.(Opener[A]); ok {
		if err := o.Open(ctx, args); err != nil {
			return nil, nil, err
		}
	}
	return args, prepared, nil
}

// Stopper is an optional interface of a Runner that needs more or less time to
// stop.
type Stopper interface {
	// StopGrace returns how long Run may take to save a checkpoint and return
	// after its ctx has ended; the default is 30 seconds. After that, or if the
	// user interrupts again, quern kills the process.
	StopGrace() time.Duration
}

// Opener is an optional interface of every implementation.
type Opener[A any] interface {
	// Open is called after the last Prepare and before the work, with all values
	// known. Use it to compile patterns or load files once, into fields of A
	// that have no quern tag.
	Open(context.Context, *A) error
}
