package kubernetes

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// status is whether an object is ready.
type status struct {
	ready bool
	// failed is set if waiting does not help.
	failed bool
	// reason says why it is not ready.
	reason string
}

// waiting is waiting for objects until a deadline.
type waiting struct {
	*cluster
	conditions map[string]string // kind → condition
	deadline   time.Time
}

// ready waits until an object is ready. Its error has the real reason.
func (w *waiting) ready(ctx context.Context, ref reference) error {
	for {
		live, err := w.get(ctx, ref)
		if err != nil {
			return err
		}
		if live == nil {
			return fmt.Errorf("%s was deleted while quern waited for it", ref)
		}
		s := w.statusOf(live)
		late := time.Now().After(w.deadline)
		switch {
		case s.ready:
			return nil
		case s.failed || late:
			what := "failed"
			if !s.failed {
				what = "did not become ready in time"
			}
			return fmt.Errorf("%s %s\n%s", ref, what, strings.Join(w.reasons(ctx, live, s), " "))
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// statusOf returns whether an object is ready.
func (w *waiting) statusOf(u *unstructured.Unstructured) status {
	o := observed{u.Object}
	if condition, ok := w.conditions[u.GetKind()]; ok {
		return o.condition(condition, true)
	}
	if groupOf(u.GetAPIVersion()) == "apps" && !o.isCurrent() {
		return status{reason: "The controller has not seen the change yet."}
	}
	switch groupOf(u.GetAPIVersion()) + "/" + u.GetKind() {
	case "apps/Deployment":
		return o.deployment()
	case "apps/StatefulSet":
		return o.statefulSet()
	case "apps/DaemonSet":
		return o.daemonSet()
	case "batch/Job":
		return o.job()
	case "/Pod":
		return o.pod()
	case "apiextensions.k8s.io/" + kindCRD:
		return o.condition("Established", true)
	}
	for _, name := range []string{"Ready", "Available"} {
		if s := o.condition(name, false); s.reason != "" {
			return s
		}
	}
	return status{ready: true}
}

// observed is an object with a status.
type observed struct{ object map[string]any }

func (o observed) number(fields ...string) int64 {
	n, _, _ := unstructured.NestedInt64(o.object, fields...)
	return n
}

// wanted returns spec.replicas, which is 1 if it is not set.
func (o observed) wanted() int64 {
	if n, ok, _ := unstructured.NestedInt64(o.object, "spec", "replicas"); ok {
		return n
	}
	return 1
}

// isCurrent reports whether the status is about the present specification.
func (o observed) isCurrent() bool {
	return o.number("status", "observedGeneration") >= o.number("metadata", "generation")
}

// find returns a condition, or nil.
func (o observed) find(name string) map[string]any {
	all, _, _ := unstructured.NestedSlice(o.object, "status", "conditions")
	for _, c := range all {
		if m, ok := c.(map[string]any); ok && m["type"] == name {
			return m
		}
	}
	return nil
}

// describe writes a condition for people.
func describe(c map[string]any) string {
	text := fmt.Sprintf("%v is %v", c["type"], c["status"])
	if reason, _ := c["reason"].(string); reason != "" {
		text += " (" + reason + ")"
	}
	if message, _ := c["message"].(string); message != "" {
		text += ": " + message
	}
	return sentence(text)
}

func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text != "" && !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// condition returns the status by a condition. Without that condition, the
// reason is empty unless it is required.
func (o observed) condition(name string, required bool) status {
	c := o.find(name)
	switch {
	case c == nil && required:
		return status{reason: fmt.Sprintf("It does not report the condition %s.", name)}
	case c == nil:
		return status{}
	}
	if of, ok := c["observedGeneration"].(int64); ok && of < o.number("metadata", "generation") {
		return status{reason: "The controller has not seen the change yet."}
	}
	return status{ready: c["status"] == "True", reason: describe(c)}
}

func (o observed) deployment() status {
	if c := o.find("Progressing"); c != nil && c["reason"] == "ProgressDeadlineExceeded" {
		return status{failed: true, reason: describe(c)}
	}
	s := o.replicas(o.wanted(), o.number("status", "updatedReplicas"), o.number("status", "availableReplicas"), o.number("status", "replicas"))
	if c := o.find("ReplicaFailure"); c != nil && c["status"] == "True" && !s.ready {
		s.reason += " " + describe(c)
	}
	return s
}

// replicas returns the status of a set of pods.
func (o observed) replicas(wanted, updated, available, all int64) status {
	return status{
		ready:  updated >= wanted && available >= wanted && all <= wanted,
		reason: fmt.Sprintf("Of %d replicas, %d are updated and %d are available.", wanted, updated, available),
	}
}

func (o observed) statefulSet() status {
	s := o.replicas(o.wanted(), o.number("status", "updatedReplicas"), o.number("status", "readyReplicas"), o.number("status", "replicas"))
	current, _, _ := unstructured.NestedString(o.object, "status", "currentRevision")
	update, _, _ := unstructured.NestedString(o.object, "status", "updateRevision")
	s.ready = s.ready && current == update
	return s
}

func (o observed) daemonSet() status {
	wanted := o.number("status", "desiredNumberScheduled")
	return o.replicas(wanted, o.number("status", "updatedNumberScheduled"), o.number("status", "numberAvailable"), wanted)
}

func (o observed) job() status {
	if c := o.find("Failed"); c != nil && c["status"] == "True" {
		return status{failed: true, reason: describe(c)}
	}
	if c := o.find("Complete"); c != nil && c["status"] == "True" {
		return status{ready: true}
	}
	return status{reason: fmt.Sprintf("%d pods run, %d have failed.", o.number("status", "active"), o.number("status", "failed"))}
}

func (o observed) pod() status {
	phase, _, _ := unstructured.NestedString(o.object, "status", "phase")
	switch phase {
	case "Succeeded":
		return status{ready: true}
	case "Failed":
		return status{failed: true, reason: "The pod failed."}
	}
	return o.condition("Ready", true)
}
