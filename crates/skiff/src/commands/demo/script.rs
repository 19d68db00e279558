//! The play: the modules of the Kubernetes basics tutorial, as data.

/// The Deployment and Service that the tutorial makes.
pub(super) const NAME: &str = "kubernetes-bootcamp";

/// Whose command it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Kubectl,
    Skiff,
    Curl,
}

impl Program {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kubectl => "kubectl",
            Self::Skiff => "skiff",
            Self::Curl => "curl",
        }
    }
}

/// A command of the play.
#[derive(Debug, Clone, Copy)]
pub(super) struct Played {
    pub(super) program: Program,
    /// Its words, parted by spaces. `{}` stands for what the last command that is kept has printed.
    line: &'static str,
    /// Whether its output is kept for the commands after it.
    pub(super) keeps: bool,
    /// Whether the tutorial shows how this fails.
    pub(super) fails: bool,
}

/// A module of the tutorial.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) commands: &'static [Played],
}

const fn kubectl(line: &'static str) -> Played {
    Played { program: Program::Kubectl, line, keeps: false, fails: false }
}

const fn curl(line: &'static str) -> Played {
    Played { program: Program::Curl, line, keeps: false, fails: false }
}

/// Waits for the Deployment's Pods.
const ROLLED_OUT: Played = kubectl("rollout status deployments/kubernetes-bootcamp --timeout=120s");
/// Says by which URL the host reaches the Service.
const SERVICE_URL: Played =
    Played { program: Program::Skiff, line: "service kubernetes-bootcamp --url", keeps: true, fails: false };
/// Asks the application by that URL.
const ASK: Played = curl("--silent {}");

/// The whole of it.
pub(super) const STEPS: &[Step] = &[
    Step {
        title: "Deploy an application",
        commands: &[
            kubectl("get nodes"),
            kubectl("create deployment kubernetes-bootcamp --image=gcr.io/google-samples/kubernetes-bootcamp:v1"),
            ROLLED_OUT,
            kubectl("get deployments"),
        ],
    },
    Step {
        title: "Explore it",
        commands: &[
            kubectl("get pods -o wide"),
            kubectl("describe deployments kubernetes-bootcamp"),
            kubectl("logs deployments/kubernetes-bootcamp"),
            kubectl("exec deployments/kubernetes-bootcamp -- curl --silent http://localhost:8080"),
        ],
    },
    Step {
        title: "Expose it",
        commands: &[
            kubectl("expose deployment/kubernetes-bootcamp --type=NodePort --port 8080"),
            kubectl("get services"),
            SERVICE_URL,
            ASK,
        ],
    },
    Step {
        title: "Scale it: requests are spread over the Pods",
        commands: &[
            kubectl("scale deployments/kubernetes-bootcamp --replicas=4"),
            ROLLED_OUT,
            kubectl("get pods -o wide"),
            ASK,
            ASK,
            ASK,
            kubectl("scale deployments/kubernetes-bootcamp --replicas=2"),
            kubectl("get deployments"),
        ],
    },
    Step {
        title: "Update it",
        commands: &[
            kubectl(
                "set image deployments/kubernetes-bootcamp kubernetes-bootcamp=docker.io/jocatalin/kubernetes-bootcamp:v2",
            ),
            ROLLED_OUT,
            ASK,
        ],
    },
    Step {
        title: "Roll back an update that can't work: no registry has this image, and the old Pods keep serving",
        commands: &[
            kubectl(
                "set image deployments/kubernetes-bootcamp kubernetes-bootcamp=gcr.io/google-samples/kubernetes-bootcamp:v10",
            ),
            Played { fails: true, ..kubectl("rollout status deployments/kubernetes-bootcamp --timeout=3s") },
            kubectl("get deployments"),
            kubectl("get pods"),
            ASK,
            kubectl("rollout undo deployments/kubernetes-bootcamp"),
            ROLLED_OUT,
            kubectl("rollout history deployments/kubernetes-bootcamp"),
            kubectl("get pods"),
        ],
    },
];

impl Played {
    /// The words of the command line; `said` is what was kept last.
    pub(super) fn words(&self, said: &str) -> Vec<String> {
        self.line.split(' ').map(|word| word.replace("{}", said)).collect()
    }
}

/// Words as one would type them.
pub(super) fn shown(words: &[String]) -> String {
    words.join(" ")
}

/// What to do after the play.
pub(super) fn epilogue(profile_flag: &str) -> String {
    format!(
        "\n# The cluster runs on\n\
         kubectl get all{space}                  what is there now\n\
         skiff ssh{profile_flag}                       a shell in the node\n\
         kubectl delete deployment,service {NAME}\n\
         skiff stop{profile_flag}                      stop it; `skiff start{profile_flag}` brings everything back\n\
         skiff delete{profile_flag}                    remove it without a trace\n\
         Where there is no kubectl, `skiff kubectl …` is one.\n",
        space = " ".repeat(profile_flag.len())
    )
}

#[cfg(test)]
mod tests {
    use super::{Program, STEPS, shown};

    #[test]
    fn what_is_kept_is_there_before_it_is_used() {
        let mut kept = false;
        for played in STEPS.iter().flat_map(|step| step.commands) {
            let uses = shown(&played.words("http://10.88.0.2:30000"));
            assert!(!uses.contains("{}") && !uses.contains("  "), "{uses}");
            assert!(kept || played.words("") == played.words("x"), "{uses} comes before what it needs");
            kept |= played.keeps;
        }
    }

    #[test]
    fn commands_are_of_this_executable() {
        for played in STEPS.iter().flat_map(|step| step.commands) {
            let first = played.words("").remove(0);
            assert_eq!(played.program == Program::Curl, first.starts_with("--"), "{first}");
        }
    }
}
