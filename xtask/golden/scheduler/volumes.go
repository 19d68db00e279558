package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/queuesort"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumerestrictions"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumezone"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	tf "k8s.io/kubernetes/pkg/scheduler/testing/framework"
	"k8s.io/utils/ptr"
)

// A small cluster with volumes, and what upstream's plugins say of the Pod in it.
type VolumeCase struct {
	Pod     *v1.Pod                     `json:"pod"`
	Nodes   []*v1.Node                  `json:"nodes"`
	Pods    []*v1.Pod                   `json:"pods"`
	Classes []*storage.StorageClass     `json:"classes"`
	Claims  []*v1.PersistentVolumeClaim `json:"claims"`
	Volumes []*v1.PersistentVolume      `json:"volumes"`
	// Why no node can help, whatever it is like.
	Refusal string `json:"refusal,omitempty"`
	// By node.
	Refusals map[string][]string `json:"refusals"`
	Scores   map[string]int64    `json:"scores"`
	// By node: claim=volume, or the claim alone if its volume is to be made.
	Found map[string][]string `json:"found"`
}

func sizes(random *rand.Rand) v1.ResourceList {
	return v1.ResourceList{v1.ResourceStorage: resource.MustParse(pick(random, "1Gi", "1Gi", "2Gi", "3Gi", "5Gi"))}
}

func makeClass(random *rand.Rand, name string) *storage.StorageClass {
	class := &storage.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: name},
		Provisioner: pick(random, "example.com/disks", "kubernetes.io/no-provisioner"),
		VolumeBindingMode: ptr.To(pick(random, storage.VolumeBindingWaitForFirstConsumer, storage.VolumeBindingWaitForFirstConsumer,
			storage.VolumeBindingWaitForFirstConsumer, storage.VolumeBindingWaitForFirstConsumer, storage.VolumeBindingImmediate)),
	}
	if random.Intn(3) == 0 {
		terms := v1.TopologySelectorTerm{}
		if random.Intn(4) > 0 {
			terms.MatchLabelExpressions = []v1.TopologySelectorLabelRequirement{{Key: "zone", Values: []string{pick(random, "1", "2")}}}
		}
		class.AllowedTopologies = []v1.TopologySelectorTerm{terms}
	}
	return class
}

func makeVolume(random *rand.Rand, name, size string) *v1.PersistentVolume {
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1", Labels: map[string]string{}},
		Spec: v1.PersistentVolumeSpec{
			Capacity: v1.ResourceList{v1.ResourceStorage: resource.MustParse(size)}, StorageClassName: pick(random, "one", "one", "two"),
			AccessModes:            []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce, pick(random, v1.ReadWriteOncePod, v1.ReadWriteOncePod, v1.ReadOnlyMany)},
			PersistentVolumeSource: v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: "/x"}},
		},
		Status: v1.PersistentVolumeStatus{Phase: pick(random, v1.VolumeAvailable, v1.VolumeAvailable, v1.VolumeAvailable, v1.VolumeAvailable, v1.VolumeAvailable,
			v1.VolumeAvailable, v1.VolumeAvailable, v1.VolumeAvailable, v1.VolumePending)},
	}
	if random.Intn(2) > 0 {
		volume.Spec.NodeAffinity = &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
			MatchExpressions: []v1.NodeSelectorRequirement{{
				Key: pick(random, "kubernetes.io/hostname", "zone"), Operator: v1.NodeSelectorOpIn, Values: []string{pick(random, "a", "b", "1", "2")},
			}},
		}}}}
	}
	switch random.Intn(12) {
	case 0:
		volume.Spec.VolumeMode = ptr.To(v1.PersistentVolumeBlock)
	case 1:
		volume.DeletionTimestamp = &metav1.Time{Time: start}
	case 2, 3, 6:
		volume.Labels[pick(random, v1.LabelTopologyZone, v1.LabelFailureDomainBetaZone)] = pick(random, "1", "1__2", "3", "1__")
	case 4:
		volume.Labels["disk"] = "ssd"
	case 5:
		volume.Annotations = map[string]string{v1.BetaStorageClassAnnotation: "one"}
	}
	return volume
}

