//! A JSON schema made ready for llguidance, which counts in doubles and looks references up by the letter: what it would
//! take for something else is put so that it does not, or refused by its path.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{json, Map, Number, Value};

use crate::dialect::{self, MAX_LEAST_LENGTH};
use crate::{object_keys, quoted_classes};

type Fields = Map<String, Value>;

/// 2^53: up to here a double holds every integer.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
/// The last double below 2^63, where llguidance's integers end.
const MAX_BOUND: f64 = 9_223_372_036_854_774_784.0;
/// Of schemas inside each other, what references lead to included: llguidance goes so deep on the stack.
const MAX_LEVELS: usize = 600;

pub fn prepare(schema: &mut Value) -> Result<(), String> {
    let mut need_one_spelling = false;
    each_schema(schema, "", &mut |fields, path| {
        need_one_spelling |= object_keys::need_one_spelling(fields);
        exact_constants(fields, path)?;
        short_constants(fields, path)?;
        narrow_bounds(fields, path)?;
        plain_counts(fields);
        plain_strings(fields, path)
    })?;
    plain_references(schema)?;
    let mut depth = Depth { root: schema, seen: BTreeSet::new() };
    depth.measure(schema, 0)?;
    look_for_loops(schema, &depth.seen)?;
    object_keys::check(schema)?;
    if need_one_spelling {
        object_keys::give_one_spelling(schema);
        each_schema(schema, "", &mut |fields, path| object_keys::check_spelling(fields, path))?;
    }
    Ok(())
}

/// Calls `visit` for every schema within `value`, and for what might be one: objects under keys that mean nothing.
fn each_schema<F>(value: &mut Value, path: &str, visit: &mut F) -> Result<(), String>
where
    F: FnMut(&mut Fields, &str) -> Result<(), String>,
{
    match value {
        Value::Object(fields) => {
            visit(fields, path)?;
            for (key, field) in fields.iter_mut() {
                let path = join(path, key);
                match (key.as_str(), field) {
                    ("const" | "enum" | "default" | "examples", _) => {}
                    ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(named)) => {
                        for (name, schema) in named.iter_mut() {
                            each_schema(schema, &join(&path, name), visit)?;
                        }
                    }
                    (_, field) => each_schema(field, &path, visit)?,
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                each_schema(item, &format!("{path}[{at}]"), visit)?;
            }
        }
        _ => {}
    }
    Ok(())
}

pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() || key.is_empty() {
        format!("{path}{key}")
    } else {
        format!("{path}.{key}")
    }
}

fn exact_constants(fields: &Fields, path: &str) -> Result<(), String> {
    ["const", "enum"].iter().try_for_each(|key| match fields.get(*key) {
        Some(value) => exact_numbers(value, &join(path, key)),
        None => Ok(()),
    })
}

fn short_constants(fields: &Fields, path: &str) -> Result<(), String> {
    let values = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
    match fields.get("const").into_iter().chain(values).map(|value| value.to_string().len()).max() {
        Some(longest) if longest > MAX_LEAST_LENGTH => Err(format!(
            "{}: expected values of at most {MAX_LEAST_LENGTH} bytes, got {longest}",
            join(path, if fields.contains_key("const") { "const" } else { "enum" })
        )),
        _ => Ok(()),
    }
}

fn exact_numbers(value: &Value, path: &str) -> Result<(), String> {
    match value {
        Value::Number(number) if !is_exact(number) => Err(format!(
            "{path}: expected numbers from -2^53 to 2^53 or 64-bit integers that a double holds, got {number}"
        )),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(at, item)| exact_numbers(item, &format!("{path}[{at}]")))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(key, field)| exact_numbers(field, &join(path, key))),
        _ => Ok(()),
    }
}

