//! Constrained decoding by llguidance: which tokens may come next.

use std::ffi::{c_char, c_void};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use llguidance::api::{GrammarInit, ParserLimits, TopLevelGrammar};
use llguidance::earley::{BiasComputer, ParserRecognizer};
use llguidance::{panic_utils, Matcher, ParserFactory, TokenParser};
use serde_json::{json, Deserializer, Value};
use toktrie::{InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::dialect::{self, MAX_LEAST_LENGTH};
use crate::expression_cost;
use crate::gbnf;
use crate::numbers::{NumberBound, NumberTokens};
use crate::schema;
use crate::short_strings::{self, ShortStringBias};
use crate::time_limit::TimeLimit;

pub type Encode = extern "C" fn(*const c_void, *const c_char, usize, *mut TokenId, usize) -> usize;

/// A line break with its indentation, or one space: what models write between the parts of JSON. Without a bound some
/// would write white space until their tokens run out.
const JSON_WHITE_SPACE: &str = r"\n[ \t]{0,32}|[ ]";

struct Vocabulary {
    trie: TokTrie,
    encode: Encode,
    context: *const c_void,
    is_canonical: bool,
}

// The header asks for a callback and a context that several threads may use.
unsafe impl Send for Vocabulary {}
unsafe impl Sync for Vocabulary {}

impl Vocabulary {
    fn encode_text(&self, text: &str) -> Vec<TokenId> {
        let mut ids = vec![0; text.len()]; // no token is empty
        let count = (self.encode)(self.context, text.as_ptr().cast(), text.len(), ids.as_mut_ptr(), ids.len());
        ids.truncate(count);
        ids
    }

    /// Whether the tokenizer gives back the bytes it was given; those that add a space before a text do not.
    fn keeps_bytes(&self) -> bool {
        [r#"{"a": "#, "b", " c"].iter().all(|text| self.trie.decode_raw(&self.encode_text(text)) == text.as_bytes())
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        if !self.is_canonical {
            return self.trie.greedy_tokenize(bytes);
        }
        self.trie.tokenize_with_greedy_fallback(bytes, |text| self.encode_text(text))
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.is_canonical
    }
}

/// A mask that costs nothing. llguidance lets each have so much of its lexer's work, and the text that must come what the
/// last one left: before the first there would be no bound.
struct NoTokens<'a>(&'a TokTrie);

/// Not empty: llguidance keeps the mask of an empty one.
const BEFORE_THE_FIRST_MASK: &[u8] = b" ";

impl BiasComputer for NoTokens<'_> {
    fn compute_bias(&self, _: &mut ParserRecognizer<'_>, _: &[u8]) -> SimpleVob {
        self.0.alloc_token_set()
    }

    fn trie(&self) -> &TokTrie {
        self.0
    }
}

/// What all grammars over one vocabulary share.
pub struct Grammars {
    factory: ParserFactory,
    bias: Arc<ShortStringBias>,
    numbers: Arc<NumberTokens>,
    time_limit: Arc<TimeLimit>,
}

