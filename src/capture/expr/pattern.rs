//! From syn's patterns to [`Pattern`].

use super::parse::{Nodes, literal_of, path_segments, plain, unsupported};
use super::{Literal, Pattern, TuplePattern};
use crate::capture::error::CompileError;

/// Recurses no deeper than the parser did.
pub(super) fn pattern(found: &syn::Pat, nodes: &Nodes) -> Result<Pattern, CompileError> {
    nodes.take()?;
    match found {
        syn::Pat::Wild(_) | syn::Pat::Rest(_) => Ok(Pattern::Any),
        syn::Pat::Paren(paren) => pattern(&paren.pat, nodes),
        syn::Pat::Reference(reference) => pattern(&reference.pat, nodes),
        syn::Pat::Lit(literal) => literal_of(&literal.lit).map(Pattern::Literal),
        syn::Pat::Range(range) => {
            let end = |end: &Option<Box<syn::Expr>>| end.as_deref().map(constant).transpose();
            let inclusive = matches!(range.limits, syn::RangeLimits::Closed(_));
            Ok(Pattern::Range(
                end(&range.start)?,
                end(&range.end)?,
                inclusive,
            ))
        }
        // Whether it is a variant or would bind a variable depends on what it is compared with.
        syn::Pat::Ident(name) if name.subpat.is_none() => {
            Ok(Pattern::Path(vec![plain(&name.ident)]))
        }
        syn::Pat::Path(path) => Ok(Pattern::Path(path_segments(&path.path))),
        syn::Pat::TupleStruct(tuple) => tuple_pattern(tuple.elems.iter(), nodes)
            .map(|fields| Pattern::Tuple(path_segments(&tuple.path), fields)),
        syn::Pat::Tuple(tuple) => tuple_pattern(tuple.elems.iter(), nodes)
            .map(|fields| Pattern::Tuple(Vec::new(), fields)),
        syn::Pat::Struct(structure) => {
            let fields = structure.fields.iter().map(|field| {
                let name = match &field.member {
                    syn::Member::Named(name) => plain(name),
                    syn::Member::Unnamed(at) => at.index.to_string(),
                };
                let inner = match (&field.colon_token, &*field.pat) {
                    (None, _) => Pattern::Binding(name.clone()),
                    (Some(_), inner) => pattern(inner, nodes)?,
                };
                Ok((name, inner))
            });
            let fields = fields.collect::<Result<_, CompileError>>()?;
            Ok(Pattern::Struct(path_segments(&structure.path), fields))
        }
        syn::Pat::Or(or) => or
            .cases
            .iter()
            .map(|case| pattern(case, nodes))
            .collect::<Result<_, _>>()
            .map(Pattern::Or),
        _ => Err(unsupported(
            "this pattern",
            "there are `_`, literals, ranges, `|`, variants, tuples and structs",
        )),
    }
}

fn tuple_pattern<'a>(
    fields: impl Iterator<Item = &'a syn::Pat>,
    nodes: &Nodes,
) -> Result<TuplePattern, CompileError> {
    let mut first = Vec::new();
    let mut last = None;
    for field in fields {
        match (field, &mut last) {
            (syn::Pat::Rest(_), _) => last = Some(Vec::new()),
            (_, None) => first.push(pattern(field, nodes)?),
            (_, Some(last)) => last.push(pattern(field, nodes)?),
        }
    }
    Ok(TuplePattern { first, last })
}

fn constant(end: &syn::Expr) -> Result<Literal, CompileError> {
    let wrong = || unsupported("this end of a range", "write a number or a character");
    match end {
        syn::Expr::Lit(literal) => literal_of(&literal.lit),
        syn::Expr::Unary(syn::ExprUnary {
            op: syn::UnOp::Neg(_),
            expr,
            ..
        }) => constant(expr)?.negated().ok_or_else(wrong),
        _ => Err(wrong()),
    }
}
