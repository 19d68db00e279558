//! Volumes of a Pod or template.

use super::fields::Fields;
use super::page::{Page, line};
use apimachinery::gotext::{self, Any};
use serde_json::Value;

/// One type of volume: its field, what it is, and the lines below with the fields that they show.
type Kind = (&'static str, &'static str, &'static [(&'static str, Shown)]);

/// What a line shows of the volume's source.
#[derive(Clone, Copy)]
enum Shown {
    /// A string, or nothing.
    Text(&'static str),
    /// A string, or something else where it is missing.
    TextOr(&'static str, &'static str),
    /// A boolean.
    Flag(&'static str),
    /// A whole number.
    Int(&'static str),
    /// A list, as Go prints it.
    List(&'static str),
    /// The name that a reference holds, as Go prints a pointer to it.
    Reference(&'static str),
}

use Shown::{Flag, Int, List, Reference, Text, TextOr};

/// All types but those with lists of their own: `projected`, `downwardAPI`, `csi` and `ephemeral`.
const KINDS: &[Kind] = &[
    (
        "hostPath",
        "HostPath (bare host directory volume)",
        &[("Path", Text("path")), ("HostPathType", TextOr("type", "<none>"))],
    ),
    (
        "emptyDir",
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        &[("Medium", Text("medium")), ("SizeLimit", TextOr("sizeLimit", "<unset>"))],
    ),
    (
        "gcePersistentDisk",
        "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
        &[
            ("PDName", Text("pdName")),
            ("FSType", Text("fsType")),
            ("Partition", Int("partition")),
            ("ReadOnly", Flag("readOnly")),
        ],
    ),
    (
        "awsElasticBlockStore",
        "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
        &[
            ("VolumeID", Text("volumeID")),
            ("FSType", Text("fsType")),
            ("Partition", Int("partition")),
            ("ReadOnly", Flag("readOnly")),
        ],
    ),
    (
        "gitRepo",
        "GitRepo (a volume that is pulled from git when the pod is created)",
        &[("Repository", Text("repository")), ("Revision", Text("revision"))],
    ),
    (
        "secret",
        "Secret (a volume populated by a Secret)",
        &[("SecretName", Text("secretName")), ("Optional", Flag("optional"))],
    ),
    (
        "configMap",
        "ConfigMap (a volume populated by a ConfigMap)",
        &[("Name", Text("name")), ("Optional", Flag("optional"))],
    ),
    (
        "nfs",
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        &[("Server", Text("server")), ("Path", Text("path")), ("ReadOnly", Flag("readOnly"))],
    ),
    (
        "iscsi",
        "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)",
        &[
            ("TargetPortal", Text("targetPortal")),
            ("IQN", Text("iqn")),
            ("Lun", Int("lun")),
            ("ISCSIInterface", Text("iscsiInterface")),
            ("FSType", Text("fsType")),
            ("ReadOnly", Flag("readOnly")),
            ("Portals", List("portals")),
            ("DiscoveryCHAPAuth", Flag("chapAuthDiscovery")),
            ("SessionCHAPAuth", Flag("chapAuthSession")),
            ("SecretRef", Reference("secretRef")),
            ("InitiatorName", TextOr("initiatorName", "<none>")),
        ],
    ),
    (
        "persistentVolumeClaim",
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        &[("ClaimName", Text("claimName")), ("ReadOnly", Flag("readOnly"))],
    ),
    (
        "image",
        "Image (a container image or OCI artifact)",
        &[("Reference", Text("reference")), ("PullPolicy", Text("pullPolicy"))],
    ),
];

/// What a volume of a CSI driver is.
const CSI: &str = "CSI (a Container Storage Interface (CSI) volume source)";

/// The volumes, set in by `indent`.
pub(super) fn volumes(page: &mut Page, volumes: &[Value], indent: &str) {
    if volumes.is_empty() {
        return line!(page, 0, "{indent}Volumes:\t<none>");
    }
    line!(page, 0, "{indent}Volumes:");
    let name_indent = if indent.is_empty() { "" } else { " " };
    for volume in volumes {
        line!(page, 1, "{name_indent}{}:", volume.text("name"));
        source(page, volume);
    }
}

fn source(page: &mut Page, volume: &Value) {
    if let Some((field, what, lines)) = KINDS.iter().find(|(field, ..)| volume.has(field)) {
        let source = volume.at(field);
        page.field(2, "Type", what);
        for (title, shown) in *lines {
            // Upstream forgot the colon of this one.
            let colon = if *title == "ISCSIInterface" { "" } else { ":" };
            line!(page, 2, "{title}{colon}\t{}", shown.text(source));
        }
    } else if volume.has("projected") {
        projected(page, volume.list("projected/sources"));
    } else if volume.has("downwardAPI") {
        line!(page, 2, "Type:\tDownwardAPI (a volume populated by information about the pod)\n    Items:");
        for item in volume.list("downwardAPI/items") {
            for field in [item.text("fieldRef/fieldPath"), item.text("resourceFieldRef/resource")] {
                if !field.is_empty() {
                    line!(page, 3, "{field} -> {}", item.text("path"));
                }
            }
        }
    } else if volume.has("csi") {
        csi(page, volume.at("csi"));
    } else if volume.has("ephemeral") {
        ephemeral(page, volume.at("ephemeral/volumeClaimTemplate"));
    } else {
        // The types that Kubernetes has dropped, too: no node mounts them any more.
        line!(page, 1, "<unknown>");
    }
}

/// The source of a PersistentVolume.
pub(super) fn persistent_source(page: &mut Page, spec: &Value) {
    const FIELDS: [&str; 5] = ["hostPath", "gcePersistentDisk", "awsElasticBlockStore", "nfs", "iscsi"];
    if FIELDS.iter().any(|field| spec.has(field)) {
        source(page, spec);
    } else if spec.has("local") {
        page.field(2, "Type", "LocalVolume (a persistent volume backed by local storage on a node)");
        page.field(2, "Path", spec.text("local/path"));
    } else if spec.has("csi") {
        let csi = spec.at("csi");
        page.field(2, "Type", CSI);
        page.field(2, "Driver", csi.text("driver"));
        page.field(2, "FSType", csi.text("fsType"));
        page.field(2, "VolumeHandle", csi.text("volumeHandle"));
        page.field(2, "ReadOnly", &csi.flag("readOnly").to_string());
        attributes(page, csi);
    } else {
        line!(page, 1, "<unknown>");
    }
}

impl Shown {
    fn text(self, source: &Value) -> String {
        match self {
            Text(path) => source.text(path).to_string(),
            TextOr("sizeLimit", fallback) => match super::resources::quantity(source.at("sizeLimit")) {
                limit if limit.signum() > 0 => limit.to_string(),
                _ => fallback.to_string(),
            },
            TextOr(path, fallback) if !source.has(path) => fallback.to_string(),
            TextOr(path, _) => source.text(path).to_string(),
            Flag(path) => source.flag(path).to_string(),
            Int(path) => source.int(path).to_string(),
            List(path) => format!("[{}]", source.joined(path, " ")),
            Reference(path) if !source.has(path) => "nil".to_string(),
            Reference(path) => format!("&LocalObjectReference{{Name:{},}}", source.at(path).text("name")),
        }
    }
}

fn projected(page: &mut Page, sources: &[Value]) {
    page.field(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
    for source in sources {
        if source.has("secret") {
            page.field(2, "SecretName", source.text("secret/name"));
            page.field(2, "Optional", &source.flag("secret/optional").to_string());
        } else if source.has("downwardAPI") {
            page.field(2, "DownwardAPI", "true");
        } else if source.has("configMap") {
            page.field(2, "ConfigMapName", source.text("configMap/name"));
            page.field(2, "Optional", &source.flag("configMap/optional").to_string());
        } else if source.has("serviceAccountToken") {
            let seconds = source.int("serviceAccountToken/expirationSeconds");
            line!(page, 2, "TokenExpirationSeconds:\t{seconds}");
        }
    }
}

fn csi(page: &mut Page, csi: &Value) {
    page.field(2, "Type", CSI);
    page.field(2, "Driver", csi.text("driver"));
    page.field(2, "FSType", csi.text("fsType"));
    page.field(2, "ReadOnly", &csi.flag("readOnly").to_string());
    attributes(page, csi);
}

fn attributes(page: &mut Page, csi: &Value) {
    let attributes = csi.entries("volumeAttributes");
    if attributes.is_empty() {
        return page.field(2, "VolumeAttributes", "<none>");
    }
    for (at, (key, value)) in attributes.into_iter().enumerate() {
        // Each further line is written in three pieces upstream, each of which is set in.
        let title = if at == 0 { "VolumeAttributes:\t" } else { "    \t" };
        let text = format!("{key}={}", value.as_str().unwrap_or_default());
        let (text, more) = match text.char_indices().nth(140) {
            Some((end, _)) => (text[..end].to_string(), "..."),
            None => (text, ""),
        };
        line!(page, 2, "{title}    {text}{more}");
    }
}

/// The claim that is made for the Pod. Every piece of it is set in, also behind tabs, as upstream's nested writer does.
fn ephemeral(page: &mut Page, template: &Value) {
    page.field(
        2,
        "Type",
        "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
    );
    if template.is_null() {
        return;
    }
    page.field(2, "StorageClass", storage_class(template));
    page.field(2, "Volume", template.text("spec/volumeName"));
    for (title, path, separator) in [("Labels", "metadata/labels", "="), ("Annotations", "metadata/annotations", ": ")]
    {
        let entries = template.entries(path);
        if entries.is_empty() {
            line!(page, 2, "{title}:\t    <none>");
        }
        for (at, (key, value)) in entries.into_iter().enumerate() {
            let lead = match (at, title) {
                (0, _) => format!("{title}:\t"),
                (_, "Labels") => "    \t".to_string(),
                _ => "\t".to_string(),
            };
            line!(page, 2, "{lead}    {key}{separator}{}", value.as_str().unwrap_or_default());
        }
    }
    page.field(2, "Capacity", "");
    page.field(2, "Access Modes", "");
    if template.has("spec/volumeMode") {
        page.field(2, "VolumeMode", template.text("spec/volumeMode"));
    }
    if template.has("spec/dataSource") {
        line!(page, 2, "DataSource:");
        let source = template.at("spec/dataSource");
        page.field_if(3, "APIGroup", source.text("apiGroup"));
        page.field(3, "Kind", source.text("kind"));
        page.field(3, "Name", source.text("name"));
    }
}

/// The class of a claim; an old annotation goes before the field.
pub(super) fn storage_class(claim: &Value) -> &str {
    let annotations = claim.at("metadata/annotations");
    match annotations.get("volume.beta.kubernetes.io/storage-class").and_then(Value::as_str) {
        Some(class) => class,
        None => claim.text("spec/storageClassName"),
    }
}

/// A list as Go prints it.
pub(super) fn go_list(list: &[Value]) -> String {
    let texts: Vec<_> = list.iter().map(|item| gotext::value(&Any::from_json(item))).collect();
    format!("[{}]", texts.join(" "))
}
