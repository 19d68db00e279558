//! `kubectl set env`.

use std::io::Read as _;

use clap::{ArgAction, Args};
use serde_json::{Value, json};

use super::{SetFlags, containers};
use crate::commands::create::variable_faults;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::resource::Selection;
use crate::write::DryRun;

/// Update the environment variables of containers. KEY=VALUE sets one, KEY- takes it out, - reads standard input.
#[derive(Debug, Args)]
pub(crate) struct SetEnv {
    /// The objects, then the variables
    #[arg(value_name = "TYPE/NAME KEY_1=VAL_1 ... KEY_N-")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: SetFlags,
    /// The containers to change; * stands for any text
    #[arg(long, short, default_value = "*")]
    containers: String,
    /// KEY=VALUE; may be repeated
    #[arg(long = "env", short)]
    env: Vec<String>,
    /// A ConfigMap or Secret whose keys become variables
    #[arg(long)]
    from: Option<String>,
    /// Which of its keys; all if not given
    #[arg(long = "keys")]
    keys: Vec<String>,
    /// Show the variables instead
    #[arg(long)]
    list: bool,
    /// Change variables that are there already
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    overwrite: bool,
    /// Put before the names of variables
    #[arg(long)]
    prefix: Option<String>,
}

impl SetEnv {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if self.flags.all && self.flags.selects() {
            return Err(KubectlError::new("cannot set --all and --selector at the same time"));
        }
        let (resources, specs) = self.split()?;
        let dry_run = self.flags.dry_run.strategy(context)?;
        self.validate(&resources, dry_run)?;
        let specs: Vec<String> = self.env.iter().chain(&specs).cloned().collect();
        let (mut variables, remove) = parse(&specs)?;
        if let Some(from) = self.from.as_ref().filter(|from| !from.is_empty()) {
            variables.extend(self.referenced(context, from).await?);
        }
        let prefix = self.prefix.as_deref().unwrap_or_default();
        for variable in &mut variables {
            variable["name"] = format!("{prefix}{}", variable["name"].as_str().unwrap_or_default()).into();
        }
        let infos = self.flags.infos(context, &resources).await?;
        if self.list {
            return self.print_list(context, infos, &variables, &remove);
        }
        self.flags
            .patch_pods(
                context,
                infos,
                ("env updated", "failed to patch env update to pod template:"),
                |info, spec, _| {
                    let mut any = false;
                    for (_, container) in
                        containers(spec).filter(|(_, c)| matches(c["name"].as_str(), &self.containers))
                    {
                        any = true;
                        if !self.overwrite {
                            no_overwrite(container, &variables)?;
                        }
                        update(container, &variables, &remove);
                    }
                    if !any {
                        let kind = info.object["kind"].as_str().unwrap_or_default();
                        context.printer.err_line(format!(
                            "Warning: {kind}/{} does not have any containers matching {:?}",
                            info.name, self.containers
                        ));
                    }
                    Ok(())
                },
            )
            .await
    }

    /// Resources come first, then what is a variable.
    fn split(&self) -> Result<(Vec<String>, Vec<String>), KubectlError> {
        let (mut resources, mut specs) = (Vec::new(), Vec::new());
        for argument in &self.arguments {
            let is_variable = argument.find('=').is_some_and(|at| at > 0) || argument.ends_with('-');
            if is_variable {
                specs.push(argument.clone());
            } else if specs.is_empty() {
                resources.push(argument.clone());
            } else {
                return Err(KubectlError::new(format!(
                    "all resources must be specified before environment changes: {}",
                    self.arguments.join(" ")
                )));
            }
        }
        Ok((resources, specs))
    }

    fn validate(&self, resources: &[String], dry_run: DryRun) -> Result<(), KubectlError> {
        let fault = |text: &str| Err(KubectlError::new(text));
        if self.flags.local && dry_run == DryRun::Server {
            return fault("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
        }
        if self.flags.files.is_empty() && resources.is_empty() {
            return fault("one or more resources must be specified as <resource> <name> or <resource>/<name>");
        }
        if self.list && self.flags.output.output.as_ref().is_some_and(|output| !output.is_empty()) {
            return fault("--list and --output may not be specified together");
        }
        if !self.keys.is_empty() && self.from.as_ref().is_none_or(String::is_empty) {
            return fault("when specifying --keys, a configmap or secret must be provided with --from");
        }
        Ok(())
    }

    /// `--from`: each key as a reference.
    async fn referenced(&self, context: &Context, from: &str) -> Result<Vec<Value>, KubectlError> {
        let keys = values::split_list(&self.keys);
        let selection = Selection { arguments: vec![from.to_owned()], ..Selection::default() };
        let mut variables = Vec::new();
        for info in selection.fetch(context).await?.all()? {
            let reference = match info.object["kind"].as_str() {
                Some("Secret") => "secretKeyRef",
                Some("ConfigMap") => "configMapKeyRef",
                _ => return Err(KubectlError::new("unsupported resource specified in --from")),
            };
            for key in info.object["data"].as_object().into_iter().flatten().map(|(key, _)| key) {
                if !keys.is_empty() && !keys.contains(key) {
                    continue;
                }
                let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
                let name = key.chars().map(plain).collect::<String>().to_uppercase();
                if name != *key {
                    context.printer.err_line(format!("Warning: key {key} transferred to {name}"));
                }
                variables.push(json!({"name": name, "valueFrom": {reference: {"name": info.name, "key": key}}}));
            }
        }
        Ok(variables)
    }

    fn print_list(
        &self,
        context: &Context,
        infos: Vec<crate::resource::Info>,
        variables: &[Value],
        remove: &[String],
    ) -> Result<(), KubectlError> {
        for mut info in infos {
            let kind = info.object["kind"].as_str().unwrap_or_default().to_owned();
            let Some(spec) = super::pod_spec(&mut info.object) else { continue };
            let mut both: Vec<(&str, &mut Value)> = containers(spec).collect();
            // Ordinary containers come first.
            both.sort_by_key(|(list, _)| *list == "initContainers");
            for (_, container) in both.into_iter().filter(|(_, c)| matches(c["name"].as_str(), &self.containers)) {
                update(container, variables, remove);
                let name = container["name"].as_str().unwrap_or_default();
                context.printer.line(format!("# {kind} {}, container {name}", info.name))?;
                for variable in container["env"].as_array().into_iter().flatten() {
                    let name = variable["name"].as_str().unwrap_or_default();
                    context.printer.line(match variable.get("valueFrom") {
                        None => format!("{name}={}", variable["value"].as_str().unwrap_or_default()),
                        Some(from) => format!("# {name} from {}", reference_text(from)),
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn reference_text(from: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(key) = from.get("configMapKeyRef") {
        return format!("configmap {}, key {}", text(&key["name"]), text(&key["key"]));
    }
    if let Some(key) = from.get("secretKeyRef") {
        return format!("secret {}, key {}", text(&key["name"]), text(&key["key"]));
    }
    if let Some(field) = from.get("fieldRef") {
        return format!("field path {}", text(&field["fieldPath"]));
    }
    if let Some(field) = from.get("resourceFieldRef") {
        let container = text(&field["containerName"]);
        let prefix = if container.is_empty() { String::new() } else { format!("{container}/") };
        return format!("resource field {prefix}{}", text(&field["resource"]));
    }
    "invalid valueFrom".to_owned()
}

fn parse(specs: &[String]) -> Result<(Vec<Value>, Vec<String>), KubectlError> {
    let (mut variables, mut remove) = (Vec::new(), Vec::new());
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    for spec in specs {
        if spec == "-" {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| KubectlError::new(error.to_string()))?;
            let lines = text.lines().filter_map(|line| line.split('#').next()?.split_once('='));
            variables.extend(lines.map(|(name, value)| variable(name, value)));
        } else if let Some((name, value)) = spec.split_once('=') {
            let faults = variable_faults(name);
            if !faults.is_empty() {
                return Err(KubectlError::new(format!("{name:?} is not a valid key name: {}", faults.join(";"))));
            }
            variables.push(variable(name, value));
        } else if let Some(name) = spec.strip_suffix('-') {
            remove.push(name.to_owned());
        } else {
            return Err(KubectlError::new(format!("unknown environment variable: {spec}")));
        }
    }
    if variables.iter().any(|v| remove.iter().any(|name| v["name"] == name.as_str())) {
        return Err(KubectlError::new(
            "can not both modify and remove the same environment variable in the same command",
        ));
    }
    Ok((variables, remove))
}

fn no_overwrite(container: &Value, variables: &[Value]) -> Result<(), KubectlError> {
    for variable in variables {
        let existing = container["env"].as_array().into_iter().flatten();
        if let Some(old) =
            existing.into_iter().find(|old| old["name"] == variable["name"] && old["value"] != variable["value"])
        {
            return Err(KubectlError::new(format!(
                "'{}' already has a value ({}), and --overwrite is false",
                old["name"].as_str().unwrap_or_default(),
                old["value"].as_str().unwrap_or_default()
            )));
        }
    }
    Ok(())
}

/// Changes variables in their places, adds new ones behind.
fn update(container: &mut Value, variables: &[Value], remove: &[String]) {
    let old = container["env"].as_array().cloned().unwrap_or_default();
    let mut covered: Vec<String> = remove.to_vec();
    let name_of = |variable: &Value| variable["name"].as_str().unwrap_or_default().to_owned();
    let mut env = Vec::new();
    for variable in &old {
        let name = name_of(variable);
        if covered.contains(&name) {
            continue;
        }
        match variables.iter().find(|new| name_of(new) == name) {
            Some(new) => {
                covered.push(name);
                env.push(new.clone());
            }
            None => env.push(variable.clone()),
        }
    }
    for variable in variables {
        let name = name_of(variable);
        if !covered.contains(&name) {
            covered.push(name);
            env.push(variable.clone());
        }
    }
    if let Some(container) = container.as_object_mut() {
        if env.is_empty() {
            container.remove("env");
        } else {
            container.insert("env".to_owned(), Value::Array(env));
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any text.
pub(super) fn matches(name: Option<&str>, pattern: &str) -> bool {
    let name = name.unwrap_or_default();
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_their_places() {
        let mut container = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
        let (variables, remove) = parse(&["C=3".to_owned(), "A=x".to_owned(), "B-".to_owned()]).unwrap();
        update(&mut container, &variables, &remove);
        assert_eq!(container, json!({"env": [{"name": "A", "value": "x"}, {"name": "C", "value": "3"}]}));
    }

    #[test]
    fn patterns() {
        assert!(matches(Some("web"), "*"));
        assert!(matches(Some("web-1"), "web*"));
        assert!(matches(Some("a-b-c"), "a*b*c"));
        assert!(!matches(Some("web"), "we"));
    }
}
