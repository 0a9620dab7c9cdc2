//! Regular expressions that mean here what they mean in Python and in JSON schemas (ECMA 262), or are refused. Rust's
//! dialect, which llguidance reads, takes some for something else.

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{visit, Ast, ClassSetBinaryOp, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind, Visitor};

/// What must come is written ahead, however long it is, and so much fits hardly a context.
pub const MAX_LEAST_LENGTH: usize = 100_000;

/// The expression as llguidance takes it. One that is no expression stays as it is: llguidance says why.
pub fn plain(expression: &str) -> Result<String, String> {
    let Ok(ast) = Parser::new().parse(expression) else { return Ok(expression.into()) };
    let least = regex_syntax::parse(expression).ok().and_then(|hir| hir.properties().minimum_len()).unwrap_or(0);
    if least > MAX_LEAST_LENGTH {
        return Err(format!("expected to match some text of at most {MAX_LEAST_LENGTH} bytes, got at least {least}"));
    }
    let mut plain = expression.to_string();
    // The last one first: what stands before it keeps its place.
    for (begin, end) in visit(&ast, Differences::default())?.into_iter().rev() {
        plain.replace_range(begin..end, "(");
    }
    Ok(plain)
}

/// Finds what other dialects read otherwise, and the openings of groups that llguidance gives a meaning by their name.
#[derive(Default)]
struct Differences {
    stops: Vec<(usize, usize)>,
}

impl Visitor for Differences {
    type Output = Vec<(usize, usize)>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(self.stops)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Repetition(outer) => match &*outer.ast {
                Ast::Repetition(inner) => Err(format!(
                    "a repetition right after another at character {}: put the first in a group",
                    inner.span.end.column
                )),
                _ => Ok(()),
            },
            Ast::Flags(set) => no_verbose(&set.flags),
            Ast::Group(group) => {
                match &group.kind {
                    GroupKind::NonCapturing(flags) => no_verbose(flags)?,
                    GroupKind::CaptureName { name, .. } if name.name == "stop" => {
                        self.stops.push((group.span.start.offset, name.span.end.offset + 1));
                    }
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Bracketed(_) | ClassSetItem::Ascii(_) => {
                Err(format!("'[' within a class at character {}: write \\[", item.span().start.column))
            }
            _ => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, operation: &ClassSetBinaryOp) -> Result<(), String> {
        let column = operation.span.start.column;
        Err(format!("'&&', '--' or '~~' within a class at character {column}: put a backslash before each character"))
    }
}

/// In Rust it drops white space within classes too, in Python it does not, and ECMA 262 has none.
fn no_verbose(flags: &Flags) -> Result<(), String> {
    let is_verbose = |kind: &FlagsItemKind| *kind == FlagsItemKind::Flag(Flag::IgnoreWhitespace);
    match flags.items.iter().find(|item| is_verbose(&item.kind)) {
        Some(item) => Err(format!("the flag x at character {}: not supported", item.span.start.column)),
        None => Ok(()),
    }
}
