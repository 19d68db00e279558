use expect_test::{Expect, expect};

use super::{Kernel, faults, look};

fn check(change: impl FnOnce(&mut Kernel), expected: &Expect) {
    let mut kernel = Kernel {
        release: "6.1.0-13-amd64".to_owned(),
        namespaces_missing: vec![],
        overlay: true,
        nftables: true,
        cgroups: true,
    };
    change(&mut kernel);
    expected.assert_eq(&faults(&kernel).join("\n"));
}

#[test]
fn all_that_is_missing_is_named_with_the_next_step() {
    check(|_| {}, &expect![""]);
    check(|kernel| "5.12".clone_into(&mut kernel.release), &expect![""]);
    check(
        |kernel| "5.4.0-150-generic".clone_into(&mut kernel.release),
        &expect!["its kernel is 5.4.0-150-generic, and skiff needs Linux 5.12 or newer"],
    );
    check(
        |kernel| {
            kernel.namespaces_missing = vec!["pid", "cgroup"];
            kernel.overlay = false;
        },
        &expect![[r#"
            the kernel has no pid, cgroup namespaces; use one that is built with them, as all distributions' are
            there is no overlayfs; `modprobe overlay`, or a kernel with CONFIG_OVERLAY_FS"#]],
    );
    check(
        |kernel| (kernel.nftables, kernel.cgroups) = (false, false),
        &expect![[r#"
            there is no nftables; `modprobe nf_tables`, or a kernel with CONFIG_NF_TABLES
            there is no cgroup hierarchy that is mounted; mount one: `mount -t cgroup2 none /sys/fs/cgroup`"#]],
    );
}

#[test]
fn the_machine_that_runs_this_can_run_a_node() {
    assert_eq!(faults(&look()), [] as [String; 0]);
}