fn is_exact(number: &Number) -> bool {
    let double = number.as_f64().unwrap_or(f64::INFINITY);
    let is_same = |integer: i64| integer != i64::MIN && double as i128 == i128::from(integer);
    double.abs() < MAX_EXACT || number.as_i64().is_some_and(is_same)
}

/// Bounds that llguidance would round, or has no room for, become the next ones inside. A few numbers at the edge are
/// then not written, and none beyond it.
fn narrow_bounds(fields: &mut Fields, path: &str) -> Result<(), String> {
    let is_integer = fields.get("type").is_some_and(|kind| kind == "integer");
    let mut has_changed = false;
    for (key, exclusive_key, sign) in [("minimum", "exclusiveMinimum", -1), ("maximum", "exclusiveMaximum", 1)] {
        // In draft 4 the exclusive one is a boolean.
        let is_exclusive = fields.get(exclusive_key).is_some_and(|value| value == true);
        for (key, is_strict) in [(key, is_exclusive), (exclusive_key, true)] {
            let Some(Value::Number(number)) = fields.get(key) else { continue };
            let given = number.as_f64().unwrap_or(f64::INFINITY);
            if given.abs() < MAX_EXACT {
                continue;
            }
            let bound = number.as_i128().unwrap_or(given as i128).saturating_mul(sign);
            let inside = last_double(bound, is_strict, is_integer)
                .ok_or_else(|| format!("{}: expected a bound from -2^63 to 2^63, got {number}", join(path, key)))?;
            fields.insert(key.into(), json!(inside * sign as f64));
            has_changed = true;
        }
    }
    let bound = |key| fields.get(key).and_then(Value::as_f64);
    let least = [bound("minimum"), bound("exclusiveMinimum")].into_iter().flatten().reduce(f64::max);
    let most = [bound("maximum"), bound("exclusiveMaximum")].into_iter().flatten().reduce(f64::min);
    match (least, most) {
        (Some(least), Some(most)) if has_changed && least > most => {
            let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
            Err(format!("{path}expected bounds with an integer that a double holds between them"))
        }
        _ => Ok(()),
    }
}

/// The last double that stays within a maximum, also as llguidance writes it: with the digits that tell it from others
/// and zeros. For integers it writes it exactly.
fn last_double(bound: i128, is_strict: bool, is_integer: bool) -> Option<f64> {
    let is_within = |double: f64| {
        let shown = if is_integer { double as i128 } else { format!("{double}").parse().unwrap_or(i128::MAX) };
        let most = shown.max(double as i128);
        most < bound || (most == bound && !is_strict)
    };
    let mut double = (bound as f64).min(MAX_BOUND);
    while !is_within(double) {
        double = double.next_down();
    }
    (double >= -MAX_BOUND).then_some(double)
}

/// llguidance refuses a key it does not know even where it asks for nothing, and 3.0 for a count.
fn plain_counts(fields: &mut Fields) {
    if fields.get("uniqueItems") == Some(&Value::Bool(false)) {
        fields.remove("uniqueItems");
    }
    for key in ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"] {
        let Some(count) = fields.get_mut(key) else { continue };
        if let Some(whole) = count.as_f64().filter(|given| given.fract() == 0.0 && (0.0..MAX_EXACT).contains(given)) {
            *count = json!(whole as u64);
        }
    }
}

fn plain_strings(fields: &mut Fields, path: &str) -> Result<(), String> {
    if let Some(least) =
        fields.get("minLength").and_then(Value::as_u64).filter(|&least| least > MAX_LEAST_LENGTH as u64)
    {
        return Err(format!("{}: expected at most {MAX_LEAST_LENGTH}, got {least}", join(path, "minLength")));
    }
    if let Some(Value::String(pattern)) = fields.get_mut("pattern") {
        *pattern = plain_pattern(pattern).map_err(|error| format!("{}: {error}", join(path, "pattern")))?;
    }
    let Some(Value::Object(patterns)) = fields.get_mut("patternProperties") else { return Ok(()) };
    let path = join(path, "patternProperties");
    let entries = std::mem::take(patterns);
    for (pattern, schema) in entries {
        patterns.insert(plain_pattern(&pattern).map_err(|error| format!("{path}: {error}"))?, schema);
    }
    Ok(())
}

