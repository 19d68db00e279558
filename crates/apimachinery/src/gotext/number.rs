//! Floating point numbers as `strconv.FormatFloat` prints them.

/// A number in format `verb`, one of `e E f F g G`. Without a `precision` the shortest text that reads back as the same.
pub fn float_with(number: f64, verb: char, precision: Option<usize>) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    match verb {
        'f' | 'F' => match precision {
            Some(digits) => format!("{number:.digits$}"),
            None => format!("{number}"),
        },
        'e' | 'E' => exponent(number, verb, precision),
        _ => general(number, verb, precision),
    }
}

/// `%e`: at least two digits of exponent, always signed.
fn exponent(number: f64, verb: char, precision: Option<usize>) -> String {
    let text = match precision {
        Some(digits) => format!("{number:.digits$e}"),
        None => format!("{number:e}"),
    };
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match power.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', power),
    };
    format!("{mantissa}{verb}{sign}{digits:0>2}")
}

/// `%g`: whichever of the other two is shorter by C's rule, without trailing zeros.
fn general(number: f64, verb: char, precision: Option<usize>) -> String {
    let letter = if verb == 'G' { 'E' } else { 'e' };
    // The decimal exponent after rounding to the wanted digits, as printing decides it.
    let significant = precision.map(|digits| digits.max(1));
    let scientific = match significant {
        Some(digits) => format!("{number:.*e}", digits - 1),
        None => format!("{number:e}"),
    };
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).collect::<Vec<_>>();
    let used = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |at| at + 1);
    let limit = match significant {
        None => 6,
        Some(wanted) if wanted > used && used as i32 > power => used as i32,
        Some(wanted) => wanted as i32,
    };
    if power < -4 || power >= limit {
        return exponent(number, letter, Some(used - 1));
    }
    let after_point = (used as i32 - 1 - power).max(0) as usize;
    format!("{number:.after_point$}")
}
