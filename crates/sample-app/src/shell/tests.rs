use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::rc::Rc;

use component_base::SimulatedClock;
use deno_task_shell::{ShellPipeReader, pipe};
use tokio::task::LocalSet;

use super::{Flow, Invocation, Shell, parse, read_line};

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("skiff-sample-app-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path.canonicalize().expect("it exists"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn shell(directory: &Directory) -> (Shell, ShellPipeReader) {
    let clock = Rc::new(SimulatedClock::starting_at("2026-01-03T22:36:45Z".parse().expect("a time")));
    let environment = HashMap::from([("PATH".into(), "/bin".into()), ("A".into(), "1".into())]);
    let mut shell = Shell::new("sh", environment, directory.0.clone(), clock);
    let (reader, writer) = pipe();
    shell.stdout = writer.clone();
    shell.stderr = writer;
    shell.stdin = pipe().0;
    (shell, reader)
}

fn text(shell: Shell, mut reader: ShellPipeReader) -> String {
    drop(shell);
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match reader.read(&mut buffer).expect("it can be read") {
            0 => return String::from_utf8(text).expect("text"),
            count => text.extend(&buffer[..count]),
        }
    }
}

async fn script(name: &str, commands: &str) -> (u8, String) {
    let directory = Directory::new(name);
    let (mut shell, reader) = shell(&directory);
    let code = LocalSet::new().run_until(shell.script(commands)).await;
    (code, text(shell, reader).replace(&directory.0.display().to_string(), "DIR"))
}

/// More than a pipe holds.
#[tokio::test]
async fn nobody_in_a_pipeline_waits_for_who_has_gone() {
    let directory = Directory::new("pipeline");
    std::fs::write(directory.0.join("long"), "x\n".repeat(1 << 19)).expect("a file");
    for (commands, code, output) in [
        ("cat long | no-such-program", 127, "no-such-program: command not found\n"),
        ("cat long | cat | head -n 1", 0, "x\n"),
        ("cat long | true", 0, ""),
    ] {
        let (mut shell, reader) = shell(&directory);
        assert_eq!(LocalSet::new().run_until(shell.script(commands)).await, code, "{commands}");
        assert_eq!(text(shell, reader), output, "{commands}");
    }
}

#[tokio::test]
async fn scripts() {
    for (number, (commands, code, output)) in [
        ("echo a b; echo 'c  d'", 0, "a b\nc  d\n"),
        ("X=5; echo $X \"$A$X\"", 0, "5 15\n"),
        ("true && echo yes; false || echo no", 0, "yes\nno\n"),
        ("echo one > f; echo two >> f; cat f; cat < f | head -n 1", 0, "one\ntwo\none\n"),
        ("echo $(echo in)", 0, "in\n"),
        ("mkdir d && cd d && pwd", 0, "DIR/d\n"),
        ("false", 1, ""),
        ("exit 7; echo never", 7, ""),
        ("false\necho $?", 0, "1\n"),
        ("# nothing", 0, ""),
        ("cat -n", 1, "cat: -n: there are no options\n"),
        ("no-such-program", 127, "no-such-program: command not found\n"),
        ("echo one > f; cat f - none < f", 1, "one\none\ncat: none: No such file or directory (os error 2)\n"),
        ("date", 0, "Sat Jan  3 22:36:45 UTC 2026\n"),
        ("date +%F", 0, "2026-01-03\n"),
        ("env", 0, "A=1\nPATH=/bin\nPWD=DIR\n"),
        ("B=2 env | head -n 2", 0, "A=1\nB=2\n"),
        ("echo x > b; echo x > .h; mkdir a; ls; ls -a", 0, "a\nb\n.\n..\n.h\na\nb\n"),
        ("ls none", 1, "ls: none: No such file or directory (os error 2)\n"),
        ("ls -R", 1, "ls: -R: there are the options -a and -l\n"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(script(&format!("script-{number}"), commands).await, (code, output.to_owned()), "{commands}");
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let (code, output) = script("refused", "echo 'a").await;
    assert_eq!(code, 2);
    assert!(output.starts_with("sh: "), "{output}");
}

#[tokio::test]
async fn the_next_line_sees_what_a_line_has_changed() {
    let directory = Directory::new("lines");
    let (mut shell, reader) = shell(&directory);
    let local = LocalSet::new();
    let lines = async {
        let mut flows = Vec::new();
        for line in [
            "mkdir d; cd d",
            "X=1; export Y=2",
            "",
            "echo $X $Y",
            "pwd",
            "false",
            "echo $?",
            "echo (",
            "exit 3",
            "exit",
        ] {
            flows.push(shell.line(line).await);
        }
        flows
    };
    let flows = local.run_until(lines).await;
    let next = |codes: &[u8]| codes.iter().map(|code| Flow::Next(*code)).collect::<Vec<_>>();
    assert_eq!(flows[..8], next(&[0, 0, 0, 0, 0, 1, 0, 2]));
    assert_eq!(flows[8..], [Flow::Exit(3), Flow::Exit(0)]);
    assert_eq!(shell.state.cwd(), &directory.0.join("d"));
    let output = text(shell, reader);
    assert!(output.starts_with(&format!("1 2\n{}\n1\nsh: ", directory.0.join("d").display())), "{output}");
}

#[test]
fn invocations() {
    let arguments = |words: &[&str]| parse(&words.iter().map(Into::into).collect::<Vec<_>>());
    let script = |exit_on_error| Ok(Invocation::Script { text: "echo".into(), exit_on_error });
    assert_eq!(arguments(&["-c", "echo"]), script(false));
    assert_eq!(arguments(&["-ec", "echo"]), script(true));
    assert_eq!(arguments(&[]), Ok(Invocation::Lines { exit_on_error: false }));
    for (words, message) in [
        (&["-c"][..], "option -c: requires the commands"),
        (&["-x"], "option -x: is unknown; there are -c and -e"),
        (&["-c", "echo", "sh", "a"], "arguments for a script are not supported; write them into it"),
        (&["/nonexistent"], "failed to read /nonexistent: No such file or directory (os error 2)"),
    ] {
        assert_eq!(arguments(words), Err(message.to_owned()));
    }
}

#[test]
fn a_line_is_read_without_what_follows() {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut writer, b"one\ntwo").expect("written");
    drop(writer);
    assert_eq!(read_line(&reader).expect("read"), Some("one".to_owned()));
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("read");
    assert_eq!(rest, "two");
    assert_eq!(read_line(&reader).expect("read"), None);
}
