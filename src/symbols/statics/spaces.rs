//! What a unit declares in its namespaces.

use gimli::{Unit, UnitOffset, constants as dw};

use crate::symbols::module::Slice;

/// The variables in a unit's namespaces, and the namespaces that have any.
pub struct Spaces(Vec<Held>);

/// A namespace, or a variable in one.
pub struct Held {
    /// Its entry in the unit.
    pub entry: UnitOffset,
    /// Whether it is a variable.
    pub is_variable: bool,
    /// The index of the namespace around it; `None` for one that nothing is around.
    around: Option<usize>,
}

impl Spaces {
    /// Goes through the entries of a unit once.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn read(unit: &Unit<Slice<'_>>) -> gimli::Result<Self> {
        let mut all = Self(Vec::new());
        let mut open: Vec<Open> = Vec::new();
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let (depth, entry) = (entries.next_depth(), entries.next_offset());
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            entries.skip_attributes(abbreviation.attributes())?;
            // The unit's own entry is at depth 0.
            let Some(around) = usize::try_from(depth).ok().and_then(|it| it.checked_sub(1)) else {
                continue;
            };
            open.truncate(around);
            // Else something that is no namespace is around it.
            if open.len() == around {
                match abbreviation.tag() {
                    dw::DW_TAG_namespace => open.push(Open { entry, index: None }),
                    dw::DW_TAG_variable if !open.is_empty() => all.add(entry, &mut open),
                    _ => {}
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, variable: UnitOffset, open: &mut [Open]) {
        let mut around = None;
        for space in open {
            let index = *space
                .index
                .get_or_insert_with(|| self.push(space.entry, false, around));
            around = Some(index);
        }
        self.push(variable, true, around);
    }

    fn push(&mut self, entry: UnitOffset, is_variable: bool, around: Option<usize>) -> usize {
        self.0.push(Held {
            entry,
            is_variable,
            around,
        });
        self.0.len() - 1
    }

    /// What is directly in a namespace, with its index, or in none.
    pub fn within(&self, space: Option<usize>) -> impl Iterator<Item = (usize, &Held)> {
        let all = self.0.iter().enumerate();
        all.filter(move |(_, held)| held.around == space)
    }
}

/// A namespace whose entries are being read.
struct Open {
    entry: UnitOffset,
    /// Where it is held, once something in it is.
    index: Option<usize>,
}
