// Command kubectl runs upstream's own JSONPath, template printer and describers over a corpus and writes down what comes
// out. Crate `kubectl` tests itself against it.
//
//	go run ./kubectl CORPUS_DIR OUTPUT_DIR
//
// Times that depend on the present are written as {{-65s}} in the corpus of `describe`: so long before the run, {{u-65s}}
// the same in microseconds. Others are printed in the time zone UTC.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"
)

// templates is a corpus of `jsonpath` or `gotemplate`.
type templates struct {
	// Data holds the objects by name; Cases are templates to be tried on one of them.
	Data  map[string]any `json:"data"`
	Cases []struct {
		Data     string `json:"data"`
		Template string `json:"template"`
		// Strict refuses missing keys; JSON prints as `jsonpath-as-json` does.
		Strict bool `json:"strict"`
		JSON   bool `json:"json"`
	} `json:"cases"`
}

// result is what came out of one case.
type result struct {
	Template string `json:"template"`
	Output   string `json:"output,omitempty"`
	Error    string `json:"error,omitempty"`
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: kubectl CORPUS_DIR OUTPUT_DIR"))
	}
	time.Local = time.UTC
	for name, run := range map[string]func([]byte) (any, error){
		"jsonpath": jsonpaths, "gotemplate": gotemplates, "describe": descriptions,
	} {
		corpus, err := os.ReadFile(filepath.Join(os.Args[1], name+".yaml"))
		if os.IsNotExist(err) {
			continue
		}
		fail(err)
		results, err := run(corpus)
		fail(err)
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetIndent("", " ")
		encoder.SetEscapeHTML(false)
		fail(encoder.Encode(results))
		fail(os.WriteFile(filepath.Join(os.Args[2], name+".json"), text.Bytes(), 0o644))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(corpus []byte) (templates, map[string]*unstructured.Unstructured, error) {
	var parsed templates
	if err := yaml.UnmarshalStrict(corpus, &parsed); err != nil {
		return parsed, nil, err
	}
	objects := map[string]*unstructured.Unstructured{}
	for name, data := range parsed.Data {
		text, err := json.Marshal(data)
		if err != nil {
			return parsed, nil, err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return parsed, nil, err
		}
		objects[name] = object
	}
	return parsed, objects, nil
}

func jsonpaths(corpus []byte) (any, error) {
	parsed, objects, err := read(corpus)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, c := range parsed.Cases {
		r := result{Template: c.Template}
		path := jsonpath.New("out").AllowMissingKeys(!c.Strict)
		if err := path.Parse(c.Template); err != nil {
			r.Error = err.Error()
		} else {
			path.EnableJSONOutput(c.JSON)
			var out bytes.Buffer
			if err := path.Execute(&out, objects[c.Data].Object); err != nil {
				r.Error = err.Error()
			} else {
				r.Output = out.String()
			}
		}
		results = append(results, r)
	}
	return results, nil
}

func gotemplates(corpus []byte) (any, error) {
	parsed, objects, err := read(corpus)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, c := range parsed.Cases {
		r := result{Template: c.Template}
		printer, err := printers.NewGoTemplatePrinter([]byte(c.Template))
		if err == nil {
			printer.AllowMissingKeys(!c.Strict)
			var out bytes.Buffer
			err = printer.PrintObj(objects[c.Data], &out)
			r.Output = out.String()
		}
		if err != nil {
			r.Error = err.Error()
		}
		results = append(results, r)
	}
	return results, nil
}
