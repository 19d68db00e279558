//! What `RuntimeDefault` allows: the set that Docker and containerd agree on, as data.
//!
//! Everything else fails with EPERM. What is not in the table but named by a capability is allowed where the container has
//! that capability. `io_uring` is not allowed, as in containerd 2. `clone3` fails with ENOSYS, so that the C library falls
//! back to `clone`, whose flags can be filtered. 32-bit programs are refused.

use super::{Action, Comparison, Condition, Profile, Rule};
use crate::capabilities::{CapabilityMask, bit};

/// Allowed for every container.
#[rustfmt::skip]
const ALWAYS: [&str; 306] = [
    "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat", "capget", "capset", "chdir",
    "chmod", "chown", "clock_adjtime", "clock_getres", "clock_gettime", "clock_nanosleep", "close", "close_range",
    "connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve",
    "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fallocate", "fanotify_mark", "fchdir",
    "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "file_getattr",
    "file_setattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat", "fstatfs", "fsync",
    "ftruncate", "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "getcpu", "getcwd",
    "getdents", "getdents64", "getegid", "geteuid", "getgid", "getgroups", "getitimer", "getpeername", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit",
    "get_robust_list", "getrusage", "getsid", "getsockname", "getsockopt", "get_thread_area", "gettid", "gettimeofday",
    "getuid", "getxattr", "getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
    "io_cancel", "ioctl", "io_destroy", "io_getevents", "io_pgetevents", "ioprio_get", "ioprio_set", "io_setup",
    "io_submit", "kill", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown",
    "lgetxattr", "link", "linkat", "listen", "listxattr", "listxattrat", "llistxattr", "lremovexattr", "lseek",
    "lsetxattr", "lstat", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret", "mincore",
    "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mprotect", "mq_getsetattr",
    "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "mremap", "mseal", "msgctl", "msgget",
    "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat",
    "open", "openat", "openat2", "pause", "pidfd_getfd", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
    "process_mrelease", "process_vm_readv", "process_vm_writev", "pselect6", "ptrace", "pwrite64", "pwritev",
    "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "recvfrom", "recvmmsg", "recvmsg",
    "remap_file_pages", "removexattr", "removexattrat", "rename", "renameat", "renameat2", "restart_syscall", "rmdir",
    "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_getaffinity", "sched_getattr", "sched_getparam",
    "sched_get_priority_max", "sched_get_priority_min", "sched_getscheduler", "sched_rr_get_interval",
    "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "select",
    "semctl", "semget", "semop", "semtimedop", "sendfile", "sendmmsg", "sendmsg", "sendto", "setfsgid", "setfsuid",
    "setgid", "setgroups", "setitimer", "setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid",
    "setrlimit", "set_robust_list", "setsid", "setsockopt", "set_thread_area", "set_tid_address", "setuid", "setxattr",
    "setxattrat", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4",
    "socketpair", "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs",
    "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
    "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime", "times", "tkill", "truncate", "umask",
    "uname", "unlink", "unlinkat", "uretprobe", "utime", "utimensat", "utimes", "vfork", "vmsplice", "wait4", "waitid",
    "write", "writev", "arch_prctl", "modify_ldt",
];

/// Allowed for containers that have a capability.
#[rustfmt::skip]
const BY_CAPABILITY: [(&str, &[&str]); 13] = [
    ("DAC_READ_SEARCH", &["open_by_handle_at"]),
    ("SYS_ADMIN", &[
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "lookup_dcookie",
        "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount", "mount_setattr", "move_mount", "open_tree",
        "perf_event_open", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns", "statmount", "syslog",
        "umount2", "unshare",
    ]),
    ("SYS_BOOT", &["reboot"]),
    ("SYS_CHROOT", &["chroot"]),
    ("SYS_MODULE", &["delete_module", "init_module", "finit_module"]),
    ("SYS_PACCT", &["acct"]),
    ("SYS_PTRACE", &["kcmp", "process_madvise"]),
    ("SYS_RAWIO", &["iopl", "ioperm"]),
    ("SYS_TIME", &["settimeofday", "clock_settime"]),
    ("SYS_TTY_CONFIG", &["vhangup"]),
    ("SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("SYSLOG", &["syslog"]),
    ("BPF", &["bpf"]),
];

/// `personality` values that programs need: the usual one, Linux/32, those with ADDR_NO_RANDOMIZE's sibling bits, and asking.
const PERSONALITIES: [u64; 5] = [0, 8, 0x0002_0000, 0x0002_0008, 0xffff_ffff];
/// All `CLONE_NEW*` flags of `clone`.
const CLONE_NEW_NAMESPACES: u64 = 0x7e02_0000;
/// Sockets of virtual machines reach the machine's host, past every network namespace.
const AF_VSOCK: u64 = 40;
const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// The profile for a container with these capabilities.
pub(crate) fn runtime_default(capabilities: CapabilityMask) -> Profile {
    let has = |name: &str| capabilities & bit(name).expect("the table's names are known") != 0;
    let mut rules = vec![Rule { names: owned(&ALWAYS), action: Action::Allow, conditions: vec![] }];
    for (capability, names) in BY_CAPABILITY {
        if has(capability) {
            rules.push(Rule { names: owned(names), action: Action::Allow, conditions: vec![] });
        }
    }
    if has("PERFMON") {
        rules.push(Rule { names: owned(&["perf_event_open"]), action: Action::Allow, conditions: vec![] });
    }
    for value in PERSONALITIES {
        let condition = Condition { argument: 0, comparison: Comparison::Equal, value, mask: u64::MAX };
        rules.push(Rule { names: owned(&["personality"]), action: Action::Allow, conditions: vec![condition] });
    }
    // The kernel looks at the low 32 bits only, so a comparison of all 64 could be passed.
    let comparison = Comparison::MaskedEqual;
    let vsock = Condition { argument: 0, comparison, value: AF_VSOCK, mask: u64::from(u32::MAX) };
    rules.push(Rule { names: owned(&["socket"]), action: Action::Errno(EPERM), conditions: vec![vsock] });
    let any = Condition { argument: 0, comparison, value: 0, mask: 0 };
    rules.push(Rule { names: owned(&["socket"]), action: Action::Allow, conditions: vec![any] });
    if !has("SYS_ADMIN") {
        let comparison = Comparison::MaskedEqual;
        let condition = Condition { argument: 0, comparison, value: 0, mask: CLONE_NEW_NAMESPACES };
        rules.push(Rule { names: owned(&["clone"]), action: Action::Allow, conditions: vec![condition] });
        rules.push(Rule { names: owned(&["clone3"]), action: Action::Errno(ENOSYS), conditions: vec![] });
    }
    Profile { default: Action::Errno(EPERM), rules }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
