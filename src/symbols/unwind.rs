//! The canonical frame address at an address, and how far the stack pointer is from where the debug information
//! supposes it.

use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, EhFrameHdr, UnwindContext, UnwindSection,
    UnwindTable,
};

use super::location::Expressions;
use super::module::{Module, Slice};
use super::place::{Formula, Term};

/// Number of rsp in DWARF.
pub const RSP: u16 = 7;
/// Number of the return address column, whose rule every row has.
const RETURN_ADDRESS: u16 = 16;

/// What the unwind tables say about one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The canonical frame address: the stack pointer before the call. `None` if no table covers the address.
    pub cfa: Option<Formula>,
    /// What is to be added to rsp to have the value that it has in the function's body.
    ///
    /// LLVM describes stack slots relative to rsp as it is after the prologue, and does so for the whole function. In
    /// the prologue, in the epilogue, and while arguments are pushed for a call, rsp is somewhere else: debuggers that
    /// take it as it is show garbage there.
    pub rsp_shift: i64,
}

/// Looks an address of the file up in `.eh_frame`, or else in `.debug_frame`.
pub fn frame_at(module: &Module, address: u64) -> Frame {
    let bases = bases(module);
    let eh_frame = EhFrame::from(module.section(".eh_frame"));
    let by_index = || {
        let index = EhFrameHdr::from(module.section(".eh_frame_hdr"))
            .parse(&bases, 8)
            .ok()?;
        let fde = index
            .table()?
            .fde_for_address(&eh_frame, &bases, address, EhFrame::cie_from_offset)
            .ok()?;
        read(&eh_frame, &bases, &fde, address)
    };
    let by_scan = || {
        let fde = eh_frame
            .fde_for_address(&bases, address, EhFrame::cie_from_offset)
            .ok()?;
        read(&eh_frame, &bases, &fde, address)
    };
    let in_debug_frame = || {
        let mut debug_frame = DebugFrame::from(module.section(".debug_frame"));
        debug_frame.set_address_size(8);
        let fde = debug_frame
            .fde_for_address(&bases, address, DebugFrame::cie_from_offset)
            .ok()?;
        read(&debug_frame, &bases, &fde, address)
    };
    by_index()
        .or_else(by_scan)
        .or_else(in_debug_frame)
        .unwrap_or_default()
}

fn bases(module: &Module) -> BaseAddresses {
    let mut bases = BaseAddresses::default();
    if let Some(address) = module.section_address(".eh_frame_hdr") {
        bases = bases.set_eh_frame_hdr(address);
    }
    if let Some(address) = module.section_address(".eh_frame") {
        bases = bases.set_eh_frame(address);
    }
    if let Some(address) = module.section_address(".text") {
        bases = bases.set_text(address);
    }
    bases
}

fn read<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    fde: &gimli::FrameDescriptionEntry<Slice<'a>>,
    address: u64,
) -> Option<Frame> {
    let mut context = UnwindContext::new();
    let mut table: UnwindTable<'_, '_, Slice<'a>> = fde.rows(section, bases, &mut context).ok()?;
    let mut frame = None;
    // The body's distance of rsp from the frame address is that of the first row with a saved register: LLVM writes
    // those rules when the prologue is complete. Where none is saved, the prologue is a single instruction, and the
    // first other distance is it.
    let (mut first, mut other, mut saved) = (None, None, None);
    let mut here = None;
    while let Ok(Some(row)) = table.next_row() {
        let distance = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } if register.0 == RSP => Some(*offset),
            _ => None,
        };
        if let Some(distance) = distance {
            first = first.or(Some(distance));
            other = other.or(first.filter(|first| *first != distance).map(|_| distance));
            if row
                .registers()
                .any(|(register, _)| register.0 != RETURN_ADDRESS)
            {
                saved = saved.or(Some(distance));
            }
        }
        if row.contains(address) {
            here = distance;
            frame = Some(Frame {
                cfa: match row.cfa() {
                    CfaRule::RegisterAndOffset { register, offset } => u8::try_from(register.0)
                        .ok()
                        .filter(|r| *r < 16)
                        .map(|r| Formula(vec![Term::Register(r, *offset)])),
                    CfaRule::Expression(expression) => expression
                        .get(section)
                        .ok()
                        .and_then(|e| Expressions::of_unwind(fde.cie().encoding()).address(e)),
                },
                rsp_shift: 0,
            });
        }
    }
    let mut frame = frame?;
    if let (Some(here), Some(body)) = (here, saved.or(other).or(first)) {
        frame.rsp_shift = here.checked_sub(body)?;
    }
    Some(frame)
}
