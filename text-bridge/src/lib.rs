//! The C interface of `include/text_bridge.h`.

mod dialect;
mod expression_cost;
mod gbnf;
mod grammar;
mod memory;
mod meter;
mod metered_code;
mod methods;
mod numbers;
mod object_keys;
mod quoted_classes;
mod python;
mod schema;
mod short_strings;
mod template;
mod time_limit;

use std::ffi::{c_char, c_int, c_void};
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::ptr;
use std::slice;
use std::sync::Once;

pub use grammar::{Encode, GrammarMatcher, Grammars};
pub use template::ChatTemplate;

#[repr(C)]
pub struct TextBridgeString {
    data: *mut c_char,
    length: usize,
}

fn to_c(text: String) -> TextBridgeString {
    let bytes = Box::leak(text.into_bytes().into_boxed_slice());
    TextBridgeString { data: bytes.as_mut_ptr().cast(), length: bytes.len() }
}

/// # Safety
/// `data` points at `length` bytes.
unsafe fn from_c<'a>(data: *const c_char, length: usize) -> Result<&'a str, String> {
    if length == 0 {
        return Ok("");
    }
    let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length);
    std::str::from_utf8(bytes).map_err(|e| format!("expected UTF-8: {e}"))
}

/// What `body` gives; a panic becomes an error.
fn guarded<T>(body: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // The message goes to the caller; nothing is to be printed besides.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| set_hook(Box::new(|_| {})));
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(format!("an internal failure: {}", reason.unwrap_or_else(|| "unknown cause".into())))
    })
}

/// # Safety
/// `string` came from here and is given back once.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_string_free(string: TextBridgeString) {
    if !string.data.is_null() {
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(string.data.cast::<u8>(), string.length)));
    }
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_template_new(
    source: *const c_char,
    length: usize,
    error: *mut TextBridgeString,
) -> *mut ChatTemplate {
    to_pointer(guarded(|| ChatTemplate::new(from_c(source, length)?)), error)
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_template_free(chat_template: *mut ChatTemplate) {
    if !chat_template.is_null() {
        drop(Box::from_raw(chat_template));
    }
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_template_render(
    chat_template: *const ChatTemplate,
    context: *const c_char,
    length: usize,
    fuel: u64,
    result: *mut TextBridgeString,
) -> c_int {
    let rendered = guarded(|| (*chat_template).render(from_c(context, length)?, fuel));
    let rendered_well = rendered.is_ok();
    *result = to_c(rendered.unwrap_or_else(|message| message));
    c_int::from(rendered_well)
}

/// The object for C, or null and the reason in `error`.
unsafe fn to_pointer<T>(made: Result<T, String>, error: *mut TextBridgeString) -> *mut T {
    match made {
        Ok(object) => Box::into_raw(Box::new(object)),
        Err(message) => {
            *error = to_c(message);
            ptr::null_mut()
        }
    }
}

/// 1, or 0 and the reason in `error`.
unsafe fn to_status(done: Result<(), String>, error: *mut TextBridgeString) -> c_int {
    match done {
        Ok(()) => 1,
        Err(message) => {
            *error = to_c(message);
            0
        }
    }
}

#[repr(C)]
pub struct TextBridgeVocabulary {
    bytes: *const u8,
    lengths: *const u32,
    num_tokens: usize,
    eos_ids: *const u32,
    num_eos_ids: usize,
    encode: Encode,
    context: *const c_void,
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_grammars_new(
    vocabulary: *const TextBridgeVocabulary,
    error: *mut TextBridgeString,
) -> *mut Grammars {
    let vocabulary = &*vocabulary;
    let made = guarded(|| {
        let mut words = Vec::with_capacity(vocabulary.num_tokens);
        let mut at = vocabulary.bytes;
        for &length in slice::from_raw_parts(vocabulary.lengths, vocabulary.num_tokens) {
            words.push(slice::from_raw_parts(at, length as usize).to_vec());
            at = at.add(length as usize);
        }
        let eos = slice::from_raw_parts(vocabulary.eos_ids, vocabulary.num_eos_ids);
        Grammars::new(&words, eos, vocabulary.encode, vocabulary.context)
    });
    to_pointer(made, error)
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_grammars_free(grammars: *mut Grammars) {
    if !grammars.is_null() {
        drop(Box::from_raw(grammars));
    }
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_matcher_new(
    grammars: *const Grammars,
    kind: u32,
    text: *const c_char,
    length: usize,
    error: *mut TextBridgeString,
) -> *mut GrammarMatcher {
    to_pointer(guarded(|| (*grammars).matcher(kind, from_c(text, length)?)), error)
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_matcher_clone(
    matcher: *const GrammarMatcher,
    error: *mut TextBridgeString,
) -> *mut GrammarMatcher {
    to_pointer(guarded(|| Ok((*matcher).deep_clone())), error)
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_matcher_free(matcher: *mut GrammarMatcher) {
    if !matcher.is_null() {
        drop(Box::from_raw(matcher));
    }
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_matcher_mask(
    matcher: *mut GrammarMatcher,
    words: *mut u32,
    num_words: usize,
    error: *mut TextBridgeString,
) -> c_int {
    to_status(guarded(|| (*matcher).mask(slice::from_raw_parts_mut(words, num_words))), error)
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_matcher_accept(
    matcher: *mut GrammarMatcher,
    token: u32,
    error: *mut TextBridgeString,
) -> c_int {
    to_status(guarded(|| (*matcher).accept(token)), error)
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_matcher_take_forced(
    matcher: *mut GrammarMatcher,
    ids: *mut u32,
    capacity: usize,
    num_ids: *mut usize,
    error: *mut TextBridgeString,
) -> c_int {
    let taken = guarded(|| (*matcher).take_forced(slice::from_raw_parts_mut(ids, capacity)));
    to_status(taken.map(|count| *num_ids = count), error)
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_matcher_is_complete(matcher: *const GrammarMatcher) -> c_int {
    c_int::from((*matcher).is_complete())
}
