// Command rules runs upstream's own defaulting, strategies, validation, printers and patches over a corpus of objects
// and writes down what comes out. Crate `registry` and crate `apimachinery` test themselves against it.
//
//	go run ./rules CORPUS_DIR OUTPUT_DIR
//
// Times that depend on the present are written as {{-65s}} in the corpus: so long before the run, {{u-65s}} the same in microseconds.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/printers"
	internalprinters "k8s.io/kubernetes/pkg/printers/internalversion"
	"sigs.k8s.io/yaml"

	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/events/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"

	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/apps/controllerrevision"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/coordination/lease"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/endpoint"
	"k8s.io/kubernetes/pkg/registry/core/event"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/node"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/podtemplate"
	"k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/discovery/endpointslice"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/ingressclass"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	"k8s.io/kubernetes/pkg/registry/storage/csidriver"
	"k8s.io/kubernetes/pkg/registry/storage/csinode"
	"k8s.io/kubernetes/pkg/registry/storage/storageclass"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattachment"
)

type strategies struct {
	create rest.RESTCreateStrategy
	update map[string]rest.RESTUpdateStrategy
}

func both(s rest.RESTCreateUpdateStrategy, status rest.RESTUpdateStrategy) strategies {
	updates := map[string]rest.RESTUpdateStrategy{"": s}
	if status != nil {
		updates["status"] = status
	}
	return strategies{s, updates}
}

var byKind = map[string]strategies{
	"Pod": {pod.Strategy, map[string]rest.RESTUpdateStrategy{"": pod.Strategy, "status": pod.StatusStrategy,
		"ephemeralcontainers": pod.EphemeralContainersStrategy, "resize": pod.ResizeStrategy}},
	"Namespace": {namespace.Strategy, map[string]rest.RESTUpdateStrategy{"": namespace.Strategy,
		"status": namespace.StatusStrategy, "finalize": namespace.FinalizeStrategy}},
	"MutatingAdmissionPolicy":          both(mutatingadmissionpolicy.NewStrategy(nil, nil), nil),
	"MutatingAdmissionPolicyBinding":   both(mutatingadmissionpolicybinding.NewStrategy(nil, nil, nil), nil),
	"MutatingWebhookConfiguration":     both(mutatingwebhookconfiguration.Strategy, nil),
	"ValidatingAdmissionPolicy":        both(validatingadmissionpolicy.NewStrategy(nil, nil), nil),
	"ValidatingAdmissionPolicyBinding": both(validatingadmissionpolicybinding.NewStrategy(nil, nil, nil), nil),
	"ValidatingWebhookConfiguration":   both(validatingwebhookconfiguration.Strategy, nil),
	"PodTemplate":                      both(podtemplate.Strategy, nil),
	"Service":                          both(service.Strategy, service.StatusStrategy),
	"ConfigMap":                        both(configmap.Strategy, nil),
	"Secret":                           both(secret.Strategy, nil),
	"Node":                             both(node.Strategy, node.StatusStrategy),
	"ServiceAccount":                   both(serviceaccount.Strategy, nil),
	"Endpoints":                        both(endpoint.Strategy, nil),
	"Event":                            both(event.Strategy, nil),
	"LimitRange":                       both(limitrange.Strategy, nil),
	"ResourceQuota":                    both(resourcequota.Strategy, resourcequota.StatusStrategy),
	"PersistentVolume":                 both(persistentvolume.Strategy, persistentvolume.StatusStrategy),
	"PersistentVolumeClaim":            both(persistentvolumeclaim.Strategy, persistentvolumeclaim.StatusStrategy),
	"ReplicationController":            both(replicationcontroller.Strategy, replicationcontroller.StatusStrategy),
	"Deployment":                       both(deployment.Strategy, deployment.StatusStrategy),
	"ReplicaSet":                       both(replicaset.Strategy, replicaset.StatusStrategy),
	"DaemonSet":                        both(daemonset.Strategy, daemonset.StatusStrategy),
	"StatefulSet":                      both(statefulset.Strategy, statefulset.StatusStrategy),
	"ControllerRevision":               both(controllerrevision.Strategy, nil),
	"Job":                              both(job.Strategy, job.StatusStrategy),
	"CronJob":                          both(cronjob.Strategy, cronjob.StatusStrategy),
	"HorizontalPodAutoscaler":          both(horizontalpodautoscaler.Strategy, horizontalpodautoscaler.StatusStrategy),
	"Lease":                            both(lease.Strategy, nil),
	"EndpointSlice":                    both(endpointslice.Strategy, nil),
	"Ingress":                          both(ingress.Strategy, ingress.StatusStrategy),
	"IngressClass":                     both(ingressclass.Strategy, nil),
	"NetworkPolicy":                    both(networkpolicy.Strategy, nil),
	"RuntimeClass":                     both(runtimeclass.Strategy, nil),
	"PodDisruptionBudget":              both(poddisruptionbudget.Strategy, poddisruptionbudget.StatusStrategy),
	"Role":                             both(role.Strategy, nil),
	"RoleBinding":                      both(rolebinding.Strategy, nil),
	"ClusterRole":                      both(clusterrole.Strategy, nil),
	"ClusterRoleBinding":               both(clusterrolebinding.Strategy, nil),
	"PriorityClass":                    both(priorityclass.Strategy, nil),
	"StorageClass":                     both(storageclass.Strategy, nil),
	"CSIDriver":                        both(csidriver.Strategy, nil),
	"CSINode":                          both(csinode.Strategy, csinode.StatusStrategy),
	"VolumeAttachment":                 both(volumeattachment.Strategy, volumeattachment.StatusStrategy),
}

