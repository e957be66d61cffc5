package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// manager is the field manager of server-side apply.
const manager = "quern"

// cluster is the API server of a cluster.
type cluster struct {
	server    string
	namespace string
	dynamic   dynamic.Interface
	http      *http.Client
	base      *url.URL
	// kinds has the resources that were looked up, by API version.
	kinds map[string][]metav1.APIResource
}

// connect finds the cluster of a context. It makes no request.
func connect(kubeconfig, context, namespace string) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context})
	config, err := loaded.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("the cluster is not known\nSet kubeconfig and context, or the variable KUBECONFIG (%w).", err)
	}
	config.UserAgent, config.QPS, config.Burst = "quern", 50, 100
	if namespace == "" {
		if namespace, _, err = loaded.Namespace(); err != nil {
			return nil, fmt.Errorf("read the namespace of the context: %w", err)
		}
	}
	c := &cluster{namespace: namespace, kinds: map[string][]metav1.APIResource{}}
	if c.base, _, err = rest.DefaultServerUrlFor(config); err != nil {
		return nil, fmt.Errorf("read the address of the cluster: %w", err)
	}
	c.server = c.base.String()
	if c.http, err = rest.HTTPClientFor(config); err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", c.server, err)
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(config, c.http); err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", c.server, err)
	}
	return c, nil
}

// unknownKind says that a cluster does not have a kind.
type unknownKind struct{ apiVersion, kind string }

func (u *unknownKind) Error() string {
	return fmt.Sprintf("the cluster has no %s in %s\nInstall what provides it, or correct apiVersion and kind.", u.kind, u.apiVersion)
}

// resource returns the resource of a kind.
func (c *cluster) resource(ctx context.Context, apiVersion, kind string) (*metav1.APIResource, error) {
	all, ok := c.kinds[apiVersion]
	if !ok {
		var err error
		if all, err = c.discover(ctx, apiVersion); err != nil {
			return nil, err
		}
		if all != nil {
			c.kinds[apiVersion] = all
		}
	}
	for _, r := range all {
		if r.Kind == kind && !strings.Contains(r.Name, "/") {
			return &r, nil
		}
	}
	delete(c.kinds, apiVersion) // the kind may appear with a definition that is applied
	return nil, &unknownKind{apiVersion, kind}
}

// discover asks the server for the resources of an API version; nil if it does
// not have that version.
func (c *cluster) discover(ctx context.Context, apiVersion string) ([]metav1.APIResource, error) {
	path := "/apis/" + apiVersion
	if !strings.Contains(apiVersion, "/") {
		path = "/api/" + apiVersion
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the cluster cannot be reached: %w", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, nil
	default:
		return nil, fmt.Errorf("ask %s for the kinds of %s: HTTP status %s", c.server, apiVersion, response.Status)
	}
	var list metav1.APIResourceList
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("ask %s for the kinds of %s: %w", c.server, apiVersion, err)
	}
	return list.APIResources, nil
}

// client returns the client for a resource in a namespace.
func (c *cluster) client(ctx context.Context, apiVersion, kind, namespace string) (dynamic.ResourceInterface, error) {
	r, err := c.resource(ctx, apiVersion, kind)
	if err != nil {
		return nil, err
	}
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	client := c.dynamic.Resource(version.WithResource(r.Name))
	if r.Namespaced {
		return client.Namespace(namespace), nil
	}
	return client, nil
}

// place gives an object without a namespace the default one, if its kind has
// namespaces.
func (c *cluster) place(ctx context.Context, o object) error {
	r, err := c.resource(ctx, o.GetAPIVersion(), o.GetKind())
	if err != nil {
		return err
	}
	switch {
	case !r.Namespaced:
		o.SetNamespace("")
	case o.GetNamespace() == "":
		o.SetNamespace(c.namespace)
	}
	return nil
}

// served waits until the server serves the kind of an object, if the manifest
// defines it: it takes a moment after the definition is established.
func (c *cluster) served(ctx context.Context, o object, objects []object, deadline time.Time) error {
	for {
		_, err := c.resource(ctx, o.GetAPIVersion(), o.GetKind())
		if !isUnknown(err) || !defines(objects, o) || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, time.Second/4); err != nil {
			return err
		}
	}
}

// get returns an object, or nil if it does not exist.
func (c *cluster) get(ctx context.Context, ref reference) (*unstructured.Unstructured, error) {
	client, err := c.client(ctx, ref.APIVersion, ref.Kind, ref.Namespace)
	if isUnknown(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	live, err := client.Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	return live, nil
}

// patch applies an object, or says what that would give.
func (c *cluster) patch(ctx context.Context, o object, force, dry bool) (*unstructured.Unstructured, error) {
	client, err := c.client(ctx, o.GetAPIVersion(), o.GetKind(), o.GetNamespace())
	if err != nil {
		return nil, err
	}
	body, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	options := metav1.PatchOptions{FieldManager: manager, Force: &force, FieldValidation: metav1.FieldValidationStrict}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return client.Patch(ctx, o.GetName(), types.ApplyPatchType, body, options)
}

// apply applies an object.
func (c *cluster) apply(ctx context.Context, o object, force bool) (reference, error) {
	if err := c.place(ctx, o); err != nil {
		return reference{}, err
	}
	applied, err := c.patch(ctx, o, force, false)
	if err != nil {
		return reference{}, explained(o.reference(), err)
	}
	return object{applied}.reference(), nil
}

// explained describes an error of the server, with the fix.
func explained(ref reference, err error) error {
	if apierrors.IsConflict(err) {
		return fmt.Errorf("other managers own fields of %s\n%w. Leave these fields out of the manifest, or set force_conflicts = true to take them over.", ref, err)
	}
	return fmt.Errorf("apply %s: %w", ref, err)
}

// remove deletes an object, unless another one has its name by now.
func (c *cluster) remove(ctx context.Context, ref reference) error {
	client, err := c.client(ctx, ref.APIVersion, ref.Kind, ref.Namespace)
	if isUnknown(err) {
		return nil
	}
	if err != nil {
		return err
	}
	uid, background := types.UID(ref.UID), metav1.DeletePropagationBackground
	err = client.Delete(ctx, ref.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %s: %w", ref, err)
	}
	return nil
}

// gone waits until objects no longer exist.
func (c *cluster) gone(ctx context.Context, refs []reference, deadline time.Time) error {
	for {
		left, err := c.left(ctx, refs)
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("some objects were deleted, but still exist\nFinalizers hold %s. Look for what should remove them.", strings.Join(left, ", "))
		}
		if err := pause(ctx, time.Second/2); err != nil {
			return err
		}
	}
}

func (c *cluster) left(ctx context.Context, refs []reference) ([]string, error) {
	var left []string
	for _, ref := range refs {
		live, err := c.get(ctx, ref)
		if err != nil {
			return nil, err
		}
		if live != nil && string(live.GetUID()) == ref.UID {
			left = append(left, ref.String())
		}
	}
	return left, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// isApplied reports whether quern has applied an object.
func isApplied(live *unstructured.Unstructured) bool {
	return slices.ContainsFunc(live.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == manager && f.Operation == metav1.ManagedFieldsOperationApply
	})
}