func makeClaim(random *rand.Rand, name string, volumes []*v1.PersistentVolume) *v1.PersistentVolumeClaim {
	claim := &v1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), ResourceVersion: "1", Annotations: map[string]string{}},
		Spec: v1.PersistentVolumeClaimSpec{
			StorageClassName: ptr.To(pick(random, "one", "one", "one", "one", "one", "two", "two", "two", "two", "", "none")),
			AccessModes:      []v1.PersistentVolumeAccessMode{pick(random, v1.ReadWriteOnce, v1.ReadWriteOnce, v1.ReadWriteOnce, v1.ReadWriteOnce, v1.ReadWriteOncePod)},
			Resources:        v1.VolumeResourceRequirements{Requests: sizes(random)},
		},
		Status: v1.PersistentVolumeClaimStatus{Phase: v1.ClaimPending},
	}
	volume := pick(random, volumes...)
	switch random.Intn(20) {
	case 0, 1, 2, 3, 10, 11:
		claim.Spec.VolumeName = volume.Name
		claim.Annotations["pv.kubernetes.io/bind-completed"] = "yes"
		claim.Status.Phase = v1.ClaimBound
		volume.Spec.ClaimRef = &v1.ObjectReference{Name: name, Namespace: "default", UID: claim.UID}
		volume.Status.Phase = v1.VolumeBound
	case 4:
		claim.Spec.VolumeName = "gone"
		claim.Annotations["pv.kubernetes.io/bind-completed"] = "yes"
		claim.Status.Phase = pick(random, v1.ClaimBound, v1.ClaimLost)
	case 5:
		claim.Spec.VolumeName = volume.Name
	case 6:
		claim.Annotations["volume.kubernetes.io/selected-node"] = pick(random, "a", "b", "c")
	case 7:
		volume.Spec.ClaimRef = &v1.ObjectReference{Name: name, Namespace: "default"}
	case 8:
		claim.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"disk": "ssd"}}
	case 9:
		if random.Intn(3) == 0 {
			claim.DeletionTimestamp = &metav1.Time{Time: start}
		}
	}
	return claim
}

func makeUser(random *rand.Rand, name string, claims []*v1.PersistentVolumeClaim) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)}}
	order := random.Perm(len(claims))
	for i := range pick(random, 0, 1, 1, 2, 2) {
		source := v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: claims[order[i]].Name}}
		if random.Intn(40) == 0 {
			source.PersistentVolumeClaim.ClaimName = "missing"
		}
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: fmt.Sprint("v", i), VolumeSource: source})
	}
	switch random.Intn(8) {
	case 0:
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: "disk", VolumeSource: v1.VolumeSource{
			GCEPersistentDisk: &v1.GCEPersistentDiskVolumeSource{PDName: pick(random, "x", "y"), ReadOnly: random.Intn(2) == 0},
		}})
	case 1:
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: "disk", VolumeSource: v1.VolumeSource{
			ISCSI: &v1.ISCSIVolumeSource{IQN: pick(random, "x", "y"), ReadOnly: random.Intn(2) == 0},
		}})
	case 2:
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: "own", VolumeSource: v1.VolumeSource{
			Ephemeral: &v1.EphemeralVolumeSource{VolumeClaimTemplate: &v1.PersistentVolumeClaimTemplate{
				Spec: v1.PersistentVolumeClaimSpec{AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}},
			}},
		}})
	}
	return pod
}

func makeVolumeCase(random *rand.Rand) *VolumeCase {
	c := &VolumeCase{Refusals: map[string][]string{}, Scores: map[string]int64{}, Found: map[string][]string{}}
	for i := range 1 + random.Intn(3) {
		name := string(rune('a' + i))
		labels := map[string]string{"kubernetes.io/hostname": name, "zone": pick(random, "1", "2")}
		if random.Intn(3) > 0 {
			labels[pick(random, v1.LabelTopologyZone, v1.LabelTopologyZone, v1.LabelFailureDomainBetaZone)] = pick(random, "1", "2")
		}
		c.Nodes = append(c.Nodes, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Status: v1.NodeStatus{
			Allocatable: v1.ResourceList{v1.ResourcePods: resource.MustParse("10")},
		}})
	}
	c.Classes = []*storage.StorageClass{makeClass(random, "one"), makeClass(random, "two")}
	// No two are of one size, for chance decides among equals.
	for i, size := range random.Perm(8)[:2+random.Intn(6)] {
		c.Volumes = append(c.Volumes, makeVolume(random, fmt.Sprint("volume-", i), fmt.Sprint(size+1, "Gi")))
	}
	for i := range 2 + random.Intn(3) {
		c.Claims = append(c.Claims, makeClaim(random, fmt.Sprint("claim-", i), c.Volumes))
	}
	own := makeClaim(random, "wants-own", c.Volumes)
	if random.Intn(8) > 0 {
		own.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "wants", UID: "wants", Controller: ptr.To(true)}}
	}
	for i := range random.Intn(4) {
		pod := makeUser(random, fmt.Sprint("pod-", i), c.Claims)
		pod.Spec.NodeName = pick(random, c.Nodes...).Name
		c.Pods = append(c.Pods, pod)
	}
	c.Pod = makeUser(random, "wants", c.Claims)
	if random.Intn(8) > 0 {
		c.Claims = append(c.Claims, own)
	}
	return c
}

func add[T runtime.Object](store cache.Store, objects []T) {
	for _, object := range objects {
		if err := store.Add(object); err != nil {
			panic(err)
		}
	}
}

// The name of a claim or volume in a binding, whose fields are the plugin's own.
func called(binding any, field string) string {
	return reflect.ValueOf(binding).Elem().FieldByName(field).Elem().FieldByName("Name").String()
}

