//! Masks inside strings whose length is bounded. llguidance's slices spare it most of the vocabulary where a string has
//! room for ten more characters or any number; with room for fewer it would try every token. There all that matters of a
//! token without quotes and escapes is how many characters it has.

use std::ops::RangeInclusive;
use std::sync::Arc;

use llguidance::derivre::StateID;
use llguidance::earley::{BiasComputer, ParserRecognizer, SlicedBiasComputer};
use toktrie::{SimpleVob, TokTrie, TokenId};

/// A character that JSON strings hold as it is.
const PLAIN: &str = r#"[^"\\\x00-\x1F\x7F]"#;
/// Of the slices: so many plain characters.
const MAX_SHORT: usize = 10;
const SHORT_SLICE: usize = 1;
/// What finding out whether a slice fits may cost, as much as llguidance itself grants.
const SLICE_FUEL: u64 = 1000;

/// Plain characters of one byte, and how those of more begin, each with the number of continuation bytes 0x80 to 0xBF
/// at its end.
const ONE_BYTE: [RangeInclusive<u8>; 3] = [b' '..=b'!', b'#'..=b'[', b']'..=b'~'];
const MORE_BYTES: [(RangeInclusive<u8>, RangeInclusive<u8>, usize); 8] = [
    (0xC2..=0xDF, 0x80..=0xBF, 0),
    (0xE0..=0xE0, 0xA0..=0xBF, 1),
    (0xE1..=0xEC, 0x80..=0xBF, 1),
    (0xED..=0xED, 0x80..=0x9F, 1),
    (0xEE..=0xEF, 0x80..=0xBF, 1),
    (0xF0..=0xF0, 0x90..=0xBF, 2),
    (0xF1..=0xF3, 0x80..=0xBF, 2),
    (0xF4..=0xF4, 0x80..=0x8F, 2),
];

pub fn slices() -> Vec<String> {
    vec![
        r"[\x20\x0A\x0D\x09]+".into(),
        format!("{PLAIN}{{1,{MAX_SHORT}}}"),
        format!("{PLAIN}{{1,30}}"),
        format!("{PLAIN}+"),
    ]
}

pub struct ShortStringBias {
    sliced: Arc<SlicedBiasComputer>,
    /// The tokens of at most so many plain characters and nothing else.
    plain_up_to: Vec<SimpleVob>,
    /// All that are not plain characters alone.
    others: TokTrie,
}

impl ShortStringBias {
    pub fn new(trie: &TokTrie, sliced: Arc<SlicedBiasComputer>) -> Self {
        let mut plain_up_to = vec![trie.alloc_token_set(); MAX_SHORT + 1];
        let mut others = trie.alloc_token_set();
        for token in 0..trie.vocab_size() as TokenId {
            match num_plain_chars(trie.token(token)) {
                Some(count) => plain_up_to.iter_mut().skip(count).for_each(|set| set.allow_token(token)),
                None => others.allow_token(token),
            }
        }
        Self { sliced, plain_up_to, others: trie.filter(&others) }
    }
}

impl BiasComputer for ShortStringBias {
    fn compute_bias(&self, recognizer: &mut ParserRecognizer<'_>, start: &[u8]) -> SimpleVob {
        match room_for_plain_chars(recognizer) {
            Some(count) if start.is_empty() => {
                let mut set = self.plain_up_to[count].clone();
                self.others.add_bias(recognizer, &mut set, &[]);
                set
            }
            _ => self.sliced.compute_bias(recognizer, start),
        }
    }

    fn trie(&self) -> &TokTrie {
        self.sliced.trie()
    }
}

/// None: it holds others too, or nothing.
fn num_plain_chars(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())?;
    let is_plain = |c: char| c >= ' ' && !matches!(c, '"' | '\\' | '\x7F');
    text.chars().all(is_plain).then(|| text.chars().count())
}

/// Some(n): any n plain characters may come next, whichever they are, and never more. None: there is room for more than
/// MAX_SHORT, or it depends on the characters.
fn room_for_plain_chars(recognizer: &mut ParserRecognizer<'_>) -> Option<usize> {
    let mut state = recognizer.lexer_state();
    let lexer = recognizer.lexer_mut();
    if !lexer.subsume_possible(state) || lexer.check_subsume(state, SHORT_SLICE, SLICE_FUEL, None).unwrap_or(false) {
        return None;
    }
    for count in 0..=MAX_SHORT {
        state = after_any_plain_char(recognizer, state)?;
        if state.is_dead() {
            return Some(count);
        }
    }
    None
}

/// Where every plain character leads, if that is one and the same state.
fn after_any_plain_char(recognizer: &mut ParserRecognizer<'_>, state: StateID) -> Option<StateID> {
    let next = after_any(recognizer, state, ONE_BYTE[0].clone())?;
    let leads_there = |end: Option<StateID>| end == Some(next);
    for bytes in &ONE_BYTE[1..] {
        if !leads_there(after_any(recognizer, state, bytes.clone())) {
            return None;
        }
    }
    for (first, second, num_more) in &MORE_BYTES {
        let mut end = after_any(recognizer, state, first.clone())?;
        end = after_any(recognizer, end, second.clone())?;
        for _ in 0..*num_more {
            end = after_any(recognizer, end, 0x80..=0xBF)?;
        }
        if !leads_there(Some(end)) {
            return None;
        }
    }
    Some(next)
}

/// Where each of the bytes leads, if that is one and the same state. None also where a lexeme may end, since what comes
/// then is not the lexer's to say.
fn after_any(recognizer: &mut ParserRecognizer<'_>, state: StateID, mut bytes: RangeInclusive<u8>) -> Option<StateID> {
    let lexer = recognizer.lexer_mut();
    if state.is_dead() {
        return Some(state);
    }
    if state.has_lowest_match() || !lexer.try_lexeme_end(state).is_error() {
        return None;
    }
    let next = lexer.transition_start_state(state, bytes.next(), &None);
    bytes.all(|byte| lexer.transition_start_state(state, Some(byte), &None) == next).then_some(next)
}
