//! `TYPE[,TYPE…] [NAME…]` and `TYPE/NAME…`.

use std::sync::Arc;

use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;

/// What positional arguments name, before the server was asked what the types are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Types that stand alone.
    pub(crate) types: Vec<String>,
    /// Names that follow one type.
    pub(crate) names: Vec<String>,
    /// `TYPE/NAME` pairs.
    pub(crate) tuples: Vec<(String, String)>,
}

/// Parts between commas, each once.
fn split(argument: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in argument.split(',') {
        if !parts.iter().any(|known| known == part) {
            parts.push(part.to_owned());
        }
    }
    parts
}

/// `a,b c d` means `a/c a/d b/c b/d`.
fn normalize(arguments: &[String]) -> Vec<String> {
    if let [first, names @ ..] = arguments
        && !names.is_empty()
    {
        let types = split(first);
        if types.len() > 1 {
            return types.iter().flat_map(|ty| names.iter().map(move |name| format!("{ty}/{name}"))).collect();
        }
    }
    arguments.to_vec()
}

/// Whether all arguments are pairs; some pairs among others is a fault.
fn are_pairs(arguments: &[String]) -> Result<bool, KubectlError> {
    let pairs = arguments.iter().filter(|argument| argument.contains('/')).count();
    if pairs > 0 && pairs != arguments.len() {
        return Err(KubectlError::new(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name \
             form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'",
        ));
    }
    Ok(pairs > 0)
}

fn pair(argument: &str) -> Result<(String, String), KubectlError> {
    match argument.split('/').collect::<Vec<_>>().as_slice() {
        [ty, name] if !ty.is_empty() && !name.is_empty() && split(ty).len() == 1 => {
            Ok(((*ty).to_owned(), (*name).to_owned()))
        }
        [_, _] => Err(KubectlError::new("arguments in resource/name form must have a single resource and name")),
        _ => Err(KubectlError::new("arguments in resource/name form may not have more than one slash")),
    }
}

impl Named {
    /// Reads the arguments. A category such as `all` becomes its types, for which the server is asked.
    pub(crate) async fn parse(arguments: &[String], context: &Context) -> Result<Self, KubectlError> {
        let arguments = normalize(arguments);
        if are_pairs(&arguments)? {
            let tuples = arguments.iter().map(|argument| pair(argument)).collect::<Result<_, _>>()?;
            return Ok(Self { tuples, ..Self::default() });
        }
        let [types, names @ ..] = arguments.as_slice() else { return Ok(Self::default()) };
        let mapper = context.mapper().await?;
        let mut expanded = Vec::new();
        for name in types.split(',') {
            match mapper.category(name) {
                members if members.is_empty() => expanded.push(name.to_owned()),
                members => expanded.extend(members),
            }
        }
        Ok(Self { types: split(&expanded.join(",")), names: names.to_vec(), ..Self::default() })
    }

    /// The types that stand alone.
    pub(crate) async fn resolve_types(
        &self,
        context: &Context,
        single: bool,
    ) -> Result<Vec<Arc<ResourceType>>, KubectlError> {
        if single && self.types.len() > 1 {
            return Err(multiple_types());
        }
        let mut types: Vec<Arc<ResourceType>> = Vec::new();
        for name in &self.types {
            let resource = context.resource(name).await?;
            if !types.iter().any(|known| known.api_version() == resource.api_version() && known.kind == resource.kind) {
                types.push(resource);
            }
        }
        Ok(types)
    }

    /// The objects that are named, with their types.
    pub(crate) async fn resolve_names(
        &self,
        context: &Context,
        single: bool,
    ) -> Result<Vec<(Arc<ResourceType>, String)>, KubectlError> {
        if !self.tuples.is_empty() {
            let mut pairs: Vec<(Arc<ResourceType>, String)> = Vec::new();
            for (ty, name) in &self.tuples {
                pairs.push((context.resource(ty).await?, name.clone()));
            }
            let several = pairs.iter().any(|(ty, _)| ty.qualified() != pairs[0].0.qualified());
            return if single && several { Err(multiple_types()) } else { Ok(pairs) };
        }
        if self.names.is_empty() {
            for name in &self.types {
                context.resource(name).await?;
            }
            return Err(KubectlError::new(if self.types.is_empty() {
                "You must provide one or more resources by argument or filename.\nExample resource specifications \
                 include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'"
            } else {
                "resource(s) were provided, but no name was specified"
            }));
        }
        match self.types.as_slice() {
            [] => Err(KubectlError::new("you must provide a resource and a resource name together")),
            [ty] => {
                let resource = context.resource(ty).await?;
                Ok(self.names.iter().map(|name| (resource.clone(), name.clone())).collect())
            }
            _ => Err(KubectlError::new("you must specify only one resource")),
        }
    }
}

fn multiple_types() -> KubectlError {
    KubectlError::new("you may only specify a single resource type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn several_types_with_names_are_pairs() {
        assert_eq!(normalize(&words("pods,services a b")), words("pods/a pods/b services/a services/b"));
        assert_eq!(normalize(&words("pods,pods a")), words("pods,pods a"), "one type, twice");
    }

    #[test]
    fn faults_of_pairs() {
        let text = |argument: &str| pair(argument).unwrap_err().to_string();
        assert_eq!(text("pods/"), "arguments in resource/name form must have a single resource and name");
        assert_eq!(text("a/b/c"), "arguments in resource/name form may not have more than one slash");
        assert!(are_pairs(&words("pods pods/a")).unwrap_err().to_string().starts_with("there is no need"));
    }
}
