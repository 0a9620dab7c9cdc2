//! What llguidance does with expressions before anything can stop it, reckoned beforehand. Of four things it sets no
//! bound: a terminal becomes one flat sequence, with the terminals it names copied into it as often as they stand there;
//! the first step into a sequence lists what may follow each of its parts that may be left out; what may follow in each
//! of several expressions that must all match is combined with that of all the others; and after the first step into
//! those it looks for a text that all of them match.

use std::collections::BTreeMap;

use llguidance::api::ParserLimits;
use llguidance::derivre::raw::ExprSet;
use llguidance::derivre::{ExprRef, RegexAst, RegexBuilder};
use llguidance::earley::lexerspec::LexerSpec;
use serde_json::{Deserializer, Value};

/// More than the longest grammar has if no terminal names another.
const MAX_PARTS: usize = 300_000;
/// Summed over every place in every expression, 16 ns and 8 bytes each. 2,800 parts in a row that may all be left out
/// have so many.
const MAX_WAYS: u64 = 4_000_000;
/// Of the ways on in expressions that must all match.
const MAX_COMBINATIONS: u64 = 1 << 22;
/// For the first step into all expressions, in a unit of 0.1 to 1 µs.
const FIRST_STEP_FUEL: u64 = 5_000_000;
/// By which the ways on from a place are told apart.
const NUM_BYTES: u64 = 256;

/// The terminals of a grammar in Lark.
pub fn check_terminals(lark: &str) -> Result<(), String> {
    let mut sizes = Sizes { definitions: definitions(lark), known: BTreeMap::new() };
    let names: Vec<&str> = sizes.definitions.keys().copied().collect();
    for name in names {
        if sizes.of(name) > MAX_PARTS {
            let what = if name.is_empty() { "a rule" } else { name };
            return Err(format!(
                "{what}: expected at most {MAX_PARTS} parts, with those of each terminal wherever one is named"
            ));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Definition<'a> {
    num_parts: usize,
    terminals: Vec<&'a str>, // as often as it names them
}

/// By name those of terminals, and under "" all that may become one without a name: what %ignore skips, and rules with
/// attributes or a negation. Other rules refer to what they name.
fn definitions(lark: &str) -> BTreeMap<&str, Definition<'_>> {
    let mut found: BTreeMap<&str, Definition> = BTreeMap::new();
    let (mut name, mut counts) = ("", false);
    let mut current = Definition::default();
    let mut begins_line = true;
    let mut rest = lark;
    loop {
        let token = next_token(rest);
        let first = token.chars().next();
        let begins = begins_line && first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if begins || first.is_none() {
            let done = std::mem::take(&mut current);
            if counts {
                let known = found.entry(name).or_default();
                known.num_parts += done.num_parts;
                known.terminals.extend(done.terminals);
            }
            name = if is_terminal(token) { token } else { "" };
            counts = is_terminal(token);
        } else if is_terminal(token) {
            current.terminals.push(token);
        }
        match first {
            None => return found,
            Some('"') => current.num_parts += 1,
            Some('/') if !token.starts_with("//") => current.num_parts += token.len(),
            Some('~' | '[') => counts = true,
            Some('%') => counts |= token == "%ignore",
            _ => {}
        }
        if !token.trim_matches([' ', '\t']).is_empty() {
            begins_line = matches!(first, Some('\n' | '{'));
        }
        rest = &rest[token.len()..];
        if matches!(token, "%json" | "%regex" | "%llguidance") {
            rest = after_json(rest);
        }
    }
}

fn is_terminal(token: &str) -> bool {
    token.trim_start_matches('_').starts_with(|c: char| c.is_ascii_uppercase())
}

fn next_token(text: &str) -> &str {
    let is_part = |c: char| matches!(c, '_' | '-') || c.is_ascii_alphanumeric();
    let word = |text: &str| text.find(|c| !is_part(c)).unwrap_or(text.len());
    let Some(first) = text.chars().next() else { return "" };
    let length = match first {
        '#' => text.find('\n').unwrap_or(text.len()),
        '/' if text.starts_with("//") => text.find('\n').unwrap_or(text.len()),
        '/' | '"' => closed(text, first),
        '%' => 1 + word(&text[1..]),
        c if is_part(c) => word(text),
        c => c.len_utf8(),
    };
    &text[..length]
}

/// Up to and with the closing character; what is never closed is for llguidance to refuse.
fn closed(text: &str, close: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == close && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

fn after_json(text: &str) -> &str {
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(_)) => &text[values.byte_offset()..],
        _ => text,
    }
}

