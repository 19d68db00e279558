use std::os::unix::process::CommandExt;
use std::process::Command;

use super::*;

fn plan_text(resources: &LinuxContainerResources, unified: bool) -> Vec<String> {
    let writes = limits::plan(resources, &|_| unified);
    writes.into_iter().map(|w| format!("{}={}", w.file, w.value)).collect()
}

#[test]
fn limits_become_the_files_of_each_version() {
    let resources = LinuxContainerResources {
        cpu_shares: Some(512),
        cpu_quota_us: Some(50_000),
        memory_limit_bytes: Some(64 << 20),
        pids_limit: Some(100),
        cpuset_cpus: "0-1".into(),
        ..LinuxContainerResources::default()
    };
    assert_eq!(
        plan_text(&resources, false),
        [
            "cpu.shares=512",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=50000",
            "memory.limit_in_bytes=67108864",
            "memory.memsw.limit_in_bytes=67108864",
            "pids.max=100",
            "cpuset.cpus=0-1",
        ]
    );
    assert_eq!(
        plan_text(&resources, true),
        [
            "cpu.weight=59",
            "cpu.max=50000 100000",
            "memory.swap.max=0",
            "memory.max=67108864",
            "pids.max=100",
            "cpuset.cpus=0-1",
        ]
    );
    assert_eq!(plan_text(&LinuxContainerResources::default(), true), Vec::<String>::new());
    let unlimited = LinuxContainerResources {
        cpu_quota_us: Some(-1),
        memory_limit_bytes: Some(-1),
        pids_limit: Some(0),
        ..LinuxContainerResources::default()
    };
    assert_eq!(
        plan_text(&unlimited, true),
        ["cpu.max=max 100000", "memory.swap.max=max", "memory.max=max", "pids.max=max"]
    );
}

#[test]
fn shares_become_weights() {
    for (shares, weight) in [(0, 1), (2, 1), (102, 17), (1024, 100), (262_144, 10_000)] {
        assert_eq!(limits::weight_from_shares(shares), weight, "{shares}");
    }
}

const HYBRID: &str = "25 1 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:21 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct
27 25 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
28 25 0:23 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
29 25 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

#[test]
fn hierarchies_are_found() {
    let hybrid = Hierarchies::parse(HYBRID);
    assert_eq!(hybrid.mount_of("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
    assert!(!hybrid.is_unified("memory") && !hybrid.is_unified("cpuacct"));
    assert_eq!(hybrid.mount_of("pids"), None);
    assert_eq!(hybrid.mounts().count(), 3, "not the named one");
    let mut pure = Hierarchies::parse("30 1 0:5 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
    pure.v2.as_mut().expect("v2").1 = vec!["memory".into()];
    assert!(pure.is_unified("memory") && pure.is_unified("devices") && pure.is_unified("cpuacct"));
    assert!(!pure.is_unified("cpu"));
}

#[test]
fn usage_is_read_in_both_versions() {
    let v2 = |_: &str, file: &str| {
        Ok(match file {
            "cpu.stat" => "usage_usec 7\nuser_usec 3\n",
            "memory.current" => "1000\n",
            "memory.stat" => "anon 300\ninactive_file 400\npgfault 5\npgmajfault 1\n",
            "memory.max" => "2000\n",
            _ => "3\n",
        }
        .to_owned())
    };
    let usage = stats::read(&v2, &|_| true).expect("usage");
    assert_eq!((usage.cpu.usage_core_nanoseconds, usage.memory.working_set_bytes), (7000, 600));
    assert_eq!((usage.memory.available_bytes, usage.memory.rss_bytes, usage.processes), (Some(1400), 300, 3));
    let v1 = |_: &str, file: &str| {
        Ok(match file {
            "cpuacct.usage" => "7000\n",
            "memory.usage_in_bytes" => "1000\n",
            "memory.stat" => "rss 1\ntotal_rss 300\ntotal_inactive_file 400\ntotal_pgfault 5\n",
            "memory.limit_in_bytes" => "9223372036854771712\n",
            _ => "3\n",
        }
        .to_owned())
    };
    let usage = stats::read(&v1, &|_| false).expect("usage");
    assert_eq!((usage.memory.working_set_bytes, usage.memory.available_bytes), (600, None));
}

/// A group of this test's own.
fn own(name: &str) -> Cgroup {
    let hierarchies = Arc::new(Hierarchies::detect().expect("cgroups"));
    Cgroup::new(hierarchies, &format!("skiff-test-{name}-{}/inner", std::process::id()))
}

fn parent(group: &Cgroup) -> Cgroup {
    let path = group.path.parent().expect("has one").to_str().expect("text");
    Cgroup::new(group.hierarchies.clone(), path)
}

#[test]
fn a_group_is_made_entered_limited_killed_and_removed() {
    let group = own("life");
    group.create().expect("create");
    group.create().expect("create again");
    let resources = LinuxContainerResources {
        memory_limit_bytes: Some(32 << 20),
        cpu_shares: Some(100),
        pids_limit: Some(20),
        ..LinuxContainerResources::default()
    };
    group.apply(&resources).expect("limits");
    group.restrict_devices(&DeviceRule::defaults()).expect("devices");
    let entrances = group.entrances().expect("entrances");
    let mut child = Command::new("sleep").arg("1000").process_group(0).spawn().expect("sleep");
    for directory in group.directories() {
        std::fs::write(directory.join("cgroup.procs"), child.id().to_string()).expect("enter");
    }
    assert_eq!(group.processes(), [i32::try_from(child.id()).expect("pid")]);
    assert!(group.usage().expect("usage").processes >= 1);
    assert_eq!(group.oom_kills(), 0);
    group.kill().expect("kill");
    assert!(!child.wait().expect("wait").success());
    drop(entrances);
    parent(&group).remove().expect("remove");
    parent(&group).remove().expect("removing twice is fine");
    assert!(group.directories().iter().all(|directory| !directory.exists()));
}

#[test]
fn the_device_program_lets_through_what_is_allowed() {
    let hierarchies = Hierarchies::detect().expect("cgroups");
    let Some(mount) = hierarchies.unified() else { return };
    // Seen as v2 only, so that the program is used where v1 has files for it.
    let v2 = Hierarchies { v1: vec![], v2: Some((mount.into(), vec![])) };
    let group = Cgroup::new(Arc::new(v2), &format!("skiff-test-devices-{}", std::process::id()));
    group.create().expect("create");
    let only_null = DeviceRule { kind: 'c', major: Some(1), minor: Some(3), read: true, write: true, mknod: false };
    group.restrict_devices(&[only_null]).expect("attach");
    let procs = mount.join(&group.path).join("cgroup.procs");
    let script = "echo $$ > \"$0\"; (: < /dev/null) && echo null; (: < /dev/zero) 2>/dev/null || echo refused";
    let output = Command::new("sh").arg("-c").arg(script).arg(&procs).output().expect("sh");
    group.remove().expect("remove");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "null\nrefused\n");
}
