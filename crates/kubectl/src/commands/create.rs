//! `kubectl create` (upstream: `kubectl/pkg/cmd/create`).

mod config_map;
mod cron_job;
mod deployment;
mod ingress;
mod job;
mod namespace;
mod pod_disruption_budget;
mod priority_class;
mod quota;
mod role;
mod role_binding;
mod secret;
mod service;
mod service_account;
mod sources;
mod token;

pub(super) use pod_disruption_budget::label_selector;
pub(super) use quota::limits;
pub(super) use role_binding::SubjectFlags;
pub(super) use sources::variable_faults;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::raw;
use crate::resource::{Check, FileFlags, Selection};
use crate::write::{self, CreateFlags, DryRun, RecordFlag};

/// Create a resource from a file or from standard input. JSON and YAML are accepted.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) struct CreateCommand {
    #[command(subcommand)]
    kind: Option<Kind>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    flags: CreateFlags,
    #[command(flatten)]
    record: RecordFlag,
    /// Send the file to this path by POST
    #[arg(long)]
    raw: Option<String>,
    /// Only those of the objects that have these labels
    #[arg(long, short = 'l')]
    selector: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Create a namespace with the specified name
    #[command(alias = "ns")]
    Namespace(namespace::CreateNamespace),
    /// Create a secret using a specified subcommand
    #[command(subcommand)]
    Secret(secret::CreateSecret),
    /// Create a config map from a local file, directory or literal value
    #[command(name = "configmap", alias = "cm")]
    ConfigMap(config_map::CreateConfigMap),
    /// Create a service account with the specified name
    #[command(name = "serviceaccount", alias = "sa")]
    ServiceAccount(service_account::CreateServiceAccount),
    /// Create a service using a specified subcommand
    #[command(subcommand, alias = "svc")]
    Service(service::CreateService),
    /// Create a deployment with the specified name
    #[command(alias = "deploy")]
    Deployment(deployment::CreateDeployment),
    /// Create a job with the specified name
    Job(job::CreateJob),
    /// Create a cron job with the specified name
    #[command(name = "cronjob", alias = "cj")]
    CronJob(cron_job::CreateCronJob),
    /// Create a pod disruption budget with the specified name
    #[command(name = "poddisruptionbudget", alias = "pdb")]
    PodDisruptionBudget(pod_disruption_budget::CreatePodDisruptionBudget),
    /// Create a role with single rule
    Role(role::CreateRole),
    /// Create a cluster role
    #[command(name = "clusterrole")]
    ClusterRole(role::CreateClusterRole),
    /// Create a role binding for a particular role or cluster role
    #[command(name = "rolebinding")]
    RoleBinding(role_binding::CreateRoleBinding),
    /// Create a cluster role binding for a particular cluster role
    #[command(name = "clusterrolebinding")]
    ClusterRoleBinding(role_binding::CreateClusterRoleBinding),
    /// Create a quota with the specified name
    #[command(alias = "resourcequota")]
    Quota(quota::CreateQuota),
    /// Create a priority class with the specified name
    #[command(name = "priorityclass", alias = "pc")]
    PriorityClass(priority_class::CreatePriorityClass),
    /// Create an ingress with the specified name
    #[command(alias = "ing")]
    Ingress(ingress::CreateIngress),
    /// Request a service account token
    Token(token::CreateToken),
}

