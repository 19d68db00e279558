//! Everything that the integration tests run as a process of its own: node init, launcher, daemon, and, from inside of
//! containers, the programs that they observe. Static, so it is a container image by itself.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit, reason = "a test program talks and exits")]
#![allow(missing_docs, reason = "a binary")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use cni::plan::{Address, NodeLink};
use cni::rtnetlink::RouteSocket;
use container_runtime::{InitClient, ListenAddress, Node, NodeConfig, NodeListener, serve_for};
use rustix::thread::UnshareFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str).unwrap_or_default();
    let result = match argument(1) {
        "init" => init(),
        "launch" => launch(argument(2), argument(3), argument(4), argument(5)),
        "daemon" => daemon(),
        "exit" => std::process::exit(argument(2).parse().unwrap_or(99)),
        "sleep" => loop {
            std::thread::park();
        },
        "echo" => say(&arguments[2..].join(" ")),
        "warn" => io::stderr().write_all(format!("{}\n", arguments[2..].join(" ")).as_bytes()),
        "lines" => lines(argument(2).parse().unwrap_or(0)),
        "cat" => io::copy(&mut io::stdin(), &mut io::stdout()).map(drop),
        "read" => fs::read_to_string(argument(2)).and_then(|text| io::stdout().write_all(text.as_bytes())),
        "list" => list(argument(2)),
        "write" => fs::write(argument(2), argument(3)),
        "env" => say(&std::env::vars().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n")),
        "cwd" => std::env::current_dir().and_then(|path| say(&path.display().to_string())),
        "term" => term(argument(2).parse().unwrap_or(99)),
        "alloc" => alloc(argument(2).parse().unwrap_or(0)),
        "tty" => tty(),
        "serve" => serve(argument(2)),
        "get" => get(argument(2)),
        "mount" => {
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount("tmpfs", argument(2), "tmpfs", flags, None).map_err(Into::into)
        }
        "mknod" => {
            let device = rustix::fs::makedev(1, 1);
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            let path = argument(2);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::CharacterDevice, mode, device)
                .map_err(io::Error::from)
                .and_then(|()| fs::File::open(path).map(drop))
        }
        other => Err(io::Error::other(format!("unknown mode {other:?}"))),
    };
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn say(text: &str) -> io::Result<()> {
    io::stdout().write_all(format!("{text}\n").as_bytes())
}

/// Standard input is a socket to a test, which is the daemon; the node is a network and mount namespace.
fn init() -> io::Result<()> {
    #[allow(deprecated, reason = "the process has one thread")]
    rustix::thread::unshare(UnshareFlags::NEWNET | UnshareFlags::NEWNS)?;
    use rustix::mount::{MountPropagationFlags, mount_change};
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    let mut route = RouteSocket::open().map_err(io::Error::other)?;
    let loopback = route.link("lo").map_err(io::Error::other)?.index;
    route.set_up(loopback).map_err(io::Error::other)?;
    let node_ip = Address { ip: "10.99.0.1".parse().expect("an address"), prefix: 32 };
    route.add_address(loopback, &node_ip).map_err(io::Error::other)?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    serve_for(UnixStream::from(socket), "testbed")
}

/// `launch <state dir> <name> <subnet> <port>`; prints the process id of node init.
fn launch(state_dir: &str, name: &str, subnet: &str, port: &str) -> io::Result<()> {
    let address = |host: u8| Address { ip: format!("10.98.{subnet}.{host}").parse().expect("an address"), prefix: 30 };
    let state_dir = PathBuf::from(state_dir);
    let own = std::env::current_exe()?.display().to_string();
    let listen = format!("127.0.0.1:{port}").parse().map_err(io::Error::other)?;
    let config = NodeConfig {
        name: name.into(),
        log_path: state_dir.join("node.log"),
        state_dir,
        link: NodeLink {
            host_name: format!("sk-{name}"),
            bridge: None,
            host_addresses: vec![address(1)],
            node_addresses: vec![address(2)],
            mtu: None,
        },
        pod_cidrs: vec!["10.97.0.0/16".parse().expect("a CIDR")],
        daemon: vec![own, "daemon".into()],
        environment: vec![],
        listeners: vec![NodeListener::tcp("api", listen)],
        cgroup_parent: "skiff-it".into(),
        drain: Duration::from_secs(5),
    };
    let node = Node::launch(&config).map_err(io::Error::other)?;
    say(&node.pid().unwrap_or(0).to_string())
}

