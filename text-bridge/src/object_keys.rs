//! Whether objects have the keys that their schema asks for. llguidance counts the pairs it writes: each key that is
//! required or named once, but those of `patternProperties` and `additionalProperties` as often as it likes, and of pairs
//! with the same key a reader keeps one. Where such pairs may be written, only the first of them is sure to be another key.

use std::collections::BTreeSet;
use std::ptr;

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Value};

use crate::schema::{children, join, reference_of, target};

/// Of keys and schemas looked at for all counts together. A schema that takes more is refused, as if no more were required.
const MAX_WORK: usize = 200_000;

pub fn check(root: &Value) -> Result<(), String> {
    let mut keys = Keys { root, seen: BTreeSet::new(), work: 0 };
    let mut open = vec![(String::new(), root)];
    while let Some((path, schema)) = open.pop() {
        keys.check(schema, &path, &[], &mut open)?;
    }
    Ok(())
}

struct Keys<'a> {
    root: &'a Value,
    seen: BTreeSet<&'a str>,
    work: usize,
}

impl<'a> Keys<'a> {
    /// `around`: schemas that hold for the same value. What is referred to is checked by itself, and put into `open`.
    fn check(
        &mut self,
        schema: &'a Value,
        path: &str,
        around: &[&'a Value],
        open: &mut Vec<(String, &'a Value)>,
    ) -> Result<(), String> {
        let around = [around, &[schema]].concat();
        self.check_count(schema, path, &around)?;
        for child in children(schema) {
            let around: &[&Value] = if child.holds_for_the_same_value() { &around } else { &[] };
            self.check(child.schema, &child.path(path), around, open)?;
        }
        if let Some(reference) = reference_of(schema).filter(|reference| self.seen.insert(reference)) {
            let path = reference.trim_start_matches(['#', '/']).replace('/', ".");
            open.extend(target(self.root, reference).map(|target| (path, target)));
        }
        Ok(())
    }

    fn check_count(&mut self, schema: &'a Value, path: &str, around: &[&'a Value]) -> Result<(), String> {
        let Some(least) = schema.get("minProperties").and_then(Value::as_u64).filter(|&least| least > 1) else {
            return Ok(());
        };
        let sure = self.sure(around);
        if sure.has(least) || sure.choices.iter().any(|options| self.each_has(options, around, least)) {
            return Ok(());
        }
        Err(format!(
            "{}: expected at most {}, one more than the keys required (others may be written twice), got {least}",
            join(path, "minProperties"),
            sure.names.len() + 1
        ))
    }

    fn each_has(&mut self, options: &'a [Value], around: &[&'a Value], least: u64) -> bool {
        options.iter().all(|option| self.sure(&[around, &[option]].concat()).has(least))
    }

    /// Of a value for which all of `schemas` hold.
    fn sure(&mut self, schemas: &[&'a Value]) -> Sure<'a> {
        let mut sure = Sure::default();
        let mut open = schemas.to_vec();
        let mut seen = BTreeSet::new();
        while let Some(schema) = open.pop().filter(|_| self.work < MAX_WORK) {
            self.work += 1;
            if !seen.insert(ptr::from_ref(schema)) {
                continue;
            }
            let list = |key| schema.get(key).and_then(Value::as_array).into_iter().flatten();
            let referred = reference_of(schema).and_then(|reference| target(self.root, reference));
            open.extend(list("allOf").chain(referred));
            for name in list("required").filter_map(Value::as_str) {
                self.work += 1;
                sure.names.insert(name);
            }
            sure.is_closed |= is_closed(schema);
            let choice = |key: &&str| Some(schema.get(key)?.as_array()?.as_slice());
            sure.choices.extend(["anyOf", "oneOf"].iter().filter_map(choice));
        }
        sure
    }
}

#[derive(Default)]
struct Sure<'a> {
    names: BTreeSet<&'a str>,
    /// No keys but those that are named.
    is_closed: bool,
    choices: Vec<&'a [Value]>,
}

impl Sure<'_> {
    fn has(&self, least: u64) -> bool {
        self.is_closed || least <= self.names.len() as u64 + 1
    }
}

