//! Failures of the system in Go's words.

use std::io;
use std::net::SocketAddr;

/// The words of Go's `syscall.Errno`.
pub fn io_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".into(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".into(),
        io::ErrorKind::HostUnreachable => "no route to host".into(),
        io::ErrorKind::TimedOut => "connection timed out".into(),
        io::ErrorKind::UnexpectedEof => "unexpected EOF".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        _ => error.to_string(),
    }
}

/// What Go's dialer says if nobody answers at `address`.
pub fn dial_error(address: SocketAddr, error: &io::Error) -> String {
    format!("dial tcp {address}: connect: {}", io_error(error))
}