fn plain_pattern(pattern: &str) -> Result<String, String> {
    quoted_classes::quotable(&dialect::plain(pattern)?)
}

/// llguidance takes the parts of a reference by the letter. Those with escapes get references without them; what has a
/// slash in its name moves to a place that has none.
fn plain_references(schema: &mut Value) -> Result<(), String> {
    let mut references = BTreeSet::new();
    each_schema(schema, "", &mut |fields, _| {
        references.extend(fields.get("$ref").and_then(Value::as_str).map(String::from));
        Ok(())
    })?;
    let mut plain = BTreeMap::new();
    let mut places: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for reference in references {
        let Some(place) = parts(&reference).filter(|place| lookup(schema, place).is_some()) else { continue };
        if place.iter().any(|part| part.contains('/')) {
            places.entry(place).or_default().push(reference);
        } else if format!("#/{}", place.join("/")) != reference {
            plain.insert(reference, format!("#/{}", place.join("/")));
        }
    }
    // What lies within another moves first.
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by_key(|(place, _)| std::cmp::Reverse(place.len()));
    for (place, references) in places {
        let alias = move_to_definitions(schema, &place)?;
        plain.extend(references.into_iter().map(|reference| (reference, alias.clone())));
    }
    if plain.is_empty() {
        return Ok(());
    }
    each_schema(schema, "", &mut |fields, _| {
        if let Some(Value::String(reference)) = fields.get_mut("$ref") {
            if let Some(new) = plain.get(reference) {
                reference.clone_from(new);
            }
        }
        Ok(())
    })
}

/// Of a JSON pointer in a URI's fragment. None: it is none, or has no escapes and is that of the root.
fn parts(reference: &str) -> Option<Vec<String>> {
    let pointer = percent_decoded(reference.strip_prefix("#/").filter(|pointer| !pointer.is_empty())?)?;
    pointer.split('/').map(unescaped).collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

fn unescaped(part: &str) -> Option<String> {
    let is_escape = |after: &str| after.starts_with('0') || after.starts_with('1');
    let is_well_formed = part.split('~').skip(1).all(is_escape);
    is_well_formed.then(|| part.replace("~1", "/").replace("~0", "~"))
}

fn lookup<'a>(root: &'a Value, place: &[String]) -> Option<&'a Value> {
    place.iter().try_fold(root, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => value.get(part),
    })
}

fn lookup_mut<'a>(root: &'a mut Value, place: &[String]) -> Option<&'a mut Value> {
    place.iter().try_fold(root, |value, part| match value {
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => value.get_mut(part),
    })
}

/// Leaves a reference behind, and returns it.
fn move_to_definitions(root: &mut Value, place: &[String]) -> Result<String, String> {
    let fields = root.as_object_mut().ok_or("expected an object")?;
    let named = fields.entry("$defs").or_insert_with(|| json!({}));
    let named = named.as_object_mut().ok_or("$defs: expected an object")?;
    let number = (named.len()..).find(|number| !named.contains_key(&format!("moved {number}"))).unwrap_or_default();
    let name = format!("moved {number}");
    named.insert(name.clone(), Value::Null);
    let alias = format!("#/$defs/{name}");
    let target = lookup_mut(root, place).ok_or("expected what is referred to")?;
    let moved = std::mem::replace(target, json!({ "$ref": alias }));
    root["$defs"][&name] = moved;
    Ok(alias)
}

/// A schema that stands right in another.
pub struct Child<'a> {
    key: &'static str,
    /// Under the key: a name, or a number in brackets.
    place: String,
    pub schema: &'a Value,
}