func (c *VolumeCase) decide(ctx context.Context) {
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	add(factory.Core().V1().PersistentVolumeClaims().Informer().GetStore(), c.Claims)
	add(factory.Core().V1().PersistentVolumes().Informer().GetStore(), c.Volumes)
	add(factory.Storage().V1().StorageClasses().Informer().GetStore(), c.Classes)
	features := feature.Features{EnableVolumeAttributesClass: true, EnableStorageCapacityScoring: true}
	snapshot := internalcache.NewSnapshot(c.Pods, c.Nodes)
	var plugin *volumebinding.VolumeBinding
	binding := func(ctx context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
		arguments := &config.VolumeBindingArgs{BindTimeoutSeconds: 600, Shape: []config.UtilizationShapePoint{
			{Utilization: 0, Score: int32(config.MaxCustomPriorityScore)}, {Utilization: 100, Score: 0},
		}}
		made, err := volumebinding.New(ctx, arguments, handle, features)
		plugin = made.(*volumebinding.VolumeBinding)
		return made, err
	}
	handle := must(tf.NewFramework(ctx, []tf.RegisterPluginFunc{
		tf.RegisterQueueSortPlugin(queuesort.Name, queuesort.New),
		tf.RegisterPluginAsExtensions(volumerestrictions.Name, frameworkruntime.FactoryAdapter(features, volumerestrictions.New), "PreFilter", "Filter"),
		tf.RegisterPluginAsExtensionsWithWeight(volumebinding.Name, 1, binding, "PreFilter", "Filter", "PreScore", "Score"),
		tf.RegisterPluginAsExtensions(volumezone.Name, frameworkruntime.FactoryAdapter(features, volumezone.New), "PreFilter", "Filter"),
		tf.RegisterBindPlugin(defaultbinder.Name, defaultbinder.New),
	}, "",
		frameworkruntime.WithClientSet(client),
		frameworkruntime.WithEventRecorder(&events.FakeRecorder{}),
		frameworkruntime.WithInformerFactory(factory),
		frameworkruntime.WithSnapshotSharedLister(snapshot),
	))
	state := framework.NewCycleState()
	if _, status, _ := handle.RunPreFilterPlugins(ctx, state, c.Pod); !status.IsSuccess() {
		c.Refusal = status.Message()
		return
	}
	logger := klog.FromContext(ctx)
	claims := must(plugin.Binder.GetPodVolumeClaims(logger, c.Pod))
	for _, node := range must(snapshot.NodeInfos().List()) {
		name := node.Node().Name
		if status := handle.RunFilterPlugins(ctx, state, c.Pod, node); !status.IsSuccess() {
			c.Refusals[name] = status.Reasons()
			continue
		}
		found, _, err := plugin.Binder.FindPodVolumes(logger, c.Pod, claims, node.Node())
		if err != nil {
			panic(err)
		}
		c.Found[name] = []string{}
		for _, static := range found.StaticBindings {
			c.Found[name] = append(c.Found[name], called(static, "pvc")+"="+called(static, "pv"))
		}
		for _, provision := range found.DynamicProvisions {
			c.Found[name] = append(c.Found[name], provision.PVC.Name)
		}
		sort.Strings(c.Found[name])
		score, status := plugin.Score(ctx, state, c.Pod, node)
		if len(c.Pod.Spec.Volumes) > 0 && status.IsSuccess() {
			c.Scores[name] = score
		}
	}
}

// A value without what is empty.
func trimEmpty(value any) any {
	fields, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for key, field := range fields {
		fields[key] = trimEmpty(field)
		if list, ok := fields[key].([]any); ok {
			for i := range list {
				list[i] = trimEmpty(list[i])
			}
		}
		if inner, ok := fields[key].(map[string]any); ok && len(inner) == 0 || fields[key] == nil || fields[key] == "" {
			delete(fields, key)
		}
	}
	return fields
}

func trimAll(c *VolumeCase) any {
	var trimmed map[string]any
	if err := json.Unmarshal(must(json.Marshal(c)), &trimmed); err != nil {
		panic(err)
	}
	for _, node := range trimmed["nodes"].([]any) {
		status := node.(map[string]any)["status"].(map[string]any)
		delete(status, "nodeInfo")
		delete(status, "daemonEndpoints")
	}
	return trimEmpty(trimmed)
}

func volumes(out *json.Encoder) {
	random := rand.New(rand.NewSource(2))
	for made := 0; made < 200; {
		c := makeVolumeCase(random)
		c.decide(context.Background())
		// Most of what is made so would be of one kind.
		if len(c.Pod.Spec.Volumes) == 0 || (strings.HasPrefix(c.Refusal, "pod has unbound") && random.Intn(5) > 0) {
			continue
		}
		if err := out.Encode(trimAll(c)); err != nil {
			panic(err)
		}
		made++
	}
}
