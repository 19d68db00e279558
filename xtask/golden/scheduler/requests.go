package main

import (
	"encoding/json"
	"fmt"
	"math/rand"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// How many Pods there are.
const pods = 300

// Amounts of some resources.
func amounts(random *rand.Rand) v1.ResourceList {
	list := v1.ResourceList{}
	if random.Intn(3) > 0 {
		list[v1.ResourceCPU] = resource.MustParse(pick(random, "0", "100m", "250m", "1", "2"))
	}
	if random.Intn(3) > 0 {
		list[v1.ResourceMemory] = resource.MustParse(pick(random, "0", "100Mi", "300M", "1Gi"))
	}
	if random.Intn(6) == 0 {
		list["example.com/thing"] = resource.MustParse(pick(random, "1", "2"))
	}
	return list
}

func makeStatus(random *rand.Rand, name string) v1.ContainerStatus {
	status := v1.ContainerStatus{Name: name}
	if random.Intn(3) > 0 {
		status.AllocatedResources = amounts(random)
	}
	if random.Intn(3) > 0 {
		status.Resources = &v1.ResourceRequirements{Requests: amounts(random)}
	}
	return status
}

// A Pod with any of what counts: init containers, sidecars, overhead, resources of the whole, a resize on its way.
func makeRequests(random *rand.Rand) *v1.Pod {
	pod := &v1.Pod{}
	resized := random.Intn(2) == 0
	container := func(name string, statuses *[]v1.ContainerStatus) v1.Container {
		if resized {
			*statuses = append(*statuses, makeStatus(random, name))
		}
		return v1.Container{Name: name, Resources: v1.ResourceRequirements{Requests: amounts(random)}}
	}
	for i := range 1 + random.Intn(3) {
		pod.Spec.Containers = append(pod.Spec.Containers, container(fmt.Sprint("c", i), &pod.Status.ContainerStatuses))
	}
	for i := range random.Intn(4) {
		init := container(fmt.Sprint("i", i), &pod.Status.InitContainerStatuses)
		if always := v1.ContainerRestartPolicyAlways; random.Intn(2) == 0 {
			init.RestartPolicy = &always
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, init)
	}
	if random.Intn(3) == 0 {
		pod.Spec.Overhead = amounts(random)
	}
	if random.Intn(3) == 0 {
		whole := amounts(random)
		delete(whole, "example.com/thing")
		pod.Spec.Resources = &v1.ResourceRequirements{Requests: whole}
		if resized && random.Intn(2) == 0 {
			pod.Status.Resources = &v1.ResourceRequirements{Requests: amounts(random)}
			if random.Intn(2) == 0 {
				pod.Status.AllocatedResources = amounts(random)
			}
		}
	}
	if resized && random.Intn(3) == 0 {
		pod.Status.Conditions = []v1.PodCondition{{
			Type: v1.PodResizePending, Status: v1.ConditionTrue, Reason: pick(random, v1.PodReasonInfeasible, v1.PodReasonDeferred),
		}}
	}
	return pod
}

func requests(out *json.Encoder) {
	random := rand.New(rand.NewSource(2))
	for range pods {
		// Through JSON, which has no empty lists of resources.
		var pod *v1.Pod
		if err := json.Unmarshal(must(json.Marshal(makeRequests(random))), &pod); err != nil {
			panic(err)
		}
		found := must(framework.NewPodInfo(pod)).CalculateResource()
		asked := map[string]any{
			"cpu": found.Resource.GetMilliCPU(), "memory": found.Resource.GetMemory(), "other": found.Resource.GetScalarResources(),
			"scoredCpu": found.Non0CPU, "scoredMemory": found.Non0Mem,
		}
		if err := out.Encode(map[string]any{"pod": pod, "asked": asked}); err != nil {
			panic(err)
		}
	}
}
