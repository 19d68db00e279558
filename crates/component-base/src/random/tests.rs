use super::Random;

#[test]
fn the_same_seed_gives_the_same_names() {
    let (a, b) = (Random::from_seed(7), Random::from_seed(7));
    assert_eq!(a.name_suffix(5), b.name_suffix(5));
    assert_eq!(a.uuid(), b.uuid());
    assert_ne!(a.uuid(), a.uuid());
}

#[test]
fn a_uuid_says_version_4_and_the_rfc_variant() {
    let uuid = Random::from_seed(1).uuid();
    assert_eq!(uuid.len(), 36);
    assert_eq!(&uuid[14..15], "4");
    assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
}

#[test]
fn below_stays_below_and_reaches_all() {
    let random = Random::from_seed(3);
    let mut seen = [false; 5];
    for _ in 0..200 {
        seen[random.below(5) as usize] = true;
    }
    assert_eq!(seen, [true; 5]);
    assert_eq!(random.below(0), 0);
}
