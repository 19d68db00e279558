//! A node for a test: node init as a process of its own, the runtime in the test.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use component_base::{Random, Supervisor, SystemClock};
use container_runtime::{ContainerRuntime, InitClient, Rootfs, RootfsProvider, RuntimeOptions};
use cri::{
    ContainerConfig, ContainerId, ContainerMetadata, ContainerState, ImageConfig, ImageError, PodSandboxConfig,
    PodSandboxMetadata, PodSandboxStatus, RuntimeConfig, RuntimeService,
};

pub(crate) const TESTBED: &str = env!("CARGO_BIN_EXE_runtime-testbed");
/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A name that nobody else has.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// One image: the testbed at `/testbed`, and an `/etc`. `sha256:two` has another layer on top of it.
#[derive(Debug)]
struct OneImage {
    layer: PathBuf,
}

#[async_trait]
impl RootfsProvider for OneImage {
    async fn hold(&self, image: &str, _: &str) -> Result<Option<Rootfs>, ImageError> {
        let config = ImageConfig {
            entrypoint: vec!["/testbed".into()],
            env: vec!["PATH=/bin".into()],
            user: if image == "sha256:web" { "web".into() } else { String::new() },
            ..ImageConfig::default()
        };
        let found = image.starts_with("sha256:").then(|| Rootfs {
            image_id: image.into(),
            digest_ref: format!("testbed@{image}"),
            lowers: if image == "sha256:two" {
                vec![self.layer.with_file_name("layer-two"), self.layer.clone()]
            } else {
                vec![self.layer.clone()]
            },
            config,
        });
        Ok(found)
    }

    async fn release(&self, _: &str) -> Result<(), ImageError> {
        Ok(())
    }

    async fn retain(&self, _: &[String]) -> Result<(), ImageError> {
        Ok(())
    }
}

fn make_layer(layer: &Path) {
    for directory in ["bin", "etc", "proc", "sys", "dev", "tmp", "data"] {
        fs::create_dir_all(layer.join(directory)).expect("layer");
    }
    if fs::hard_link(TESTBED, layer.join("testbed")).is_err() {
        fs::copy(TESTBED, layer.join("testbed")).expect("copy");
    }
    fs::hard_link(layer.join("testbed"), layer.join("bin/tb")).expect("link");
    fs::write(layer.join("etc/passwd"), "root:x:0:0::/root:/\nweb:x:101:102::/srv:/\n").expect("passwd");
    fs::write(layer.join("etc/group"), "web:x:102:\nlogs:x:200:web\n").expect("group");
    fs::write(layer.join("etc/note"), "from the image").expect("note");
}

