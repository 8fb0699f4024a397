//! Names of types: patterns that they match, and what `{:?}` calls them.

/// Whether a name matches a pattern, in which each `*` stands for any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let mut rest = rest;
    while let Some((piece, after)) = rest.split_once('*') {
        let Some(at) = name.find(piece) else {
            return false;
        };
        name = name.get(at + piece.len()..).unwrap_or_default();
        rest = after;
    }
    name.ends_with(rest)
}

/// Whether a type is a closure, by rustc's names for them (`rustc_codegen_ssa`, `debuginfo/type_names.rs`).
pub fn is_closure(name: &str) -> bool {
    short_name(name).starts_with("{closure_env#")
}

/// Whether a type is the state of an `async` function, block or closure, by the same names.
pub fn is_coroutine(name: &str) -> bool {
    let name = short_name(name);
    ["{async_fn_env#", "{async_block_env#", "{async_closure_env#"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// The path of the first trait of a trait object, from the name of a reference to it: `&(dyn a::B<u8> + Send)` is
/// about `a::B<u8>`.
pub fn object_trait(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once("dyn ")?;
    let mut depth = 0usize;
    for (at, c) in rest.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' | ',' if depth == 0 => return rest.get(..at),
            '>' if rest.get(..at).is_some_and(|before| before.ends_with('-')) => {}
            '>' | ')' | ']' => depth -= 1,
            ' ' if depth == 0 && rest.get(at..).is_some_and(|after| after.starts_with(" + ")) => {
                return rest.get(..at);
            }
            _ => {}
        }
    }
    Some(rest)
}

/// A trait's path without what it binds: `a::B<u8>` for `a::B<u8, Item=u16>`, as the names of its implementations have
/// it.
pub fn without_bindings(path: &str) -> String {
    let Some((before, arguments)) = path.split_once('<') else {
        return path.to_owned();
    };
    let mut depth = 0usize;
    let mut start = 0;
    let mut kept: Vec<&str> = Vec::new();
    let is_binding = |argument: &str| {
        let name = argument.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    let mut previous = ' ';
    for (at, c) in arguments.char_indices() {
        let ends = depth == 0 && (c == ',' || (c == '>' && previous != '-'));
        if ends {
            let argument = arguments.get(start..at).unwrap_or_default().trim_start();
            if !is_binding(argument) {
                kept.push(argument);
            }
            start = at + 1;
            if c == '>' {
                break;
            }
        } else {
            match c {
                '<' | '(' | '[' => depth += 1,
                '>' if previous == '-' => {}
                '>' | ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        previous = c;
    }
    if kept.is_empty() {
        return before.to_owned();
    }
    format!("{before}<{}>", kept.join(", "))
}

/// As `type_name` writes it: without the allocator and the hasher that are the defaults.
pub fn without_defaults(name: &str) -> String {
    name.replace(", alloc::alloc::Global>", ">")
        .replace(", std::hash::random::RandomState>", ">")
}

/// What a closure is called: `{closure#0}`, for rustc's `shop::pay::{closure_env#0}<u8>`.
pub fn without_env(path: &str) -> String {
    short_name(path).replace("_env#", "#")
}

/// What a future is called: `{async fn shop::pay}`, for rustc's `shop::pay::{async_fn_env#0}<u8>`; blocks and closures
/// keep their numbers.
pub fn future(path: &str) -> String {
    let short = short_name(path);
    let end = path.find(short).unwrap_or(0);
    let owner = path.get(..end).unwrap_or_default().trim_end_matches("::");
    let number = short
        .split_once('#')
        .map_or("", |(_, number)| number.trim_end_matches('}'));
    if short.starts_with("{async_fn") {
        format!("{{async fn {owner}}}")
    } else if short.starts_with("{async_block") {
        format!("{{async block#{number} in {owner}}}")
    } else {
        format!("{{async closure#{number} in {owner}}}")
    }
}

/// What the source calls a captured variable: `order.id`, for rustc's `_ref__order__id`, which a closure has by
/// reference.
pub fn captured(member: &str) -> String {
    let name = member.strip_prefix("_ref__").unwrap_or(member);
    if name.starts_with("__") {
        return name.to_owned();
    }
    name.replace("__", ".")
}

/// A type's path from its last segment on, arguments included.
pub fn from_short(path: &str) -> &str {
    let short = short_name(path);
    let end = path.find('<').unwrap_or(path.len());
    path.get(..end)
        .and_then(|before| before.rfind(short))
        .and_then(|start| path.get(start..))
        .unwrap_or(path)
}

/// The last segment of a type's path, without arguments: what `{:?}` calls it.
pub fn short_name(path: &str) -> &str {
    let mut depth = 0usize;
    let mut start = 0;
    let mut end = path.len();
    let mut previous = ' ';
    for (at, c) in path.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => {
                if c == '<' && depth == 0 && end == path.len() {
                    end = at;
                }
                depth += 1;
            }
            // The arrow of a function type closes nothing.
            '>' if previous == '-' => {}
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ':' if previous == ':' && depth == 0 => {
                start = at + 1;
                end = path.len();
            }
            _ => {}
        }
        previous = c;
    }
    path.get(start..end).unwrap_or(path)
}
