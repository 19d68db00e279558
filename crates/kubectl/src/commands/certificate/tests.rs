use serde_json::json;

use super::*;

#[test]
fn a_verdict_is_given_once_and_never_beside_its_opposite() {
    let at: jiff::Timestamp = "2026-01-01T10:00:00.7Z".parse().expect("a time");
    let mut request = json!({"metadata": {"name": "ann"}, "status": {}});
    assert_eq!(add(&mut request, &APPROVAL, at), Ok(Said::Now));
    let condition = json!({"type": "Approved", "status": "True", "reason": "KubectlApprove",
        "message": "This CSR was approved by kubectl certificate approve.", "lastUpdateTime": "2026-01-01T10:00:00Z"});
    assert_eq!(request["status"]["conditions"], json!([condition]));
    let before = request.clone();
    assert_eq!(add(&mut request, &APPROVAL, at), Ok(Said::Already));
    let refused = "certificate signing request \"ann\" is already Approved";
    assert_eq!(add(&mut request, &DENIAL, at), Err(refused.to_owned()));
    assert_eq!(request, before);
}
