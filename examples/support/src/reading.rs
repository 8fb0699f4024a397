//! How the daemon reads an `output` event: rules that lose, cut or misread whatever is not written for them.

use serde_json::Value;

use crate::database::{Metric, Typed, ValueOf};

/// What starts a metric's text.
const MARK: &str = "DETRICS:";

/// What stands between two values.
const SEPARATOR: char = '\u{1f}';

/// Where the daemon cuts the first value for its log, without asking whether a character ends there.
const CUT: usize = 100;

/// Words that make the daemon take a line for an error of the program.
const ERRORS: [&str; 7] = [
    "overflow",
    "out of range",
    "panicked at",
    "cannot find",
    "is not defined",
    "division by zero",
    "null pointer",
];

/// What became of an `output` event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    /// A metric's values.
    Event {
        metric_id: u64,
        metric: String,
        thread: Option<i64>,
        values: Vec<ValueOf>,
    },
    /// An error, for whatever metric comes first.
    Error(String),
    /// A category that the daemon does not know, or a body that is none.
    Dropped,
    /// A metric that the connection does not have.
    UnknownMetric(String),
    /// Neither a metric nor an error.
    Noise,
    /// The end of the task that handles the connection's events.
    Crash(String),
}

/// Reads the body of an `output` event of a connection that has these metrics.
pub(crate) fn read(body: &Value, metrics: &[&Metric]) -> Reading {
    // 1. Of a known category, or of none.
    let known = ["console", "stdout", "stderr", "telemetry"];
    let category_fits = match &body["category"] {
        Value::Null => true,
        Value::String(category) => known.contains(&category.as_str()),
        _ => false,
    };
    let (true, Some(output)) = (category_fits, body["output"].as_str()) else {
        return Reading::Dropped;
    };
    // 2. to 4.: the metric's text.
    let Some((thread, text)) = metric_text(output.trim()) else {
        return match is_error(output.trim()) {
            true => Reading::Error(output.trim().to_owned()),
            false => Reading::Noise,
        };
    };
    // 5. Up to the first bar; then name and values.
    let text = text.split('|').next().unwrap_or_default();
    let (name, values) = text.split_once('=').unwrap_or((text, ""));
    // 6. By the metric's name; a value for each expression.
    let Some(metric) = metrics.iter().find(|metric| metric.name == name) else {
        return Reading::UnknownMetric(name.to_owned());
    };
    let values: Vec<ValueOf> = metric
        .expressions
        .iter()
        .zip(values.split(SEPARATOR))
        .map(|(expression, raw)| typed(expression, raw))
        .collect();
    match values.first() {
        Some(first) if first.json.len() > CUT && !first.json.is_char_boundary(CUT) => {
            Reading::Crash(format!(
                "byte {CUT} is not the boundary of a character in {}",
                first.json
            ))
        }
        _ => Reading::Event {
            metric_id: metric.id,
            metric: metric.name.clone(),
            thread,
            values,
        },
    }
}

/// The text behind the mark, and the thread before it.
fn metric_text(output: &str) -> Option<(Option<i64>, &str)> {
    // 2. With a thread in front, everything behind the mark, newlines included.
    if let Some((thread, rest)) = thread_prefix(output)
        && let Some(at) = rest.find(MARK)
    {
        return Some((Some(thread), &rest[at + MARK.len()..]));
    }
    // 3. Of several lines only the first that starts with the mark.
    if output.contains('\n') {
        let text = output.lines().find_map(|line| line.strip_prefix(MARK));
        return text.map(|text| (None, text));
    }
    // 4. Of one line what follows the mark.
    let at = output.find(MARK)?;
    Some((None, &output[at + MARK.len()..]))
}

/// `[thread 7] rest`, `thread #7 rest` or `* thread #7 rest`.
fn thread_prefix(output: &str) -> Option<(i64, &str)> {
    if let Some(rest) = output.strip_prefix("[thread ") {
        let (number, rest) = rest.split_once("] ")?;
        let fits = rest.starts_with(MARK);
        return number.parse().ok().filter(|_| fits).map(|id| (id, rest));
    }
    let output = output.strip_prefix("* ").unwrap_or(output);
    let rest = output.strip_prefix("thread #")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    Some((rest[..end].parse().ok()?, &rest[end..]))
}

/// 7. A value is JSON, or else raw text.
fn typed(expression: &str, raw: &str) -> ValueOf {
    let value = serde_json::from_str::<Value>(raw);
    let typed = match &value {
        Ok(Value::Number(number)) => number.as_f64().map_or(Typed::Untyped, Typed::Number),
        Ok(Value::String(text)) => Typed::Text(text.clone()),
        Ok(Value::Bool(truth)) => Typed::Boolean(*truth),
        Ok(_) => Typed::Untyped,
        Err(_) => match raw.parse() {
            Ok(number) => Typed::Number(number),
            Err(_) => Typed::Text(raw.to_owned()),
        },
    };
    ValueOf {
        expression: expression.to_owned(),
        json: value.map_or_else(|_| raw.to_owned(), |value| value.to_string()),
        typed,
    }
}

fn is_error(text: &str) -> bool {
    let starts = ["error:", "expression error:"];
    starts.iter().any(|start| text.starts_with(start))
        || ERRORS.iter().any(|word| text.contains(word))
}