struct Sizes<'a> {
    definitions: BTreeMap<&'a str, Definition<'a>>,
    known: BTreeMap<&'a str, usize>,
}

impl<'a> Sizes<'a> {
    /// One that leads back to itself is for llguidance to refuse.
    fn of(&mut self, name: &'a str) -> usize {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        self.known.insert(name, 1);
        let Some(definition) = self.definitions.remove(name) else { return 1 };
        let size = definition.terminals.iter().fold(definition.num_parts, |size, inner| size.saturating_add(self.of(inner)));
        self.known.insert(name, size);
        size
    }
}

/// All expressions of a grammar.
pub fn check_ways(expressions: &ExprSet) -> Result<(), String> {
    let (sequence, conjunction) = (kind_of_sequences(), kind_of_conjunctions());
    let mut ways = vec![1u64; expressions.len()];
    let mut total = 0u64;
    // What an expression is made of stands before it.
    for at in 1..expressions.len() {
        let expression = ExprRef::new(at as u32);
        let parts = expressions.get_args(expression);
        let counts = parts.iter().map(|part| ways[part.as_usize()]);
        let kind = expressions.get_tag(expression) as u8;
        ways[at] = if kind == sequence && !expressions.is_nullable(parts[0]) {
            ways[parts[0].as_usize()]
        } else if kind == conjunction {
            combinations(counts)?
        } else {
            counts.sum::<u64>().max(1)
        };
        total += ways[at];
        if total > MAX_WAYS {
            return Err("expected fewer parts in a row that may be left out, or fewer alternatives".into());
        }
    }
    Ok(())
}

fn combinations(counts: impl Iterator<Item = u64>) -> Result<u64, String> {
    let combined = counts.map(|count| count.min(NUM_BYTES)).fold(1, u64::saturating_mul);
    if combined > MAX_COMBINATIONS {
        return Err("expected fewer expressions, or simpler ones, that must all match at once".into());
    }
    Ok(combined.min(NUM_BYTES))
}

/// Takes the first step as llguidance will, but within a bound. Where nothing must match at once with something else, all
/// there is fits.
pub fn check_first_step(lexer: &LexerSpec) -> Result<(), String> {
    let (expressions, conjunction) = (lexer.regex_builder.exprset(), kind_of_conjunctions());
    let is_conjunction = |at: usize| expressions.get_tag(ExprRef::new(at as u32)) as u8 == conjunction;
    if !(1..expressions.len()).any(is_conjunction) {
        return Ok(());
    }
    let too_many = || "expected fewer expressions or multiples, or simpler ones, that must all match at once".to_string();
    let mut steps = lexer.to_regex_vec(&mut ParserLimits::default()).map_err(|_| too_many())?;
    steps.set_fuel(FIRST_STEP_FUEL);
    let start = steps.initial_state(&lexer.all_lexemes());
    for byte in 0..=u8::MAX {
        steps.transition(start, byte);
        if steps.has_error() {
            return Err(too_many());
        }
    }
    Ok(())
}

/// llguidance does not name its kinds of expressions.
fn kind(example: &RegexAst) -> u8 {
    let mut builder = RegexBuilder::new();
    let made = builder.mk(example).unwrap_or(ExprRef::NO_MATCH);
    builder.exprset().get_tag(made) as u8
}

fn classes() -> Vec<RegexAst> {
    ["[ab]", "[bc]*"].map(|class| RegexAst::Regex(class.into())).into()
}

fn kind_of_sequences() -> u8 {
    kind(&RegexAst::Concat(classes()))
}

fn kind_of_conjunctions() -> u8 {
    kind(&RegexAst::And(classes()))
}
