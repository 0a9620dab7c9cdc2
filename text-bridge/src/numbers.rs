//! JSON lets numbers go on without end, and small models do not come to one: so many digits in a row, and it is time.

use std::sync::Arc;

use toktrie::{TokEnv, TokenId};

/// 64-bit integers have 20; 17 tell any double.
const MAX_DIGITS: usize = 20;

/// What all texts over one vocabulary share.
pub struct NumberTokens {
    env: TokEnv,
    digits: Vec<DigitToken>,
}

/// A token that begins with digits.
struct DigitToken {
    id: TokenId,
    count: usize,
    are_zeros: bool,
}

impl NumberTokens {
    pub fn new(env: &TokEnv) -> Self {
        let digits_of = |id| {
            let bytes = env.tok_trie().token(id);
            let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (count > 0).then(|| DigitToken { id, count, are_zeros: bytes[..count].iter().all(|&byte| byte == b'0') })
        };
        let digits = (0..env.tok_trie().vocab_size() as TokenId).filter_map(digits_of).collect();
        Self { env: env.clone(), digits }
    }
}

/// Where a JSON text stands, as far as its numbers matter.
#[derive(Clone)]
pub struct NumberBound {
    tokens: Arc<NumberTokens>,
    is_inside_string: bool,
    is_escaped: bool,
    num_digits: usize,
}

impl NumberBound {
    pub fn new(tokens: &Arc<NumberTokens>) -> Self {
        Self { tokens: tokens.clone(), is_inside_string: false, is_escaped: false, num_digits: 0 }
    }

    pub fn accept(&mut self, token: TokenId) {
        let tokens = self.tokens.clone();
        for &byte in tokens.env.tok_trie().token(token) {
            self.is_inside_string ^= byte == b'"' && !self.is_escaped;
            self.is_escaped = self.is_inside_string && byte == b'\\' && !self.is_escaped;
            let is_digit = byte.is_ascii_digit() && !self.is_inside_string;
            self.num_digits = if is_digit { self.num_digits + 1 } else { 0 };
        }
    }

    /// Takes from a mask the digits that are too many. Where a number may not end yet, it takes zeros, which might never
    /// bring it above an exclusive minimum; where nothing but zeros would do, none.
    pub fn narrow(&self, words: &mut [u32]) {
        if self.num_digits == 0 {
            return;
        }
        let is_too_many = |token: &&DigitToken| self.num_digits + token.count > MAX_DIGITS;
        let too_many: Vec<_> = self.tokens.digits.iter().filter(is_too_many).filter(|t| is_set(words, t.id)).collect();
        clear(words, too_many.iter().map(|token| token.id));
        if words.iter().any(|&word| word != 0) {
            return;
        }
        let has_other = too_many.iter().any(|token| !token.are_zeros);
        for token in too_many.iter().filter(|token| !(has_other && token.are_zeros)) {
            words[token.id as usize / 32] |= 1 << (token.id % 32);
        }
    }
}

fn is_set(words: &[u32], id: TokenId) -> bool {
    words[id as usize / 32] >> (id % 32) & 1 != 0
}

fn clear(words: &mut [u32], ids: impl Iterator<Item = TokenId>) {
    for id in ids {
        words[id as usize / 32] &= !(1 << (id % 32));
    }
}