func main() {
	// As kube-apiserver is run everywhere: privileged containers are left to admission.
	capabilities.Setup(true, 0)
	corpus, output := os.Args[1], os.Args[2]
	run := func(name string, each func(doc map[string]any) map[string]any) {
		// Ages are printed in whole seconds: start when one begins.
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		now = time.Now()
		var results []map[string]any
		for _, doc := range documents(filepath.Join(corpus, name+".yaml")) {
			results = append(results, each(doc))
		}
		write(filepath.Join(output, name+".json"), results)
	}
	run("create", create)
	run("update", update)
	run("rows", row)
	run("patch", patch)
	run("quantities", quantities)
	run("text", text)
}

func documents(path string) []map[string]any {
	text, err := os.ReadFile(path)
	check(err)
	var all []map[string]any
	for _, part := range bytes.Split(text, []byte("\n---\n")) {
		var doc map[string]any
		if err := yaml.Unmarshal(present(part), &doc); err != nil {
			check(fmt.Errorf("%s: %w\n%s", path, err, part))
		}
		if doc != nil {
			all = append(all, doc)
		}
	}
	return all
}

var relative = regexp.MustCompile(`\{\{(u?)(-?[0-9a-z]+)\}\}`)
var now = time.Now()

func present(text []byte) []byte {
	return relative.ReplaceAllFunc(text, func(found []byte) []byte {
		parts := relative.FindSubmatch(found)
		d, err := time.ParseDuration(string(parts[2]))
		check(err)
		format := time.RFC3339
		if len(parts[1]) > 0 {
			format = metav1.RFC3339Micro
		}
		return []byte(now.Add(d).UTC().Format(format))
	})
}

