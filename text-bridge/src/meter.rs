//! What a rendering makes: text and lists, bounded by bytes as minijinja's fuel bounds instructions. A step is charged
//! before it is done where it can make many times of what it is given, else after it.

use crate::{memory, python};
use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{filters, functions, Environment, Error, ErrorKind, State};

/// Names of filters that `metered_code` calls, which no template can write.
pub const ADD: &str = "+";
pub const CONCAT: &str = "~";
pub const CHECK_REPEAT: &str = "*";
pub const CHARGE: &str = "charge-text";
pub const CHARGE_LIST: &str = "charge-list";
pub const CHARGE_NEST: &str = "charge-nest";
pub const WEIGH: &str = "weigh-operands";
/// A variable that is 1.
pub const ONE: &str = "_one";

/// Held at one time, beside the conversation: several times the longest prompt.
const MAX_HELD: usize = 128 << 20;
/// Made from beginning to end, which takes a second: text that grows in each round of a loop is made anew each time.
const MAX_MADE: usize = 2 << 30;
/// What an item of a list costs.
const ITEM: usize = 32;
/// What one namespace is charged: each can hold another, so this bounds how deep they can.
const NAMESPACE: usize = 256 << 10;
/// Values are freed, printed and compared by recursion.
const MAX_DEPTH: usize = 200;

struct Meter {
    held_before: isize,
    made: usize,
}

fn meter<'a>(state: &'a mut State) -> &'a mut Meter {
    state.get_or_insert_extension_with(|| Meter { held_before: memory::held(), made: 0 })
}

fn too_large() -> Error {
    let reason = format!(
        "it makes more text and lists than a chat template may: {} MiB at one time, {} MiB in all",
        MAX_HELD >> 20,
        MAX_MADE >> 20
    );
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// Work that makes nothing which stays.
fn charge_work(state: &mut State, bytes: usize) -> Result<(), Error> {
    let meter = meter(state);
    meter.made = meter.made.saturating_add(bytes);
    if meter.made > MAX_MADE {
        return Err(too_large());
    }
    Ok(())
}

/// `bytes` are about to be made.
pub fn charge(state: &mut State, bytes: usize) -> Result<(), Error> {
    charge_work(state, bytes)?;
    let held = usize::try_from(memory::held() - meter(state).held_before).unwrap_or(0);
    if held.saturating_add(bytes) > MAX_HELD {
        return Err(too_large());
    }
    Ok(())
}

/// Bytes of a text, or of a list without what its items hold.
fn size(value: &Value) -> usize {
    match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => value.len().unwrap_or(0).saturating_mul(ITEM),
        _ => 0,
    }
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// The same with all that it holds, each time it holds it; at most a little more than `limit`.
fn whole_size(value: &Value, limit: usize, depth: usize) -> Result<usize, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "a value is nested too deeply"));
    }
    let mut total = size(value);
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Ok(total);
    }
    for item in value.try_iter()? {
        if total > limit {
            break;
        }
        if value.kind() == ValueKind::Map {
            let of_key = value.get_item(&item)?;
            total = total.saturating_add(whole_size(&of_key, limit - total, depth + 1)?);
        }
        total = total.saturating_add(whole_size(&item, limit.saturating_sub(total), depth + 1)?);
    }
    Ok(total)
}

fn whole_sizes(values: &[Value]) -> Result<usize, Error> {
    values.iter().try_fold(0, |total: usize, value| Ok(total.saturating_add(whole_size(value, MAX_HELD, 0)?)))
}

/// The largest number among arguments, by place or by name.
fn largest(arguments: &[Value]) -> usize {
    let one = |value: &Value| value.as_usize().unwrap_or(0);
    let many = |value: &Value| match value.kind() {
        ValueKind::Map => value
            .try_iter()
            .ok()
            .into_iter()
            .flatten()
            .filter_map(|key| value.get_item(&key).ok())
            .map(|v| one(&v))
            .max(),
        _ => Some(one(value)),
    };
    arguments.iter().filter_map(many).max().unwrap_or(0)
}

