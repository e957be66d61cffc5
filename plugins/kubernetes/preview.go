package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

func isUnknown(err error) bool {
	var u *unknownKind
	return errors.As(err, &u)
}

// preview returns what applying the objects would change.
func (c *cluster) preview(ctx context.Context, objects []object, n *notes, force bool) ([]plugin.DeploymentChange, error) {
	var out []plugin.DeploymentChange
	var wanted []reference
	var problems []error
	for _, o := range objects {
		err := c.place(ctx, o)
		if isUnknown(err) && defines(objects, o) {
			// The definition is applied first. Without it, nothing exists.
			out = append(out, created(o.reference()))
			continue
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if slices.ContainsFunc(wanted, o.reference().is) {
			problems = append(problems, fmt.Errorf("the manifest contains %s twice", o.reference()))
		}
		wanted = append(wanted, o.reference())
		changes, err := c.difference(ctx, o, objects, n, force)
		problems = append(problems, err)
		out = append(out, changes...)
	}
	for _, ref := range n.Objects {
		if !slices.ContainsFunc(wanted, ref.is) {
			out = append(out, plugin.DeploymentChange{Argument: "manifest", Before: ref.String(), After: "deleted"})
		}
	}
	return out, errors.Join(problems...)
}

// defines reports whether the manifest has the definition of an object's kind.
func defines(objects []object, o object) bool {
	return slices.ContainsFunc(objects, func(d object) bool {
		if d.GetKind() != kindCRD {
			return false
		}
		group, _, _ := unstructured.NestedString(d.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(d.Object, "spec", "names", "kind")
		return group == groupOf(o.GetAPIVersion()) && kind == o.GetKind()
	})
}

func created(ref reference) plugin.DeploymentChange {
	return plugin.DeploymentChange{Argument: "manifest", After: ref.String()}
}

// difference returns what applying an object would change.
func (c *cluster) difference(ctx context.Context, o object, objects []object, n *notes, force bool) ([]plugin.DeploymentChange, error) {
	ref := o.reference()
	live, err := c.get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if err := refuse(ref, live, n, force); err != nil {
		return nil, err
	}
	next, err := c.patch(ctx, o, force, true)
	switch {
	case live == nil && (err == nil || apierrors.IsNotFound(err) && inNewNamespace(objects, o)):
		return []plugin.DeploymentChange{created(ref)}, nil
	case live != nil && apierrors.IsInvalid(err) && len(immutable(err)) > 0:
		after := "created again, because " + strings.Join(immutable(err), " and ") + " cannot be changed"
		return []plugin.DeploymentChange{{Argument: "manifest", Before: ref.String(), After: after, ForcesReplacement: true}}, nil
	case err != nil:
		return nil, explained(ref, err)
	}
	return compare(ref, live, next), nil
}

// refuseForeign refuses objects that quern must not change.
func (c *cluster) refuseForeign(ctx context.Context, objects []object, n *notes, force bool) error {
	for _, o := range objects {
		err := c.place(ctx, o)
		if isUnknown(err) && defines(objects, o) {
			continue
		}
		if err != nil {
			return err
		}
		live, err := c.get(ctx, o.reference())
		if err == nil {
			err = refuse(o.reference(), live, n, force)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refuse refuses an object that quern has not applied.
func refuse(ref reference, live *unstructured.Unstructured, n *notes, force bool) error {
	if live == nil || force || isApplied(live) || slices.ContainsFunc(n.Objects, ref.is) {
		return nil
	}
	return fmt.Errorf("%s exists, and quern did not create it\nUse another name, or set force_conflicts = true to take it over. Destroying the deployment would then delete it.", ref)
}

// inNewNamespace reports whether an object belongs to a namespace of the
// manifest.
func inNewNamespace(objects []object, o object) bool {
	return slices.ContainsFunc(objects, func(n object) bool { return n.GetKind() == kindNamespace && n.GetName() == o.GetNamespace() })
}

// immutable returns the fields that cannot be changed, if the server refuses a
// change for that.
func immutable(err error) []string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var out []string
	for _, cause := range status.Status().Details.Causes {
		if containsAny(cause.Message, "field is immutable", "updates to statefulset spec for fields other than", "may not be changed", "cannot be changed") {
			out = append(out, cause.Field)
		}
	}
	return out
}

// mostChanges limits the changes that are shown for an object.
const mostChanges = 50

// compare returns the fields in which two states of an object differ.
func compare(ref reference, live, next *unstructured.Unstructured) []plugin.DeploymentChange {
	d := &differences{ref: ref, hidden: ref.Kind == kindSecret}
	d.walk("", significant(live), significant(next))
	if left := len(d.changes) - mostChanges; left > 0 {
		d.changes = append(d.changes[:mostChanges], plugin.DeploymentChange{Argument: ref.Kind + " " + ref.Name, After: fmt.Sprintf("and %d more fields", left)})
	}
	return d.changes
}

// significant returns the content of an object without what the server maintains.
func significant(u *unstructured.Unstructured) map[string]any {
	o := u.DeepCopy().Object
	delete(o, "status")
	if meta, ok := o["metadata"].(map[string]any); ok {
		for _, name := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"} {
			delete(meta, name)
		}
	}
	return o
}

type differences struct {
	ref     reference
	hidden  bool // the data of a Secret
	changes []plugin.DeploymentChange
}

func (d *differences) walk(path string, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	was, isMap := fields(before)
	is, toMap := fields(after)
	if !isMap && !toMap || before != nil && !isMap || after != nil && !toMap {
		d.add(path, before, after)
		return
	}
	names := slices.Sorted(maps.Keys(is))
	for name := range was {
		if _, ok := is[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		at := name
		if path != "" {
			at = path + "." + name
		}
		d.walk(at, was[name], is[name])
	}
}

// fields returns the parts of a map or of a list: those of a list by the name of
// each element, if all have one, or else by position.
func fields(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case []any:
		byName, byPosition := map[string]any{}, map[string]any{}
		for i, e := range v {
			byPosition[strconv.Itoa(i)] = e
			if m, ok := e.(map[string]any); ok {
				if name, ok := m["name"].(string); ok {
					byName[name] = e
				}
			}
		}
		if len(byName) == len(v) {
			return byName, true
		}
		return byPosition, true
	}
	return nil, false
}

func (d *differences) add(path string, before, after any) {
	show := func(v any) string {
		if v == nil {
			return ""
		}
		if d.hidden {
			return "(secret)"
		}
		if s, ok := v.(string); ok {
			return s
		}
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	}
	name := d.ref.Name
	if d.ref.Namespace != "" {
		name = d.ref.Namespace + "/" + name
	}
	d.changes = append(d.changes, plugin.DeploymentChange{Argument: fmt.Sprintf("%s %s: %s", d.ref.Kind, name, path), Before: show(before), After: show(after)})
}
