//! A chat template in an environment set up as transformers sets up jinja2 (`_compile_jinja_template` in
//! transformers/utils/chat_template_utils.py).
//!
//! What stays different: tuples print as lists, a slice with a negative step takes one item too many at its end and fails on
//! an empty list, `"%d" % x` fails, iterating over None gives nothing instead of failing, and no text is marked as HTML.

use crate::metered_code::MeteredCode;
use crate::{meter, methods, python};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State};

const NAME: &str = "chat_template";
const MAX_INDENT: usize = 64;
/// Several times the longest template of a known model.
const MAX_SOURCE: usize = 64 << 10;

pub struct ChatTemplate {
    environment: Environment<'static>,
    code: MeteredCode,
}

impl ChatTemplate {
    pub fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("the template has {} bytes, the limit is {MAX_SOURCE}", source.len()));
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_recursion_limit(200);
        environment.set_formatter(print_like_python);
        environment.set_unknown_method_callback(methods::call);
        environment.add_filter("tojson", tojson);
        environment.add_filter("string", |value: &Value| python::to_str(value));
        environment.add_filter("length", length);
        environment.add_filter("count", length);
        environment.add_filter("int", to_int);
        environment.add_filter("float", to_float);
        environment.add_test("iterable", is_iterable);
        environment.add_test("sequence", is_sequence);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        meter::add_to(&mut environment);
        let syntax = syntax.map_err(|e| describe(&e))?;
        let code = MeteredCode::compile(NAME, &without_generation_tags(source), syntax).map_err(|e| describe(&e))?;
        Ok(Self { environment, code })
    }

    pub fn render(&self, context: &str, fuel: u64) -> Result<String, String> {
        let context: serde_json::Value =
            serde_json::from_str(context).map_err(|e| format!("expected a JSON object of variables: {e}"))?;
        // Fuel is a setting of the environment.
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel.saturating_mul(2))); // the meter's instructions take some
        self.code.render(&environment, Value::from(Serde(&context))).map_err(|e| describe(&e))
    }
}

/// "line 12: reason".
fn describe(error: &Error) -> String {
    let reason = match error.kind() {
        ErrorKind::OutOfFuel => "it runs longer than a chat template may".to_string(),
        kind => match error.detail() {
            Some(detail) if kind == ErrorKind::InvalidOperation => detail.to_string(),
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    match error.line() {
        Some(line) => format!("line {line}: {reason}"),
        None => reason,
    }
}

/// `{% generation %}` marks what the assistant wrote, for training; it prints nothing. Its tags keep their white space control.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let inner = &tag[2..end];
        let word = inner.trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        match word {
            "generation" => out.push_str(&format!("{{%{}%}}", inner.replace(word, "if true"))),
            "endgeneration" => out.push_str(&format!("{{%{}%}}", inner.replace(word, "endif"))),
            _ => out.push_str(&tag[..end + 2]),
        }
        rest = &tag[end + 2..];
    }
    out + rest
}

fn print_like_python(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let text = python::to_str(value)?;
    meter::charge(state, text.len())?;
    out.write_str(&text).map_err(Error::from)
}

/// The filter as transformers defines it: json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False).
fn tojson(value: &Value, arguments: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let given = |i: usize| -> Result<Option<Value>, Error> {
        let value = match arguments.get(i) {
            Some(value) => Some(value.clone()),
            None => options.get::<Option<Value>>(names[i])?,
        };
        Ok(value.filter(|v| !v.is_none() && !v.is_undefined()))
    };
    let mut style = python::JsonStyle { ensure_ascii: given(0)?.is_some_and(|v| v.is_true()), ..Default::default() };
    if let Some(width) = given(1)? {
        style.indent = Some(usize::try_from(width)?.min(MAX_INDENT));
        style.item_separator = ",".into();
    }
    if let Some(separators) = given(2)? {
        style.item_separator = python::to_str(&separators.get_item_by_index(0)?)?;
        style.key_separator = python::to_str(&separators.get_item_by_index(1)?)?;
    }
    style.sort_keys = given(3)?.is_some_and(|v| v.is_true());
    options.assert_all_used()?;
    Ok(Value::from_safe_string(python::to_json(value, &style)?))
}

