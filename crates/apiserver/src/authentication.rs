//! Who makes a request: by client certificate, by service account token, or nobody in particular
//! (upstream: `apiserver/pkg/authentication`).

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{ApiError, UserInfo};
use component_base::Clock;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authorization::{Attributes, Authorizer};
use crate::cache::Caches;
use crate::token::TokenAuthority;

/// The user of a request without credentials.
pub(crate) const ANONYMOUS: &str = "system:anonymous";

/// Knows users by their credentials.
#[derive(Debug)]
pub(crate) struct Authenticator {
    authority: Arc<TokenAuthority>,
    caches: Arc<Caches>,
    clock: Arc<dyn Clock>,
}

/// The user that a verified client certificate names: its common name, with its organisations as groups.
pub(crate) fn certificate_user(der: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups: Vec<&str> = subject.iter_organization().filter_map(|o| o.as_str().ok()).collect();
    Some(UserInfo::new(name, &groups))
}

impl Authenticator {
    /// An authenticator that checks tokens with `authority` against what `caches` hold.
    pub(crate) fn new(authority: Arc<TokenAuthority>, caches: Arc<Caches>, clock: Arc<dyn Clock>) -> Self {
        Self { authority, caches, clock }
    }

    /// The user of a request on a connection whose client certificate named `certificate`. Wrong credentials are
    /// refused; none at all make the anonymous user.
    pub(crate) fn authenticate(
        &self,
        certificate: Option<&Arc<UserInfo>>,
        headers: &HeaderMap,
    ) -> Result<Arc<UserInfo>, ApiError> {
        if let Some(user) = certificate {
            return Ok(user.clone());
        }
        let Some(header) = headers.get(AUTHORIZATION) else {
            let mut anonymous = UserInfo::new(ANONYMOUS, &[]);
            anonymous.groups = vec!["system:unauthenticated".to_owned()];
            return Ok(Arc::new(anonymous));
        };
        let token = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
        let audiences = [self.authority.issuer().to_owned()];
        token
            .and_then(|token| self.authority.check(token, &audiences, self.clock.now(), &*self.caches))
            .map(|(user, _)| Arc::new(user))
            .ok_or_else(ApiError::unauthorized)
    }

    /// The tokens' authority.
    pub(crate) fn authority(&self) -> &TokenAuthority {
        &self.authority
    }
}

/// The user that `Impersonate-*` headers name, if `user` may speak for them
/// (upstream: `endpoints/filters/impersonation.go`).
pub(crate) fn impersonate(
    user: Arc<UserInfo>,
    headers: &HeaderMap,
    authorizer: &Authorizer,
) -> Result<Arc<UserInfo>, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let name = text("impersonate-user");
    let groups: Vec<&str> = headers.get_all("impersonate-group").iter().filter_map(|v| v.to_str().ok()).collect();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in headers {
        if let (Some(key), Ok(value)) = (key.as_str().strip_prefix("impersonate-extra-"), value.to_str()) {
            extra.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    let uid = text("impersonate-uid");
    if name.is_empty() {
        if !groups.is_empty() || !extra.is_empty() || !uid.is_empty() {
            return Err(ApiError::bad_request(
                "requested to impersonate groups, extra or uid without impersonating a user",
            ));
        }
        return Ok(user);
    }
    let check = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let attributes = Attributes {
            verb: "impersonate".to_owned(),
            group: group.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            path: String::new(),
        };
        authorizer.check(&user, &attributes)
    };
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let mut assumed = match account {
        Some((namespace, account)) => {
            check("", "serviceaccounts", "", namespace, account)?;
            UserInfo::service_account(namespace, account)
        }
        None => {
            check("", "users", "", "", name)?;
            UserInfo::new(name, &[])
        }
    };
    if !groups.is_empty() {
        for group in &groups {
            check("", "groups", "", "", group)?;
        }
        assumed.groups = groups.iter().map(|g| (*g).to_owned()).collect();
        let everybody = if name == ANONYMOUS { "system:unauthenticated" } else { "system:authenticated" };
        if !assumed.in_group(everybody) {
            assumed.groups.push(everybody.to_owned());
        }
    }
    for (key, values) in &extra {
        for value in values {
            check("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    if !uid.is_empty() {
        check("authentication.k8s.io", "uids", "", "", uid)?;
        assumed.uid = uid.to_owned();
    }
    assumed.extra = extra;
    Ok(Arc::new(assumed))
}
