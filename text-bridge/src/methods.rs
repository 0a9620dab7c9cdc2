//! Methods of Python's str that minijinja-contrib's pycompat lacks.

use crate::meter;
use minijinja::value::{from_args, Value};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Methods of values: those here, then pycompat's.
pub fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    meter::charge_method(state, value, args)?;
    match method {
        // The text it is a method of stands between the items.
        "join" => meter::charge_call(state, method, &[args.first().cloned().unwrap_or_default(), value.clone()])?,
        "format" | "replace" | "split" | "rsplit" | "splitlines" => {
            let all: Vec<Value> = std::iter::once(value).chain(args).cloned().collect();
            meter::charge_call(state, method, &all)?;
        }
        _ => {}
    }
    if let Some(outcome) = value.as_str().and_then(|text| string_method(text, method, args)) {
        return outcome;
    }
    unknown_method_callback(state, value, method, args)
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    Some(match method {
        "rsplit" => rsplit(text, args),
        "removeprefix" => one_text(args).map(|prefix| Value::from(text.strip_prefix(prefix).unwrap_or(text))),
        "removesuffix" => one_text(args).map(|suffix| Value::from(text.strip_suffix(suffix).unwrap_or(text))),
        "partition" => one_text(args).map(|separator| match text.split_once(separator) {
            Some((before, after)) => texts(&[before, separator, after]),
            None => texts(&[text, "", ""]),
        }),
        "rpartition" => one_text(args).map(|separator| match text.rsplit_once(separator) {
            Some((before, after)) => texts(&[before, separator, after]),
            None => texts(&["", "", text]),
        }),
        "index" => one_text(args).and_then(|part| match text.find(part) {
            Some(at) => Ok(Value::from(text[..at].chars().count())),
            None => Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
        }),
        "zfill" => zfill(text, args),
        _ => return None,
    })
}

fn texts(parts: &[&str]) -> Value {
    parts.iter().copied().map(Value::from).collect()
}

fn one_text(args: &[Value]) -> Result<&str, Error> {
    let (text,) = from_args(args)?;
    Ok(text)
}

/// At white space when no separator is given; at most `count` cuts, from the right.
fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, count): (Option<&str>, Option<i64>) = from_args(args)?;
    let cuts = usize::try_from(count.unwrap_or(-1)).unwrap_or(usize::MAX - 1);
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(separator) => text.rsplitn(cuts + 1, separator).collect(),
        None => rsplit_white_space(text, cuts),
    };
    parts.reverse();
    Ok(texts(&parts))
}

fn rsplit_white_space(text: &str, cuts: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() && parts.len() < cuts {
        let start = rest.rfind(char::is_whitespace).map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        parts.push(&rest[start..]);
        rest = rest[..start].trim_end();
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

fn zfill(text: &str, args: &[Value]) -> Result<Value, Error> {
    const MAX_WIDTH: usize = 1000;
    let (width,): (usize,) = from_args(args)?;
    let missing = width.min(MAX_WIDTH).saturating_sub(text.chars().count());
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (&text[..1], digits),
        None => ("", text),
    };
    Ok(Value::from(format!("{sign}{}{digits}", "0".repeat(missing))))
}
