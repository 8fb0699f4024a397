//! Any text as a message and its conditions, over a program of many types.

use super::super::compile::compile;
use super::super::hits::HitRule;
use super::super::logpoint::Logpoint;
use super::super::template::Template;
use super::super::world::World;
use super::show;

/// What became of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Understood {
    /// Bytes that a hit says; none where the message, its condition or its hit condition mean nothing.
    pub said: usize,
    /// What the second line decides, where it is a condition that can be decided.
    pub decided: Option<bool>,
}

/// Compiles the first line as a message, the second as its condition and the third as its hit condition, and runs them.
///
/// # Panics
///
/// Where a program breaks its bounds, or where a condition decides one thing, and shows another when it is the message.
pub fn expressions(data: &[u8]) -> Understood {
    let mut understood = Understood::default();
    let Ok(text) = std::str::from_utf8(data) else {
        return understood;
    };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().filter(|line| !line.is_empty());
    let (message, condition, hits) = (line().unwrap_or_default(), line(), line());
    let mut world = World::of_many_types();
    if let Some(condition) = condition {
        understood.decided = decided(&mut world, condition);
    }
    let Ok(template) = Template::parse(message) else {
        return understood;
    };
    let Ok(hits) = hits.map(HitRule::parse).transpose() else {
        return understood;
    };
    let logpoint = Logpoint {
        message: &template,
        condition,
        hits,
    };
    let World {
        types,
        scope,
        limits,
        knowledge,
        ..
    } = &world;
    if let Ok(compiled) = compile(&logpoint, scope, types, limits, knowledge) {
        understood.said = show(&compiled, data);
        if condition.is_none() && hits.is_none() {
            world.show(message);
        }
    }
    understood
}

/// What a condition decides. Shown as the value of an expression it says the same, or that there is none; but what is new at
/// each hit, as `$hits` is.
fn decided(world: &mut World, condition: &str) -> Option<bool> {
    let decided = world.decide(condition).ok()?;
    let message = format!("{{{condition}}}");
    // Braces within it may belong to a format.
    if !condition.contains('$')
        && Template::parse(&message)
            .is_ok_and(|template| template.expressions().eq([condition.trim()]))
    {
        let shown = world.show(&message);
        assert!(
            shown == decided.to_string() || shown.starts_with('<'),
            "`{condition}` is {decided} as a condition, and {shown} as a value"
        );
    }
    Some(decided)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzer begins with, and what it found.
    #[test]
    fn known_expressions_mean_something() {
        let (mut said, mut decided) = (0, 0);
        for (name, data) in crate::seeds::of("expressions") {
            let understood = expressions(&data);
            println!("{name}: {understood:?}");
            said += usize::from(understood.said > 0);
            decided += usize::from(understood.decided.is_some());
        }
        assert!(
            said >= 20 && decided >= 10,
            "{said} said, {decided} decided"
        );
    }

    /// Each cut of a text, and each character that is wrong.
    #[test]
    fn cut_and_changed_texts_do_no_harm() {
        for (_, data) in crate::seeds::of("expressions") {
            for at in (0..data.len()).step_by(11) {
                expressions(&data[..at]);
                let mut changed = data.clone();
                changed[at] ^= 1 << (at % 7);
                expressions(&changed);
            }
        }
    }
}
