// Package kubetest is a stand-in for a Kubernetes API server. Its server-side
// apply is that of Kubernetes (apimachinery's managedfields, without schemas: a
// list has one owner); its storage and its few kinds are its own. Nothing runs in
// it: a test says what controllers would report.
package kubetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Server is an http.Handler.
type Server struct {
	// Controllers changes an object that was written, as controllers would: its
	// status. It may be nil.
	Controllers func(*unstructured.Unstructured)

	mu      sync.Mutex
	version int64
	objects map[string]*unstructured.Unstructured
}

// kinds are the resources of the server, by API version.
var kinds = map[string][]metav1.APIResource{
	"v1": {
		{Name: "namespaces", Kind: "Namespace"}, {Name: "configmaps", Kind: "ConfigMap", Namespaced: true}, {Name: "secrets", Kind: "Secret", Namespaced: true},
		{Name: "services", Kind: "Service", Namespaced: true}, {Name: "pods", Kind: "Pod", Namespaced: true}, {Name: "pods/status", Kind: "Pod", Namespaced: true},
		{Name: "events", Kind: "Event", Namespaced: true},
	},
	"apps/v1":                   {{Name: "deployments", Kind: "Deployment", Namespaced: true}, {Name: "statefulsets", Kind: "StatefulSet", Namespaced: true}},
	"batch/v1":                  {{Name: "jobs", Kind: "Job", Namespaced: true}},
	"serving.kserve.io/v1beta1": {{Name: "inferenceservices", Kind: "InferenceService", Namespaced: true}},
}

// New returns a server with the namespace "default".
func New() *Server {
	s := &Server{objects: map[string]*unstructured.Unstructured{}}
	s.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "default"}})
	return s
}

