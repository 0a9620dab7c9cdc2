//! JSON lets numbers go on without end, and small models do not come to one: so many digits in a row, and it is time. An
//! exponent of more than two would also make numbers that no double holds.

use std::sync::Arc;

use toktrie::{TokEnv, TokenId};

/// 64-bit integers have 20; 17 tell any double.
const MAX_DIGITS: usize = 20;
const MAX_EXPONENT_DIGITS: usize = 2;

/// Where a JSON text stands, as far as its numbers matter.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    String {
        is_escaped: bool,
    },
    /// After what a number may follow, its sign included.
    BeforeNumber,
    /// So many digits, before or after the point.
    Digits(usize),
    Exponent(usize),
    Other,
}

impl Place {
    fn after(self, byte: u8) -> Place {
        match (self, byte) {
            (Place::String { is_escaped: true }, _) => Place::String { is_escaped: false },
            (Place::String { .. }, b'"') => Place::Other,
            (Place::String { .. }, _) => Place::String { is_escaped: byte == b'\\' },
            (_, b'"') => Place::String { is_escaped: false },
            (Place::BeforeNumber, b'0'..=b'9') => Place::Digits(1),
            (Place::Digits(count), b'0'..=b'9') => Place::Digits(count + 1),
            (Place::Exponent(count), b'0'..=b'9') => Place::Exponent(count + 1),
            (Place::Digits(_), b'.') => Place::Digits(0),
            (Place::Digits(_), b'e' | b'E') => Place::Exponent(0),
            (Place::Exponent(0), b'+' | b'-') => Place::Exponent(0),
            (Place::BeforeNumber, b'-') => Place::BeforeNumber,
            (_, b' ' | b'\t' | b'\n' | b'\r' | b':' | b',' | b'[') => Place::BeforeNumber,
            _ => Place::Other,
        }
    }

    fn is_too_far(self) -> bool {
        match self {
            Place::Digits(count) => count > MAX_DIGITS,
            Place::Exponent(count) => count > MAX_EXPONENT_DIGITS,
            _ => false,
        }
    }

    /// Whether one of the bytes goes too far.
    fn goes_too_far(mut self, bytes: &[u8]) -> bool {
        bytes.iter().any(|&byte| {
            self = self.after(byte);
            self.is_too_far()
        })
    }
}

/// What all texts over one vocabulary share.
pub struct NumberTokens {
    env: TokEnv,
    /// Those that go too far by themselves, wherever a number begins.
    alone: Vec<TokenId>,
    /// These, and those that go on with a number.
    within: Vec<TokenId>,
}

impl NumberTokens {
    pub fn new(env: &TokEnv) -> Self {
        let tokens = || 0..env.tok_trie().vocab_size() as TokenId;
        let bytes = |id: &TokenId| env.tok_trie().token(*id);
        let begins_within = |id: &TokenId| matches!(bytes(id), [b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-', ..]);
        let has_digit = |id: &TokenId| bytes(id).iter().any(u8::is_ascii_digit);
        let goes_too_far = |id: &TokenId| Place::BeforeNumber.goes_too_far(bytes(id));
        Self {
            env: env.clone(),
            alone: tokens().filter(goes_too_far).collect(),
            within: tokens().filter(|id| goes_too_far(id) || (begins_within(id) && has_digit(id))).collect(),
        }
    }

    fn are_zeros(&self, id: TokenId) -> bool {
        self.env.tok_trie().token(id).iter().all(|&byte| byte == b'0')
    }
}

#[derive(Clone)]
pub struct NumberBound {
    tokens: Arc<NumberTokens>,
    place: Place,
}

impl NumberBound {
    pub fn new(tokens: &Arc<NumberTokens>) -> Self {
        Self { tokens: tokens.clone(), place: Place::BeforeNumber }
    }

    pub fn accept(&mut self, token: TokenId) {
        for &byte in self.tokens.env.tok_trie().token(token) {
            self.place = self.place.after(byte);
        }
    }

    /// Takes from a mask the digits that are too many. Where a number may not end yet, it takes zeros, which might never
    /// bring it above an exclusive minimum; where nothing but zeros would do, none.
    pub fn narrow(&self, words: &mut [u32]) {
        let candidates = match self.place {
            Place::String { .. } => return,
            Place::Digits(_) | Place::Exponent(_) => &self.tokens.within,
            Place::BeforeNumber | Place::Other => &self.tokens.alone,
        };
        let goes_too_far = |id: &TokenId| self.place.goes_too_far(self.tokens.env.tok_trie().token(*id));
        let too_many: Vec<TokenId> =
            candidates.iter().copied().filter(|&id| is_set(words, id)).filter(goes_too_far).collect();
        too_many.iter().for_each(|&id| words[id as usize / 32] &= !(1 << (id % 32)));
        if words.iter().any(|&word| word != 0) {
            return;
        }
        let has_other = too_many.iter().any(|&id| !self.tokens.are_zeros(id));
        for &id in too_many.iter().filter(|&&id| !(has_other && self.tokens.are_zeros(id))) {
            words[id as usize / 32] |= 1 << (id % 32);
        }
    }
}

fn is_set(words: &[u32], id: TokenId) -> bool {
    words[id as usize / 32] >> (id % 32) & 1 != 0
}
