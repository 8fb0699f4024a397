//! The expressions of a log message: Rust's, cut down to what can be read without running the program.

use super::error::CompileError;

/// An expression that has been understood. Each names a place or a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A variable.
    Name(String),
    /// `base.name`; a tuple's field by its number.
    Field(Box<Expr>, String),
    /// `base[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// `*base`.
    Deref(Box<Expr>),
    /// `&base`.
    Reference(Box<Expr>),
    /// A literal.
    Literal(Literal),
}

/// A constant in an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Without its suffix.
    Integer(i128),
    /// Without its suffix.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A character.
    Char(char),
    /// A string.
    Text(String),
}

impl Expr {
    /// Parses the source text of an expression.
    ///
    /// # Errors
    ///
    /// [`CompileError::Syntax`] where it is no Rust expression, [`CompileError::Unsupported`] where it is one that
    /// this debugger does not evaluate.
    pub fn parse(source: &str) -> Result<Self, CompileError> {
        if source.matches(NESTING).count() > MAX_NESTING {
            return Err(CompileError::TooComplex);
        }
        let parsed: syn::Expr = syn::parse_str(source).map_err(|error| CompileError::Syntax {
            text: source.into(),
            reason: error.to_string(),
        })?;
        convert(&parsed)
    }
}

/// What can make the parser recurse, but for keywords, of which no harmful number fits.
const NESTING: [char; 10] = ['(', '[', '{', '<', '=', '|', '*', '&', '!', '-'];

/// How often that may be there. A level takes the parser up to 35 KB of stack without optimization, and a stack
/// overflow would end the program.
const MAX_NESTING: usize = 40;

/// Recurses no deeper than the parser did.
fn convert(expr: &syn::Expr) -> Result<Expr, CompileError> {
    let inner = |expr: &syn::Expr| convert(expr).map(Box::new);
    match expr {
        syn::Expr::Paren(paren) => convert(&paren.expr),
        syn::Expr::Group(group) => convert(&group.expr),
        syn::Expr::Path(path) => match path.path.get_ident() {
            Some(ident) if path.qself.is_none() => Ok(Expr::Name(plain(ident))),
            _ => Err(unsupported(
                "paths with `::`",
                "only variables that are visible at the line have a value here",
            )),
        },
        syn::Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => Ok(Expr::Field(inner(&field.base)?, plain(name))),
            syn::Member::Unnamed(index) => {
                Ok(Expr::Field(inner(&field.base)?, index.index.to_string()))
            }
        },
        syn::Expr::Index(index) => Ok(Expr::Index(inner(&index.expr)?, inner(&index.index)?)),
        syn::Expr::Reference(reference) => Ok(Expr::Reference(inner(&reference.expr)?)),
        syn::Expr::Unary(unary) => match unary.op {
            syn::UnOp::Deref(_) => Ok(Expr::Deref(inner(&unary.expr)?)),
            syn::UnOp::Neg(_) => match convert(&unary.expr)? {
                Expr::Literal(Literal::Integer(value)) => {
                    Ok(Expr::Literal(Literal::Integer(value.wrapping_neg())))
                }
                Expr::Literal(Literal::Float(value)) => Ok(Expr::Literal(Literal::Float(-value))),
                _ => Err(unsupported("arithmetic", WRITE_PLACE)),
            },
            _ => Err(unsupported("logic", WRITE_PLACE)),
        },
        syn::Expr::Lit(literal) => literal_of(&literal.lit).map(Expr::Literal),
        other => Err(refusal(other)),
    }
}

const WRITE_PLACE: &str = "write a place: a variable, its fields, elements and what it points to";
const RUNS_CODE: &str = "it would run code of the program";

fn refusal(expr: &syn::Expr) -> CompileError {
    use syn::Expr::*;
    match expr {
        MethodCall(call) => CompileError::Unsupported {
            what: format!("the method `{}`", call.method),
            why: RUNS_CODE,
        },
        Call(_) => unsupported("a function call", RUNS_CODE),
        Macro(_) => unsupported("a macro", RUNS_CODE),
        Closure(_) => unsupported("a closure", RUNS_CODE),
        Await(_) | Async(_) => unsupported("async code", RUNS_CODE),
        Assign(_) => unsupported("an assignment", "a log message must not change the program"),
        Binary(binary) if is_assignment(&binary.op) => {
            unsupported("an assignment", "a log message must not change the program")
        }
        Binary(_) => unsupported("an operator between two values", WRITE_PLACE),
        Cast(_) => unsupported("`as`", WRITE_PLACE),
        Range(_) => unsupported(
            "a range",
            "write one index; a whole sequence is shown by its name",
        ),
        Struct(_) | Tuple(_) | Array(_) | Repeat(_) => unsupported("building a value", WRITE_PLACE),
        _ => CompileError::Unsupported {
            what: "this kind of expression".into(),
            why: WRITE_PLACE,
        },
    }
}

fn is_assignment(op: &syn::BinOp) -> bool {
    use syn::BinOp::*;
    !matches!(
        op,
        Add(_)
            | Sub(_)
            | Mul(_)
            | Div(_)
            | Rem(_)
            | And(_)
            | Or(_)
            | BitXor(_)
            | BitAnd(_)
            | BitOr(_)
            | Shl(_)
            | Shr(_)
            | Eq(_)
            | Lt(_)
            | Le(_)
            | Ne(_)
            | Ge(_)
            | Gt(_)
    )
}

