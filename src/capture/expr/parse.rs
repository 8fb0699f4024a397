//! From syn's syntax tree to [`Expr`].

use super::pattern::pattern;
use super::{Bounds, Expr, FormatPart, Literal, Special, quoted};
use crate::capture::error::CompileError;
use crate::capture::number::{Binary, Kind, Unary};
use crate::capture::template::MAX_EXPRESSION;
use std::cell::Cell;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;

/// See [`Expr::parse`].
pub(super) fn parse(source: &str) -> Result<Expr, CompileError> {
    if source.len() > MAX_EXPRESSION {
        return Err(CompileError::TooLong);
    }
    convert(&syntax(source)?, MAX_DEPTH, &Nodes(Cell::new(MAX_NODES)))
}

fn syntax(source: &str) -> Result<syn::Expr, CompileError> {
    if source.matches(NESTING).count() > MAX_NESTING {
        return Err(CompileError::TooComplex);
    }
    syn::parse_str(&without_dollars(source)).map_err(|error| CompileError::Syntax {
        text: source.into(),
        reason: error.to_string(),
    })
}

/// What can make the parser recurse, but for keywords, of which no harmful number fits into [`MAX_EXPRESSION`].
const NESTING: [char; 10] = ['(', '[', '{', '<', '=', '|', '*', '&', '!', '-'];

/// How often that may be there. A level takes the parser up to 35 KB of stack without optimization, and a stack
/// overflow would end the program.
pub(super) const MAX_NESTING: usize = 40;

/// How deep an expression may be, which operators in a row make it too: what is done with it recurses as deep.
const MAX_DEPTH: usize = 48;

/// How many nodes an expression may have. Each hole of a `format!` has its own of the value that it names, so that few bytes
/// can stand for any number of them.
pub(super) const MAX_NODES: usize = 1024;

/// How many more there may be.
pub(super) struct Nodes(Cell<usize>);

impl Nodes {
    pub(super) fn take(&self) -> Result<(), CompileError> {
        let rest = self.0.get().checked_sub(1);
        self.0.set(rest.ok_or(CompileError::TooComplex)?);
        Ok(())
    }
}

/// What a `$` becomes, which Rust does not have in names.
const DOLLAR: &str = "__dollar_";

fn without_dollars(source: &str) -> String {
    let mut replaced = String::with_capacity(source.len());
    for (c, quoted) in quoted(source) {
        if c == '$' && !quoted {
            replaced.push_str(DOLLAR);
        } else {
            replaced.push(c);
        }
    }
    replaced
}

fn special(name: &str) -> Result<Expr, CompileError> {
    match name {
        "hits" => Ok(Expr::Special(Special::Hits)),
        "thread" => Ok(Expr::Special(Special::Thread)),
        "time" => Ok(Expr::Special(Special::Time)),
        _ => Err(CompileError::UnknownName {
            name: format!("${name}"),
            hint: "; there are `$hits`, `$thread`, `$time`".into(),
        }),
    }
}

