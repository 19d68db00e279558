//! The cluster's administrator: how skiff's own commands ask a running cluster.

use std::sync::Arc;

use anyhow::{Context, Result};
use client::{RestClient, RestConfig, Secret, ServerUrl, TlsSettings};
use component_base::Supervisor;

use crate::cluster::Cluster;
use crate::pki::Pki;

/// A client of the cluster's API server, with all rights. Call it inside tokio.
pub(crate) fn connect(cluster: &Cluster, pki: &Pki) -> Result<RestClient> {
    let server = ServerUrl::parse(&format!("https://{}", cluster.api_address()), true).map_err(anyhow::Error::msg)?;
    let admin = &pki.admin;
    let config = RestConfig {
        tls: TlsSettings {
            ca: Some(pki.ca.clone().into_bytes()),
            client: Some((admin.certificate.clone().into_bytes(), Secret(admin.key.clone().into_bytes()))),
            ..TlsSettings::default()
        },
        ..RestConfig::new(server)
    };
    RestClient::new(config, Supervisor::new(), Arc::new(())).context("the administrator's certificate can't be used")
}
