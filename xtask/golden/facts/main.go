// Command facts prints what Go's reflection knows of the API's structs and the OpenAPI documents do not tell: which
// fields are pointers, which are left out when empty, which come from an embedded struct, and the Go names of their
// types, which upstream's decoder shows in its errors. One line a field:
//
//	schema-name json-name go-type flags [embedded-path]
//
// flags: p pointer, o omitempty, z omitzero, - none. The schema's name is the OpenAPI name of the Go type.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

func main() {
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme} {
		if err := add(all); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	w := walker{seen: map[reflect.Type]bool{}}
	for _, t := range all.AllKnownTypes() {
		w.walk(t)
	}
	sort.Strings(w.lines)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for i, line := range w.lines {
		if i == 0 || w.lines[i-1] != line {
			fmt.Fprintln(out, line)
		}
	}
}

// A type with its own decoder is a leaf: its fields are not what JSON shows.
var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

type walker struct {
	seen  map[reflect.Type]bool
	lines []string
}

func schemaName(t reflect.Type) string {
	path := t.PkgPath()
	host, rest, _ := strings.Cut(path, "/")
	parts := strings.Split(host, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".") + "." + strings.ReplaceAll(rest, "/", ".") + "." + t.Name()
}

func (w *walker) walk(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		w.walk(t.Elem())
		return
	case reflect.Struct:
	default:
		return
	}
	if w.seen[t] || !strings.HasPrefix(t.PkgPath(), "k8s.io/") || reflect.PointerTo(t).Implements(unmarshaler) {
		return
	}
	w.seen[t] = true
	w.fields(schemaName(t), t, "")
}

func (w *walker) fields(owner string, t reflect.Type, embedded string) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if f.Anonymous && name == "" {
			w.fields(owner, f.Type, strings.TrimPrefix(embedded+"."+f.Name, "."))
			w.walk(f.Type)
			continue
		}
		ft, flags := f.Type, ""
		if ft.Kind() == reflect.Pointer {
			flags, ft = "p", ft.Elem()
		}
		for _, option := range strings.Split(options, ",") {
			switch option {
			case "omitempty":
				flags += "o"
			case "omitzero":
				flags += "z"
			}
		}
		if flags == "" {
			flags = "-"
		}
		line := fmt.Sprintf("%s %s %s %s", owner, name, strings.ReplaceAll(ft.String(), " ", ""), flags)
		if embedded != "" {
			line += " " + embedded
		}
		w.lines = append(w.lines, line)
		w.walk(ft)
	}
}
