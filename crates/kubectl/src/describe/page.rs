//! The page that a describer writes: lines at levels, and the blocks that most kinds share.

use super::Case;
use super::fields::{Fields, controller};
use super::tabs;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::fmt;

/// The annotation that `kubectl apply` keeps; it is not shown.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Longer annotations go on lines of their own; bytes.
const ANNOTATION_MAX: usize = 140;

/// Text that is written: tabs end cells.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// What is aligned already.
    done: String,
    text: String,
}

/// Writes a line at a level of two spaces each: `line!(page, 1, "Type:\t{}", text)`.
macro_rules! line {
    ($page:expr, $level:expr, $($format:tt)*) => {
        $page.line($level, format_args!($($format)*))
    };
}
pub(super) use line;

impl Page {
    /// Text at level 0, without a line end.
    pub(super) fn write(&mut self, text: impl fmt::Display) {
        // What could move a terminal's cursor is shown instead.
        let text = text.to_string().replace('\u{1b}', "^[").replace('\r', "\\r");
        self.text.push_str(&text);
    }

    pub(super) fn line(&mut self, level: usize, text: fmt::Arguments<'_>) {
        self.write(format_args!("{}{text}\n", "  ".repeat(level)));
    }

    /// A line whose value is a field of the object; shown even where it is empty.
    pub(super) fn field(&mut self, level: usize, title: &str, value: &str) {
        self.line(level, format_args!("{title}:\t{value}"));
    }

    /// The same, but only where the value is not empty.
    pub(super) fn field_if(&mut self, level: usize, title: &str, value: &str) {
        if !value.is_empty() {
            self.field(level, title, value);
        }
    }

    /// Ends the alignment: what follows has columns of its own.
    pub(super) fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.done.push_str(&tabs::align(&text));
    }

    /// The page as it is printed.
    pub(super) fn finish(mut self) -> String {
        self.flush();
        self.done
    }

    /// The text with its tabs.
    pub(super) fn unaligned(self) -> String {
        self.text
    }

    /// Entries below each other behind a title.
    pub(super) fn multiline(&mut self, title: &str, entries: impl IntoIterator<Item = String>) {
        self.write(format_args!("{title}:\t"));
        let mut count = 0;
        for entry in entries {
            let indent = if count > 0 { "\t" } else { "" };
            self.write(format_args!("{indent}{entry}\n"));
            count += 1;
        }
        if count == 0 {
            self.write("<none>\n");
        }
    }

    /// A map as `key=value` lines.
    pub(super) fn labels(&mut self, title: &str, object: &Value, path: &str) {
        let pairs = object.entries(path).into_iter();
        self.multiline(title, pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())));
    }

    /// Annotations; long ones and those of several lines are set in below their keys and cut.
    pub(super) fn annotations(&mut self, title: &str, object: &Value, path: &str) {
        let entries = object.entries(path).into_iter().filter(|(key, _)| *key != LAST_APPLIED);
        self.multiline(
            title,
            entries.map(|(key, value)| {
                let value = value.as_str().unwrap_or_default();
                let value = value.strip_suffix('\n').unwrap_or(value);
                if value.len() + key.len() + 2 <= ANNOTATION_MAX && !value.contains('\n') {
                    return format!("{key}: {value}");
                }
                let lines = value.split('\n').map(|line| format!("\n\t  {}", shorten(line, ANNOTATION_MAX - 2)));
                format!("{key}:{}", lines.collect::<String>())
            }),
        );
    }

    /// Name, and the namespace of those that have one.
    pub(super) fn name(&mut self, object: &Value) {
        self.field(0, "Name", object.text("metadata/name"));
    }

    /// Name and namespace.
    pub(super) fn names(&mut self, object: &Value) {
        self.name(object);
        self.field(0, "Namespace", object.text("metadata/namespace"));
    }

    /// Labels and annotations of the object.
    pub(super) fn metadata(&mut self, object: &Value) {
        self.labels("Labels", object, "metadata/labels");
        self.annotations("Annotations", object, "metadata/annotations");
    }

    /// The controller, if there is one.
    pub(super) fn controlled_by(&mut self, object: &Value) {
        if let Some(controller) = controller(object) {
            self.field(0, "Controlled By", &controller);
        }
    }
}

/// Conditions with the time of their last change, below `title`.
pub(super) fn dated_conditions(case: &Case<'_>, page: &mut Page, title: &str) {
    let conditions = case.object.list("status/conditions");
    if conditions.is_empty() {
        return;
    }
    line!(page, 0, "{title}");
    line!(page, 1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
    line!(page, 1, "----\t------\t------------------\t------\t-------");
    for condition in conditions {
        let since = time(condition.at("lastTransitionTime"), case.zone);
        let (kind, status) = (condition.text("type"), condition.text("status"));
        line!(page, 1, "{kind}\t{status}\t{since}\t{}\t{}", condition.text("reason"), condition.text("message"));
    }
}

/// At most `length` bytes of `text`, and `...` where something was cut off.
fn shorten(text: &str, length: usize) -> String {
    if text.len() <= length {
        return text.to_string();
    }
    let end = (0..=length).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

/// A time in RFC 1123 with a numeric zone; Go's zero time where there is none.
pub(super) fn time(value: &Value, zone: &TimeZone) -> String {
    match value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => time.to_zoned(zone.clone()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string(),
        None => "Mon, 01 Jan 0001 00:00:00 +0000".into(),
    }
}

/// How long ago a time was, or `<unknown>`.
pub(super) fn age(value: &Value, now: Timestamp) -> String {
    match value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => human_duration(now.duration_since(time)),
        None => "<unknown>".into(),
    }
}

/// A duration as people say it (`HumanDuration`): the larger it is, the fewer units.
pub(super) fn human_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{small_unit}") }
    };
    match () {
        () if seconds < -1 => "<invalid>".into(),
        () if seconds < 0 => "0s".into(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(hours / 24, "d", hours % 24, "h"),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => two(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        () => format!("{}y", hours / 24 / 365),
    }
}
