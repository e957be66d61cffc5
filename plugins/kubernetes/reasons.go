package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// mostReasons limits the reasons in an error.
const mostReasons = 6

// reasons returns why an object is not ready: its own status, and what its pods
// and events say. What cannot be read is left out.
func (w *waiting) reasons(ctx context.Context, u *unstructured.Unstructured, s status) []string {
	var out []string
	if s.reason != "" {
		out = append(out, s.reason)
	}
	about := map[string]bool{u.GetName(): true}
	for _, pod := range w.pods(ctx, u) {
		about[pod.GetName()] = true
		out = append(out, podReasons(pod)...)
	}
	out = append(out, w.events(ctx, u, about)...)
	var distinct []string
	for _, reason := range out {
		if !slices.Contains(distinct, reason) {
			distinct = append(distinct, reason)
		}
	}
	return distinct[:min(len(distinct), mostReasons)]
}

// pods returns the pods of an object: those that its selector matches, or itself.
func (w *waiting) pods(ctx context.Context, u *unstructured.Unstructured) []*unstructured.Unstructured {
	if u.GetKind() == "Pod" {
		return []*unstructured.Unstructured{u}
	}
	labels, ok, _ := unstructured.NestedStringMap(u.Object, "spec", "selector", "matchLabels")
	if !ok {
		return nil
	}
	client, err := w.client(ctx, "v1", "Pod", u.GetNamespace())
	if err != nil {
		return nil
	}
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels})})
	if err != nil {
		return nil
	}
	var out []*unstructured.Unstructured
	for i := range list.Items {
		out = append(out, &list.Items[i])
	}
	return out
}

// podReasons returns why a pod does not run.
func podReasons(pod *unstructured.Unstructured) []string {
	var out []string
	if c := (observed{pod.Object}).find("PodScheduled"); c != nil && c["status"] == "False" {
		out = append(out, fmt.Sprintf("Pod %s: %s", pod.GetName(), describe(c)))
	}
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		all, _, _ := unstructured.NestedSlice(pod.Object, "status", list)
		for _, c := range all {
			m, ok := c.(map[string]any)
			if !ok {
				continue
			}
			for _, at := range [][]string{{"state", "waiting"}, {"state", "terminated"}, {"lastState", "terminated"}} {
				if text := containerReason(m, at); text != "" {
					out = append(out, fmt.Sprintf("Container %v of pod %s: %s", m["name"], pod.GetName(), text))
				}
			}
		}
	}
	return out
}

// harmless are the reasons of containers that are about to run, or did.
var harmless = []string{"", "ContainerCreating", "PodInitializing", "Completed"}

func containerReason(c map[string]any, at []string) string {
	state, ok, _ := unstructured.NestedMap(c, at...)
	reason, _ := state["reason"].(string)
	if !ok || slices.Contains(harmless, reason) {
		return ""
	}
	if code, ok := state["exitCode"].(int64); ok {
		reason += fmt.Sprintf(" (exit code %d)", code)
	}
	if message, _ := state["message"].(string); message != "" {
		reason += ": " + message
	}
	return sentence(reason)
}

// events returns the latest warnings about an object, its pods, and what belongs
// to it by name, such as the ReplicaSets of a Deployment.
func (w *waiting) events(ctx context.Context, u *unstructured.Unstructured, about map[string]bool) []string {
	client, err := w.client(ctx, "v1", "Event", u.GetNamespace())
	if err != nil {
		return nil
	}
	list, err := client.List(ctx, metav1.ListOptions{FieldSelector: "type=Warning", Limit: 500})
	if err != nil {
		return nil
	}
	slices.SortStableFunc(list.Items, func(a, b unstructured.Unstructured) int { return strings.Compare(timeOf(b), timeOf(a)) })
	var out []string
	for _, e := range list.Items {
		kind, _, _ := unstructured.NestedString(e.Object, "involvedObject", "kind")
		name, _, _ := unstructured.NestedString(e.Object, "involvedObject", "name")
		reason, _, _ := unstructured.NestedString(e.Object, "reason")
		message, _, _ := unstructured.NestedString(e.Object, "message")
		if about[name] || strings.HasPrefix(name, u.GetName()+"-") {
			out = append(out, sentence(fmt.Sprintf("%s %s: %s: %s", kind, name, reason, message)))
		}
	}
	return out
}

// timeOf returns when an event was last seen, in RFC 3339.
func timeOf(e unstructured.Unstructured) string {
	for _, field := range []string{"lastTimestamp", "eventTime"} {
		if at, _, _ := unstructured.NestedString(e.Object, field); at != "" {
			return at
		}
	}
	return e.GetCreationTimestamp().UTC().Format("2006-01-02T15:04:05Z")
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}