impl CreateCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        match self.kind {
            None => self.create_files(context).await,
            Some(Kind::Namespace(command)) => command.run(context).await,
            Some(Kind::Secret(command)) => command.run(context).await,
            Some(Kind::ConfigMap(command)) => command.run(context).await,
            Some(Kind::ServiceAccount(command)) => command.run(context).await,
            Some(Kind::Service(command)) => command.run(context).await,
            Some(Kind::Deployment(command)) => command.run(context).await,
            Some(Kind::Job(command)) => command.run(context).await,
            Some(Kind::CronJob(command)) => command.run(context).await,
            Some(Kind::PodDisruptionBudget(command)) => command.run(context).await,
            Some(Kind::Role(command)) => command.run(context).await,
            Some(Kind::ClusterRole(command)) => command.run(context).await,
            Some(Kind::RoleBinding(command)) => command.run(context).await,
            Some(Kind::ClusterRoleBinding(command)) => command.run(context).await,
            Some(Kind::Quota(command)) => command.run(context).await,
            Some(Kind::PriorityClass(command)) => command.run(context).await,
            Some(Kind::Ingress(command)) => command.run(context).await,
            Some(Kind::Token(command)) => command.run(context).await,
        }
    }

    async fn send_raw(&self, context: &Context, path: &str) -> Result<(), KubectlError> {
        let files = self.files.filenames();
        if files.is_empty() {
            return Err(KubectlError::new("must specify one of -f and -k"));
        }
        raw::check_files(&files, self.files.recursive)?;
        let given = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
        if given(&self.selector) {
            return Err(KubectlError::new("--raw and --selector (-l) are mutually exclusive"));
        }
        if given(&self.flags.output.output) {
            return Err(KubectlError::new("--raw and --output are mutually exclusive"));
        }
        raw::check_path(path)?;
        raw::send(context, Method::POST, path, files.first()).await
    }

    async fn create_files(&self, context: &Context) -> Result<(), KubectlError> {
        if let Some(path) = self.raw.as_deref().filter(|path| !path.is_empty()) {
            return self.send_raw(context, path).await;
        }
        let dry_run = self.flags.dry_run.strategy(context)?;
        let validation = self.flags.validate.directive()?;
        let objects = dry_run.printer(&self.flags.output, "created")?;
        if self.files.is_empty() {
            return Err(KubectlError::new("must specify one of -f and -k"));
        }
        let selection = Selection {
            check: if validation == "Ignore" { Check::None } else { Check::Header },
            label_selector: self.selector.clone().unwrap_or_default(),
            ..Selection::new(&self.files, &[])
        };
        let selected = selection.fetch(context).await?;
        let requests = write::requests(context, dry_run, &self.flags.field_manager, validation)?;
        let (mut errors, mut count) = (Vec::new(), 0);
        for mut info in selected.infos {
            self.record.record(context, &mut info.object);
            write::annotate_if(self.flags.save_config, &mut info.object);
            if dry_run != DryRun::Client {
                match requests.create(&info.resource, &info.namespace, &info.object).await {
                    Ok(object) => info.refresh(object),
                    Err(error) => {
                        errors.push(error.about_source("creating", &info.source));
                        continue;
                    }
                }
            }
            count += 1;
            objects.print_info(&context.printer, &info)?;
        }
        errors.extend(selected.errors);
        KubectlError::all(errors)?;
        if count == 0 { Err(KubectlError::new("no objects passed to create")) } else { Ok(()) }
    }
}

/// The one name that `create KIND NAME` takes; what stands behind `--` does not count.
fn name_of(context: &Context, arguments: &[String]) -> Result<String, KubectlError> {
    let count = context.before_dash.unwrap_or(arguments.len());
    match arguments.first() {
        Some(name) if count == 1 => Ok(name.clone()),
        _ => Err(KubectlError::usage(&context.command_path, format!("exactly one NAME is required, got {count}"))),
    }
}

/// One of the types that these commands make, which every server has.
pub(crate) fn known_type(group: &str, version: &str, plural: &str) -> Result<ResourceType, KubectlError> {
    let known = api::find(group, version, plural)
        .ok_or_else(|| KubectlError::new(format!("the server doesn't have a resource type {plural:?}")))?;
    Ok(ResourceType {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        singular: known.singular.to_owned(),
        kind: known.kind.to_owned(),
        namespaced: known.namespaced(),
        ..ResourceType::default()
    })
}

/// The object in the shape that Go's typed structs give it: what they never leave out is there.
pub(crate) fn shaped(resource: &ResourceType, mut object: Value) -> Result<Value, KubectlError> {
    if let Some(ty) = crate::merge::built_in(resource) {
        api::schemas().decode_fix(&mut object, ty).map_err(|error| KubectlError::new(error.to_string()))?;
    }
    Ok(object)
}

/// Creates an object that the command line describes, and prints it. `failure` is what stands before the server's words.
async fn create_object(
    context: &Context,
    flags: &CreateFlags,
    resource: &ResourceType,
    mut object: Value,
    failure: &str,
) -> Result<(), KubectlError> {
    let dry_run = flags.dry_run.strategy(context)?;
    let validation = flags.validate.directive()?;
    let objects = dry_run.printer(&flags.output, "created")?;
    if resource.namespaced && context.namespace_is_explicit() {
        object["metadata"]["namespace"] = context.namespace()?.into();
    }
    let mut object = shaped(resource, object)?;
    write::annotate_if(flags.save_config, &mut object);
    if dry_run != DryRun::Client {
        let namespace = if resource.namespaced { context.namespace()? } else { "" };
        let requests = write::requests(context, dry_run, &flags.field_manager, validation)?;
        object = requests.create(resource, namespace, &object).await.map_err(|error| {
            if failure.is_empty() { error } else { KubectlError::new(format!("{failure} {error}")) }
        })?;
    }
    objects.print(&context.printer, &object)
}
