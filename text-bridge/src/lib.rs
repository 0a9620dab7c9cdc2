//! The C interface of `include/text_bridge.h`.

mod methods;
mod python;
mod template;

use std::ffi::{c_char, c_int};
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::ptr;
use std::sync::Once;

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
        Err(format!("the template engine failed: {}", reason.unwrap_or_else(|| "unknown cause".into())))
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
    match guarded(|| ChatTemplate::new(from_c(source, length)?)) {
        Ok(template) => Box::into_raw(Box::new(template)),
        Err(message) => {
            *error = to_c(message);
            ptr::null_mut()
        }
    }
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
