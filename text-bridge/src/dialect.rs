//! Regular expressions that mean here what they mean in Python and in JSON schemas (ECMA 262), or are refused. Rust's
//! dialect, which llguidance reads, takes some for something else.

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    visit, Ast, ClassPerl, ClassPerlKind, ClassSetBinaryOp, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind, Visitor,
};

/// What must come is written ahead, and each of an answer's samples keeps 300 bytes for one of it.
pub const MAX_LEAST_LENGTH: usize = 8_192;
/// The time to compile grows with the square of it.
const MAX_EXPRESSION: usize = 16 << 10;

/// The expression as llguidance takes it. One that is no expression stays as it is: llguidance says why.
pub fn plain(expression: &str) -> Result<String, String> {
    if expression.len() > MAX_EXPRESSION {
        return Err(format!("expected an expression of at most {MAX_EXPRESSION} bytes, got {}", expression.len()));
    }
    let Ok(ast) = Parser::new().parse(expression) else { return Ok(expression.into()) };
    let least = regex_syntax::parse(expression).ok().and_then(|hir| hir.properties().minimum_len()).unwrap_or(0);
    if least > MAX_LEAST_LENGTH {
        return Err(format!("expected to match some text of at most {MAX_LEAST_LENGTH} bytes, got at least {least}"));
    }
    let mut plain = expression.to_string();
    // The last one first: what stands before it keeps its place.
    for (begin, end, text) in visit(&ast, Differences::default())?.into_iter().rev() {
        plain.replace_range(begin..end, text);
    }
    Ok(plain)
}

/// Finds what other dialects read otherwise, what stands for it here, and the openings of groups that llguidance gives a
/// meaning by their name.
#[derive(Default)]
struct Differences {
    replacements: Vec<(usize, usize, &'static str)>,
}

impl Differences {
    /// Python's `\w` has neither combining marks nor joiners, its `\s` the four separators among the control characters.
    fn replace_class(&mut self, class: &ClassPerl, within_class: bool) {
        let text = match (&class.kind, class.negated, within_class) {
            (ClassPerlKind::Digit, _, _) => return,
            (ClassPerlKind::Word, false, false) => r"[\p{L}\p{N}_]",
            (ClassPerlKind::Word, false, true) => r"\p{L}\p{N}_",
            (ClassPerlKind::Word, true, _) => r"[^\p{L}\p{N}_]",
            (ClassPerlKind::Space, false, false) => r"[\s\x1C-\x1F]",
            (ClassPerlKind::Space, false, true) => r"\s\x1C-\x1F",
            (ClassPerlKind::Space, true, _) => r"[^\s\x1C-\x1F]",
        };
        self.replacements.push((class.span.start.offset, class.span.end.offset, text));
    }
}

impl Visitor for Differences {
    type Output = Vec<(usize, usize, &'static str)>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(self.replacements)
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
            Ast::ClassPerl(class) => {
                self.replace_class(class, false);
                Ok(())
            }
            Ast::Group(group) => {
                match &group.kind {
                    GroupKind::NonCapturing(flags) => no_verbose(flags)?,
                    GroupKind::CaptureName { name, .. } if name.name == "stop" => {
                        self.replacements.push((group.span.start.offset, name.span.end.offset + 1, "("));
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
            ClassSetItem::Perl(class) => {
                self.replace_class(class, true);
                Ok(())
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
