//! llama.cpp's grammar notation (GBNF) as the Lark dialect that llguidance reads.

use std::collections::BTreeMap;

/// GBNF defines rules by `::=`, Lark by `:`.
pub fn is_gbnf(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        let rest = line.trim_start_matches(is_part_of_name);
        rest.len() < line.len() && rest.trim_start().starts_with("::=")
    })
}

pub fn to_lark(text: &str) -> Result<String, String> {
    let tokens = split(text)?;
    let mut names = RuleNames::default();
    let mut lark = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let next_defines = matches!(tokens.get(at + 1), Some(Token::Defines));
        match token {
            Token::Name(name) if next_defines => lark.push_str(&format!("\n{}", names.in_lark(name))),
            Token::Name(name) => lark.push_str(&format!(" {}", names.in_lark(name))),
            Token::Defines => lark.push(':'),
            Token::Other(text) => lark.push_str(&format!(" {text}")),
            Token::Repeat(text) => lark.push_str(text),
        }
    }
    Ok(lark)
}

/// Lark's rules have no capitals and no hyphens in their names: of those that would then be alike, the later ones get a
/// number in front.
#[derive(Default)]
struct RuleNames {
    in_lark: BTreeMap<String, String>,
    num_alike: BTreeMap<String, usize>,
}

impl RuleNames {
    fn in_lark(&mut self, name: &str) -> &str {
        self.in_lark.entry(name.into()).or_insert_with(|| {
            if name == "root" {
                return "start".into();
            }
            let plain = name.replace('-', "_").to_lowercase();
            let number = self.num_alike.entry(plain.clone()).or_default();
            *number += 1;
            match number {
                1 => format!("r_{plain}"),
                _ => format!("r{number}_{plain}"),
            }
        })
    }
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

enum Token {
    Name(String),
    Defines,
    Other(String),
    Repeat(String), // stands right behind what it repeats
}

fn split(text: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest[0] {
            c if c.is_whitespace() => 1,
            '#' => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            '"' => {
                let length = closing(rest, '"')?;
                tokens.push(Token::Other(rest[..length].iter().collect()));
                length
            }
            '[' => {
                let length = closing(rest, ']')?;
                tokens.push(Token::Other(format!("/[{}]/", class_body(&rest[1..length - 1]))));
                length
            }
            '.' => {
                tokens.push(Token::Other(r"/[\s\S]/".into()));
                1
            }
            '*' | '+' | '?' => {
                tokens.push(Token::Repeat(rest[0].into()));
                1
            }
            '{' => {
                let length = closing(rest, '}')?;
                tokens.push(Token::Repeat(rest[..length].iter().collect()));
                length
            }
            '(' | ')' | '|' => {
                tokens.push(Token::Other(rest[0].into()));
                1
            }
            ':' if rest.starts_with(&[':', ':', '=']) => {
                tokens.push(Token::Defines);
                3
            }
            c if is_part_of_name(c) => {
                let length = rest.iter().position(|&c| !is_part_of_name(c)).unwrap_or(rest.len());
                tokens.push(Token::Name(rest[..length].iter().collect()));
                length
            }
            c => return Err(format!("GBNF: expected a rule, a string, a class or an operator, got '{c}'")),
        };
    }
    Ok(tokens)
}

/// What Lark's expressions would take for more than a character gets a backslash.
fn class_body(chars: &[char]) -> String {
    let mut body = String::new();
    let mut before = ' ';
    for &c in chars {
        if before != '\\' && (matches!(c, '/' | '[' | '&' | '~') || (c == '-' && before == '-')) {
            body.push('\\');
        }
        body.push(c);
        before = if before == '\\' { ' ' } else { c };
    }
    body
}

/// Characters up to and with the closing one; a backslash takes the next along.
fn closing(chars: &[char], close: char) -> Result<usize, String> {
    let mut at = 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == close => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err(format!("GBNF: expected '{close}' to close '{}'", chars[0]))
}
