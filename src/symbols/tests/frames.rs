//! Where places relative to rsp are, in prologues, bodies and epilogues of optimized code.

use detrix_test_support::{Profile, fixture, mark, source};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Mnemonic};

use super::*;
use crate::symbols::code::Code;
use crate::symbols::unwind;

const RSP: u8 = unwind::RSP as u8;

/// Debug information has one offset from rsp for the whole function. So rsp, corrected, must be the same address at each
/// instruction, and be rsp itself where the body calls, but for arguments that it pushes.
#[test]
fn rsp_is_corrected_to_what_it_is_in_the_body() {
    let program = fixture("scope_sunk", Profile::Release);
    let symbols = of_file(program.to_str().unwrap());
    let module = symbols.modules[0].as_ref().unwrap();
    let line = mark(&source("bin/scope_sunk.rs"), "sum").into();
    let place = symbols
        .find_line("bin/scope_sunk.rs", line)
        .unwrap()
        .addresses
        .remove(0);
    let dwarf = module.dwarf();
    let unit = module.unit_of_address(&dwarf, place.address).unwrap();
    let unit = module.unit(&dwarf, unit).unwrap();
    let functions = module.functions(&dwarf, &unit).unwrap();

    let (mut prologues, mut calls) = (0, 0);
    for entry in functions.concrete() {
        let instances = functions::instances(&dwarf, &unit, entry).unwrap();
        let [range] = instances[0].ranges.as_slice() else {
            continue;
        };
        let length = (range.end - range.start) as usize;
        let code = &module.bytes_at(range.start).unwrap()[..length];
        let (mut same, mut pushed) = (None, false);
        for instruction in Decoder::with_ip(64, code, range.start, DecoderOptions::NONE) {
            let at = instruction.ip();
            // Landing pads are entered by the unwinder, not from the entry.
            let Some(code) = Code::read(module, std::slice::from_ref(range), at) else {
                continue;
            };
            let frame = unwind::frame_at(module, at);
            let rsp = code
                .registers
                .get(RSP)
                .and_then(|rsp| rsp.checked_add(frame.rsp_shift));
            assert_eq!(*same.get_or_insert(rsp), rsp, "{at:#x}");
            assert!(rsp.is_some(), "{at:#x}");
            prologues += usize::from(frame.rsp_shift != 0);
            if matches!(
                instruction.flow_control(),
                FlowControl::Call | FlowControl::IndirectCall
            ) {
                // Arguments that do not fit into registers are pushed.
                assert!(frame.rsp_shift == 0 || pushed, "{at:#x}: {frame:?}");
                calls += 1;
            }
            pushed = instruction.mnemonic() == Mnemonic::Push;
        }
    }
    println!("{prologues} instructions off the body, {calls} calls");
    assert!(prologues > 50 && calls > 50);
}