impl Child<'_> {
    pub fn path(&self, parent: &str) -> String {
        let path = join(parent, self.key);
        if self.place.starts_with('[') {
            path + &self.place
        } else {
            join(&path, &self.place)
        }
    }

    pub fn holds_for_the_same_value(&self) -> bool {
        matches!(self.key, "allOf" | "anyOf" | "oneOf")
    }
}

/// As far as llguidance knows their keys.
pub fn children(schema: &Value) -> Vec<Child<'_>> {
    const ONE: [&str; 3] = ["items", "additionalItems", "additionalProperties"];
    const SEVERAL: [&str; 5] = ["items", "prefixItems", "allOf", "anyOf", "oneOf"];
    const NAMED: [&str; 2] = ["properties", "patternProperties"];
    let mut all = Vec::new();
    for key in ONE {
        all.extend(schema.get(key).map(|schema| Child { key, place: String::new(), schema }));
    }
    for key in SEVERAL {
        let items = schema.get(key).and_then(Value::as_array).into_iter().flatten().enumerate();
        all.extend(items.map(|(at, schema)| Child { key, place: format!("[{at}]"), schema }));
    }
    for key in NAMED {
        let fields = schema.get(key).and_then(Value::as_object).into_iter().flatten();
        all.extend(fields.map(|(name, schema)| Child { key, place: name.clone(), schema }));
    }
    all.retain(|child| child.schema.is_object());
    all
}

pub fn reference_of(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)
}

pub fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    if reference == "#" || reference == "#/" {
        return Some(root);
    }
    let place: Vec<String> = reference.strip_prefix("#/")?.split('/').map(String::from).collect();
    lookup(root, &place)
}

/// Goes where llguidance goes, in its order.
struct Depth<'a> {
    root: &'a Value,
    seen: BTreeSet<&'a str>,
}

impl<'a> Depth<'a> {
    fn measure(&mut self, schema: &'a Value, level: usize) -> Result<(), String> {
        if level > MAX_LEVELS {
            return Err(format!("expected at most {MAX_LEVELS} schemas inside each other and behind $ref, got more"));
        }
        for child in children(schema) {
            self.measure(child.schema, level + 1)?;
        }
        let Some(reference) = reference_of(schema) else { return Ok(()) };
        match target(self.root, reference) {
            Some(target) if self.seen.insert(reference) => self.measure(target, level + 1),
            _ => Ok(()),
        }
    }
}

/// References that lead back to themselves with nothing in between allow no text at all. Those that come to an end are
/// gathered until there are no more.
fn look_for_loops(root: &Value, references: &BTreeSet<&str>) -> Result<(), String> {
    let mut open: Vec<&str> = references.iter().copied().collect();
    loop {
        let num_open = open.len();
        // Backwards and forwards in turns: chains are mostly numbered one way or the other.
        open.reverse();
        let mut still_open: BTreeSet<&str> = open.iter().copied().collect();
        open.retain(|reference| {
            let ends = target(root, reference).is_none_or(|schema| comes_to_an_end(schema, &still_open));
            if ends {
                still_open.remove(reference);
            }
            !ends
        });
        match open.first() {
            None => return Ok(()),
            Some(reference) if open.len() == num_open => {
                return Err(format!("$ref: expected one that does not lead back to itself, got '{reference}'"));
            }
            _ => {}
        }
    }
}

fn comes_to_an_end(schema: &Value, open: &BTreeSet<&str>) -> bool {
    let list = |key| schema.get(key).and_then(Value::as_array).filter(|list| !list.is_empty());
    let each = |key| list(key).is_none_or(|all| all.iter().all(|one| comes_to_an_end(one, open)));
    let some = |key| list(key).is_none_or(|any| any.iter().any(|one| comes_to_an_end(one, open)));
    reference_of(schema).is_none_or(|reference| !open.contains(reference))
        && each("allOf")
        && some("anyOf")
        && some("oneOf")
}