impl Grammars {
    pub fn new(words: &[Vec<u8>], eos: &[TokenId], encode: Encode, context: *const c_void) -> Result<Self, String> {
        let first_eos = *eos.first().ok_or("grammars: expected at least one end-of-text token, got none")?;
        let info = TokRxInfo::new(words.len() as u32, first_eos);
        let trie = TokTrie::from(&info, words).with_eos_tokens(eos);
        let mut vocabulary = Vocabulary { trie, encode, context, is_canonical: true };
        vocabulary.is_canonical = vocabulary.keeps_bytes();
        let env: TokEnv = Arc::new(vocabulary);
        let capabilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
        let mut factory =
            ParserFactory::new(&env, capabilities, &short_strings::slices()).map_err(|e| e.to_string())?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            max_lexer_states: 50_000,
            max_grammar_size: 200_000,
            precompute_large_lexemes: false,
            verbose_errors: false,
            ..Default::default()
        };
        let bias = Arc::new(ShortStringBias::new(env.tok_trie(), factory.slicer()));
        let numbers = Arc::new(NumberTokens::new(&env));
        Ok(Self { factory, bias, numbers, time_limit: Arc::new(TimeLimit::new()?) })
    }

    /// `kind` as the header names them.
    pub fn matcher(&self, kind: u32, text: &str) -> Result<GrammarMatcher, String> {
        // Of a grammar with JSON in it all numbers are bounded: which of them are JSON's is not known.
        let is_json = kind == 0 || (kind == 3 && text.contains("%json"));
        let grammar = match kind {
            0 => json_schema(text)?,
            1 => TopLevelGrammar::from_regex(&dialect::plain(text)?),
            2 => choice(text)?,
            3 => {
                let lark = if gbnf::is_gbnf(text) { gbnf::to_lark(text)? } else { lark(text)? };
                expression_cost::check_terminals(&lark)?;
                TopLevelGrammar::from_lark(lark)
            }
            _ => return Err(format!("grammar: expected a kind from 0 to 3, got {kind}")),
        };
        let mut parser = self.parser(grammar).map_err(|error| for_clients(&error))?;
        parser.parser.compute_bias(&NoTokens(self.factory.tok_env().tok_trie()), BEFORE_THE_FIRST_MASK);
        parser.bias_computer = self.bias.clone();
        let cancellation = parser.enable_cancellation();
        let matcher = self.time_limit.hold(&cancellation, || Matcher::new(Ok(parser)));
        match matcher.get_error() {
            Some(_) if matcher.is_cancelled() => Err(TOO_SLOW.into()),
            Some(error) => Err(for_clients(&error)),
            None => Ok(GrammarMatcher {
                matcher,
                numbers: is_json.then(|| NumberBound::new(&self.numbers)),
                time_limit: self.time_limit.clone(),
            }),
        }
    }

    /// In two parts: what the first makes tells what the second would cost.
    fn parser(&self, grammar: TopLevelGrammar) -> Result<TokenParser, String> {
        let read = || {
            let env = self.factory.tok_env().clone();
            GrammarInit::Serialized(grammar).to_internal(Some(env), self.factory.limits().clone())
        };
        let (grammar, lexer) = panic_utils::catch_unwind(AssertUnwindSafe(read)).map_err(|error| error.to_string())?;
        expression_cost::check_ways(lexer.regex_builder.exprset())?;
        expression_cost::check_first_step(&lexer)?;
        let parser = self.factory.create_parser_from_init_default(GrammarInit::Internal(grammar, lexer));
        parser.map_err(|error| error.to_string())
    }
}

fn json_schema(text: &str) -> Result<TopLevelGrammar, String> {
    let mut schema: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    if let Value::Object(fields) = &mut schema {
        fields.insert("x-guidance".into(), json!({"whitespace_pattern": JSON_WHITE_SPACE}));
    }
    schema::prepare(&mut schema)?;
    Ok(TopLevelGrammar::from_json_schema(schema))
}

/// With the schemas within it made ready.
fn lark(text: &str) -> Result<String, String> {
    let mut lark = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("%json") {
        let (before, after) = rest.split_at(at + "%json".len());
        lark.push_str(before);
        rest = after;
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(given)) = values.next() else { continue };
        let (given_text, after) = rest.split_at(values.byte_offset());
        let mut ready = given.clone();
        schema::prepare(&mut ready)?;
        if ready == given {
            lark.push_str(given_text);
        } else {
            lark.push_str(&format!(" {ready}"));
        }
        rest = after;
    }
    lark.push_str(rest);
    Ok(lark)
}

/// An expression over escaped strings: many of them cost far less this way than as a Lark rule.
fn choice(text: &str) -> Result<TopLevelGrammar, String> {
    let choices: Vec<String> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if let Some(long) = choices.iter().map(String::len).find(|&length| length > MAX_LEAST_LENGTH) {
        return Err(format!("expected choices of at most {MAX_LEAST_LENGTH} bytes, got one of {long}"));
    }
    let escaped: Vec<String> = choices.iter().map(|choice| regex_syntax::escape(choice)).collect();
    Ok(TopLevelGrammar::from_regex(&format!("({})", escaped.join("|"))))
}

