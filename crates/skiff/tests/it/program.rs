//! The program in the end-to-end tests' image: one static executable, and the image has nothing else.
//!
//! `serve VERSION` is a stand-in for the sample of the Kubernetes tutorial: it answers HTTP on port 8080 with its host
//! name and version, logs each request, and ends at SIGTERM. The other words are what tests run in a container, as
//! there is no shell: `env`, `echo WORD…`, `cat`, `sleep SECONDS`, `exit CODE`, `get ADDRESS`, `write FILE WORD`,
//! `read FILE`.

#![allow(clippy::print_stdout, reason = "a program for containers: what it prints is its log")]

use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

/// As much of a request as is read; the tests' requests are shorter.
const REQUEST_MAX: usize = 8 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", version] => until_terminated(serve(version)).await,
        ["sleep", seconds] => {
            until_terminated(sleep(Duration::from_secs(seconds.parse().expect("a number of seconds")))).await
        }
        ["get", address] => get(address).await,
        ["env"] => {
            for (name, value) in std::env::vars() {
                println!("{name}={value}");
            }
            Ok(())
        }
        ["echo", words @ ..] => {
            println!("{}", words.join(" "));
            Ok(())
        }
        ["cat"] => cat().await,
        ["write", file, word] => std::fs::write(file, word),
        ["read", file] => std::fs::read_to_string(file).map(|text| println!("{text}")),
        ["exit", code] => return ExitCode::from(code.parse::<u8>().expect("an exit code")),
        _ => {
            println!("unknown words {words:?}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The first process of a container gets no signal that it does not handle.
async fn until_terminated(work: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => Ok(()),
    }
}

async fn sleep(duration: Duration) -> std::io::Result<()> {
    tokio::time::sleep(duration).await;
    Ok(())
}

async fn serve(version: &str) -> std::io::Result<()> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned();
    let listener = TcpListener::bind(("0.0.0.0", 8080)).await?;
    println!("Kubernetes Bootcamp App Started | Running On: {host}");
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut request = vec![0; REQUEST_MAX];
        let length = stream.read(&mut request).await.unwrap_or(0);
        println!("Running On: {host} | {}", String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or(""));
        let body = format!("Hello Kubernetes bootcamp! | Running on: {host} | v={version}\n");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        // A client that goes away is its own affair.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

/// Standard input to standard output.
async fn cat() -> std::io::Result<()> {
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::stdout().lock()).map(drop)
}

/// Asks `ADDRESS:PORT` for `/` and prints the answer's body.
async fn get(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    print!("{}", answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body));
    Ok(())
}