// Kubeconfig returns a kubeconfig file for a server at an address.
func Kubeconfig(address string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: %q}}]
users: [{name: test, user: {token: secret}}]
`, address)
}

func key(kind, namespace, name string) string { return kind + " " + namespace + "/" + name }

// Get returns an object, or nil.
func (s *Server) Get(kind, namespace, name string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.objects[key(kind, namespace, name)]; u != nil {
		return u.DeepCopy().Object
	}
	return nil
}

// Put creates or replaces an object, as somebody else does with an update.
func (s *Server) Put(object map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &unstructured.Unstructured{Object: object}
	live := s.objects[key(u.GetKind(), u.GetNamespace(), u.GetName())]
	fields, err := managerOf(u.GroupVersionKind())
	if err != nil {
		panic(err)
	}
	before := live
	if before == nil {
		before = empty(u)
	}
	next, err := fields.Update(before, u, "somebody-else")
	if err != nil {
		panic(err)
	}
	s.store(live, next.(*unstructured.Unstructured))
}

// Update changes an object, as somebody else does.
func (s *Server) Update(kind, namespace, name string, change func(map[string]any)) {
	object := s.Get(kind, namespace, name)
	change(object)
	s.Put(object)
}

// Remove deletes an object, as somebody else does.
func (s *Server) Remove(kind, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key(kind, namespace, name))
}

// place is what the path of a request names.
type place struct {
	apiVersion, namespace, name string
	resource                    metav1.APIResource
}

func (p *place) key() string { return key(p.resource.Kind, p.namespace, p.name) }

func (p *place) group() schema.GroupResource {
	return schema.GroupResource{Group: schema.FromAPIVersionAndKind(p.apiVersion, "").Group, Resource: p.resource.Name}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := s.serve(r)
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		var status apierrors.APIStatus
		if !errors.As(err, &status) {
			status = apierrors.NewBadRequest(err.Error())
		}
		answer := status.Status()
		answer.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.WriteHeader(int(answer.Code))
		value = answer
	}
	_ = json.NewEncoder(w).Encode(value)
}

func (s *Server) serve(r *http.Request) (any, error) {
	p, err := parse(r.URL.Path)
	if err != nil {
		return nil, err
	}
	if p.resource.Name == "" {
		return metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: p.apiVersion, APIResources: kinds[p.apiVersion]}, nil
	}
	switch {
	case r.Method == http.MethodGet && p.name == "":
		return s.list(p, r), nil
	case r.Method == http.MethodGet:
		return s.get(p)
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == string(types.ApplyPatchType):
		return s.apply(p, r)
	case r.Method == http.MethodDelete:
		return s.remove(p, r)
	}
	return nil, apierrors.NewMethodNotSupported(p.group(), r.Method)
}

// parse reads /api/v1/… and /apis/GROUP/VERSION/….
func parse(path string) (*place, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	p := &place{}
	switch {
	case len(parts) >= 2 && parts[0] == "api":
		p.apiVersion, parts = parts[1], parts[2:]
	case len(parts) >= 3 && parts[0] == "apis":
		p.apiVersion, parts = parts[1]+"/"+parts[2], parts[3:]
	}
	all, ok := kinds[p.apiVersion]
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: p.apiVersion}, path)
	}
	if len(parts) >= 3 && parts[0] == "namespaces" {
		p.namespace, parts = parts[1], parts[2:]
	}
	if len(parts) == 0 {
		return p, nil
	}
	i := slices.IndexFunc(all, func(r metav1.APIResource) bool { return r.Name == parts[0] })
	if i < 0 {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: parts[0]}, "")
	}
	p.resource = all[i]
	if len(parts) > 1 {
		p.name = parts[1]
	}
	return p, nil
}

func (s *Server) get(p *place) (*unstructured.Unstructured, error) {
	if u := s.objects[p.key()]; u != nil {
		return u, nil
	}
	return nil, apierrors.NewNotFound(p.group(), p.name)
}

func (s *Server) list(p *place, r *http.Request) any {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		selector = labels.Nothing()
	}
	items := []any{}
	for _, u := range s.objects {
		if u.GetKind() != p.resource.Kind || u.GetNamespace() != p.namespace || !selector.Matches(labels.Set(u.GetLabels())) {
			continue
		}
		if typ, ok := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "type="); ok && u.Object["type"] != typ {
			continue
		}
		items = append(items, u.Object)
	}
	return map[string]any{"apiVersion": p.apiVersion, "kind": p.resource.Kind + "List", "metadata": map[string]any{}, "items": items}
}

func (s *Server) apply(p *place, r *http.Request) (any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	applied := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(body, &applied.Object); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if p.namespace != "" && s.objects[key("Namespace", "", p.namespace)] == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, p.namespace)
	}
	live := s.objects[p.key()]
	before := live
	if before == nil {
		before = empty(applied)
	}
	fields, err := managerOf(applied.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	result, err := fields.Apply(before.DeepCopy(), applied, r.URL.Query().Get("fieldManager"), r.URL.Query().Get("force") == "true")
	if err != nil {
		return nil, err
	}
	if result == nil { // nothing changes
		return live, nil
	}
	next := result.(*unstructured.Unstructured)
	if err := immutable(live, next); err != nil {
		return nil, err
	}
	if r.URL.Query().Get("dryRun") == "All" {
		return next, nil
	}
	s.store(live, next)
	return next, nil
}

// immutable refuses changes of what cannot be changed: the template of a Job.
func immutable(live, next *unstructured.Unstructured) error {
	if live == nil || live.GetKind() != "Job" {
		return nil
	}
	was, _, _ := unstructured.NestedFieldNoCopy(live.Object, "spec", "template")
	is, _, _ := unstructured.NestedFieldNoCopy(next.Object, "spec", "template")
	if reflect.DeepEqual(was, is) {
		return nil
	}
	invalid := field.Invalid(field.NewPath("spec", "template"), "…", "field is immutable")
	return apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, live.GetName(), field.ErrorList{invalid})
}

// store stores an object, with what the server and controllers maintain.
func (s *Server) store(live, next *unstructured.Unstructured) {
	s.version++
	next.SetResourceVersion(fmt.Sprint(s.version))
	generation := int64(1)
	if live == nil {
		next.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
		next.SetCreationTimestamp(metav1.Now())
	} else {
		next.SetUID(live.GetUID())
		next.SetCreationTimestamp(live.GetCreationTimestamp())
		generation = live.GetGeneration()
		if !reflect.DeepEqual(live.Object["spec"], next.Object["spec"]) {
			generation++
		}
	}
	next.SetGeneration(generation)
	if s.Controllers != nil {
		s.Controllers(next)
	}
	// As if it had been read from a database.
	text, err := next.MarshalJSON()
	stored := &unstructured.Unstructured{}
	if err = errors.Join(err, stored.UnmarshalJSON(text)); err != nil {
		panic(err)
	}
	s.objects[key(next.GetKind(), next.GetNamespace(), next.GetName())] = stored
}

func (s *Server) remove(p *place, r *http.Request) (any, error) {
	live, err := s.get(p)
	if err != nil {
		return nil, err
	}
	var options metav1.DeleteOptions
	if err := json.NewDecoder(r.Body).Decode(&options); err != nil && !errors.Is(err, io.EOF) {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if pre := options.Preconditions; pre != nil && pre.UID != nil && *pre.UID != live.GetUID() {
		return nil, apierrors.NewConflict(p.group(), p.name, errors.New("the UID differs"))
	}
	delete(s.objects, p.key())
	return metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}, nil
}

func empty(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{}}
	out.SetAPIVersion(u.GetAPIVersion())
	out.SetKind(u.GetKind())
	out.SetName(u.GetName())
	if u.GetNamespace() != "" {
		out.SetNamespace(u.GetNamespace())
	}
	return out
}

func managerOf(kind schema.GroupVersionKind) (*managedfields.FieldManager, error) {
	return managedfields.NewDefaultFieldManager(managedfields.NewDeducedTypeConverter(), same{}, unstructuredscheme.NewUnstructuredDefaulter(),
		unstructuredscheme.NewUnstructuredCreator(), kind, kind.GroupVersion(), "", nil)
}

// same converts objects between versions: there is only one of each.
type same struct{}

func (same) Convert(in, out, _ any) error {
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(in).Elem())
	return nil
}

func (same) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (same) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
