//! A cluster of a test's own, which leaves nothing behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::pty::OpenptFlags;
use serde_json::Value;

use crate::image;

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition that no watch tells.
const GLANCE: Duration = Duration::from_millis(100);
/// Tells this process' clusters apart.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The command, for messages.
    command: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn new(command: String, output: Output) -> Self {
        Self {
            command,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Standard output of a command that must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.code == 0, "{self}");
        self.stdout
    }

    /// Standard error of a command that must have failed.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert!(self.code != 0, "this should have failed: {self}");
        self.stderr
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ended with {}\n{}{}", self.command, self.code, self.stdout, self.stderr)
    }
}

/// A cluster with one node, a directory and a kubeconfig of its own.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) profile: String,
    home: PathBuf,
    kubectl: PathBuf,
}

impl Cluster {
    /// Starts a cluster with the tutorial's images loaded.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let cluster = Self::prepare();
        cluster.start_on_own_port();
        for (name, version) in [(image::V1, "1"), (image::V2, "2")] {
            let archive = image::archive(Path::new(env!("CARGO_BIN_EXE_skiff-sample")), name, version);
            cluster.skiff_reading(&cluster.profile, &["image", "load", "-"], &archive).ok();
        }
        cluster
    }

    /// A directory and a name for a cluster that is not started.
    #[track_caller]
    pub(crate) fn prepare() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux tells a process about itself");
        let root = status
            .lines()
            .any(|line| line.strip_prefix("Uid:").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0")));
        assert!(root, "the end-to-end tests make nodes of namespaces and links, and need root: run them as root");
        let kubectl = std::env::var_os("SKIFF_TEST_KUBECTL").expect(
            "the end-to-end tests use upstream's kubectl, which SKIFF_TEST_KUBECTL names: run `cargo xtask test`",
        );
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let profile = format!("it{}-{number:02}", std::process::id());
        let home = std::env::temp_dir().join(format!("skiff-{profile}"));
        fs::create_dir_all(&home).expect("the temporary directory takes another");
        Self { profile, home, kubectl: PathBuf::from(kubectl) }
    }

    /// `skiff start` on a port that no cluster chooses by itself: while this one is stopped, those of other tests, which know
    /// nothing of its directory, may take what is free.
    #[track_caller]
    pub(crate) fn start_on_own_port(&self) {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a port is free").port().to_string();
        self.skiff(&["start", "--api-port", &port]).ok();
    }

    /// `skiff start`, also for a cluster that is stopped. Returns what it printed.
    #[track_caller]
    pub(crate) fn start_again(&self) -> String {
        self.skiff(&["start"]).ok()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("SKIFF_HOME", &self.home).env("KUBECONFIG", self.home.join("kubeconfig")).env("HOME", &self.home);
        command.stdin(Stdio::null());
        command
    }

    /// Runs skiff for this cluster.
    #[track_caller]
    pub(crate) fn skiff(&self, words: &[&str]) -> Ran {
        self.skiff_reading(&self.profile, words, &[])
    }

    /// Runs skiff for another profile in this cluster's directory.
    #[track_caller]
    pub(crate) fn skiff_as(&self, profile: &str, words: &[&str]) -> Ran {
        self.skiff_reading(profile, words, &[])
    }

    #[track_caller]
    fn skiff_reading(&self, profile: &str, words: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_skiff")));
        command.args(["--profile", profile]).args(words);
        run(command, input)
    }

    /// Runs skiff by another name, without naming a profile.
    #[track_caller]
    pub(crate) fn skiff_called(&self, name: &str, words: &[&str]) -> Ran {
        let link = self.home.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_skiff"), &link).expect("the directory takes a link");
        }
        let mut command = self.command(&link);
        command.args(words);
        run(command, &[])
    }

    /// Runs skiff as a user who may nothing.
    #[track_caller]
    pub(crate) fn skiff_as_nobody(&self, words: &[&str]) -> Ran {
        use std::os::unix::process::CommandExt as _;
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_skiff")));
        command.args(["--profile", &self.profile]).args(words).uid(65534).gid(65534);
        run(command, &[])
    }

    /// Runs skiff by `sh -c "HARNESS exec "$@""`: HARNESS takes something from the machine, for this process alone.
    #[track_caller]
    pub(crate) fn skiff_on_less(&self, isolate: &[&str], harness: &str, words: &[&str]) -> Ran {
        let mut command = self.command(Path::new(isolate[0]));
        command.args(&isolate[1..]).args(["sh", "-ec", &format!("{harness} exec \"$@\""), "sh"]);
        command.arg(env!("CARGO_BIN_EXE_skiff")).args(["--profile", &self.profile]).args(words);
        run(command, &[])
    }

    /// Runs skiff in a terminal of its own, where somebody types. What it printed has what was typed in it, too.
    #[track_caller]
    pub(crate) fn skiff_in_terminal(&self, words: &[&str], typed: &str) -> Ran {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = rustix::pty::openpt(flags).expect("the machine has terminals");
        rustix::pty::unlockpt(&keyboard).expect("it was just made");
        let terminal = rustix::pty::ioctl_tiocgptpeer(&keyboard, flags).expect("it was just made");
        let end = || Stdio::from(terminal.try_clone().expect("one more descriptor"));
        let mut command = self.command(Path::new("setsid"));
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_skiff"), "--profile", &self.profile]).args(words);
        let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("util-linux is there");
        drop((command, terminal));
        let mut keyboard = fs::File::from(keyboard);
        keyboard.write_all(typed.as_bytes()).expect("it fits the terminal's queue");
        let mut stdout = Vec::new();
        // It ends in an error when nobody has the terminal open any more.
        let _ = keyboard.read_to_end(&mut stdout);
        let status = child.wait().expect("it was started");
        Ran::new(format!("skiff {}", words.join(" ")), Output { status, stdout, stderr: Vec::new() })
    }

    /// The names in a folder of skiff's directory.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.home.join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Where a file of skiff's directory is.
    pub(crate) fn path(&self, file: &str) -> String {
        self.home.join(file).display().to_string()
    }

    /// A file of skiff's directory.
    #[track_caller]
    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.home.join(file)).unwrap_or_else(|error| panic!("failed to read {file}: {error}"))
    }

    /// Overwrites a file of skiff's directory.
    #[track_caller]
    pub(crate) fn write(&self, file: &str, bytes: &[u8]) {
        fs::write(self.home.join(file), bytes).unwrap_or_else(|error| panic!("failed to write {file}: {error}"));
    }

    /// Runs the image's program on the host, where a user would run curl.
    pub(crate) fn sample(&self, words: &[&str]) -> Ran {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_skiff-sample")));
        command.args(words);
        run(command, &[])
    }

    /// Runs upstream's kubectl against this cluster.
    #[track_caller]
    pub(crate) fn kubectl(&self, words: &[&str]) -> Ran {
        self.kubectl_reading(words, "")
    }

    /// The same, with standard input.
    #[track_caller]
    pub(crate) fn kubectl_reading(&self, words: &[&str], input: &str) -> Ran {
        self.kubectl_with(&[], words, input)
    }

    /// The same, with environment variables.
    #[track_caller]
    pub(crate) fn kubectl_with(&self, environment: &[(&str, &str)], words: &[&str], input: &str) -> Ran {
        let mut command = self.command(&self.kubectl);
        command.envs(environment.iter().copied()).args(words);
        run(command, input.as_bytes())
    }

    /// That kubectl said this: v1.37 `today`, and an older one, down to v1.32, may have its `former` words.
    #[track_caller]
    pub(crate) fn assert_said(&self, said: &str, today: &str, former: &str) {
        let version = self.kubectl(&["version", "--client", "-o", "json"]).ok();
        let version: Value = serde_json::from_str(&version).expect("kubectl prints JSON");
        let minor = version["clientVersion"]["minor"].as_str().unwrap_or_default().trim_end_matches('+');
        let old = minor.parse::<u32>().is_ok_and(|minor| (32..37).contains(&minor));
        assert!(said == today || (old && said == former), "kubectl 1.{minor} said {said:?}, and not {today:?}");
    }

    /// kubectl, running, with its output piped.
    #[track_caller]
    pub(crate) fn kubectl_started(&self, environment: &[(&str, &str)], words: &[&str]) -> Child {
        let mut command = self.command(&self.kubectl);
        command.envs(environment.iter().copied()).args(words).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap_or_else(|error| panic!("failed to run kubectl {words:?}: {error}"))
    }

    /// An object or list, as JSON.
    #[track_caller]
    pub(crate) fn get(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = [&["get", "-o", "json"], words].concat();
        serde_json::from_str(&self.kubectl(&words).ok()).expect("kubectl prints JSON")
    }

    /// The Pods with a label that are not on their way out.
    #[track_caller]
    pub(crate) fn pods(&self, selector: &str) -> Vec<Value> {
        let list = self.get(&["pods", "-l", selector]);
        let pods = list["items"].as_array().expect("a list has items");
        pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).cloned().collect()
    }

    /// Waits until `look` finds what it looks for.
    #[track_caller]
    pub(crate) fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..PATIENCE.as_millis() / GLANCE.as_millis() {
            if let Some(found) = look() {
                return found;
            }
            std::thread::sleep(GLANCE);
        }
        let state = self.kubectl(&["get", "all", "-o", "wide"]);
        let events = self.kubectl(&["get", "events"]);
        panic!("{what}: not within {} s\n{state}\n{events}", PATIENCE.as_secs())
    }

    /// Waits for a Deployment to be rolled out, and returns what kubectl says.
    #[track_caller]
    pub(crate) fn rollout_status(&self, deployment: &str) -> String {
        self.kubectl(&["rollout", "status", deployment, "--timeout=60s"]).ok()
    }

    /// The processes that run from this cluster's directory, with their command lines.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let mark = self.profile.as_str();
        fs::read_dir("/proc")
            .expect("/proc is mounted")
            .flatten()
            .filter_map(|entry| {
                let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
                let bytes = fs::read(entry.path().join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
                (line.contains(mark) && pid != std::process::id()).then_some((pid, line))
            })
            .collect()
    }

    /// The daemon's processes: one, or none while node init starts another.
    pub(crate) fn daemons(&self) -> Vec<u32> {
        self.processes()
            .into_iter()
            .filter(|(_, line)| line.contains(" daemon --directory "))
            .map(|(pid, _)| pid)
            .collect()
    }

    /// The daemon's process.
    #[track_caller]
    pub(crate) fn daemon(&self) -> u32 {
        let daemons = self.daemons();
        let [pid] = daemons.as_slice() else { panic!("one daemon should run, not {daemons:?}") };
        *pid
    }

    /// The node's network interface on the host, the cgroups, and what else would outlive the node.
    fn left_behind(&self) -> Vec<String> {
        let mut left: Vec<String> =
            self.processes().into_iter().map(|(pid, line)| format!("process {pid}: {line}")).collect();
        let named = |directory: &str| fs::read_dir(directory).into_iter().flatten().flatten();
        left.extend(
            named("/sys/class/net")
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .filter(|link| *link == self.link())
                .map(|link| format!("link {link}")),
        );
        // v2 has one tree, v1 one for each controller.
        let trees = named("/sys/fs/cgroup").map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        left.extend(
            trees
                .map(|tree| tree.join("skiff").join(&self.profile))
                .filter(|group| group.exists())
                .map(|group| format!("cgroup {}", group.display())),
        );
        let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
        left.extend(mounts.lines().filter(|line| line.contains(&self.profile)).map(|line| format!("mount {line}")));
        let mut nftables = cni::nftables::NftSocket::open().expect("root may read the packet filter");
        let chains = nftables.chains().expect("root may read the packet filter");
        let table = format!("skiff-{}", self.profile);
        left.extend(chains.iter().filter(|chain| chain.table == table).map(|chain| format!("nftables {chain:?}")));
        for directory in ["clusters", "images"] {
            let path = self.home.join(directory);
            left.extend(
                fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path().display().to_string()),
            );
        }
        left
    }

    /// The host's end of the link.
    pub(crate) fn link(&self) -> String {
        format!("sk-{}", self.profile)
    }

    /// Deletes the cluster and asserts that nothing of it is left.
    #[track_caller]
    fn end(&self) {
        let was_there = self.home.join("clusters").join(&self.profile).exists();
        if was_there {
            self.skiff(&["delete", "--purge"]).ok();
        }
        let left = self.left_behind();
        assert!(left.is_empty(), "`skiff delete --purge` left behind:\n{}", left.join("\n"));
        if was_there {
            let kubeconfig = fs::read_to_string(self.home.join("kubeconfig")).expect("the kubeconfig stays");
            assert!(!kubeconfig.contains(&self.profile), "the context should be gone:\n{kubeconfig}");
        }
    }
}

impl Drop for Cluster {
    #[allow(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The test has failed already; its cluster must go all the same.
            let log = self.skiff(&["logs"]).stdout;
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the cluster's log ended with\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
            let ended = self.skiff(&["delete", "--purge"]);
            if ended.code != 0 {
                eprintln!("{ended}");
            }
        } else {
            self.end();
        }
        // Best effort: a directory that stays is not what the test is about.
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn run(mut command: Command, input: &[u8]) -> Ran {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    let words = words.join(" ");
    if input.is_empty() {
        let output = command.output().unwrap_or_else(|error| panic!("failed to run `{words}`: {error}"));
        return Ran::new(words, output);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("failed to run `{words}`: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        // Beside the reading: neither side may fill a pipe that nobody empties. A command that fails early closes its input;
        // what it says about that is in its output.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("the command was started")
    });
    Ran::new(words, output)
}
