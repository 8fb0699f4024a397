//! Where a thread-local of the executable is.
//!
//! Code of the executable finds its thread-locals at a distance from the thread pointer that the linker has put into its
//! instructions (the local-exec model): that of the block's end, which lies at the pointer, rounded up to its alignment
//! (Drepper, "ELF Handling For Thread-Local Storage", section 3, variant II). Those of a library have none: their block is
//! made when a thread first needs it.
//!
//! `thread_local!` declares two, one for values with a destructor and one for those without, and the linker drops one of
//! them, whose debug information then says offset 0, as that of the first one in the block does. What is there is told by the
//! symbol table.

use object::elf::PT_TLS;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{LittleEndian, Object as _, ObjectSymbol as _, SymbolKind};

use super::module::Module;
use super::place::{Formula, Location, Missing, Source, THREAD_POINTER, Term};
use super::scope::Variable;
use super::types::TypeRef;

/// What debug information says of a thread-local.
pub struct ThreadLocal {
    /// Offset of its type's entry.
    pub ty: u64,
    /// Its name to the linker.
    pub symbol: Box<[u8]>,
    /// Where it is in the module's block, if it is there as a whole.
    pub offset: Option<u64>,
}

/// The one of some thread-locals that is in a module, at its place, or without one; `None` where there are none.
pub fn one_of(
    index: u32,
    module: &Module,
    name: &str,
    declared: &[ThreadLocal],
) -> Option<Variable> {
    let first = declared.first()?;
    let placed = declared
        .iter()
        .find_map(|it| Some((it, distance(index, module, it)?)));
    let (ty, source) = match placed {
        Some((it, distance)) => {
            let formula = Formula(vec![Term::Register(THREAD_POINTER, distance)]);
            (it.ty, Source::Memory(formula))
        }
        None => (first.ty, Source::Missing(Missing::ThreadLocal)),
    };
    Some(Variable {
        name: name.into(),
        ty: TypeRef {
            module: index,
            entry: ty,
        },
        entry: 0,
        location: Location::whole(source),
        elsewhere: Vec::new(),
        line: 0,
        argument: false,
        depth: u32::MAX,
    })
}

/// Whether it is not known where a variable is.
pub fn is_placeless(variable: &Variable) -> bool {
    let mut pieces = variable.location.pieces.iter();
    pieces.any(|piece| matches!(piece.source, Source::Missing(_)))
}

/// From the thread pointer to a thread-local; `None` where that is not sure.
fn distance(index: u32, module: &Module, declared: &ThreadLocal) -> Option<i64> {
    // The executable is the first one.
    if index != 0 {
        return None;
    }
    let offset = declared.offset?;
    let elf = ElfFile64::<LittleEndian>::parse(module.file_bytes()).ok()?;
    let mut symbols = elf.symbols().filter(|symbol| {
        let name = symbol.name_bytes().unwrap_or_default();
        symbol.kind() == SymbolKind::Tls && is_of(name, &declared.symbol)
    });
    let symbol = symbols.next()?;
    if symbol.address() != offset || symbols.any(|other| other.address() != offset) {
        return None;
    }
    let headers = elf.elf_program_headers();
    let block = headers
        .iter()
        .find(|header| header.p_type(LittleEndian) == PT_TLS)?;
    let size = block.p_memsz(LittleEndian);
    let alignment = block.p_align(LittleEndian).max(1);
    if !alignment.is_power_of_two() || offset >= size {
        return None;
    }
    let start = block.p_vaddr(LittleEndian);
    to_block(start, size, alignment)?.checked_add_unsigned(offset)
}

/// From the thread pointer to the block of an executable, as linkers compute it (lld's `getTlsTpOffset`).
fn to_block(start: u64, size: u64, alignment: u64) -> Option<i64> {
    let end = start.wrapping_add(size);
    let padding = end.wrapping_neg() & alignment.wrapping_sub(1);
    0i64.checked_sub_unsigned(size)?
        .checked_sub_unsigned(padding)
}

/// Whether a symbol is that of a thread-local: link-time optimization may have renamed it.
fn is_of(symbol: &[u8], declared: &[u8]) -> bool {
    symbol
        .strip_prefix(declared)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b".llvm."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_ends_at_the_thread_pointer_rounded_up() {
        assert_eq!(to_block(0x1000, 0x20, 8), Some(-0x20));
        assert_eq!(to_block(0x1000, 0x21, 8), Some(-0x28));
        assert_eq!(to_block(0x1000, 0x21, 64), Some(-0x40));
        // The start of the block is at its own distance from a multiple of the alignment.
        assert_eq!(to_block(0x1008, 0x20, 16), Some(-0x28));
    }

    #[test]
    fn symbols_may_be_renamed_by_link_time_optimization() {
        assert!(is_of(b"_ZN1a3VALE", b"_ZN1a3VALE"));
        assert!(is_of(b"_ZN1a3VALE.llvm.123", b"_ZN1a3VALE"));
        assert!(!is_of(b"_ZN1a3VALE2", b"_ZN1a3VALE"));
    }
}
