package client

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/hashicorp/go-version"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"google.golang.org/grpc/codes"

	"github.com/quern-dev/quern/sdk/go/host/pep440"
	"github.com/quern-dev/quern/sdk/go/pluginv1"
)

// Schema returns what the plugin offers and checks that it is valid.
func (p *Plugin) Schema(ctx context.Context) (*pluginv1.GetSchemaResponse, error) {
	s, err := p.service.GetSchema(ctx, &pluginv1.GetSchemaRequest{})
	if err != nil {
		return nil, err
	}
	s.Version = semantic(s.GetVersion())
	if err := CheckSchema(s); err != nil {
		return nil, &CallError{
			Plugin: p.command.Name, Code: codes.Internal, Stderr: p.Stderr(),
			Message: "its schema is invalid: " + err.Error() + quote(p.Stderr()),
		}
	}
	p.UseJSON(s.GetJsonValues())
	return s, nil
}

// semantic converts the version of a Python package, which plugins in Python may
// report, and returns others as they are.
func semantic(text string) string {
	if _, err := version.NewSemver(text); err == nil {
		return text
	}
	if converted, err := pep440.Semantic(text); err == nil {
		return converted
	}
	return text
}

// modes are the kinds that types of a mode can have.
var modes = map[pluginv1.Mode]map[string]bool{
	pluginv1.Mode_MODE_READ:     {"source": true},
	pluginv1.Mode_MODE_MAP:      {"transform": true, "label": true},
	pluginv1.Mode_MODE_FLAT_MAP: {"transform": true},
	pluginv1.Mode_MODE_RUN:      {"transform": true, "label": true, "train": true, "evaluate": true},
	pluginv1.Mode_MODE_DEPLOY:   {"deploy": true},
	pluginv1.Mode_MODE_MODEL:    {"model": true},
}

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// reserved are the arguments that every stage has.
var reserved = map[string]bool{
	"for_each": true, "count": true, "depends_on": true, "plugin": true, "lifecycle": true,
	"resources": true, "budget": true, "timeout": true, "retries": true, "dynamic": true, "max_errors": true,
}

// reservedOfModels are the arguments that every model block has.
var reservedOfModels = map[string]bool{
	"for_each": true, "count": true, "depends_on": true, "plugin": true, "lifecycle": true, "dynamic": true,
}

// CheckSchema returns an error if a schema is not valid.
func CheckSchema(s *pluginv1.GetSchemaResponse) error {
	if _, err := version.NewSemver(s.GetVersion()); err != nil {
		return fmt.Errorf("version %q is not a semantic version", s.GetVersion())
	}
	if err := checkBody(s.GetConfig(), false, 0); err != nil {
		return fmt.Errorf("the plugin's block: %w", err)
	}
	seen := map[string]bool{}
	for _, t := range s.GetTypes() {
		name := fmt.Sprintf("%s %q", t.GetKind(), t.GetName())
		if seen[name] {
			return fmt.Errorf("%s is declared twice", name)
		}
		seen[name] = true
		if err := checkType(t); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkType(t *pluginv1.Type) error {
	if !identifier.MatchString(t.GetName()) {
		return fmt.Errorf("the name must consist of lowercase letters, digits, and underscores")
	}
	kinds, ok := modes[t.GetMode()]
	if !ok {
		return fmt.Errorf("it has no mode")
	}
	if !kinds[t.GetKind()] {
		return fmt.Errorf("a type of kind %q cannot have %s", t.GetKind(), t.GetMode())
	}
	model := t.GetMode() == pluginv1.Mode_MODE_MODEL
	reserved := reserved
	if model {
		reserved = reservedOfModels
	}
	for _, a := range t.GetBody().GetArguments() {
		if reserved[a.GetName()] {
			return fmt.Errorf("argument %q: the name is reserved for an argument that every stage has", a.GetName())
		}
	}
	for _, b := range t.GetBody().GetBlocks() {
		if reserved[b.GetName()] {
			return fmt.Errorf("block %q: the name is reserved for a block that every stage has", b.GetName())
		}
	}
	return checkBody(t.GetBody(), !model, 0)
}

// maxDepth limits the nesting of blocks.
const maxDepth = 8

// checkBody checks a body; rows allows row expressions and artifacts. Without it,
// the outermost body can have one argument that takes a trained model.
func checkBody(b *pluginv1.Body, rows bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("blocks are nested more than %d levels deep", maxDepth)
	}
	seen, trained := map[string]bool{}, rows || depth > 0
	for _, a := range b.GetArguments() {
		if err := checkName(a.GetName(), seen); err != nil {
			return err
		}
		wraps := !trained && takesTrained(a)
		trained = trained || wraps
		if err := checkArgument(a, rows || wraps); err != nil {
			return fmt.Errorf("argument %q: %w", a.GetName(), err)
		}
	}
	for _, block := range b.GetBlocks() {
		if err := checkName(block.GetName(), seen); err != nil {
			return err
		}
		if block.GetMinItems() < 0 || (block.GetMaxItems() != 0 && block.GetMaxItems() < block.GetMinItems()) {
			return fmt.Errorf("block %q: min_items is %d and max_items is %d", block.GetName(), block.GetMinItems(), block.GetMaxItems())
		}
		if err := checkBody(block.GetBody(), rows, depth+1); err != nil {
			return fmt.Errorf("block %q: %w", block.GetName(), err)
		}
	}
	return nil
}

// takesTrained reports whether an argument takes one model and nothing else.
func takesTrained(a *pluginv1.Argument) bool {
	return slices.Equal(a.GetAccepts(), []pluginv1.ArtifactKind{pluginv1.ArtifactKind_ARTIFACT_KIND_MODEL}) &&
		!a.GetPerRow() && a.GetCollection() == pluginv1.Collection_COLLECTION_UNSPECIFIED
}

func checkName(name string, seen map[string]bool) error {
	if !identifier.MatchString(name) {
		return fmt.Errorf("%q is not a valid name for an argument or block", name)
	}
	if seen[name] {
		return fmt.Errorf("%q is declared twice", name)
	}
	seen[name] = true
	return nil
}

func checkArgument(a *pluginv1.Argument, rows bool) error {
	if (a.GetPerRow() || len(a.GetAccepts()) > 0) && !rows {
		return fmt.Errorf("row expressions and artifacts are not allowed here")
	}
	if len(a.GetAccepts()) > 0 && !a.GetPerRow() {
		return nil
	}
	var t cty.Type
	if err := json.Unmarshal(a.GetType(), &t); err != nil {
		return fmt.Errorf("type %q is not a cty type: %w", a.GetType(), err)
	}
	if err := checkLate(a); err != nil {
		return err
	}
	if len(a.GetDefaultValue()) == 0 {
		return nil
	}
	if a.GetCollection() != pluginv1.Collection_COLLECTION_UNSPECIFIED || a.GetPerRow() {
		return fmt.Errorf("it cannot have a default")
	}
	if _, err := ctyjson.Unmarshal(a.GetDefaultValue(), t); err != nil {
		return fmt.Errorf("default %s: %w", a.GetDefaultValue(), err)
	}
	return nil
}

func checkLate(a *pluginv1.Argument) error {
	if len(a.GetLate()) > 0 && (!a.GetPerRow() || len(a.GetAccepts()) > 0) {
		return fmt.Errorf("only row expressions can have late names")
	}
	for name, typ := range a.GetLate() {
		var t cty.Type
		if err := json.Unmarshal(typ, &t); err != nil || !identifier.MatchString(name) {
			return fmt.Errorf("late name %q of type %q: must be a name and a cty type", name, typ)
		}
	}
	return nil
}
