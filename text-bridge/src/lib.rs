//! The C interface of `include/text_bridge.h`.

mod python;
mod template;

use std::ffi::{c_char, CString};
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::ptr;
use std::sync::Once;

pub use template::ChatTemplate;

/// A C string of `text`; NUL bytes, which C cannot carry, become U+FFFD.
fn to_c(text: String) -> *mut c_char {
    let text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    CString::new(text).expect("NUL bytes were replaced").into_raw()
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

/// Runs `body`; an error or a panic becomes NULL with a message in `*error`.
///
/// # Safety
/// `error` is null or valid for a write.
unsafe fn guarded<T>(error: *mut *mut c_char, body: impl FnOnce() -> Result<*mut T, String>) -> *mut T {
    // The message goes to the caller; nothing is to be printed besides.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| set_hook(Box::new(|_| {})));
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(format!("the template engine failed: {}", reason.unwrap_or_else(|| "unknown cause".into())))
    });
    match outcome {
        Ok(value) => value,
        Err(message) => {
            if !error.is_null() {
                *error = to_c(message);
            }
            ptr::null_mut()
        }
    }
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_template_new(
    source: *const c_char,
    length: usize,
    error: *mut *mut c_char,
) -> *mut ChatTemplate {
    guarded(error, || Ok(Box::into_raw(Box::new(ChatTemplate::new(from_c(source, length)?)?))))
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
    error: *mut *mut c_char,
) -> *mut c_char {
    guarded(error, || Ok(to_c((*chat_template).render(from_c(context, length)?, fuel)?)))
}

/// # Safety
/// As the header says.
#[no_mangle]
pub unsafe extern "C" fn text_bridge_string_free(string: *mut c_char) {
    if !string.is_null() {
        drop(CString::from_raw(string));
    }
}