fn convert(expr: &syn::Expr, depth: usize, nodes: &Nodes) -> Result<Expr, CompileError> {
    let depth = depth.checked_sub(1).ok_or(CompileError::TooComplex)?;
    nodes.take()?;
    let convert = |expr: &syn::Expr| convert(expr, depth, nodes);
    let inner = |expr: &syn::Expr| convert(expr).map(Box::new);
    match expr {
        syn::Expr::Paren(paren) => convert(&paren.expr),
        syn::Expr::Group(group) => convert(&group.expr),
        syn::Expr::Path(path) => match path.path.get_ident() {
            Some(ident) if path.qself.is_none() => named(ident),
            _ => segments(path).map(Expr::Path),
        },
        syn::Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => Ok(Expr::Field(inner(&field.base)?, plain(name))),
            syn::Member::Unnamed(index) => {
                Ok(Expr::Field(inner(&field.base)?, index.index.to_string()))
            }
        },
        syn::Expr::Index(index) => match &*index.index {
            syn::Expr::Range(range) => {
                let end = |end: &Option<Box<syn::Expr>>| end.as_deref().map(inner).transpose();
                let bounds = Bounds {
                    start: end(&range.start)?,
                    end: end(&range.end)?,
                    inclusive: matches!(range.limits, syn::RangeLimits::Closed(_)),
                };
                Ok(Expr::Slice(inner(&index.expr)?, bounds))
            }
            at => Ok(Expr::Index(inner(&index.expr)?, inner(at)?)),
        },
        syn::Expr::Reference(reference) => Ok(Expr::Reference(inner(&reference.expr)?)),
        syn::Expr::Unary(unary) => match unary.op {
            syn::UnOp::Deref(_) => Ok(Expr::Deref(inner(&unary.expr)?)),
            syn::UnOp::Neg(_) => Ok(negated(convert(&unary.expr)?)),
            syn::UnOp::Not(_) => Ok(Expr::Unary(Unary::Not, inner(&unary.expr)?)),
            _ => Err(unsupported("this operator", REWRITE)),
        },
        syn::Expr::Binary(binary) => {
            let sides = || Ok((inner(&binary.left)?, inner(&binary.right)?));
            match operator(&binary.op)? {
                Operator::And => sides().map(|(left, right)| Expr::And(left, right)),
                Operator::Or => sides().map(|(left, right)| Expr::Or(left, right)),
                Operator::Binary(op) => sides().map(|(left, right)| Expr::Binary(op, left, right)),
            }
        }
        syn::Expr::Cast(cast) => {
            let kind = match &*cast.ty {
                syn::Type::Path(path) => path.path.get_ident().map(ToString::to_string),
                _ => None,
            };
            match kind.as_deref().and_then(Kind::named) {
                Some(kind) => Ok(Expr::Cast(inner(&cast.expr)?, kind)),
                None => Err(unsupported(
                    "a cast to this type",
                    "only numbers, `bool` and `char` can be cast to",
                )),
            }
        }
        syn::Expr::MethodCall(call) => {
            let arguments: Result<Vec<Expr>, _> = call.args.iter().map(convert).collect();
            Ok(Expr::Method(
                inner(&call.receiver)?,
                plain(&call.method),
                arguments?,
            ))
        }
        syn::Expr::Call(call) => match &*call.func {
            syn::Expr::Path(path) => {
                let arguments: Result<Vec<Expr>, _> = call.args.iter().map(convert).collect();
                Ok(Expr::Call(segments(path)?, arguments?))
            }
            _ => Err(unsupported("a function call", RUNS_CODE)),
        },
        syn::Expr::Macro(call) => macro_call(&call.mac, depth, nodes),
        syn::Expr::Struct(literal) => {
            let fields = literal.fields.iter().map(|field| match &field.member {
                syn::Member::Named(name) => Ok((plain(name), convert(&field.expr)?)),
                syn::Member::Unnamed(at) => Ok((at.index.to_string(), convert(&field.expr)?)),
            });
            fields.collect::<Result<_, _>>().map(Expr::Struct)
        }
        syn::Expr::Lit(literal) => literal_of(&literal.lit).map(Expr::Literal),
        other => Err(refusal(other)),
    }
}

fn named(ident: &syn::Ident) -> Result<Expr, CompileError> {
    let name = plain(ident);
    match name.strip_prefix(DOLLAR) {
        Some(name) => special(name),
        None => Ok(Expr::Name(name)),
    }
}

pub(super) fn segments(path: &syn::ExprPath) -> Result<Vec<String>, CompileError> {
    if path.qself.is_some() {
        return Err(unsupported("a path with `<`", REWRITE));
    }
    Ok(path_segments(&path.path))
}

pub(super) fn path_segments(path: &syn::Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|segment| plain(&segment.ident))
        .collect()
}

fn negated(expr: Expr) -> Expr {
    let literal = match &expr {
        Expr::Literal(literal) => literal.negated(),
        _ => None,
    };
    literal.map_or_else(|| Expr::Unary(Unary::Neg, Box::new(expr)), Expr::Literal)
}

enum Operator {
    And,
    Or,
    Binary(Binary),
}

