use serde_json::{Value, json};

use super::{Newest, Revision, newest};

fn revision(number: i64, image: &str) -> Revision {
    let template = json!({"spec": {"image": image}, "$patch": "replace"});
    Revision {
        name: format!("web-{number}"),
        number,
        label: None,
        data: json!({"spec": {"template": template}}),
        created: None,
    }
}

#[test]
fn the_newest_revision_is_found_made_or_renumbered() {
    let data = |image: &str| -> Value { revision(0, image).data };
    let history = [revision(1, "a"), revision(3, "b"), revision(4, "c")];
    for (revisions, image, wanted) in [
        (&history[..0], "a", Newest::Missing(1)),
        (&history[..1], "a", Newest::Is(0)),
        (&history[..], "c", Newest::Is(2)),
        (&history[..], "a", Newest::Again(0, 5)),
        (&history[..], "b", Newest::Again(1, 5)),
        (&history[..], "d", Newest::Missing(5)),
    ] {
        assert_eq!(newest(revisions, &data(image)), wanted, "{image} among {}", revisions.len());
    }
}

#[test]
fn the_template_is_what_the_patch_replaces() {
    assert_eq!(revision(1, "a").template(), json!({"spec": {"image": "a"}}));
}
