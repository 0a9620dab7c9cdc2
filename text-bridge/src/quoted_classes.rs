//! Classes of characters that JSON strings are to hold. Where a class has every control character, or all but the line
//! feed, derivre's json_quote lets `\"` and `\\` through as well, though the class may have neither (`[^"]`). One without
//! NUL it takes for what it is.

use std::collections::BTreeMap;

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{visit, Ast, Span, Visitor};
use regex_syntax::hir::{Class, Hir, HirKind};

/// An expression for strings (as `dialect::plain` gives it) without NUL in classes that lack quotation mark or
/// backslash. One that is no expression stays as it is.
pub fn quotable(expression: &str) -> Result<String, String> {
    let Ok(ast) = Parser::new().parse(expression) else { return Ok(expression.into()) };
    let mut quotable = expression.to_string();
    // The last one first: what stands before it keeps its place.
    for span in visit(&ast, Classes { expression, verdicts: BTreeMap::new(), found: Vec::new() })?.into_iter().rev() {
        quotable.insert_str(span.end.offset, r"--\x00]");
        quotable.insert(span.start.offset, '[');
    }
    Ok(quotable)
}

#[derive(Clone, Copy)]
enum Verdict {
    Right,
    TooWide,
    IsNul,
}

struct Classes<'a> {
    expression: &'a str,
    verdicts: BTreeMap<&'a str, Verdict>, // of what is written so: the same may stand there thousands of times
    found: Vec<Span>,
}

impl Visitor for Classes<'_> {
    type Output = Vec<Span>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(self.found)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        if !matches!(ast, Ast::ClassBracketed(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::Literal(_)) {
            return Ok(());
        }
        let span = *ast.span();
        let class = &self.expression[span.start.offset..span.end.offset];
        match *self.verdicts.entry(class).or_insert_with(|| judge(class)) {
            Verdict::Right => Ok(()),
            Verdict::TooWide => Ok(self.found.push(span)),
            Verdict::IsNul => Err("NUL (\\x00): not supported".into()),
        }
    }
}

fn judge(class: &str) -> Verdict {
    let Ok(class) = regex_syntax::parse(class) else { return Verdict::Right };
    if !has(&class, '\0') || (has(&class, '"') && has(&class, '\\')) {
        return Verdict::Right;
    }
    match class.kind() {
        HirKind::Literal(_) => Verdict::IsNul,
        _ => Verdict::TooWide,
    }
}

fn has(class: &Hir, letter: char) -> bool {
    match class.kind() {
        HirKind::Class(Class::Unicode(class)) => class.iter().any(|r| (r.start()..=r.end()).contains(&letter)),
        HirKind::Literal(literal) => *literal.0 == *letter.encode_utf8(&mut [0; 4]).as_bytes(),
        _ => false,
    }
}
