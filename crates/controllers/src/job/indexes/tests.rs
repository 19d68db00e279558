use super::Indexes;

#[test]
fn the_written_form_is_the_shortest_one() {
    for (indexes, text) in
        [(&[][..], ""), (&[0], "0"), (&[1, 0], "0,1"), (&[0, 1, 2], "0-2"), (&[0, 2, 3, 5, 6, 7, 9, 9], "0,2,3,5-7,9")]
    {
        assert_eq!(indexes.iter().copied().collect::<Indexes>().to_string(), text);
    }
}

#[test]
fn what_is_read_is_made_valid() {
    for (text, completions, read) in [
        ("", 5, ""),
        ("0", 0, ""),
        ("0,2-4", 10, "0,2-4"),
        ("0,1,2", 10, "0-2"),
        ("0,2-7", 5, "0,2-4"),
        ("1,6,8", 5, "1"),
        ("0,x,3-y,4", 9, "0,4"),
        ("0-2,3-5", 9, "0-5"),
    ] {
        assert_eq!(Indexes::parse(text, completions).to_string(), read, "{text}");
    }
}

#[test]
fn sets_are_joined_and_compared() {
    let of = |text: &str| Indexes::parse(text, 100);
    for (a, b, union, overlap) in [
        ("", "", "", 0),
        ("1-3", "", "1-3", 0),
        ("1-3", "4,7", "1-4,7", 0),
        ("1-5,9", "3-10", "1-10", 4),
        ("0,2,4", "1,3", "0-4", 0),
        ("0-20", "3-4,8", "0-20", 3),
    ] {
        assert_eq!(of(a).union(&of(b)).to_string(), union, "{a} + {b}");
        assert_eq!(of(a).overlap(&of(b)), overlap, "{a} and {b}");
        assert_eq!(of(b).overlap(&of(a)), overlap, "{b} and {a}");
    }
    assert_eq!(of("0,2-5").len(), 5);
    let has: Vec<i32> = (0..10).filter(|index| of("0,2-4,8").contains(*index)).collect();
    assert_eq!(has, [0, 2, 3, 4, 8]);
}

#[test]
fn the_first_missing_ones_are_found() {
    for (text, count, completions, missing) in [
        ("", 2, 5, &[0, 1][..]),
        ("", 9, 3, &[0, 1, 2]),
        ("0,2-4", 3, 7, &[1, 5, 6]),
        ("1-3", 1, 7, &[0]),
        ("0-9", 5, 10, &[]),
        ("0,8", 3, 3, &[1, 2]),
        ("1", 0, 3, &[]),
    ] {
        assert_eq!(Indexes::parse(text, 100).first_missing(count, completions), missing, "{text}");
    }
}
