package plugin

import (
	"fmt"
	"maps"
	"reflect"

	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// ModelBlock is a model block of a type that the plugin itself offers, such as
// the base model of a trainer. A Mapper can decode it in Prepare, into a field of
// its arguments that has no quern tag.
type ModelBlock struct {
	instance *pluginv1.Instance
	unknown  []string
}

func modelBlock(in *pluginv1.Instance, key string) *ModelBlock {
	block := in.GetInputs()[key].GetModel()
	if block == nil {
		return nil
	}
	return &ModelBlock{instance: block}
}

// Type returns the type of the block, the name of a Provider.
func (b *ModelBlock) Type() string { return b.instance.Type }

// Address returns the block's address, such as model.base, for messages.
func (b *ModelBlock) Address() string { return b.instance.Address }

// Pins returns what the names that the block pinned refer to; see Prepare.Pin.
func (b *ModelBlock) Pins() map[string]string { return maps.Clone(b.instance.Pins) }

// Decode fills args, a pointer to the argument struct of the block's Provider.
// Values that are not known yet stay zero; see Known. Neither Prepare nor Open of
// the Provider is called.
func (b *ModelBlock) Decode(args any) error {
	into := reflect.ValueOf(args)
	if into.Kind() != reflect.Pointer || into.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("Decode needs a pointer to a struct, not a %T", args)
	}
	var err error
	if b.unknown, err = decodeConfig(b.instance, into.Elem(), true); err != nil {
		return fmt.Errorf("decode %s: %w", b.Address(), err)
	}
	return nil
}

// Known reports whether the argument of the block at a key had a value when the
// block was decoded.
func (b *ModelBlock) Known(key string) bool { return knownKey(b.unknown, key) }