/// A daemon that answers one word a connection on the kept listener.
fn daemon() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let init = InitClient::from_environment().await.map_err(io::Error::other)?;
        let listener = TcpListener::from(init.listener("api", None).await.map_err(io::Error::other)?);
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        loop {
            let (mut stream, _) = tokio::select! {
                accepted = listener.accept() => accepted?,
                _ = terminate.recv() => {
                    // What a drained daemon leaves, for the test to see.
                    fs::write(std::env::temp_dir().join(format!("skiff-it-drained-{}", init.node())), "")?;
                    return Ok(());
                }
            };
            let mut word = [0; 64];
            let Ok(length) = stream.read(&mut word).await else { continue };
            let word = String::from_utf8_lossy(&word[..length]).trim().to_owned();
            let answer = match word.split_once(' ') {
                None if word == "pid" => std::process::id().to_string(),
                None if word == "hostname" => fs::read_to_string("/proc/sys/kernel/hostname")?,
                Some(("connect", to)) => match to.parse() {
                    Ok(to) => match init.connect_host(to).await {
                        Ok(mut stream) => {
                            let mut text = String::new();
                            stream.read_to_string(&mut text).await.map(|_| text).unwrap_or_default()
                        }
                        Err(error) => error.to_string(),
                    },
                    Err(_) => "not an address".into(),
                },
                Some(("listen", to)) => {
                    let address = ListenAddress::tcp(to.parse().map_err(io::Error::other)?);
                    init.listener(to, Some(address))
                        .await
                        .map_or_else(|error| error.to_string(), |_| "listening".into())
                }
                _ => "unknown word".into(),
            };
            // The peer may be gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
}

fn lines(count: u32) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for number in 0..count {
        writeln!(output, "line {number}")?;
        output.flush()?;
        // Slow enough to be interrupted, fast enough for a test.
        let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: 200_000 };
        let _ = rustix::thread::nanosleep(&pause);
    }
    Ok(())
}

fn list(path: &str) -> io::Result<()> {
    let mut names: Vec<String> =
        fs::read_dir(path)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    say(&names.join(" "))
}

/// Says that it is ready and exits with `code` on SIGTERM.
fn term(code: i32) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        say("ready")?;
        terminate.recv().await;
        say("terminated")?;
        std::process::exit(code)
    })
}

fn alloc(mebibytes: usize) -> io::Result<()> {
    let mut held = vec![];
    for _ in 0..mebibytes {
        held.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
    say(&format!("allocated {}", held.len()))
}

/// Prints whether it has a terminal, its size, and echoes one line.
fn tty() -> io::Result<()> {
    let stdin = io::stdin();
    let size = rustix::termios::tcgetwinsize(stdin.as_fd()).map(|size| format!("{}x{}", size.ws_col, size.ws_row));
    say(&format!("tty {} {}", rustix::termios::isatty(stdin.as_fd()), size.unwrap_or_default()))?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    let size = rustix::termios::tcgetwinsize(stdin.as_fd()).map(|size| format!("{}x{}", size.ws_col, size.ws_row));
    say(&format!("got {} {}", line.trim(), size.unwrap_or_default()))
}

/// Sends its peer's address to whoever connects.
fn serve(port: &str) -> io::Result<()> {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    say("serving")?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        let peer = stream.peer_addr()?;
        // The peer may be gone.
        let _ = stream.write_all(format!("hello {}\n", peer.ip()).as_bytes());
    }
    Ok(())
}

fn get(address: &str) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(&address.parse().map_err(io::Error::other)?, Duration::from_secs(5))?;
    let mut text = String::new();
    BufReader::new(stream).read_to_string(&mut text)?;
    io::stdout().write_all(text.as_bytes())
}