const TOO_SLOW: &str = "the text that must come next takes more than two seconds to work out";

const TOO_MUCH: &str = "it takes too much work to tell what may come next: expected simpler expressions, or fewer at once";

/// Of the lexer: what it works out for one mask, and the states it keeps.
fn is_over_a_bound(error: &str) -> bool {
    error.contains("too many expressions constructed") || error.contains("too many states")
}

/// The first line; those after it show the parser's state.
fn reason(error: impl ToString) -> String {
    match error.to_string().lines().next().unwrap_or_default() {
        "NoExtensionBias" => "nothing that may come next fits it".into(),
        line if is_over_a_bound(line) => TOO_MUCH.into(),
        line => line.into(),
    }
}

/// Of a panic within llguidance, what it says; where it was is no client's concern.
fn for_clients(error: &str) -> String {
    if error.contains("coerce_one_of") {
        return "oneOf: supported only where no value fits two of its schemas; anyOf may do".into();
    }
    if is_over_a_bound(error) {
        return TOO_MUCH.into();
    }
    if error.contains("attempt to multiply with overflow") {
        return "expected numbers, and multiples that must hold at once, within 32 bits".into();
    }
    if error.contains("symbols.len() < u16::MAX") {
        return "expected fewer rules, alternatives and repetitions".into();
    }
    error.split("<backtrace>").next().unwrap_or_default().trim_end().into()
}

/// Where one text stands in its grammar.
pub struct GrammarMatcher {
    matcher: Matcher,
    numbers: Option<NumberBound>,
    time_limit: Arc<TimeLimit>,
}

impl GrammarMatcher {
    /// Shares nothing that moves: the two may be used by two threads.
    pub fn deep_clone(&self) -> Self {
        Self {
            matcher: self.matcher.deep_clone(),
            numbers: self.numbers.clone(),
            time_limit: self.time_limit.clone(),
        }
    }

    pub fn mask(&mut self, words: &mut [u32]) -> Result<(), String> {
        let cancellation = self.matcher.cancellation_handle().unwrap_or_default();
        let mask = self.time_limit.hold(&cancellation, || self.matcher.compute_mask_or_eos());
        if self.matcher.is_cancelled() {
            return Err(TOO_SLOW.into());
        }
        let mask = mask.map_err(reason)?;
        let count = words.len().min(mask.as_slice().len());
        words[..count].copy_from_slice(&mask.as_slice()[..count]);
        words[count..].fill(0);
        if let Some(numbers) = &self.numbers {
            numbers.narrow(words);
        }
        Ok(())
    }

    pub fn accept(&mut self, token: TokenId) -> Result<(), String> {
        self.matcher.consume_token(token).map_err(reason)?;
        self.write(&[token]);
        Ok(())
    }

    /// Tokens that must come next, which are accepted at the same time.
    pub fn take_forced(&mut self, ids: &mut [TokenId]) -> Result<usize, String> {
        let cancellation = self.matcher.cancellation_handle().unwrap_or_default();
        let mut forced = self.time_limit.hold(&cancellation, || self.matcher.compute_ff_tokens());
        if self.matcher.is_cancelled() {
            return Err(TOO_SLOW.into());
        }
        if forced.len() > MAX_LEAST_LENGTH {
            return Err(format!("the text that must come next has more than {MAX_LEAST_LENGTH} tokens"));
        }
        forced.truncate(ids.len());
        self.matcher.consume_tokens(&forced).map_err(reason)?;
        self.write(&forced);
        ids[..forced.len()].copy_from_slice(&forced);
        Ok(forced.len())
    }

    fn write(&mut self, tokens: &[TokenId]) {
        if let Some(numbers) = &mut self.numbers {
            tokens.iter().for_each(|&token| numbers.accept(token));
        }
    }

    pub fn is_complete(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }
}