/// Also that which allows no objects.
fn is_closed(schema: &Value) -> bool {
    let names_objects = match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => true,
    };
    !names_objects || schema.get("const").is_some() || schema.get("enum").is_some() || has_named_keys_only(schema)
}

fn has_named_keys_only(schema: &Value) -> bool {
    let has_patterns = schema.get("patternProperties").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
    schema.get("additionalProperties") == Some(&Value::Bool(false)) && !has_patterns
}

/// Escapes that leave one spelling to every key: all but \uXXXX.
const ONE_SPELLING: &str = "nrbtf\\\"";

/// llguidance knows a key that has a schema of its own, by name or pattern, only as it would write it itself: spelled in
/// another way it would be taken for one that has not.
pub fn need_one_spelling(fields: &Map<String, Value>) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    let has = |key| fields.get(key).is_some_and(|value| !is_empty(value));
    let has_names = has("properties") || has("required");
    let has_others = fields.get("additionalProperties") != Some(&Value::Bool(false));
    [has_names, has("patternProperties"), has_others].iter().filter(|has| **has).count() > 1
}

pub fn give_one_spelling(root: &mut Value) {
    let Value::Object(fields) = root else { return };
    let options = fields.entry("x-guidance").or_insert_with(|| Map::new().into());
    if let Value::Object(options) = options {
        options.insert("json_allowed_escapes".into(), ONE_SPELLING.into());
    }
}

/// What cannot be written then. Of an expression llguidance would leave it out.
pub fn check_spelling(fields: &Map<String, Value>, path: &str) -> Result<(), String> {
    let refusal = |key: &str| {
        format!(
            "{}: expected no control character that only \\uXXXX writes, as there are objects whose keys may be others \
             than those named",
            join(path, key)
        )
    };
    for key in ["const", "enum"] {
        if fields.get(key).is_some_and(has_unspelled) {
            return Err(refusal(key));
        }
    }
    if fields.get("pattern").and_then(Value::as_str).is_some_and(asks_for_unspelled) {
        return Err(refusal("pattern"));
    }
    let patterns = fields.get("patternProperties").and_then(Value::as_object);
    match patterns.is_some_and(|patterns| patterns.keys().any(|pattern| asks_for_unspelled(pattern))) {
        true => Err(refusal("patternProperties")),
        false => Ok(()),
    }
}

fn is_unspelled(letter: char) -> bool {
    matches!(letter, '\0'..' ' | '\x7f') && !"\u{8}\t\n\u{c}\r".contains(letter)
}

fn has_unspelled(constant: &Value) -> bool {
    match constant {
        Value::String(text) => text.contains(is_unspelled),
        Value::Array(items) => items.iter().any(has_unspelled),
        Value::Object(fields) => fields.values().any(has_unspelled),
        _ => false,
    }
}

fn asks_for_unspelled(expression: &str) -> bool {
    regex_syntax::parse(expression).is_ok_and(|hir| has_unspelled_part(&hir))
}

fn has_unspelled_part(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).contains(is_unspelled),
        HirKind::Class(Class::Unicode(class)) => {
            !class.ranges().is_empty() && class.iter().all(|range| (range.start()..=range.end()).all(is_unspelled))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let is_unspelled = |byte: u8| is_unspelled(char::from(byte));
            !class.ranges().is_empty() && class.iter().all(|range| (range.start()..=range.end()).all(is_unspelled))
        }
        HirKind::Repetition(repetition) => has_unspelled_part(&repetition.sub),
        HirKind::Capture(capture) => has_unspelled_part(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(has_unspelled_part),
        HirKind::Empty | HirKind::Look(_) => false,
    }
}
