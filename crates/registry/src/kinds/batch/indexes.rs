//! Indexes of Jobs as they are written: `0,2-5`.

/// The number of indexes in `text`, all below `completions`; what is wrong with it.
pub(super) fn count(text: &str, completions: i64) -> Result<i64, String> {
    let (mut total, mut before) = (0, None);
    for fragment in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = interval(fragment, completions)?;
        if let Some(before) = before.filter(|before| *before >= first) {
            return Err(format!("non-increasing order, previous: {before}, current: {first}"));
        }
        total += last - first + 1;
        before = Some(last);
    }
    Ok(total)
}

/// The first index that is in both, of the intervals that can be read.
pub(super) fn overlap(a: &str, b: &str, completions: i64) -> Option<i64> {
    let read = |text: &str| text.split(',').filter_map(|part| interval(part, completions).ok()).collect::<Vec<_>>();
    let (a, b) = (read(a), read(b));
    let shared = a.iter().flat_map(|x| b.iter().filter(move |y| x.0 <= y.1 && y.0 <= x.1).map(move |y| x.0.max(y.0)));
    shared.min()
}

fn interval(fragment: &str, completions: i64) -> Result<(i64, i64), String> {
    let number = |text: &str| -> Result<i64, String> {
        let number =
            text.parse::<i64>().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        if number >= completions { Err(format!("too large index: {text:?}")) } else { Ok(number) }
    };
    match fragment.split('-').collect::<Vec<_>>().as_slice() {
        [one] => number(one).map(|index| (index, index)),
        [first, last] => {
            let (first, last) = (number(first)?, number(last)?);
            if first >= last {
                return Err(format!("non-increasing order, previous: {first}, current: {last}"));
            }
            Ok((first, last))
        }
        _ => Err(format!(
            "the fragment {fragment:?} violates the requirement that an index interval can have at most two parts \
             separated by '-'"
        )),
    }
}