/// What filters and methods of these names make at most, where that may be far more than they are given.
pub fn charge_call(state: &mut State, name: &str, arguments: &[Value]) -> Result<(), Error> {
    let Some((value, rest)) = arguments.split_first() else { return Ok(()) };
    let bytes = match name {
        "join" => {
            let joiner = whole_sizes(rest)?;
            whole_sizes(&arguments[..1])?.saturating_add(value.len().unwrap_or(0).saturating_mul(joiner))
        }
        "replace" => {
            let (text, from) =
                (python::to_str(value)?, rest.first().map(python::to_str).transpose()?.unwrap_or_default());
            let to = rest.get(1).map(python::to_str).transpose()?.unwrap_or_default();
            text.len().saturating_add(text.matches(from.as_str()).count().saturating_mul(to.len()))
        }
        "indent" => {
            let text = value.as_str().unwrap_or_default();
            (text.matches('\n').count() + 2).saturating_mul(largest(rest)).saturating_add(text.len())
        }
        "format" => format_size(value.as_str().unwrap_or_default(), rest)?,
        "batch" | "slice" if value.as_str().is_some() => size(value).saturating_mul(ITEM),
        "batch" if rest.len() > 1 => largest(&rest[..1]).saturating_mul(ITEM),
        "slice" => largest(rest).saturating_mul(ITEM),
        "sum" => match rest.is_empty() && is_list(value) && value.try_iter()?.all(|item| !is_list(&item)) {
            true => 0, // numbers, or an error
            false => whole_sizes(arguments)?.saturating_mul(value.len().unwrap_or(0)),
        },
        // A text is a list of its characters here.
        "list" | "sort" | "unique" | "reverse" | "select" | "reject" | "zip" => size(value).saturating_mul(ITEM),
        "split" | "rsplit" | "splitlines" | "lines" => {
            let text = value.as_str().unwrap_or_default();
            let separator = rest.first().and_then(Value::as_str);
            let lines = if name.contains("lines") { Some("\n") } else { separator };
            let pieces = lines.map_or_else(|| text.split_whitespace().count(), |s| text.matches(s).count() + 1);
            pieces.saturating_mul(ITEM).saturating_add(text.len())
        }
        "map" if value.as_str().is_some() => size(value).saturating_mul(ITEM),
        "map" => {
            let mut total: usize = 0;
            for item in value.try_iter().into_iter().flatten() {
                total = total.saturating_add(size(&item)).saturating_add(ITEM);
            }
            total
        }
        _ => 0,
    };
    charge(state, bytes)
}

/// The operands of what reads them whole, last first.
fn weigh(state: &mut State, operands: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut operands = operands.into_values();
    let both_hold = operands.iter().all(|value| value.kind() == ValueKind::Map || is_list(value));
    let bytes = if both_hold { whole_sizes(&operands)? } else { operands.iter().map(size).sum() };
    charge_work(state, bytes)?;
    operands.reverse();
    Ok(Value::from(operands))
}

/// A method of a text reads it.
pub fn charge_method(state: &mut State, text: &Value, arguments: &[Value]) -> Result<(), Error> {
    charge_work(state, arguments.iter().map(size).sum::<usize>().saturating_add(size(text)))
}

/// Each place of a format holds all arguments at most, padded to the widths that the format gives, or, by a star or
/// within braces, an argument.
fn format_size(format: &str, arguments: &[Value]) -> Result<usize, Error> {
    let widths = format.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let widths = widths.fold(0usize, |sum, digits| sum.saturating_add(digits.parse().unwrap_or(usize::MAX)));
    let places = format.matches(['%', '{']).count();
    let given = if format.contains(['*', ':']) { largest(arguments) } else { 0 };
    let each = whole_sizes(arguments)?.saturating_add(given);
    Ok(places.saturating_mul(each).saturating_add(widths).saturating_add(format.len()))
}

/// Python's `a + b`.
fn add(state: &mut State, a: &Value, b: &Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        charge(state, a.len() + b.len())?;
        return Ok(Value::from([a, b].concat()));
    }
    if b.is_undefined() || (a.is_number() && !b.is_number() && b.kind() != ValueKind::Bool) {
        let reason = format!("tried to use + operator on unsupported types {} and {}", a.kind(), b.kind());
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    let no_options = Kwargs::from_iter(std::iter::empty::<(String, Value)>());
    // A list that grows by little is copied now and then only.
    charge(state, size(a).min(size(b)).saturating_add((size(a).saturating_add(size(b))) / ITEM))?;
    filters::sum(state, Value::from(vec![b.clone()]), None, Some(a.clone()), no_options)
}

