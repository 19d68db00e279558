// Asks upstream's scheduler about what is made by chance: what DefaultPreemption decides in small clusters, where Pods can
// have their volumes, and what is requested by Pods. Writes a line each into files in the directory that is named.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"time"

	v1 "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	internalqueue "k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/interpodaffinity"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeports"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/podtopologyspread"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/queuesort"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/tainttoleration"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	tf "k8s.io/kubernetes/pkg/scheduler/testing/framework"
)

// How many clusters there are.
const cases = 150

// A cluster and what upstream says of the Pod in it.
type Case struct {
	Pod     *v1.Pod                       `json:"pod"`
	Nodes   []*v1.Node                    `json:"nodes"`
	Pods    []*v1.Pod                     `json:"pods"`
	Budgets []*policy.PodDisruptionBudget `json:"budgets"`
	// A Pod that waits for room, and the node on which it does.
	Waits     *v1.Pod           `json:"waits,omitempty"`
	Nominated map[string]string `json:"nominated,omitempty"`
	// By node: its refusal.
	Refusals map[string][]string `json:"refusals"`
	// By node: the victims, the most important first.
	Candidates map[string][]string `json:"candidates"`
	// The nodes of which one is chosen, for chance decides among equals.
	Chosen  []string `json:"chosen"`
	Message string   `json:"message"`
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func pick[T any](random *rand.Rand, values ...T) T {
	return values[random.Intn(len(values))]
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func makePod(random *rand.Rand, name string, priority int32) *v1.Pod {
	cpu := pick(random, "200m", "500m", "500m", "1")
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "default", UID: types.UID(name),
			Labels: map[string]string{"app": pick(random, "x", "y", "z")},
		},
		Spec: v1.PodSpec{
			Priority: &priority, SchedulerName: "default-scheduler",
			Containers: []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{
				Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu)},
			}}},
		},
	}
	term := v1.PodAffinityTerm{
		TopologyKey:   pick(random, "kubernetes.io/hostname", "zone"),
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(random, "x", "y", "z")}},
	}
	switch random.Intn(12) {
	case 0:
		pod.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{term},
		}}
	case 1:
		pod.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{term},
		}}
	case 2:
		pod.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: term.TopologyKey, WhenUnsatisfiable: v1.DoNotSchedule, LabelSelector: term.LabelSelector,
		}}
	case 3:
		pod.Spec.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: 80, HostPort: 80, Protocol: v1.ProtocolTCP}}
	}
	return pod
}

func makeCase(random *rand.Rand) *Case {
	c := &Case{Refusals: map[string][]string{}, Candidates: map[string][]string{}, Nominated: map[string]string{}}
	for i := range 1 + random.Intn(4) {
		name := string(rune('a' + i))
		node := &v1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
				"kubernetes.io/hostname": name, "zone": pick(random, "1", "2"),
			}},
			Status: v1.NodeStatus{Allocatable: v1.ResourceList{
				v1.ResourceCPU: resource.MustParse(pick(random, "1", "2", "2")), v1.ResourcePods: resource.MustParse(pick(random, "3", "10")),
			}},
		}
		if random.Intn(8) == 0 {
			node.Spec.Taints = []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoSchedule}}
		}
		c.Nodes = append(c.Nodes, node)
		free := node.Status.Allocatable.Cpu().MilliValue()
		ported := false
		for j := range 1 + random.Intn(5) {
			pod := makePod(random, fmt.Sprintf("%s%d", name, j), pick[int32](random, -10, 0, 1, 1, 5, 100))
			wants := pod.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
			if wants > free {
				continue
			}
			free -= wants
			if len(pod.Spec.Containers[0].Ports) > 0 {
				if ported {
					pod.Spec.Containers[0].Ports = nil
				}
				ported = true
			}
			pod.Spec.NodeName = name
			started := metav1.NewTime(start.Add(time.Duration(random.Intn(4)*1000+i*10+j) * time.Second))
			pod.Status.StartTime = &started
			c.Pods = append(c.Pods, pod)
		}
	}
	for i := range random.Intn(3) {
		c.Budgets = append(c.Budgets, &policy.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("budget", i), Namespace: "default"},
			Spec: policy.PodDisruptionBudgetSpec{
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(random, "x", "y", "z")}},
			},
			Status: policy.PodDisruptionBudgetStatus{DisruptionsAllowed: int32(random.Intn(2))},
		})
	}
	c.Pod = makePod(random, "preemptor", pick[int32](random, 1, 5, 10, 10, 1000))
	if random.Intn(4) == 0 {
		c.Nominated["waits"] = pick(random, c.Nodes...).Name
	}
	return c
}

