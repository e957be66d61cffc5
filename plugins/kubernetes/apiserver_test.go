package kubernetes

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

// definition defines the kind InferenceService as KServe does, with the fields
// that the tests use.
const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: inferenceservices.serving.kserve.io}
spec:
  group: serving.kserve.io
  scope: Namespaced
  names: {plural: inferenceservices, singular: inferenceservice, kind: InferenceService, listKind: InferenceServiceList}
  versions:
  - name: v1beta1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              minReplicas: {type: integer, minimum: 0}
              model: {type: string}
              mode: {type: string, x-kubernetes-validations: [{rule: "self == oldSelf", message: "field is immutable"}]}
              containers:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, image: {type: string}}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
`

const service = `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: chat}
spec:
  minReplicas: 1
  mode: serverless
  model: registry.example.com/m@sha256:1
  containers: [{name: server, image: "vllm:1"}, {name: proxy, image: "envoy:1"}]
`

// apiServer starts the API server that QUERN_TEST_APISERVER names, and sets
// KUBECONFIG. "make test-kubernetes" builds it.
func apiServer(t *testing.T) {
	t.Helper()
	program := os.Getenv("QUERN_TEST_APISERVER")
	if program == "" {
		t.Skip(`there is no API server: run "make test-kubernetes"`)
	}
	dir := t.TempDir()
	cmd := exec.Command(program, "-dir", dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // it ends with its stdin
		_ = cmd.Wait()
		_ = output.Close()
	})
	config := filepath.Join(dir, "kubeconfig")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(config); err == nil {
			break
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(output.Name())
			t.Fatalf("the API server did not start:\n%s", text)
		}
	}
	t.Setenv("KUBECONFIG", config)
}

// edit changes an object with an update by another manager; status changes its
// status.
func edit(t *testing.T, status bool, change func(map[string]any)) {
	t.Helper()
	c, err := connect("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.client(t.Context(), "serving.kserve.io/v1beta1", "InferenceService", "default")
	if err != nil {
		t.Fatal(err)
	}
	u, err := client.Get(t.Context(), "chat", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(u.Object)
	update := client.Update
	if status {
		update = func(ctx context.Context, u *unstructured.Unstructured, o metav1.UpdateOptions, _ ...string) (*unstructured.Unstructured, error) {
			return client.UpdateStatus(ctx, u, o)
		}
	}
	if _, err := update(t.Context(), u, metav1.UpdateOptions{FieldManager: "kubectl-edit"}); err != nil {
		t.Fatal(err)
	}
}

// TestTheLifeOfADeploymentInAnAPIServer runs against the API server of
// Kubernetes: its server-side apply, validation, and dry runs.
func TestTheLifeOfADeploymentInAnAPIServer(t *testing.T) {
	apiServer(t)
	d := &deployed{t: t, args: map[string]any{"manifest": definition + "---" + service, "ready_timeout": "20s"}}
	d.Deployed = plugintest.Deploy(t, Plugin("1.0.0"), plugintest.Case{Type: "kubernetes", Args: d.args})
	d.plan(plugin.ActionCreate, "manifest:  -> apiextensions.k8s.io/v1 CustomResourceDefinition inferenceservices.serving.kserve.io",
		"manifest:  -> serving.kserve.io/v1beta1 InferenceService chat")
	d.MustApply()
	d.MustRead()
	d.plan(plugin.ActionNone)

	change := func(pairs ...string) {
		d.Set("manifest", definition+"---"+strings.NewReplacer(pairs...).Replace(service))
	}
	change("sha256:1", "sha256:2", "envoy:1", "envoy:2")
	d.plan(plugin.ActionUpdate, "InferenceService default/chat: spec.containers.proxy.image: envoy:1 -> envoy:2",
		"InferenceService default/chat: spec.model: registry.example.com/m@sha256:1 -> registry.example.com/m@sha256:2")
	d.MustApply()
	d.plan(plugin.ActionNone)

	// A field that left the manifest is removed.
	change("sha256:1", "sha256:2", "envoy:1", "envoy:2", "  minReplicas: 1\n", "")
	d.plan(plugin.ActionUpdate, "InferenceService default/chat: spec.minReplicas: 1 -> ")
	d.MustApply()

	// Another manager owns a field.
	edit(t, false, func(o map[string]any) { o["spec"].(map[string]any)["model"] = "theirs" })
	d.fails("other managers own fields of serving.kserve.io/v1beta1 InferenceService default/chat", `conflict with "kubectl-edit"`, ".spec.model")
	d.Set("force_conflicts", true)
	d.plan(plugin.ActionUpdate, "InferenceService default/chat: spec.model: theirs -> registry.example.com/m@sha256:2", "wait: the last apply did not finish -> ready")
	d.MustApply()
	d.plan(plugin.ActionNone)

	// Mistakes are found by the server while planning.
	change("model:", "modle:")
	_, err := d.Plan()
	d.says("the plan", err, []string{".spec.modle: field not declared in schema"})
	change("serverless", "raw")
	d.plan(plugin.ActionReplace, "manifest: serving.kserve.io/v1beta1 InferenceService default/chat -> created again, because spec.mode cannot be changed")

	// Its condition decides whether it is ready.
	report := func(status, message string) {
		edit(t, true, func(o map[string]any) {
			o["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status, "reason": "PredictorNotReady", "message": message}}}
		})
	}
	report("False", "the predictor waits for a GPU")
	change("sha256:1", "sha256:3")
	d.Set("ready_timeout", "1s")
	d.says("the apply", d.Apply(), []string{"did not become ready in time", "Ready is False (PredictorNotReady): the predictor waits for a GPU."})
	report("True", "")
	d.Set("ready_timeout", "20s")
	d.MustApply()
	d.plan(plugin.ActionNone)

	// The definition takes its objects with it.
	for range 2 {
		if err := d.Delete(); err != nil {
			t.Fatal(err)
		}
	}
	d.MustRead()
	if d.Value() != cty.NilVal {
		t.Errorf("after it was destroyed there is %#v", d.Value())
	}
}