/// A node.
pub(crate) struct World {
    pub(crate) runtime: ContainerRuntime,
    pub(crate) directory: PathBuf,
    tasks: Supervisor,
    client: Arc<InitClient>,
    init: Child,
    cgroup: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let name = unique("skiff-it");
        let directory = std::env::temp_dir().join(&name);
        make_layer(&directory.join("layer"));
        fs::create_dir_all(directory.join("layer-two/etc")).expect("layer");
        fs::write(directory.join("layer-two/etc/more"), "on top").expect("more");
        let (ours, theirs) = UnixStream::pair().expect("pair");
        #[allow(clippy::disallowed_methods, reason = "a test starts processes")]
        let init = Command::new(TESTBED).arg("init").stdin(Stdio::from(OwnedFd::from(theirs))).spawn().expect("init");
        let client = Arc::new(InitClient::connect(ours).await.expect("hello"));
        let tasks = Supervisor::new();
        let runtime = start(&directory, &client, &tasks, &name).await;
        Self { runtime, directory, tasks, client, init, cgroup: name }
    }

    /// The daemon dies and comes back: everything that it held is dropped, and found again.
    pub(crate) async fn restart(&mut self) {
        assert!(self.tasks.drain(PATIENCE).await.is_ok(), "the old runtime's tasks end");
        self.tasks = Supervisor::new();
        self.runtime = start(&self.directory, &self.client, &self.tasks, &self.cgroup).await;
    }

    pub(crate) async fn supervisors(&self) -> usize {
        self.client.supervisors().await.expect("supervisors").len()
    }

    pub(crate) async fn supervisor_pid(&self, id: &str) -> i32 {
        let all = self.client.supervisors().await.expect("supervisors");
        all.iter().find(|supervisor| supervisor.id == id).expect("its supervisor").pid
    }

    pub(crate) fn pod_config(&self, name: &str) -> PodSandboxConfig {
        let metadata = PodSandboxMetadata {
            name: name.into(),
            uid: format!("uid-{name}"),
            namespace: "default".into(),
            attempt: 0,
        };
        let log_directory = self.directory.join("logs").join(name);
        PodSandboxConfig { metadata, hostname: name.into(), log_directory, ..PodSandboxConfig::default() }
    }

    pub(crate) async fn pod(&self, name: &str) -> PodSandboxStatus {
        self.runtime.run_pod_sandbox(self.pod_config(name)).await.expect("sandbox")
    }

    pub(crate) fn container_config(&self, arguments: &[&str]) -> ContainerConfig {
        ContainerConfig {
            metadata: ContainerMetadata { name: "c".into(), attempt: 0 },
            image: "sha256:testbed".into(),
            args: arguments.iter().map(|text| (*text).to_owned()).collect(),
            log_path: Some(format!("{}.log", unique("c")).into()),
            ..ContainerConfig::default()
        }
    }

    pub(crate) async fn create(&self, pod: &PodSandboxStatus, config: ContainerConfig) -> ContainerId {
        self.runtime.create_container(&pod.id, config).await.expect("create")
    }

    pub(crate) async fn start(&self, pod: &PodSandboxStatus, config: ContainerConfig) -> ContainerId {
        let id = self.create(pod, config).await;
        self.runtime.start_container(&id).await.expect("start");
        id
    }

    /// Runs a container to its end: exit code, and its log without times.
    pub(crate) async fn run(&self, pod: &PodSandboxStatus, config: ContainerConfig) -> (i32, String) {
        let id = self.start(pod, config).await;
        let state = self.ended(&id).await;
        let ContainerState::Exited { exit_code, .. } = state else { unreachable!("it ended") };
        (exit_code, self.log(&id).await)
    }

    /// Waits for a container's end.
    pub(crate) async fn ended(&self, id: &ContainerId) -> ContainerState {
        let mut events = self.runtime.subscribe();
        let wait = async {
            loop {
                let state = self.runtime.container_status(id).await.expect("status").state;
                if state.is_exited() {
                    return state;
                }
                events.recv().await.expect("an event");
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it ends")
    }

    /// Its log: `stream tag text` lines.
    pub(crate) async fn log(&self, id: &ContainerId) -> String {
        let path = self.runtime.container_status(id).await.expect("status").log_path.expect("a log");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned() + "\n").collect()
    }

    /// Waits until its log contains `text`, by the kernel's word on the file.
    pub(crate) async fn wait_for_log(&self, id: &ContainerId, text: &str) {
        let wait = async {
            while !self.log(id).await.contains(text) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{text:?} in the log"));
    }

    /// Removes everything and checks that it is gone.
    pub(crate) async fn close(mut self) {
        for sandbox in self.runtime.list_pod_sandboxes(&cri::PodSandboxFilter::default()).await.expect("list") {
            self.runtime.remove_pod_sandbox(&sandbox.id).await.expect("remove");
        }
        let pods = fs::read_dir(self.directory.join("state/pods")).expect("pods").count();
        assert_eq!(pods, 0, "nothing of a removed sandbox is left on disk");
        assert_eq!(processes_in(&self.cgroup), [] as [i32; 0], "nothing runs");
        assert!(self.tasks.drain(PATIENCE).await.is_ok());
        self.init.kill().expect("kill");
        self.init.wait().expect("wait");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Also after a failed test: supervisors outlive their init on purpose.
        let init = self.init.id();
        let children = fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap_or_default();
        for pid in children.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.init.kill();
        let _ = self.init.wait();
        for pid in processes_in(&self.cgroup) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        remove_cgroup(&self.cgroup);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

async fn start(directory: &Path, client: &Arc<InitClient>, tasks: &Supervisor, cgroup: &str) -> ContainerRuntime {
    let options = RuntimeOptions {
        state_dir: directory.join("state"),
        init: client.clone(),
        images: Arc::new(OneImage { layer: directory.join("layer") }),
        clock: Arc::new(SystemClock),
        random: Arc::new(Random::from_system()),
        supervisor: tasks.clone(),
        cgroup_root: cgroup.into(),
        node_ips: vec!["10.99.0.1".parse().expect("ip")],
        mtu: None,
    };
    let runtime = ContainerRuntime::start(options).await.expect("runtime");
    let config = RuntimeConfig { pod_cidrs: vec!["10.97.0.0/24".into()] };
    runtime.update_runtime_config(config).await.expect("range");
    runtime
}

/// Directories of a cgroup in all hierarchies, parents first.
fn cgroup_directories(path: &str) -> Vec<PathBuf> {
    let mounts = fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten().map(|entry| entry.path());
    let mut pending: Vec<PathBuf> = mounts.map(|mount| mount.join(path)).collect();
    pending.push(Path::new("/sys/fs/cgroup").join(path));
    let mut found = vec![];
    while let Some(directory) = pending.pop() {
        if directory.is_dir() {
            pending.extend(fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path()));
            found.push(directory);
        }
    }
    found.sort();
    found.dedup();
    found
}

pub(crate) fn cgroup_exists(path: &str) -> bool {
    !cgroup_directories(path).is_empty()
}

pub(crate) fn processes_in(path: &str) -> Vec<i32> {
    let mut found = BTreeMap::new();
    for directory in cgroup_directories(path) {
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).map(|pid| (pid, ())));
    }
    found.into_keys().collect()
}

pub(crate) fn remove_cgroup(path: &str) {
    for directory in cgroup_directories(path).iter().rev() {
        let _ = fs::remove_dir(directory);
    }
}