fn operator(op: &syn::BinOp) -> Result<Operator, CompileError> {
    use syn::BinOp::*;
    Ok(Operator::Binary(match op {
        And(_) => return Ok(Operator::And),
        Or(_) => return Ok(Operator::Or),
        Add(_) => Binary::Add,
        Sub(_) => Binary::Sub,
        Mul(_) => Binary::Mul,
        Div(_) => Binary::Div,
        Rem(_) => Binary::Rem,
        BitXor(_) => Binary::Xor,
        BitAnd(_) => Binary::And,
        BitOr(_) => Binary::Or,
        Shl(_) => Binary::Shl,
        Shr(_) => Binary::Shr,
        Eq(_) => Binary::Eq,
        Lt(_) => Binary::Lt,
        Le(_) => Binary::Le,
        Ne(_) => Binary::Ne,
        Ge(_) => Binary::Ge,
        Gt(_) => Binary::Gt,
        _ => {
            return Err(unsupported(
                "an assignment",
                "a log message must not change the program",
            ));
        }
    }))
}

fn macro_call(call: &syn::Macro, depth: usize, nodes: &Nodes) -> Result<Expr, CompileError> {
    let convert = |expr: &syn::Expr| convert(expr, depth, nodes);
    let syntax = |error: syn::Error| CompileError::Syntax {
        text: call.tokens.to_string(),
        reason: error.to_string(),
    };
    match call.path.get_ident().map(ToString::to_string).as_deref() {
        Some("matches") => {
            let arguments = |input: syn::parse::ParseStream<'_>| {
                let value: syn::Expr = input.parse()?;
                input.parse::<syn::Token![,]>()?;
                let pattern = syn::Pat::parse_multi_with_leading_vert(input)?;
                let guard = match input.parse::<Option<syn::Token![if]>>()? {
                    Some(_) => Some(input.parse::<syn::Expr>()?),
                    None => None,
                };
                input.parse::<Option<syn::Token![,]>>()?;
                Ok((value, pattern, guard))
            };
            let (value, matched, guard) = arguments.parse2(call.tokens.clone()).map_err(syntax)?;
            let guard = guard.as_ref().map(convert).transpose()?.map(Box::new);
            Ok(Expr::Matches(
                Box::new(convert(&value)?),
                pattern(&matched, nodes)?,
                guard,
            ))
        }
        Some("format") => {
            let arguments = Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated
                .parse2(call.tokens.clone())
                .map_err(syntax)?;
            let mut arguments = arguments.iter();
            let Some(syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            })) = arguments.next()
            else {
                return Err(unsupported(
                    "`format!` without a text",
                    "write its text as the first argument",
                ));
            };
            let arguments: Vec<&syn::Expr> = arguments.collect();
            format_parts(&text.value(), &arguments, convert).map(Expr::Format)
        }
        _ => Err(CompileError::Unsupported {
            what: format!("the macro `{}!`", path_segments(&call.path).join("::")),
            why: "there are `format!` and `matches!`; others would run code of the program",
        }),
    }
}

/// Splits the text of `format!`: `{}`, `{0}`, `{name}`, each with what may follow a `:`.
fn format_parts(
    text: &str,
    arguments: &[&syn::Expr],
    convert: impl Fn(&syn::Expr) -> Result<Expr, CompileError>,
) -> Result<Vec<FormatPart>, CompileError> {
    let wrong = |reason: &str| CompileError::Syntax {
        text: text.into(),
        reason: reason.into(),
    };
    let named_argument = |name: &str| {
        arguments.iter().find_map(|argument| match argument {
            syn::Expr::Assign(assign) => match &*assign.left {
                syn::Expr::Path(path) if path.path.is_ident(name) => Some(&*assign.right),
                _ => None,
            },
            _ => None,
        })
    };
    let positional = |at: usize| {
        arguments
            .get(at)
            .filter(|argument| !matches!(argument, syn::Expr::Assign(_)))
            .ok_or_else(|| wrong("it has more `{}` than values"))
    };
    let mut parts = Vec::new();
    let mut plain_text = String::new();
    let mut next = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        plain_text.push_str(before);
        if let Some(tail) = after.strip_prefix("{{") {
            plain_text.push('{');
            rest = tail;
        } else if let Some(tail) = after.strip_prefix("}}") {
            plain_text.push('}');
            rest = tail;
        } else {
            let Some((hole, tail)) = after.strip_prefix('{').and_then(|it| it.split_once('}'))
            else {
                return Err(wrong("its braces do not match"));
            };
            rest = tail;
            let (name, spec) = hole.split_once(':').unwrap_or((hole, ""));
            let name = name.trim();
            let value = if name.is_empty() {
                next += 1;
                convert(positional(next - 1)?)?
            } else if let Ok(at) = name.parse::<usize>() {
                convert(positional(at)?)?
            } else if let Some(value) = named_argument(name) {
                convert(value)?
            } else {
                convert(&syntax(name)?)?
            };
            if !plain_text.is_empty() {
                parts.push(FormatPart::Text(std::mem::take(&mut plain_text)));
            }
            parts.push(FormatPart::Value(value, spec.trim().to_owned()));
        }
    }
    plain_text.push_str(rest);
    if !plain_text.is_empty() {
        parts.push(FormatPart::Text(plain_text));
    }
    Ok(parts)
}