// Asks upstream. False if the Pod fits without that anybody goes.
func (c *Case) decide(ctx context.Context, waits *v1.Pod) bool {
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer().GetStore()
	for _, pod := range append([]*v1.Pod{c.Pod, waits}, c.Pods...) {
		if err := pods.Add(pod); err != nil {
			panic(err)
		}
	}
	budgets := factory.Policy().V1().PodDisruptionBudgets().Informer().GetStore()
	for _, budget := range c.Budgets {
		if err := budgets.Add(budget); err != nil {
			panic(err)
		}
	}
	features := feature.Features{}
	snapshot := internalcache.NewSnapshot(c.Pods, c.Nodes)
	queue := internalqueue.NewSchedulingQueue(nil, factory)
	handle := must(tf.NewFramework(ctx, []tf.RegisterPluginFunc{
		tf.RegisterQueueSortPlugin(queuesort.Name, queuesort.New),
		tf.RegisterPluginAsExtensions(tainttoleration.Name, frameworkruntime.FactoryAdapter(features, tainttoleration.New), "PreFilter", "Filter"),
		tf.RegisterPluginAsExtensions(nodeports.Name, frameworkruntime.FactoryAdapter(features, nodeports.New), "PreFilter", "Filter"),
		tf.RegisterPluginAsExtensions(noderesources.Name, frameworkruntime.FactoryAdapter(features, noderesources.NewFit), "PreFilter", "Filter"),
		tf.RegisterPluginAsExtensions(podtopologyspread.Name, frameworkruntime.FactoryAdapter(features, podtopologyspread.New), "PreFilter", "Filter"),
		tf.RegisterPluginAsExtensions(interpodaffinity.Name, frameworkruntime.FactoryAdapter(features, interpodaffinity.New), "PreFilter", "Filter"),
		tf.RegisterBindPlugin(defaultbinder.Name, defaultbinder.New),
	}, "",
		frameworkruntime.WithClientSet(client),
		frameworkruntime.WithEventRecorder(&events.FakeRecorder{}),
		frameworkruntime.WithInformerFactory(factory),
		frameworkruntime.WithPodNominator(queue),
		frameworkruntime.WithSnapshotSharedLister(snapshot),
		frameworkruntime.WithMutableSnapshotLister(snapshot),
		frameworkruntime.WithWaitingPods(frameworkruntime.NewWaitingPodsMap()),
		frameworkruntime.WithPodsInPreBind(frameworkruntime.NewPodsInPreBindMap()),
	))
	for _, node := range c.Nominated {
		info := must(framework.NewPodInfo(waits))
		queue.Add(ctx, waits)
		queue.AddNominatedPod(klog.FromContext(ctx), info, &fwk.NominatingInfo{NominatingMode: fwk.ModeOverride, NominatedNodeName: node})
	}
	plugin := must(defaultpreemption.New(ctx, &config.DefaultPreemptionArgs{
		MinCandidateNodesPercentage: 10, MinCandidateNodesAbsolute: 100,
	}, handle, features))

	state := framework.NewCycleState()
	if _, status, _ := handle.RunPreFilterPlugins(ctx, state, c.Pod); !status.IsSuccess() {
		panic(status.Message())
	}
	statuses := framework.NewDefaultNodeToStatus()
	var unschedulable []fwk.NodeInfo
	for _, node := range must(snapshot.NodeInfos().List()) {
		status := handle.RunFilterPluginsWithNominatedPods(ctx, state, c.Pod, node)
		if status.IsSuccess() {
			return false
		}
		statuses.Set(node.Node().Name, status)
		c.Refusals[node.Node().Name] = status.Reasons()
		if status.Code() == fwk.Unschedulable {
			unschedulable = append(unschedulable, node)
		}
	}
	candidates, _, _ := plugin.Evaluator.DryRunPreemption(ctx, state, c.Pod, unschedulable, c.Budgets, 0, int32(len(c.Nodes)+1))
	for _, candidate := range candidates {
		for _, victim := range candidate.Victims().Pods {
			c.Candidates[candidate.Name()] = append(c.Candidates[candidate.Name()], victim.Name)
		}
	}
	// A map's order is chance: often enough, all that can be chosen are.
	chosen := map[string]bool{}
	for range 50 {
		if best := plugin.Evaluator.SelectCandidate(ctx, append([]preemption.Candidate{}, candidates...)); best != nil {
			chosen[best.Name()] = true
		}
	}
	for name := range chosen {
		c.Chosen = append(c.Chosen, name)
	}
	sort.Strings(c.Chosen)
	plugin.Executor.PreemptPod = func(context.Context, preemption.Candidate, preemption.ExecutorPreemptor, *v1.Pod, string) (bool, error) {
		return false, nil
	}
	if len(c.Chosen) < 2 {
		_, status := plugin.PostFilter(ctx, state, c.Pod, statuses)
		c.Message = status.Message()
	}
	return true
}

// The case without what nodes say of themselves that nobody reads.
func trim(c *Case) map[string]any {
	var trimmed map[string]any
	if err := json.Unmarshal(must(json.Marshal(c)), &trimmed); err != nil {
		panic(err)
	}
	for _, node := range trimmed["nodes"].([]any) {
		status := node.(map[string]any)["status"].(map[string]any)
		delete(status, "nodeInfo")
		delete(status, "daemonEndpoints")
	}
	return trimmed
}

// Prints values into a file, a line each.
func write(name string, print func(*json.Encoder)) {
	file := must(os.Create(filepath.Join(os.Args[1], name)))
	print(json.NewEncoder(file))
	if err := file.Close(); err != nil {
		panic(err)
	}
}

func main() {
	metrics.Register()
	write("preemption.jsonl", preemptions)
	write("requests.jsonl", requests)
	write("volumes.jsonl", volumes)
}

func preemptions(out *json.Encoder) {
	ctx := context.Background()
	random := rand.New(rand.NewSource(1))
	for made := 0; made < cases; {
		c := makeCase(random)
		waits := makePod(random, "waits", pick[int32](random, 0, 5, 10, 2000))
		waits.Spec.Affinity, waits.Spec.TopologySpreadConstraints = nil, nil
		if !c.decide(ctx, waits) {
			continue
		}
		if len(c.Nominated) > 0 {
			c.Waits = waits
		}
		if err := out.Encode(trim(c)); err != nil {
			panic(err)
		}
		made++
	}
}
