use clap::CommandFactory as _;
use expect_test::{Expect, expect};

use super::*;
use crate::cli::Cli;

fn check(line: &str, expected: Expect) {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let shown = match normalize(&Cli::command(), &words) {
        Ok(normalized) => {
            format!("{}{}", normalized.arguments[1..].join(" "), if normalized.help { " (help)" } else { "" })
        }
        Err(error) => error.printed(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn flags_stand_anywhere() {
    check("-n kube-system get pods -o wide", expect!["--namespace=kube-system get --output=wide -- pods"]);
    check("-o yaml get pods", expect!["get --output=yaml -- pods"]);
    check("get pods -nx -A --watch=false", expect!["--namespace=x get --all-namespaces -- pods"]);
    check("get -wA pods -l=a=b -lc=d", expect!["get --watch --all-namespaces --selector=c=d -- pods"]);
    check("get --show-labels=false --show-labels pods", expect!["get --show-labels -- pods"]);
    check("get -L a -L b,c pods", expect!["get --label-columns=a --label-columns=b,c -- pods"]);
    check("get pods -- -w", expect!["get -- pods -w"]);
    check("get -h", expect!["get (help)"]);
    check("help rollout undo", expect!["rollout undo (help)"]);
}

#[test]
fn faults_in_pflags_words() {
    check(
        "get -n",
        expect![[r#"
        error: flag needs an argument: 'n' in -n
        See 'kubectl get --help' for usage.
    "#]],
    );
    check(
        "get --watch=foo",
        expect![[r#"
        error: invalid argument "foo" for "-w, --watch" flag: strconv.ParseBool: parsing "foo": invalid syntax
        See 'kubectl get --help' for usage.
    "#]],
    );
    check(
        "get -Z pods",
        expect![[r#"
        error: unknown shorthand flag: 'Z' in -Z
        See 'kubectl get --help' for usage.
    "#]],
    );
    check(
        "get --replicas=2",
        expect![[r#"
        error: unknown flag: --replicas
        See 'kubectl get --help' for usage.
    "#]],
    );
    check(
        "get -k dir",
        expect![[r#"
        error: the flag --kustomize is not served by this kubectl
        See 'kubectl get --help' for usage.
    "#]],
    );
}

#[test]
fn unknown_commands() {
    check(
        "foo",
        expect![[r#"
        error: unknown command "foo" for "kubectl"

        Did you mean this?
        	top
    "#]],
    );
    check(
        "completely-else",
        expect![[r#"
        error: unknown command "completely-else" for "kubectl"
    "#]],
    );
    check(
        "kustomize",
        expect![[r#"
        error: the command "kubectl kustomize" is not served by this kubectl
    "#]],
    );
    check(
        "apply set-last-applied deploy/x",
        expect![[r#"
        error: the command "kubectl apply set-last-applied" is not served by this kubectl
    "#]],
    );
}

#[test]
fn values_as_go_reads_them() {
    assert_eq!(values::int32("0x10"), Ok(16));
    assert_eq!(values::int32("x").unwrap_err(), "strconv.ParseInt: parsing \"x\": invalid syntax");
    assert_eq!(
        values::int32("99999999999").unwrap_err(),
        "strconv.ParseInt: parsing \"99999999999\": value out of range"
    );
    assert_eq!(values::duration("1m30s"), Ok(values::GoDuration(90_000_000_000)));
    assert_eq!(values::duration("-1s"), Ok(values::GoDuration(-1_000_000_000)));
    assert_eq!(values::duration("1"), Err("time: missing unit in duration \"1\"".to_owned()));
    assert_eq!(values::duration("x"), Err("time: invalid duration \"x\"".to_owned()));
    assert_eq!(values::split_list(&["a,b".to_owned(), "\"c,d\",e".to_owned()]), ["a", "b", "c,d", "e"]);
}

#[test]
fn the_cause_of_a_change_is_the_command() {
    let cause = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        normalize(&Cli::command(), &words).expect("a command").cause()
    };
    let told = "kubectl set image deployment/web web=nginx:2 --record=true";
    assert_eq!(cause("set image deployment/web web=nginx:2 --record"), told);
    let told = "kubectl scale deploy web --token=CLASSIFIED --replicas=3";
    assert_eq!(cause("--token=abc scale deploy web --replicas 3"), told);
}
