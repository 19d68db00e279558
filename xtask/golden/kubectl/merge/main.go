// Makes the patches of crates/kubectl/golden/merge-patches.txt from merge-cases.yaml, with upstream's strategicpatch:
//
//	go run ./kubectl/merge ../../crates/kubectl/golden/merge-cases.yaml > ../../crates/kubectl/golden/merge-patches.txt
package main

import (
	"fmt"
	"os"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"
)

func main() {
	text, err := os.ReadFile(os.Args[1])
	check(err)
	meta, err := strategicpatch.NewPatchMetaFromStruct(appsv1.Deployment{})
	check(err)
	for _, documents := range strings.Split(string(text), "====\n") {
		var values [][]byte
		for _, document := range strings.Split(documents, "---\n") {
			value, err := yaml.YAMLToJSON([]byte(document))
			check(err)
			values = append(values, value)
		}
		var patch []byte
		if len(values) == 3 {
			patch, err = strategicpatch.CreateThreeWayMergePatch(values[0], values[1], values[2], meta, true)
		} else {
			patch, err = strategicpatch.CreateTwoWayMergePatch(values[0], values[1], appsv1.Deployment{})
		}
		check(err)
		fmt.Println(string(patch))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
