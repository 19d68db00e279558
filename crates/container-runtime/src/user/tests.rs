use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:w:/srv:/bin/false\n# x\n";
const GROUP: &str = "root:x:0:\nweb:x:102:\nlogs:x:200:other, web\nall:x:201:web,root\n";

fn of(
    user: &str,
    group: Option<u32>,
    supplemental: &[u32],
    merge_groups: bool,
) -> Result<(u32, u32, Vec<u32>), UserError> {
    let request = UserRequest { user: user.into(), group, supplemental: supplemental.to_vec(), merge_groups };
    resolve(&request, PASSWD, GROUP).map(|user| (user.uid, user.gid, user.groups))
}

#[test]
fn names_numbers_and_groups() {
    assert_eq!(of("", None, &[], true), Ok((0, 0, vec![0, 201])));
    assert_eq!(of("web", None, &[5], true), Ok((101, 102, vec![5, 102, 200, 201])));
    assert_eq!(of("web", None, &[5], false), Ok((101, 102, vec![5, 102])));
    assert_eq!(of("101:logs", None, &[], false), Ok((101, 200, vec![200])));
    assert_eq!(of("1234", None, &[], true), Ok((1234, 0, vec![0])));
    assert_eq!(of("1234:55", Some(66), &[], true), Ok((1234, 66, vec![66])));
    assert_eq!(of("ghost", None, &[], true), Err(UserError::NoSuchUser("ghost".into())));
    assert_eq!(of("web:ghosts", None, &[], true), Err(UserError::NoSuchGroup("ghosts".into())));
}
