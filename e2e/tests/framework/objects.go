package framework

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// Kind is a resource of the API.
type Kind = schema.GroupVersionResource

// The kinds that the tests look at.
var (
	Gateways         = Kind{Group: "networking.istio.io", Version: "v1", Resource: "gateways"}
	VirtualServices  = Kind{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"}
	DestinationRules = Kind{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}
	ServiceEntries   = Kind{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
	EnvoyFilters     = Kind{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}
	IngressGateways  = Kind{Group: "postern.dev", Version: "v1alpha1", Resource: "ingressgateways"}
	Deployments      = Kind{Group: "apps", Version: "v1", Resource: "deployments"}
	Services         = Kind{Version: "v1", Resource: "services"}
	ServiceAccounts  = Kind{Version: "v1", Resource: "serviceaccounts"}
	ConfigMaps       = Kind{Version: "v1", Resource: "configmaps"}
	Secrets          = Kind{Version: "v1", Resource: "secrets"}
	Budgets          = Kind{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}
	Autoscalers      = Kind{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	Leases           = Kind{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// Object is any object.
type Object = unstructured.Unstructured

func (e *Env) resource(kind Kind, namespace string) dynamic.ResourceInterface {
	return e.Dynamic.Resource(kind).Namespace(namespace)
}

// Read is an object that must be there.
func (e *Env) Read(kind Kind, namespace, name string) *Object {
	e.T.Helper()
	object, err := e.resource(kind, namespace).Get(e.context(), name, metav1.GetOptions{})
	if err != nil {
		e.T.Fatal(err)
	}
	return object
}

// Patch is `kubectl patch --type=merge` without the time that starting a program takes. It returns the object after it.
func (e *Env) Patch(kind Kind, namespace, name string, patch any) *Object {
	e.T.Helper()
	text, err := json.Marshal(patch)
	if err != nil {
		e.T.Fatal(err)
	}
	object, err := e.resource(kind, namespace).Patch(e.context(), name, types.MergePatchType, text, metav1.PatchOptions{FieldManager: "e2e"})
	if err != nil {
		e.T.Fatalf("patch %s %s/%s: %v", kind.Resource, namespace, name, err)
	}
	return object
}

// Delete deletes an object, if it is there.
func (e *Env) Delete(kind Kind, namespace, name string) {
	e.T.Helper()
	err := e.resource(kind, namespace).Delete(e.context(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		e.T.Errorf("delete %s %s/%s: %v", kind.Resource, namespace, name, err)
	}
}

// deleteAll deletes all objects of a kind in a namespace.
func (e *Env) deleteAll(kind Kind, namespace string) {
	e.T.Helper()
	err := e.resource(kind, namespace).DeleteCollection(e.context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		e.T.Errorf("delete %s of %s: %v", kind.Resource, namespace, err)
	}
}

// Await waits, by a watch, until check has nothing against the object, and returns it. It is nil for check as long as it is not there.
func (e *Env) Await(kind Kind, namespace, name, what string, check func(*Object) error) *Object {
	e.T.Helper()
	object, err := e.await(kind, namespace, name, Timeout, check)
	if err != nil {
		e.T.Fatalf("%s %s/%s: %s: %v (for %s)", kind.Resource, namespace, name, what, err, Timeout)
	}
	return object
}

func (e *Env) await(kind Kind, namespace, name string, timeout time.Duration, check func(*Object) error) (*Object, error) {
	ctx, cancel := context.WithTimeout(e.context(), timeout)
	defer cancel()
	selector := metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	last := fmt.Errorf("nothing heard of it")
	for ctx.Err() == nil {
		list, err := e.resource(kind, namespace).List(ctx, selector)
		if err != nil {
			last = err
			time.Sleep(pollInterval)
			continue
		}
		var object *Object
		if len(list.Items) > 0 {
			object = &list.Items[0]
		}
		if last = check(object); last == nil {
			return object, nil
		}
		options := selector
		options.ResourceVersion = list.GetResourceVersion()
		watcher, err := e.resource(kind, namespace).Watch(ctx, options)
		if err != nil {
			continue
		}
		if object, last = follow(ctx, watcher, check, last); last == nil {
			return object, nil
		}
	}
	return nil, last
}

// follow returns the object that check has nothing against, or what it last had when the watch ends.
func follow(ctx context.Context, watcher watch.Interface, check func(*Object) error, last error) (*Object, error) {
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, last
		case event, open := <-watcher.ResultChan():
			if !open || event.Type == watch.Error {
				return nil, last
			}
			object, isObject := event.Object.(*Object)
			if !isObject {
				continue
			}
			if event.Type == watch.Deleted {
				object = nil
			}
			if last = check(object); last == nil {
				return object, nil
			}
		}
	}
}

// Gone is the check that the object is not there.
func Gone(object *Object) error {
	if object == nil {
		return nil
	}
	return fmt.Errorf("it is still there, deletionTimestamp %v, finalizers %v", object.GetDeletionTimestamp(), object.GetFinalizers())
}

// Condition is a condition of an object.
type Condition struct {
	Type, Status, Reason, Message, LastTransitionTime string
	ObservedGeneration                                int64
}

// ConditionOf is the object's condition of that type, or nil.
func ConditionOf(object *Object, kind string) *Condition {
	if object == nil {
		return nil
	}
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	return conditionIn(list, kind)
}

// ConditionAt is the condition of that type in the entry of a list of the status, such as parents or ancestors, that a controller wrote;
// or nil.
func ConditionAt(object *Object, list, controller, kind string) *Condition {
	if object == nil {
		return nil
	}
	entries, _, _ := unstructured.NestedSlice(object.Object, "status", list)
	for _, entry := range entries {
		fields, _ := entry.(map[string]any)
		if fields["controllerName"] != controller {
			continue
		}
		conditions, _ := fields["conditions"].([]any)
		if condition := conditionIn(conditions, kind); condition != nil {
			return condition
		}
	}
	return nil
}

func conditionIn(list []any, kind string) *Condition {
	index := slices.IndexFunc(list, func(entry any) bool {
		fields, _ := entry.(map[string]any)
		return fields["type"] == kind
	})
	if index < 0 {
		return nil
	}
	var condition Condition
	text, _ := json.Marshal(list[index])
	_ = json.Unmarshal(text, &condition)
	return &condition
}

// Says is the check that the object has that condition for its present generation; reason "" is any.
func Says(kind, status, reason string) func(*Object) error {
	return func(object *Object) error {
		if object == nil {
			return fmt.Errorf("it does not exist")
		}
		condition := ConditionOf(object, kind)
		if condition == nil {
			return fmt.Errorf("no condition %s", kind)
		}
		observed := condition.ObservedGeneration == object.GetGeneration()
		if observed && condition.Status == status && (reason == "" || condition.Reason == reason) {
			return nil
		}
		return fmt.Errorf("generation %d, condition %+v; want %s %s", object.GetGeneration(), *condition, status, reason)
	}
}

// Programmed is the check that every proxy serves the object as it is now.
func Programmed(object *Object) error { return Says("Programmed", "True", "")(object) }
