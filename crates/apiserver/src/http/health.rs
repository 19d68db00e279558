//! `/livez`, `/readyz` and `/healthz`: whole, `?verbose`, `?exclude=NAME`, and check by check (upstream `apiserver/pkg/server/healthz`).

use http::{HeaderValue, Response, StatusCode, header::X_CONTENT_TYPE_OPTIONS};

use super::body::{Body, response};
use super::request::Query;
use crate::server::ApiServer;
use apimachinery::ApiError;
use component_base::Shutdown;

/// One thing that can be well or not: its name, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    name: &'static str,
    fault: Option<String>,
}

/// What an answer is made of: plain text and whether all is well.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    healthy: bool,
    text: String,
}

/// Answers `/ENDPOINT` and `/ENDPOINT/CHECK`.
pub(crate) fn health(
    server: &ApiServer,
    shutdown: &Shutdown,
    path: &[&str],
    query: &Query,
) -> Result<Response<Body>, ApiError> {
    let (endpoint, check) = path.split_first().ok_or_else(ApiError::path_not_found)?;
    let checks = checks(server, shutdown, endpoint);
    let report = match check {
        [] => whole(endpoint, &checks, query),
        name => one(&checks, &name.join("/")).ok_or_else(ApiError::path_not_found)?,
    };
    let status = if report.healthy { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    let mut answer = response(status, "text/plain; charset=utf-8", report.text);
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// The datastore is called `etcd` as upstream's check of its store is: that is the name which tools ask for and exclude.
fn checks(server: &ApiServer, shutdown: &Shutdown, endpoint: &str) -> Vec<Check> {
    let fault = |well: bool, what: &str| (!well).then(|| what.to_owned());
    let mut checks = vec![
        Check { name: "ping", fault: None },
        Check { name: "etcd", fault: server.engine().datastore.check_writable().err().map(|error| error.to_string()) },
    ];
    if endpoint != "livez" {
        let made = fault(server.is_ready(), "not finished");
        checks.push(Check { name: "poststarthook/rbac/bootstrap-roles", fault: made });
    }
    if endpoint == "readyz" {
        checks.push(Check { name: "shutdown", fault: fault(!shutdown.is_requested(), "process is shutting down") });
    }
    checks
}

/// The public answer: which check failed, never why.
fn whole(endpoint: &str, checks: &[Check], query: &Query) -> Report {
    let excluded = query.all("exclude");
    let mut lines = String::new();
    let mut healthy = true;
    for check in checks {
        let name = check.name;
        if excluded.iter().any(|excluded| excluded == name) {
            lines += &format!("[+]{name} excluded: ok\n");
        } else if check.fault.is_some() {
            healthy = false;
            lines += &format!("[-]{name} failed: reason withheld\n");
        } else {
            lines += &format!("[+]{name} ok\n");
        }
    }
    let mut unknown: Vec<String> = excluded
        .iter()
        .filter(|excluded| !checks.iter().any(|check| check.name == *excluded))
        .map(|excluded| format!("{excluded:?}"))
        .collect();
    if !unknown.is_empty() {
        unknown.sort();
        lines += &format!("warn: some health checks cannot be excluded: no matches for {}\n", unknown.join(","));
    }
    let text = match (healthy, query.has("verbose")) {
        (false, _) => format!("{lines}{endpoint} check failed\n"),
        (true, true) => format!("{lines}{endpoint} check passed\n"),
        (true, false) => "ok".to_owned(),
    };
    Report { healthy, text }
}

/// The answer for one check, with the reason: its path needs a right of its own.
fn one(checks: &[Check], name: &str) -> Option<Report> {
    let check = checks.iter().find(|check| check.name == name)?;
    Some(match &check.fault {
        None => Report { healthy: true, text: "ok".to_owned() },
        Some(fault) => Report { healthy: false, text: format!("internal server error: {fault}\n") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        vec![Check { name: "ping", fault: None }, Check { name: "etcd", fault: Some("the disk is gone".to_owned()) }]
    }

    #[track_caller]
    fn answers(checks: &[Check], query: &str, healthy: bool, text: &str) {
        let wanted = Report { healthy, text: text.to_owned() };
        assert_eq!(whole("readyz", checks, &Query::parse(query)), wanted);
    }

    #[test]
    fn healthy_says_ok_and_more_when_asked() {
        answers(&checks()[..1], "", true, "ok");
        answers(&checks()[..1], "verbose", true, "[+]ping ok\nreadyz check passed\n");
        answers(&checks(), "exclude=etcd", true, "ok");
        answers(&checks(), "verbose&exclude=etcd", true, "[+]ping ok\n[+]etcd excluded: ok\nreadyz check passed\n");
    }

    #[test]
    fn a_failure_names_the_check_and_keeps_the_reason() {
        answers(&checks(), "", false, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n");
        answers(
            &checks(),
            "exclude=x",
            false,
            "[+]ping ok\n[-]etcd failed: reason withheld\n\
             warn: some health checks cannot be excluded: no matches for \"x\"\nreadyz check failed\n",
        );
    }

    #[test]
    fn a_check_by_its_own_path_tells_why() {
        let text = |name| one(&checks(), name).map(|report| report.text);
        assert_eq!(text("ping").as_deref(), Some("ok"));
        assert_eq!(text("etcd").as_deref(), Some("internal server error: the disk is gone\n"));
        assert_eq!(text("other"), None);
    }
}
