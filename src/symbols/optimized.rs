//! Whether the compiler optimized a unit's code, which no attribute tells.

use gimli::{AttributeValue, Dwarf, Unit, constants as dw};

use super::functions::Entry;
use super::module::Slice;

/// Variables from which on their kinds of places are compared; below, one that moves is enough to tell an optimizer.
const FEW_VARIABLES: usize = 10;
/// Variables that tell enough: a large unit is not read to its end.
const ENOUGH_VARIABLES: usize = 1000;

/// Whether a unit's code is optimized. Code that is not has variables in memory at one place, for good. Some are not,
/// all the same: rustc itself inlines what is small, and keeps numbers and pieces of that; an argument that is passed as
/// an address is found through the register that has it. So a variable that is not in memory tells an optimizer where
/// nothing is inlined. Elsewhere many that move tell it: of the units of real programs, two thirds to all of the variables move with an
/// optimizer at work, and less than a third without.
///
/// # Errors
///
/// Where DWARF is damaged.
pub fn is_optimized<'a>(dwarf: &Dwarf<Slice<'a>>, unit: &Unit<Slice<'a>>) -> gimli::Result<bool> {
    let mut raw = unit.entries_raw(None)?;
    let mut entry = Entry::null();
    let (mut all, mut moving) = (0usize, 0usize);
    // How deep the outermost inlined function lies that this is in.
    let mut inlined: Option<isize> = None;
    while !raw.is_empty() && all < ENOUGH_VARIABLES {
        let depth = raw.next_depth();
        let Some(abbreviation) = raw.clone().read_abbreviation()? else {
            raw.read_entry(&mut entry)?;
            continue;
        };
        inlined = inlined.filter(|outer| depth > *outer);
        if abbreviation.tag() == dw::DW_TAG_inlined_subroutine {
            inlined = inlined.or(Some(depth));
        }
        let variable = matches!(
            abbreviation.tag(),
            dw::DW_TAG_variable | dw::DW_TAG_formal_parameter
        );
        if !variable {
            if let Some(abbreviation) = raw.read_abbreviation()? {
                raw.skip_attributes(abbreviation.attributes())?;
            }
            continue;
        }
        raw.read_entry(&mut entry)?;
        let (stays, outside_memory) = match entry.attr_value(dw::DW_AT_location) {
            None => continue,
            Some(AttributeValue::Exprloc(place)) => {
                let place = place.0.slice();
                (stays(place), is_no_memory(place))
            }
            Some(list) => match dwarf.attr_locations(unit, list)? {
                None => (false, false),
                Some(mut list) => {
                    let (mut stays, mut outside_memory) = (true, false);
                    while let Some(place) = list.next()? {
                        let place = place.data.0.slice();
                        stays &= is_through_a_register(place);
                        outside_memory |= is_no_memory(place);
                    }
                    (stays, outside_memory)
                }
            },
        };
        if outside_memory && inlined.is_none() {
            return Ok(true);
        }
        all += 1;
        moving += usize::from(!stays);
    }
    Ok(match all {
        0..FEW_VARIABLES => moving > 0,
        _ => moving * 3 >= all,
    })
}

/// Whether a place is in the stack frame, where a register points to, or in static memory, each thread's own included.
fn stays(expression: &[u8]) -> bool {
    let first = expression.first().copied().map(gimli::DwOp);
    let last = expression.last().copied().map(gimli::DwOp);
    matches!(first, Some(dw::DW_OP_fbreg | dw::DW_OP_addr))
        || matches!(
            last,
            Some(dw::DW_OP_form_tls_address | dw::DW_OP_GNU_push_tls_address)
        )
        || is_through_a_register(expression)
}

/// Whether a place is none in memory: a register, pieces, or a number that was computed.
fn is_no_memory(expression: &[u8]) -> bool {
    let first = expression.first().copied().map(gimli::DwOp);
    let last = expression.last().copied().map(gimli::DwOp);
    let register = first.is_some_and(|first| {
        (dw::DW_OP_reg0..=dw::DW_OP_reg31).contains(&first)
            || matches!(first, dw::DW_OP_regx | dw::DW_OP_piece)
    });
    register || (last == Some(dw::DW_OP_stack_value) && !is_through_a_register(expression))
}

/// Whether a place is an address that a register has, or had at the function's entry.
fn is_through_a_register(expression: &[u8]) -> bool {
    match expression {
        [register, 0] => (dw::DW_OP_breg0..=dw::DW_OP_breg31).contains(&gimli::DwOp(*register)),
        // An entry value that is read where it points to, and not a number by itself.
        [first, .., last] => {
            [dw::DW_OP_entry_value, dw::DW_OP_GNU_entry_value].contains(&gimli::DwOp(*first))
                && gimli::DwOp(*last) != dw::DW_OP_stack_value
        }
        _ => false,
    }
}
