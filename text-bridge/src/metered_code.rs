//! A template's instructions with those of the meter among them: operators, slices and literals have no other place to
//! hook into.

use crate::meter;
use minijinja::machinery::{tokenize, CompiledTemplate, Instruction, Instructions, TemplateConfig, Token};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error};
use std::collections::BTreeMap;
use std::sync::Arc;

/// No place in the machine's cache of filters, which has few.
const UNCACHED: u8 = u8::MAX;

pub struct MeteredCode {
    // Both borrow from `source`, which is freed after them.
    root: Instructions<'static>,
    blocks: BTreeMap<&'static str, Instructions<'static>>,
    _source: Arc<str>,
}

impl MeteredCode {
    pub fn compile(name: &'static str, source: &str, syntax_config: SyntaxConfig) -> Result<Self, Error> {
        let source: Arc<str> = without_constant_products(source, &syntax_config).into();
        // SAFETY: the text lives as long as the object, does not move with it, and nothing that borrows from it leaves.
        let text: &'static str = unsafe { &*Arc::as_ptr(&source) };
        let config = TemplateConfig { syntax_config, default_auto_escape: Arc::new(|_| AutoEscape::None) };
        let compiled = CompiledTemplate::new(name, text, &config)?;
        let blocks = compiled.blocks.iter().map(|(name, block)| (*name, metered(block))).collect();
        Ok(Self { root: metered(&compiled.instructions), blocks, _source: source })
    }

    pub fn render(&self, environment: &Environment, context: Value) -> Result<String, Error> {
        let mut text = String::new();
        let mut output = minijinja::machinery::make_string_output(&mut text);
        minijinja::machinery::eval(environment, &self.root, context, &self.blocks, &mut output, AutoEscape::None)?;
        drop(output);
        Ok(text)
    }
}

/// The compiler works out products of constants, whatever they take: so none is one of constants.
fn without_constant_products(source: &str, syntax_config: &SyntaxConfig) -> String {
    let mut out = String::with_capacity(source.len());
    let mut copied = 0;
    let mut follows_operand = false;
    for (token, span) in tokenize(source, false, syntax_config.clone()).map_while(Result::ok) {
        if matches!(token, Token::Mul) && follows_operand {
            out.push_str(&source[copied..span.start_offset as usize]);
            out.push_str(&format!("*{} *", meter::ONE));
            copied = span.end_offset as usize;
        }
        follows_operand = !matches!(token, Token::ParenOpen | Token::Comma); // else it unpacks an argument
    }
    out + &source[copied..]
}

fn call(filter: &'static str, num_arguments: u16) -> Instruction<'static> {
    Instruction::ApplyFilter(filter, Some(num_arguments), UNCACHED)
}

/// What stands in the place of an instruction.
fn with_meter(instruction: &Instruction<'static>) -> Vec<Instruction<'static>> {
    let same = instruction.clone();
    match instruction {
        // What is emitted goes through the formatter.
        Instruction::EmitRaw(text) => vec![Instruction::LoadConst(Value::from(*text)), Instruction::Emit],
        Instruction::Add => vec![call(meter::ADD, 2)],
        Instruction::StringConcat => vec![call(meter::CONCAT, 2)],
        // Unpacking leaves the first operand on top.
        Instruction::Mul => {
            vec![
                call(meter::CHECK_REPEAT, 2),
                Instruction::UnpackList(2),
                Instruction::Swap,
                same,
                call(meter::CHARGE_LIST, 1),
            ]
        }
        Instruction::In
        | Instruction::Eq
        | Instruction::Ne
        | Instruction::Lt
        | Instruction::Lte
        | Instruction::Gt
        | Instruction::Gte
        | Instruction::CompareAndPreserve(_)
        | Instruction::PerformTest(_, Some(2), _) => {
            vec![call(meter::WEIGH, 2), Instruction::UnpackList(2), same]
        }
        // These may put lists into lists.
        Instruction::ApplyFilter(
            "batch" | "slice" | "zip" | "groupby" | "items" | "dictsort" | "chain" | "map",
            ..,
        ) => {
            vec![same, call(meter::CHARGE_LIST, 1), call(meter::CHARGE_NEST, 1)]
        }
        Instruction::ApplyFilter(_, Some(1), _) => {
            vec![call(meter::CHARGE, 1), same, call(meter::CHARGE_LIST, 1)]
        }
        Instruction::Slice | Instruction::ApplyFilter(..) => vec![same, call(meter::CHARGE_LIST, 1)],
        Instruction::CallMethod(..) => vec![same, call(meter::CHARGE, 1)],
        Instruction::BuildMap(_)
        | Instruction::BuildList(_)
        | Instruction::BuildTuple(_)
        | Instruction::CallFunction(..)
        | Instruction::CallObject(_) => vec![same, call(meter::CHARGE_NEST, 1)],
        _ => vec![same],
    }
}

fn moved(instruction: Instruction<'static>, places: &[u32]) -> Instruction<'static> {
    let place = |at: u32| places[at as usize];
    match instruction {
        Instruction::Iterate(at) => Instruction::Iterate(place(at)),
        Instruction::Jump(at) => Instruction::Jump(place(at)),
        Instruction::JumpIfFalse(at) => Instruction::JumpIfFalse(place(at)),
        Instruction::JumpIfFalseOrPop(at) => Instruction::JumpIfFalseOrPop(place(at)),
        Instruction::JumpIfTrueOrPop(at) => Instruction::JumpIfTrueOrPop(place(at)),
        Instruction::BuildMacro(name, at, flags) => Instruction::BuildMacro(name, place(at), flags),
        other => other,
    }
}

fn metered(code: &Instructions<'static>) -> Instructions<'static> {
    let old: Vec<_> = (0..).map_while(|at| code.get(at)).collect();
    let new: Vec<_> = old.iter().map(|instruction| with_meter(instruction)).collect();
    let mut places = vec![0];
    for instructions in &new {
        places.push(places.last().unwrap_or(&0) + instructions.len() as u32);
    }
    let mut out = Instructions::new(code.name(), code.source());
    for (at, instructions) in new.into_iter().enumerate() {
        let line = code.get_line(at as u32).unwrap_or(0) as u16;
        for instruction in instructions {
            out.add_with_line(moved(instruction, &places), line);
        }
    }
    out
}
