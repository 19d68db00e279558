package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/describe"
	"sigs.k8s.io/yaml"
)

// described is one case: the first of Objects is described, the others are what the API has beside it.
type described struct {
	Name    string           `json:"name"`
	Objects []map[string]any `json:"objects"`
	// NoEvents is --show-events=false.
	NoEvents bool `json:"noEvents"`
}

var relativeTime = regexp.MustCompile(`\{\{(u?)-([0-9a-z]+)\}\}`)

func descriptions(corpus []byte) (any, error) {
	now := time.Now()
	text := relativeTime.ReplaceAllStringFunc(string(corpus), func(match string) string {
		parts := relativeTime.FindStringSubmatch(match)
		age, err := time.ParseDuration(parts[2])
		fail(err)
		if parts[1] == "u" {
			return now.Add(-age).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
		}
		return now.Add(-age).UTC().Format(time.RFC3339)
	})
	var cases []described
	if err := yaml.UnmarshalStrict([]byte(text), &cases); err != nil {
		return nil, err
	}
	results := map[string]string{}
	for _, c := range cases {
		out, err := describeOne(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		results[c.Name] = out
	}
	return results, nil
}

func describeOne(c described) (string, error) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, c.Objects) }))
	defer server.Close()
	config := &rest.Config{Host: server.URL}
	object := unstructured.Unstructured{Object: c.Objects[0]}
	gvk := object.GroupVersionKind()
	describer, ok := describe.DescriberFor(gvk.GroupKind(), config)
	if !ok {
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		scope := meta.RESTScope(meta.RESTScopeRoot)
		if object.GetNamespace() != "" {
			scope = meta.RESTScopeNamespace
		}
		describer, ok = describe.GenericDescriberFor(&meta.RESTMapping{Resource: plural, GroupVersionKind: gvk, Scope: scope}, config)
		if !ok {
			return "", fmt.Errorf("no describer")
		}
	}
	settings := describe.DescriberSettings{ShowEvents: !c.NoEvents, ChunkSize: 500}
	return describer.Describe(object.GetNamespace(), object.GetName(), settings)
}

// serve answers gets and lists as far as the describers ask.
func serve(w http.ResponseWriter, r *http.Request, objects []map[string]any) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	if parts[0] == "apis" {
		group, parts = parts[1], parts[3:]
	} else {
		parts = parts[2:]
	}
	namespace := ""
	if len(parts) >= 3 && parts[0] == "namespaces" {
		namespace, parts = parts[1], parts[2:]
	}
	label, _ := labels.Parse(r.URL.Query().Get("labelSelector"))
	field, _ := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	items := []any{}
	kind := ""
	for _, raw := range objects {
		object := unstructured.Unstructured{Object: raw}
		gvk := object.GroupVersionKind()
		plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind})
		if plural.Resource != parts[0] && !(gvk.Kind == "Endpoints" && parts[0] == "endpoints") || gvk.Group != group || (namespace != "" && object.GetNamespace() != namespace) {
			continue
		}
		kind = gvk.Kind
		if len(parts) > 1 {
			if object.GetName() == parts[1] {
				reply(w, http.StatusOK, raw)
				return
			}
			continue
		}
		if label.Matches(labels.Set(object.GetLabels())) && field.Matches(fieldsOf(raw)) {
			items = append(items, raw)
		}
	}
	if len(parts) > 1 {
		reply(w, http.StatusNotFound, map[string]any{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
			"message": fmt.Sprintf("%s %q not found", parts[0], parts[1]),
		})
		return
	}
	version := "v1"
	if group != "" {
		version = group + "/v1"
	}
	if kind == "" {
		kind = map[string]string{"events": "Event", "pods": "Pod", "resourcequotas": "ResourceQuota", "limitranges": "LimitRange",
			"endpointslices": "EndpointSlice", "replicasets": "ReplicaSet", "secrets": "Secret"}[parts[0]]
	}
	reply(w, http.StatusOK, map[string]any{"kind": kind + "List", "apiVersion": version, "metadata": map[string]any{}, "items": items})
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body)
}

// fieldsOf gives the fields that describers select by.
func fieldsOf(object map[string]any) fields.Set {
	set := fields.Set{}
	for _, path := range []string{"involvedObject.name", "involvedObject.namespace", "involvedObject.kind", "involvedObject.uid", "spec.nodeName", "status.phase"} {
		text, _, _ := unstructured.NestedString(object, strings.Split(path, ".")...)
		set[path] = text
	}
	return set
}