const REWRITE: &str = "write it with variables, fields, operators and methods that only read";
pub(super) const RUNS_CODE: &str = "it would run code of the program";

fn refusal(expr: &syn::Expr) -> CompileError {
    use syn::Expr::*;
    match expr {
        Closure(_) => unsupported("a closure", RUNS_CODE),
        Await(_) | Async(_) => unsupported("async code", RUNS_CODE),
        Try(_) => unsupported(
            "`?`",
            "write `.unwrap()`, which shows what is there instead",
        ),
        Assign(_) => unsupported("an assignment", "a log message must not change the program"),
        Range(_) => unsupported(
            "a range of its own",
            "write it as an index, `v[2..5]`, or in `matches!`",
        ),
        If(_) | Match(_) => unsupported("a choice", "write `matches!`, `&&` and `||`"),
        Tuple(_) | Array(_) | Repeat(_) => unsupported(
            "building a value",
            "write the parts as expressions of their own",
        ),
        _ => unsupported("this kind of expression", REWRITE),
    }
}

pub(super) fn unsupported(what: &str, why: &'static str) -> CompileError {
    CompileError::Unsupported {
        what: what.into(),
        why,
    }
}

pub(super) fn literal_of(literal: &syn::Lit) -> Result<Literal, CompileError> {
    let syntax = |text: String, error: syn::Error| CompileError::Syntax {
        text,
        reason: error.to_string(),
    };
    let suffix = |suffix: &str| match (suffix, Kind::named(suffix)) {
        ("", _) => Ok(None),
        (_, Some(kind)) if kind.is_integer() || kind.is_float() => Ok(Some(kind)),
        _ => Err(CompileError::Syntax {
            text: suffix.into(),
            reason: "there is no such suffix".into(),
        }),
    };
    match literal {
        syn::Lit::Int(value) => {
            let kind = suffix(value.suffix())?;
            if kind.is_some_and(Kind::is_float) {
                return Ok(Literal::Float(value.base10_digits().into(), kind));
            }
            // In a pattern the sign may be its own.
            match (value.base10_parse(), value.base10_parse()) {
                (Ok(number), _) => Ok(Literal::Integer(number, kind)),
                (Err(_), Ok(number)) => Ok(Literal::Large(number, kind)),
                (Err(error), Err(_)) => Err(syntax(value.to_string(), error)),
            }
        }
        syn::Lit::Float(value) => {
            let kind = suffix(value.suffix())?;
            Ok(Literal::Float(value.base10_digits().into(), kind))
        }
        syn::Lit::Bool(value) => Ok(Literal::Bool(value.value)),
        syn::Lit::Char(value) => Ok(Literal::Char(value.value())),
        syn::Lit::Str(value) => Ok(Literal::Text(value.value())),
        syn::Lit::Byte(value) => Ok(Literal::Integer(
            i128::from(value.value()),
            Some(Kind::unsigned(8)),
        )),
        _ => Err(unsupported("a literal of this kind", REWRITE)),
    }
}

/// The name as debug information has it: `r#type` is `type` there.
pub(super) fn plain(ident: &syn::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}
