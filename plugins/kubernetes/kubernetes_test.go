package kubernetes

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/quern-dev/quern/plugins/kubernetes/kubetest"
	"github.com/quern-dev/quern/sdk/go/plugin"
	"github.com/quern-dev/quern/sdk/go/plugintest"
)

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: server, image: "example.com/web:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {model: one}
`

// deployed is a deployment to a stand-in for an API server.
type deployed struct {
	*plugintest.Deployed
	t       *testing.T
	cluster *kubetest.Server
	args    map[string]any
}

func deploy(t *testing.T) *deployed {
	t.Helper()
	d := &deployed{t: t, cluster: kubetest.New(), args: map[string]any{"manifest": web, "ready_timeout": "300ms"}}
	d.cluster.Controllers = running
	server := httptest.NewServer(d.cluster)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(kubetest.Kubeconfig(server.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
	d.Deployed = plugintest.Deploy(t, Plugin("1.0.0"), plugintest.Case{Type: "kubernetes", Args: d.args})
	return d
}

// running reports that Deployments run at once.
func running(u *unstructured.Unstructured) {
	if u.GetKind() == "Deployment" {
		n, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "replicas")
		u.Object["status"] = map[string]any{"observedGeneration": u.GetGeneration(), "replicas": n, "updatedReplicas": n, "availableReplicas": n}
	}
}

// plan checks the action and the changes, each "ARGUMENT: BEFORE -> AFTER".
func (d *deployed) plan(want plugin.DeploymentAction, changes ...string) {
	d.t.Helper()
	p, err := d.Plan()
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, c := range p.Changes {
		got = append(got, c.Argument+": "+c.Before+" -> "+c.After)
	}
	if p.Action != want || !slices.Equal(got, changes) {
		d.t.Fatalf("got action %d and changes\n  %s\nwant action %d and\n  %s", p.Action, strings.Join(got, "\n  "), want, strings.Join(changes, "\n  "))
	}
}

// fails checks what planning and applying say.
func (d *deployed) fails(parts ...string) {
	d.t.Helper()
	_, err := d.Plan()
	d.says("the plan", err, parts)
	d.says("the apply", d.Apply(), parts)
}

func (d *deployed) says(who string, err error, parts []string) {
	d.t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			d.t.Errorf("%s says %v, want %q", who, err, part)
		}
	}
}

func TestTheLifeOfADeployment(t *testing.T) {
	d := deploy(t)
	d.plan(plugin.ActionCreate, "manifest:  -> apps/v1 Deployment default/web", "manifest:  -> v1 ConfigMap default/settings")
	d.MustApply()
	d.MustRead()
	d.plan(plugin.ActionNone)

	d.Set("manifest", strings.NewReplacer("replicas: 2", "replicas: 3", "web:1", "web:2").Replace(web))
	d.plan(plugin.ActionUpdate, "Deployment default/web: spec.replicas: 2 -> 3",
		"Deployment default/web: spec.template.spec.containers.server.image: example.com/web:1 -> example.com/web:2")
	d.MustApply()
	d.plan(plugin.ActionNone)

	// What left the manifest is deleted.
	d.Set("manifest", strings.Split(d.args["manifest"].(string), "---")[0])
	d.plan(plugin.ActionUpdate, "manifest: v1 ConfigMap default/settings -> deleted")
	d.MustApply()
	if d.cluster.Get("ConfigMap", "default", "settings") != nil {
		t.Error("the ConfigMap exists")
	}
	d.plan(plugin.ActionNone)
	for range 2 {
		if err := d.Delete(); err != nil {
			t.Fatal(err)
		}
	}
	if d.cluster.Get("Deployment", "default", "web") != nil {
		t.Error("the Deployment exists after it was destroyed")
	}
	d.MustRead()
	d.plan(plugin.ActionCreate, "manifest:  -> apps/v1 Deployment default/web")
}

func TestDriftIsShownAndRepaired(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	// Fields that quern does not own are left alone.
	d.cluster.Update("ConfigMap", "default", "settings", func(o map[string]any) { o["data"].(map[string]any)["theirs"] = "x" })
	d.plan(plugin.ActionNone)

	scale := func() {
		d.cluster.Update("Deployment", "default", "web", func(o map[string]any) { o["spec"].(map[string]any)["replicas"] = int64(5) })
	}
	scale()
	d.fails("other managers own fields of apps/v1 Deployment default/web", `conflict with "somebody-else"`, ".spec.replicas", "force_conflicts = true")
	d.Set("force_conflicts", true)
	d.plan(plugin.ActionUpdate, "Deployment default/web: spec.replicas: 5 -> 2", "wait: the last apply did not finish -> ready")
	d.MustApply()
	d.plan(plugin.ActionNone)

	d.cluster.Remove("ConfigMap", "default", "settings")
	d.MustRead()
	if got := d.Value().GetAttr("drift").AsString(); got != "missing: v1 ConfigMap default/settings" {
		t.Errorf("drift is %q", got)
	}
	d.plan(plugin.ActionUpdate, "manifest:  -> v1 ConfigMap default/settings")
	d.MustApply()
	d.plan(plugin.ActionNone)
}

func TestObjectsOfOthersAreNotTakenOver(t *testing.T) {
	d := deploy(t)
	d.cluster.Put(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "settings", "namespace": "default"}, "data": map[string]any{"model": "one"}})
	d.fails("v1 ConfigMap default/settings exists, and quern did not create it")
	if d.cluster.Get("Deployment", "default", "web") != nil {
		t.Error("the apply created an object before it refused another")
	}

	// An object of the same name that was created later is not quern's.
	d.cluster.Remove("ConfigMap", "default", "settings")
	d.MustApply()
	d.cluster.Remove("ConfigMap", "default", "settings")
	d.cluster.Put(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "settings", "namespace": "default"}})
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if d.cluster.Get("ConfigMap", "default", "settings") == nil {
		t.Error("the destroy deleted an object that quern had not created")
	}
}

func TestWhatCannotBeChangedReplacesTheDeployment(t *testing.T) {
	d := deploy(t)
	d.cluster.Controllers = func(u *unstructured.Unstructured) {
		u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Complete", "status": "True"}}}
	}
	const job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: load}\nspec: {template: {spec: {containers: [{name: load, image: one}]}}}\n"
	d.Set("manifest", job)
	d.MustApply()
	d.Set("manifest", strings.ReplaceAll(job, "image: one", "image: two"))
	d.plan(plugin.ActionReplace, "manifest: batch/v1 Job default/load -> created again, because spec.template cannot be changed")
}

func TestNamespacesComeFirst(t *testing.T) {
	d := deploy(t)
	d.Set("manifest", []any{
		map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "key", "namespace": "chat"}, "data": map[string]any{"key": "czNjcjN0"}},
		map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "chat"}},
	})
	d.plan(plugin.ActionCreate, "manifest:  -> v1 Namespace chat", "manifest:  -> v1 Secret chat/key")
	d.MustApply()

	// What a Secret contains is not shown.
	d.Set("manifest", []any{
		map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "chat"}},
		map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "key", "namespace": "chat"}, "data": map[string]any{"key": "b3RoZXI="}},
	})
	d.plan(plugin.ActionUpdate, "Secret chat/key: data.key: (secret) -> (secret)")
}

func TestAFailedRolloutSaysWhy(t *testing.T) {
	d := deploy(t)
	d.cluster.Controllers = nil
	d.cluster.Put(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web-1-a", "namespace": "default", "labels": map[string]any{"app": "web"}},
		"status": map[string]any{"containerStatuses": []any{map[string]any{
			"name": "server", "state": map[string]any{"waiting": map[string]any{"reason": "ImagePullBackOff", "message": `Back-off pulling image "example.com/web:1"`}},
		}}},
	})
	d.cluster.Put(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web-1-b", "namespace": "default", "labels": map[string]any{"app": "web"}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}}},
	})
	event := func(name, about, reason, message string) {
		d.cluster.Put(map[string]any{
			"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": name, "namespace": "default"}, "type": "Warning", "reason": reason, "message": message,
			"involvedObject": map[string]any{"kind": "ReplicaSet", "name": about},
		})
	}
	event("a", "web-1", "FailedCreate", `pods "web-1-c" is forbidden: exceeded quota: gpus`)
	event("b", "other-1", "FailedCreate", "not about this")
	err := d.Apply()
	d.says("the apply", err, []string{
		"apps/v1 Deployment default/web did not become ready in time", `Container server of pod web-1-a: ImagePullBackOff: Back-off pulling image "example.com/web:1".`,
		"Pod web-1-b: PodScheduled is False (Unschedulable): 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", "ReplicaSet web-1: FailedCreate", "exceeded quota: gpus",
	})
	if err != nil && strings.Contains(err.Error(), "not about this") {
		t.Errorf("got %v", err)
	}
	// The objects exist, and the next plan says that they are not ready.
	d.MustRead()
	d.plan(plugin.ActionUpdate, "wait: the last apply did not finish -> ready")
	d.cluster.Controllers = running
	d.cluster.Update("Deployment", "default", "web", func(o map[string]any) {})
	d.MustApply()
	d.plan(plugin.ActionNone)
}

func TestACustomResourceIsReadyByItsCondition(t *testing.T) {
	d := deploy(t)
	d.Set("manifest", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: chat}\nspec: {predictor: {minReplicas: 1}}\n")
	report := func(status, message string) {
		d.cluster.Controllers = func(u *unstructured.Unstructured) {
			u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status, "reason": "PredictorNotReady", "message": message}}}
		}
	}
	report("False", "the predictor waits for a GPU")
	d.says("the apply", d.Apply(), []string{"Ready is False (PredictorNotReady): the predictor waits for a GPU."})
	report("True", "")
	d.cluster.Update("InferenceService", "default", "chat", func(map[string]any) {})
	d.MustApply()

	// An object that has not reported anything is waited for only on request.
	d = deploy(t)
	d.Set("manifest", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: chat}\nspec: {predictor: {minReplicas: 1}}\n")
	d.MustApply()
	d.Set("wait_for", map[string]string{"InferenceService": "Ready"})
	d.says("the apply", d.Apply(), []string{"It does not report the condition Ready."})
}

func TestAMovedKubeconfigIsFollowed(t *testing.T) {
	d := deploy(t)
	d.MustApply()
	next := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(os.Getenv("KUBECONFIG"), next); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	if err := d.Read(); err == nil {
		t.Fatal("the cluster was found without a kubeconfig file")
	}
	d.Set("kubeconfig", next)
	d.MustRead()
	d.plan(plugin.ActionNone)

	// Another cluster is another deployment.
	other := httptest.NewServer(kubetest.New())
	t.Cleanup(other.Close)
	config := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(config, []byte(kubetest.Kubeconfig(other.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Set("kubeconfig", config)
	p, err := d.Plan()
	if err != nil || p.Action != plugin.ActionReplace || p.Changes[0].Argument != "context" || !p.Coexists {
		t.Errorf("got %+v, %v", p, err)
	}

	// The same cluster at another address has the objects already.
	same := httptest.NewServer(d.cluster)
	t.Cleanup(same.Close)
	if err := os.WriteFile(config, []byte(kubetest.Kubeconfig(same.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err = d.Plan()
	if err != nil || p.Action != plugin.ActionReplace || p.Coexists {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestMistakesAreShownWhilePlanning(t *testing.T) {
	for name, c := range map[string]struct{ manifest, want string }{
		"no YAML":     {"a: [", "not valid YAML"},
		"empty":       {"---\n", "has no objects"},
		"no kind":     {"apiVersion: v1\nmetadata: {name: x}\n", "has no kind"},
		"no name":     {"apiVersion: v1\nkind: ConfigMap\n", "incomplete"},
		"wrong kind":  {"apiVersion: v1\nkind: ConfigMop\nmetadata: {name: x}\n", "the cluster has no ConfigMop in v1"},
		"wrong group": {"apiVersion: ray.io/v1\nkind: RayService\nmetadata: {name: x}\n", "the cluster has no RayService in ray.io/v1"},
		"twice":       {web + "---\n" + strings.Split(web, "---")[1], "contains v1 ConfigMap default/settings twice"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			d.Set("manifest", c.manifest)
			_, err := d.Plan()
			if err == nil {
				err = d.Apply()
			}
			d.says("quern", err, []string{c.want})
		})
	}
}
