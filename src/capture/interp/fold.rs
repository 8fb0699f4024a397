//! Numbers in a row brought down to one. Part of the interpreter: allocates nothing, panics never.

use super::load::{Bulk, number};
use super::{Machine, Run, Then};
use crate::capture::fold::Fold;
use crate::capture::number::{Kind, Number};
use crate::capture::program::{READ_COST, Slot};
use crate::capture::record::Code;

impl<M: Machine> Run<'_, M> {
    pub(super) fn fold(
        &mut self,
        to: Slot,
        (base, count): (Slot, Slot),
        kind: Kind,
        (fold, wanted): (Fold, Slot),
    ) -> Then {
        let mut done = 0;
        match self.folded((base, count), kind, (fold, wanted), &mut done) {
            Ok(result) => {
                self.put(to, Some(result.bits() as u64));
                Then::Next
            }
            Err(Then::Cut) => self.unfinished(done, count),
            Err(then) => then,
        }
    }

    fn folded(
        &mut self,
        (base, count): (Slot, Slot),
        kind: Kind,
        (fold, wanted): (Fold, Slot),
        done: &mut u64,
    ) -> Result<Number, Then> {
        let (base, count) = (self.needed(base)?, self.needed(count)?);
        let wanted = match fold {
            Fold::Contains => Some(Number::new(kind, u128::from(self.needed(wanted)?))),
            _ => None,
        };
        let size = u64::from(kind.size());
        let mut bulk = Bulk::default();
        let mut result = fold.begin(kind);
        while *done < count && !fold.is_over(result) {
            let address = base.wrapping_add(done.wrapping_mul(size));
            if bulk.get(address, kind.size()).is_none() {
                // What is done with all of them takes about as long as reading them.
                if !self.spend(READ_COST) {
                    return Err(Then::Cut);
                }
                let rest = count.wrapping_sub(*done).saturating_mul(size);
                self.fill(&mut bulk, address, rest)?;
            }
            let bytes = bulk.get(address, kind.size());
            let element = bytes.and_then(|bytes| number(bytes, kind.size()));
            let element = element.map(|bits| Number::new(kind, u128::from(bits)));
            let Some(element) = element.filter(|element| element.is_valid()) else {
                let code = match bytes {
                    Some(_) => Code::Incomputable,
                    None => Code::Unreadable,
                };
                self.writer.set(self.expression, code, address, 0);
                return Err(Then::Over);
            };
            match fold.next(result, element, wanted) {
                Ok(next) => result = Some(next),
                Err(fault) => return Err(self.faulted(fault)),
            }
            *done = done.wrapping_add(1);
        }
        match result {
            Some(result) => Ok(result),
            None => {
                self.writer.set(self.expression, Code::Nothing, 0, 0);
                Err(Then::Over)
            }
        }
    }
}
