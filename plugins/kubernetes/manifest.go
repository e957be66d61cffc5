package kubernetes

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	kindNamespace = "Namespace"
	kindCRD       = "CustomResourceDefinition"
	kindSecret    = "Secret"
)

// object is an object of a manifest.
type object struct{ *unstructured.Unstructured }

// reference identifies an object in a cluster.
type reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// UID distinguishes the object from a later one of the same name.
	UID string `json:"uid,omitempty"`
}

func (r reference) String() string {
	name := r.Name
	if r.Namespace != "" {
		name = r.Namespace + "/" + name
	}
	return r.APIVersion + " " + r.Kind + " " + name
}

// is reports whether both name the same object. The version of its API does not
// matter.
func (r reference) is(other reference) bool {
	return groupOf(r.APIVersion) == groupOf(other.APIVersion) && r.Kind == other.Kind && r.Namespace == other.Namespace && r.Name == other.Name
}

func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}

func (o object) reference() reference {
	return reference{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID())}
}

// parse reads a manifest: an object, a list, or a text. Namespaces and
// definitions of custom resources come first.
func parse(manifest cty.Value) ([]object, error) {
	documents, err := documentsOf(manifest)
	if err != nil {
		return nil, err
	}
	var out []object
	for _, d := range documents {
		found, err := objectsIn(d)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		return nil, errors.New("the manifest has no objects")
	}
	for _, o := range out {
		if o.GetAPIVersion() == "" || o.GetKind() == "" || o.GetName() == "" {
			return nil, fmt.Errorf("an object of the manifest is incomplete\nIt needs apiVersion, kind, and metadata.name; it is %s.", o.reference())
		}
	}
	slices.SortStableFunc(out, func(a, b object) int { return cmp.Compare(rank(a), rank(b)) })
	return out, nil
}

func rank(o object) int {
	switch o.GetKind() {
	case kindNamespace, kindCRD:
		return 0
	}
	return 1
}

// documentsOf returns the JSON documents of a manifest.
func documentsOf(manifest cty.Value) ([]json.RawMessage, error) {
	if manifest.IsNull() {
		return nil, errors.New("the manifest has no objects")
	}
	if manifest.Type() != cty.String {
		text, err := ctyjson.SimpleJSONValue{Value: manifest}.MarshalJSON()
		return []json.RawMessage{text}, err
	}
	var out []json.RawMessage
	for d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest.AsString()), 4096); ; {
		var document json.RawMessage
		err := d.Decode(&document)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the manifest is not valid YAML: %w", err)
		}
		if len(document) > 0 && string(document) != "null" {
			out = append(out, document)
		}
	}
}

// objectsIn returns the objects of a document: one, a JSON array, or those of an
// object of the kind List.
func objectsIn(document json.RawMessage) ([]object, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(document, &items); err != nil {
		var list struct {
			Kind  string            `json:"kind"`
			Items []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(document, &list); err != nil {
			return nil, fmt.Errorf("an object of the manifest is not an object: %s", document)
		}
		if list.Kind != "List" {
			u := &unstructured.Unstructured{}
			// UnmarshalJSON refuses an object without a kind with a message about Go.
			if list.Kind == "" {
				return nil, fmt.Errorf("an object of the manifest has no kind\nIt is %s.", document)
			}
			if err := u.UnmarshalJSON(document); err != nil {
				return nil, fmt.Errorf("read an object of the manifest: %w", err)
			}
			return []object{{u}}, nil
		}
		items = list.Items
	}
	var out []object
	for _, item := range items {
		found, err := objectsIn(item)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}
