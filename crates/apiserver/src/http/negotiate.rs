//! In which form a response is sent: JSON or YAML; the object itself, a Table, or its metadata only
//! (upstream: `apiserver/pkg/endpoints/handlers/negotiation`).

use apimachinery::ApiError;
use http::HeaderMap;
use http::header::ACCEPT;

/// The encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
}

impl Encoding {
    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// What is sent of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects.
    Whole,
    /// Rows for people (`as=Table`).
    Table,
    /// `PartialObjectMetadata` or its list.
    Metadata,
}

/// A form that the client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) encoding: Encoding,
    pub(crate) shape: Shape,
}

/// The media types that are served.
pub(crate) const SERVED: [&str; 2] = ["application/json", "application/yaml"];

/// One entry of an `Accept` header.
pub(crate) struct MediaRange<'a> {
    pub(crate) name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl MediaRange<'_> {
    /// The value of a parameter; empty if it is absent.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    fn encoding(&self) -> Option<Encoding> {
        match self.name {
            "application/json" | "*/*" | "application/*" => Some(Encoding::Json),
            "application/yaml" => Some(Encoding::Yaml),
            _ => None,
        }
    }
}

/// The entries of the `Accept` header, the most wanted first.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<MediaRange<'_>> {
    let mut ranges: Vec<(f32, MediaRange<'_>)> = Vec::new();
    for header in headers.get_all(ACCEPT) {
        for entry in header.to_str().unwrap_or_default().split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
            let quality = parameters.iter().find(|(k, _)| *k == "q").and_then(|(_, v)| v.parse().ok()).unwrap_or(1.0);
            ranges.push((quality, MediaRange { name, parameters }));
        }
    }
    ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranges.into_iter().map(|(_, range)| range).collect()
}

/// The first form that the client accepts and that is served.
pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Form, ApiError> {
    let ranges = accepted(headers);
    if ranges.is_empty() {
        return Ok(Form { encoding: Encoding::Json, shape: Shape::Whole });
    }
    for range in &ranges {
        let Some(encoding) = range.encoding() else { continue };
        let served_version = range.parameter("v") == "v1" && range.parameter("g") == "meta.k8s.io";
        let shape = match range.parameter("as") {
            "" => Shape::Whole,
            "Table" if served_version => Shape::Table,
            "PartialObjectMetadata" | "PartialObjectMetadataList" if served_version => Shape::Metadata,
            _ => continue,
        };
        return Ok(Form { encoding, shape });
    }
    Err(ApiError::not_acceptable(&SERVED))
}

/// The encoding of a failure, which is told whatever the client accepts.
pub(crate) fn encoding_of_failures(headers: &HeaderMap) -> Encoding {
    let ranges = accepted(headers);
    let mut served = ranges.iter().filter(|range| range.parameter("as").is_empty()).filter_map(MediaRange::encoding);
    served.next().unwrap_or(Encoding::Json)
}

#[cfg(test)]
mod tests;