/// jinja2's undefined has length 0.
fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    value.len().ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("object of type {} has no length", value.kind()))
    })
}

/// Whatever Python's iter() takes: strings and undefined values too, but not None.
fn is_iterable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::String | ValueKind::Undefined => true,
        ValueKind::None => false,
        _ => value.try_iter().is_ok(),
    }
}

/// What has a length and items: strings and mappings too.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
}

/// jinja2's int filter: what is no number becomes the default.
fn to_int(value: &Value, default: Option<Value>) -> Value {
    let number = match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim();
            text.parse::<i64>().ok().or_else(|| text.parse::<f64>().ok().and_then(whole))
        }
        ValueKind::Bool => Some(i64::from(value.is_true())),
        _ => i64::try_from(value.clone()).ok().or_else(|| f64::try_from(value.clone()).ok().and_then(whole)),
    };
    number.map(Value::from).or(default).unwrap_or_else(|| Value::from(0))
}

fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9e18).then_some(number as i64)
}

fn to_float(value: &Value, default: Option<Value>) -> Value {
    let number = match value.kind() {
        ValueKind::String => value.as_str().and_then(|text| text.trim().parse::<f64>().ok()),
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        _ => f64::try_from(value.clone()).ok(),
    };
    number.map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0))
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, python::to_str(message)?))
}

/// The local time by C's strftime.
fn strftime_now(format: &str) -> Result<String, Error> {
    let format = std::ffi::CString::new(format)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "strftime_now: the format holds a NUL byte"))?;
    let mut buffer = [0u8; 256];
    // SAFETY: every pointer is to a live local of the type asked for; strftime writes at most buffer.len() bytes.
    let written = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut parts: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now, &mut parts);
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &parts)
    };
    Ok(String::from_utf8_lossy(&buffer[..written]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUEL: u64 = 1_000_000;

    fn render(source: &str, context: &str) -> Result<String, String> {
        ChatTemplate::new(source)?.render(context, FUEL)
    }

    #[test]
    fn values_print_as_in_python() {
        let context = r#"{"x": {"a": [1, 2.0, true, null, "it's"], "b": 1e20}}"#;
        assert_eq!(render("{{ x }}", context).unwrap(), r#"{'a': [1, 2.0, True, None, "it's"], 'b': 1e+20}"#);
        assert_eq!(render("{{ missing }}|{{ none }}|{{ true }}", "{}").unwrap(), "|None|True");
    }

    #[test]
    fn tojson_is_json_dumps_without_ascii_or_html_escapes() {
        let context = r#"{"x": {"é": "<a>'\"", "n": [1, 2]}}"#;
        assert_eq!(render("{{ x | tojson }}", context).unwrap(), r#"{"é": "<a>'\"", "n": [1, 2]}"#);
        assert_eq!(
            render("{{ x.n | tojson(indent=2) }}", context).unwrap(),
            "[\n  1,\n  2\n]"
        );
    }

    #[test]
    fn generation_tags_are_nothing() {
        assert_eq!(render("a {%- generation -%} b {% endgeneration %}c", "{}").unwrap(), "ab c");
    }

    #[test]
    fn errors_say_line_and_reason() {
        assert_eq!(render("\n{{ raise_exception('no system role') }}", "{}").unwrap_err(), "line 2: no system role");
        assert!(render("{% if %}", "{}").unwrap_err().starts_with("line 1: "));
    }

    #[test]
    fn a_loop_without_end_runs_out_of_fuel() {
        let source = "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}";
        assert!(render(source, "{}").unwrap_err().contains("longer than a chat template may"));
    }
}