/// jinja2's `a ~ b`.
fn concat(state: &mut State, a: &Value, b: &Value) -> Result<Value, Error> {
    let text = python::to_str(a)? + &python::to_str(b)?;
    charge(state, text.len())?;
    Ok(Value::from(text))
}

/// The operands of `a * b`, if their product may be made.
fn check_repeat(state: &mut State, a: &Value, b: &Value) -> Result<Value, Error> {
    let times = a.as_usize().or(b.as_usize()).unwrap_or(1);
    charge(state, size(a).saturating_add(size(b)).saturating_mul(times))?;
    Ok(Value::from(vec![a.clone(), b.clone()]))
}

fn charge_value(state: &mut State, value: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let value = value.into_values().into_iter().next().unwrap_or_default();
    charge_work(state, size(&value))?;
    charge(state, 0)?;
    Ok(value)
}

/// Lists that are not made until they are read are made now: else one would be read through any number of others.
fn charge_list(state: &mut State, value: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let value = charge_value(state, value)?;
    if value.kind() != ValueKind::Iterable {
        return Ok(value);
    }
    charge(state, size(&value))?;
    Ok(value.try_iter()?.collect())
}

/// Looks at all that it holds: so values are neither nested deeply nor hold one another too often.
fn charge_nest(state: &mut State, value: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let value = value.into_values().into_iter().next().unwrap_or_default();
    let bytes = whole_size(&value, MAX_HELD, 0)?;
    if bytes > MAX_HELD {
        return Err(too_large());
    }
    charge_work(state, bytes)?;
    charge(state, 0)?;
    Ok(value)
}

fn charged_filter(environment: &mut Environment, name: &'static str, filter: Value) {
    environment.add_filter(name, move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        charge_call(state, name, &arguments)?;
        filter.call(state, &arguments)
    });
}

pub fn add_to(environment: &mut Environment) {
    charged_filter(environment, "join", Value::from_function(filters::join));
    charged_filter(environment, "replace", Value::from_function(filters::replace));
    charged_filter(environment, "indent", Value::from_function(filters::indent));
    charged_filter(environment, "format", Value::from_function(filters::format));
    charged_filter(environment, "batch", Value::from_function(filters::batch));
    charged_filter(environment, "slice", Value::from_function(filters::slice));
    charged_filter(environment, "sum", Value::from_function(filters::sum));
    charged_filter(environment, "map", Value::from_function(filters::map));
    charged_filter(environment, "list", Value::from_function(filters::list));
    charged_filter(environment, "sort", Value::from_function(filters::sort));
    charged_filter(environment, "unique", Value::from_function(filters::unique));
    charged_filter(environment, "reverse", Value::from_function(filters::reverse));
    charged_filter(environment, "select", Value::from_function(filters::select));
    charged_filter(environment, "reject", Value::from_function(filters::reject));
    charged_filter(environment, "zip", Value::from_function(filters::zip));
    charged_filter(environment, "split", Value::from_function(filters::split));
    charged_filter(environment, "lines", Value::from_function(filters::lines));
    environment.add_filter(WEIGH, weigh);
    environment.add_filter("pprint", |value: &Value| python::repr(value));
    environment.add_filter(ADD, add);
    environment.add_filter(CONCAT, concat);
    environment.add_filter(CHECK_REPEAT, check_repeat);
    environment.add_filter(CHARGE, charge_value);
    environment.add_filter(CHARGE_LIST, charge_list);
    environment.add_filter(CHARGE_NEST, charge_nest);
    // It prints all there is, and jinja2 knows it by an extension only.
    environment.remove_global("debug");
    environment.add_global(ONE, 1);
    environment.add_function("namespace", |state: &mut State, given: Option<ValueOrKwargs>| {
        charge_work(state, NAMESPACE)?;
        functions::namespace(given)
    });
}