func write(path string, results []map[string]any) {
	var out bytes.Buffer
	out.WriteString("[\n")
	for i, result := range results {
		text, err := json.Marshal(result)
		check(err)
		out.Write(text)
		if i+1 < len(results) {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("]\n")
	check(os.WriteFile(path, out.Bytes(), 0o644))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type recorder struct{ texts []string }

func (r *recorder) AddWarning(_, text string) { r.texts = append(r.texts, text) }

// decode gives the internal object with defaults, and what it was.
func decode(doc any) (runtime.Object, *schema.GroupVersionKind, error) {
	text, err := json.Marshal(doc)
	check(err)
	obj, gvk, err := legacyscheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
	if err == nil {
		legacyscheme.Scheme.Default(obj)
	}
	return obj, gvk, err
}

func internal(obj runtime.Object) runtime.Object {
	converted, err := legacyscheme.Scheme.ConvertToVersion(obj, runtime.InternalGroupVersioner)
	check(err)
	return converted
}

func external(obj runtime.Object, gvk schema.GroupVersionKind) map[string]any {
	converted, err := legacyscheme.Scheme.ConvertToVersion(obj, gvk.GroupVersion())
	check(err)
	text, err := json.Marshal(converted)
	check(err)
	var doc map[string]any
	check(json.Unmarshal(text, &doc))
	metadata := doc["metadata"].(map[string]any)
	delete(metadata, "uid")
	delete(metadata, "creationTimestamp")
	return doc
}

func contextFor(gvk schema.GroupVersionKind, namespace, subresource string, warnings *recorder) context.Context {
	ctx := request.WithNamespace(context.Background(), namespace)
	ctx = warning.WithWarningRecorder(ctx, warnings)
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	return request.WithRequestInfo(ctx, &request.RequestInfo{IsResourceRequest: true, APIGroup: gvk.Group,
		APIVersion: gvk.Version, Namespace: namespace, Resource: plural.Resource, Subresource: subresource})
}

func create(doc map[string]any) (result map[string]any) {
	result = map[string]any{"kind": doc["kind"]}
	obj, gvk, err := decode(doc)
	if err != nil {
		result["decodeError"] = err.Error()
		return result
	}
	result["defaulted"] = external(obj, *gvk)
	hub := internal(obj)
	accessor, err := meta.Accessor(hub)
	check(err)
	rest.FillObjectMetaSystemFields(accessor)
	strategy := byKind[gvk.Kind].create
	namespace := ""
	if strategy.NamespaceScoped() {
		namespace = accessor.GetNamespace()
		if namespace == "" {
			namespace = "default"
			accessor.SetNamespace(namespace)
		}
	}
	warnings := &recorder{}
	err = rest.BeforeCreate(strategy, contextFor(*gvk, namespace, "", warnings), hub)
	outcome(result, err, warnings, hub, *gvk)
	return result
}

func outcome(result map[string]any, err error, warnings *recorder, hub runtime.Object, gvk schema.GroupVersionKind) {
	if err != nil {
		result["error"] = err.Error()
		if status, ok := err.(errors.APIStatus); ok && status.Status().Details != nil {
			result["causes"] = status.Status().Details.Causes
		}
		return
	}
	result["object"] = external(hub, gvk)
	if len(warnings.texts) > 0 {
		result["warnings"] = warnings.texts
	}
}

// update takes {subresource, old, change}: change is merged into old (null deletes) to give the new object.
func update(doc map[string]any) map[string]any {
	subresource, _ := doc["subresource"].(string)
	old := doc["old"].(map[string]any)
	result := map[string]any{"kind": old["kind"], "subresource": subresource}
	oldObj, gvk, err := decode(old)
	check(err)
	text, err := json.Marshal(old)
	check(err)
	var changed map[string]any
	check(json.Unmarshal(text, &changed))
	merge(changed, doc["change"].(map[string]any))
	newObj, _, err := decode(changed)
	if err != nil {
		result["decodeError"] = err.Error()
		return result
	}
	oldHub, newHub := internal(oldObj), internal(newObj)
	for _, hub := range []runtime.Object{oldHub, newHub} {
		accessor, err := meta.Accessor(hub)
		check(err)
		if accessor.GetResourceVersion() == "" {
			accessor.SetResourceVersion("1")
		}
	}
	strategy := byKind[gvk.Kind].update[subresource]
	accessor, err := meta.Accessor(oldHub)
	check(err)
	warnings := &recorder{}
	err = rest.BeforeUpdate(strategy, contextFor(*gvk, accessor.GetNamespace(), subresource, warnings), newHub, oldHub)
	outcome(result, err, warnings, newHub, *gvk)
	return result
}

func merge(target, change map[string]any) {
	for key, value := range change {
		inner, isMap := value.(map[string]any)
		existing, wasMap := target[key].(map[string]any)
		switch {
		case value == nil:
			delete(target, key)
		case isMap && wasMap:
			merge(existing, inner)
		default:
			target[key] = value
		}
	}
}

func row(doc map[string]any) map[string]any {
	obj, _, err := decode(doc)
	check(err)
	generator := printers.NewTableGenerator().With(internalprinters.AddHandlers)
	table, err := generator.GenerateTable(internal(obj), printers.GenerateOptions{Wide: true})
	if err != nil {
		// No printer of its own: the server shows name and age.
		return map[string]any{"kind": doc["kind"]}
	}
	var columns []string
	for _, column := range table.ColumnDefinitions {
		columns = append(columns, column.Name)
	}
	result := map[string]any{"kind": doc["kind"], "columns": columns, "cells": table.Rows[0].Cells}
	return result
}

func patch(doc map[string]any) map[string]any {
	original, err := json.Marshal(doc["original"])
	check(err)
	change, err := json.Marshal(doc["patch"])
	check(err)
	kind := doc["original"].(map[string]any)
	gv, err := schema.ParseGroupVersion(kind["apiVersion"].(string))
	check(err)
	typed, err := legacyscheme.Scheme.New(gv.WithKind(kind["kind"].(string)))
	check(err)
	patched, err := strategicpatch.StrategicMergePatch(original, change, typed)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	var result any
	check(json.Unmarshal(patched, &result))
	return map[string]any{"patched": result}
}

// text prints a document as kubectl does.
func text(doc map[string]any) map[string]any {
	printed, err := yaml.Marshal(doc)
	check(err)
	return map[string]any{"value": doc, "yaml": string(printed)}
}

func quantities(doc map[string]any) map[string]any {
	result := map[string]any{}
	for _, text := range strings.Fields(doc["texts"].(string)) {
		q, err := resource.ParseQuantity(text)
		if err != nil {
			result[text] = map[string]any{"error": err.Error()}
			continue
		}
		result[text] = map[string]any{"text": q.String(), "value": q.Value(), "milli": q.MilliValue()}
	}
	return result
}