fn unsupported(what: &str, why: &'static str) -> CompileError {
    CompileError::Unsupported {
        what: what.into(),
        why,
    }
}

fn literal_of(literal: &syn::Lit) -> Result<Literal, CompileError> {
    match literal {
        syn::Lit::Int(value) => {
            value
                .base10_parse()
                .map(Literal::Integer)
                .map_err(|error| CompileError::Syntax {
                    text: value.to_string(),
                    reason: error.to_string(),
                })
        }
        syn::Lit::Float(value) => {
            value
                .base10_parse()
                .map(Literal::Float)
                .map_err(|error| CompileError::Syntax {
                    text: value.to_string(),
                    reason: error.to_string(),
                })
        }
        syn::Lit::Bool(value) => Ok(Literal::Bool(value.value)),
        syn::Lit::Char(value) => Ok(Literal::Char(value.value())),
        syn::Lit::Str(value) => Ok(Literal::Text(value.value())),
        _ => Err(unsupported("a literal of this kind", WRITE_PLACE)),
    }
}

/// The name as debug information has it: `r#type` is `type` there.
fn plain(ident: &syn::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::template::MAX_EXPRESSION;

    fn name(name: &str) -> Box<Expr> {
        Box::new(Expr::Name(name.into()))
    }

    #[test]
    fn places() {
        let field = |base, name: &str| Expr::Field(base, name.into());
        for (source, expected) in [
            ("a", *name("a")),
            ("(self)", *name("self")),
            ("r#type", *name("type")),
            ("a.b", field(name("a"), "b")),
            ("a.0.1", field(Box::new(field(name("a"), "0")), "1")),
            ("*a.b", Expr::Deref(Box::new(field(name("a"), "b")))),
            ("&mut a", Expr::Reference(name("a"))),
            ("a[i]", Expr::Index(name("a"), name("i"))),
            (
                "a[-1]",
                Expr::Index(name("a"), Box::new(Expr::Literal(Literal::Integer(-1)))),
            ),
            ("1_000u64", Expr::Literal(Literal::Integer(1000))),
            ("0x10", Expr::Literal(Literal::Integer(16))),
            ("-2.5", Expr::Literal(Literal::Float(-2.5))),
            ("'x'", Expr::Literal(Literal::Char('x'))),
            ("\"x\"", Expr::Literal(Literal::Text("x".into()))),
        ] {
            assert_eq!(Expr::parse(source), Ok(expected), "{source}");
        }
    }

    #[test]
    fn refusals_say_what_and_why() {
        for (source, expected) in [
            (
                "v.len()",
                "the method `len` is not supported: it would run code of the program",
            ),
            (
                "f(1)",
                "a function call is not supported: it would run code of the program",
            ),
            (
                "a = 1",
                "an assignment is not supported: a log message must not change the program",
            ),
            (
                "a += 1",
                "an assignment is not supported: a log message must not change the program",
            ),
            (
                "v[1..2]",
                "a range is not supported: write one index; a whole sequence is shown by its name",
            ),
        ] {
            assert_eq!(Expr::parse(source).unwrap_err().to_string(), expected);
        }
        for source in [
            "a + b",
            "a as u8",
            "!a",
            "-a",
            "a::b",
            "(a, b)",
            "[a]",
            "if a {b} else {c}",
            "return",
            "b\"x\"",
        ] {
            assert!(
                matches!(Expr::parse(source), Err(CompileError::Unsupported { .. })),
                "{source}"
            );
        }
        for source in [
            "a b",
            "a.",
            "1 +",
            "a[",
            "999999999999999999999999999999999999999999",
        ] {
            assert!(
                matches!(Expr::parse(source), Err(CompileError::Syntax { .. })),
                "{source}"
            );
        }
    }

    /// A client may send anything; no nesting must overflow the stack of a small thread.
    #[test]
    fn deep_nesting_fits_a_thread_of_two_megabytes() {
        let deep = [
            ("*", ""),
            ("&", ""),
            ("!", ""),
            ("-", ""),
            ("(", ")"),
            ("[", "]"),
            ("{", "}"),
            ("a=", ""),
            ("||", ""),
            ("|a|", ""),
            ("return ", ""),
            ("break ", ""),
            ("a<", ""),
            ("a::<", ">"),
            ("<", ">::a"),
            ("a as &", ""),
            ("a as (", ")"),
            ("a as fn(", ")"),
            ("a as [", "]"),
            ("a as dyn A<", ">"),
            ("if a {", "}"),
            ("if let (", ")=a{}"),
            ("loop{", "}"),
            ("match a{_=>", "}"),
            ("f(", ")"),
            ("a.b(", ")"),
            ("m!(", ")"),
            ("async{", "}"),
            ("unsafe{", "}"),
            ("a..", ""),
            ("a+", ""),
        ];
        let parse = move || {
            for (open, close) in deep {
                let fitting = MAX_EXPRESSION / (open.len() + close.len());
                for count in [fitting, MAX_NESTING, MAX_NESTING / 2, MAX_NESTING / 3] {
                    let count = count.min(fitting);
                    let _ = Expr::parse(&open.repeat(count));
                    let _ = Expr::parse(&format!("{}a{}", open.repeat(count), close.repeat(count)));
                }
            }
        };
        std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(parse)
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(
            Expr::parse(&format!("{}a", "*".repeat(MAX_NESTING + 1))),
            Err(CompileError::TooComplex)
        );
    }
}
