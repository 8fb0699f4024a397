//! The classes of instructions, encoded by hand, each with all its forms of addressing.

use super::lab::Layout;

/// An instruction at [`Layout::at`].
pub struct Case {
    pub name: String,
    pub code: Vec<u8>,
}

/// The operand that ModRM names.
#[derive(Clone, Copy, Debug)]
enum Operand {
    Register(u8),
    /// Base, index with the logarithm of its scale, displacement.
    Memory(u8, Option<(u8, u8)>, Displacement),
    /// No base: an index at most.
    Absolute(Option<(u8, u8)>, i32),
    /// RIP-relative: the address it names.
    Relative(u64),
}

#[derive(Clone, Copy, Debug)]
enum Displacement {
    None,
    Byte(i8),
    Long(i32),
}

/// A form of addressing: segment and address-size prefixes, and the operand.
type Form = (&'static [u8], Operand);

const FS: &[u8] = &[0x64];
const GS: &[u8] = &[0x65];
const ADDRESS_32: &[u8] = &[0x67];
const ADDRESS_32_FS: &[u8] = &[0x64, 0x67];
const W: u8 = 0x48;
const NO_REX: u8 = 0;

/// The registers that [`super::starts`] points into the data.
const RBX: u8 = 3;
const RSP: u8 = 4;
const RBP: u8 = 5;
const RSI: u8 = 6;
const R12: u8 = 12;
const R13: u8 = 13;
/// Those that hold small numbers.
const RCX: u8 = 1;
const R9: u8 = 9;
const R14: u8 = 14;

fn memory_forms(layout: Layout) -> Vec<Form> {
    use Displacement::{Byte, Long, None as No};
    use Operand::{Absolute, Memory, Relative};
    let near = layout.operand() as i32;
    vec![
        (&[], Memory(RBX, None, No)),
        (&[], Memory(RSI, None, Byte(-8))),
        (&[], Memory(RBP, None, Byte(16))),
        (&[], Memory(R12, None, No)),
        (&[], Memory(R13, None, Byte(0))),
        (&[], Memory(RBX, None, Long(0x100))),
        (&[], Memory(RSP, None, No)),
        (&[], Memory(RSP, None, Byte(8))),
        (&[], Memory(RSP, None, Byte(0x78))),
        (&[], Memory(RSP, None, Byte(-32))),
        (&[], Memory(RSP, None, Long(0x1f0))),
        (&[], Memory(RSP, Some((RCX, 3)), Byte(8))),
        (&[], Memory(RBX, Some((RCX, 3)), No)),
        (&[], Memory(R12, Some((R9, 3)), Byte(16))),
        (&[], Memory(R13, Some((R14, 2)), Long(-64))),
        (&[], Memory(RBP, Some((R12, 0)), No)),
        (&[], Absolute(None, near + 8)),
        (&[], Absolute(Some((RCX, 3)), near)),
        (&[], Relative(layout.operand())),
        (&[], Relative(layout.operand() + 0x48)),
        (&[], Relative(layout.hole())),
        (&[], Absolute(None, layout.hole() as i32)),
        (FS, Absolute(None, 16)),
        (GS, Memory(RCX, None, Byte(8))),
        (FS, Relative(0x10)),
        (ADDRESS_32, Memory(RBX, None, No)),
        (ADDRESS_32, Memory(RSP, None, Byte(-32))),
        (ADDRESS_32, Memory(RSP, Some((RCX, 3)), Byte(8))),
        (ADDRESS_32, Relative(layout.operand() + 0x20)),
        (ADDRESS_32_FS, Absolute(None, 8)),
    ]
}

fn register_forms() -> Vec<Form> {
    [0, 2, 3, 4, 5, 7, 8, 12, 13, 15]
        .map(|register| (&[] as &[u8], Operand::Register(register)))
        .into()
}

/// Which forms an opcode takes.
#[derive(Clone, Copy)]
enum Takes {
    Both,
    Memory,
    /// Without REX: the VEX or EVEX prefix, which is part of the opcode here, names low registers only.
    LowMemory,
}

/// Mandatory and legacy prefixes, REX.W or not, opcode, the `reg` field of ModRM, immediate.
type Opcode = (
    &'static str,
    &'static [u8],
    u8,
    &'static [u8],
    u8,
    &'static [u8],
    Takes,
);

const OPCODES: &[Opcode] = {
    use Takes::{Both, LowMemory, Memory};
    &[
        ("mov r64, rm", &[], W, &[0x8b], 0, &[], Both),
        ("mov r32, rm", &[], NO_REX, &[0x8b], 2, &[], Both),
        ("mov rm, r64", &[], W, &[0x89], 7, &[], Both),
        ("mov rm, r8", &[], NO_REX, &[0x88], 0, &[], Both),
        (
            "mov rm64, imm32",
            &[],
            W,
            &[0xc7],
            0,
            &[0x78, 0x56, 0x34, 0x92],
            Both,
        ),
        (
            "mov rm16, imm16",
            &[0x66],
            NO_REX,
            &[0xc7],
            0,
            &[0x34, 0x12],
            Both,
        ),
        ("mov rm8, imm8", &[], NO_REX, &[0xc6], 0, &[0x77], Both),
        ("lea", &[], W, &[0x8d], 7, &[], Memory),
        ("lea r32", &[], NO_REX, &[0x8d], 7, &[], Memory),
        ("push rm", &[], NO_REX, &[0xff], 6, &[], Both),
        ("pop rm", &[], NO_REX, &[0x8f], 0, &[], Both),
        ("add rm, r", &[], W, &[0x01], 0, &[], Both),
        ("adc r, rm", &[], W, &[0x13], 0, &[], Both),
        (
            "add rm, imm32",
            &[],
            W,
            &[0x81],
            0,
            &[0xff, 0xff, 0xff, 0x7f],
            Both,
        ),
        ("sbb rm, imm8", &[], NO_REX, &[0x83], 3, &[0x80], Both),
        ("cmp r, rm", &[], W, &[0x3b], 0, &[], Both),
        ("cmp rm8, imm8", &[], NO_REX, &[0x80], 7, &[0x10], Both),
        (
            "test rm, imm32",
            &[],
            NO_REX,
            &[0xf7],
            0,
            &[1, 2, 3, 4],
            Both,
        ),
        ("neg", &[], W, &[0xf7], 3, &[], Both),
        ("mul", &[], W, &[0xf7], 4, &[], Both),
        ("div", &[], W, &[0xf7], 6, &[], Both),
        ("idiv r32", &[], NO_REX, &[0xf7], 7, &[], Both),
        (
            "imul r, rm, imm32",
            &[],
            W,
            &[0x69],
            0,
            &[7, 0, 0, 0x80],
            Both,
        ),
        ("xchg", &[], W, &[0x87], 0, &[], Both),
        ("lock add", &[0xf0], W, &[0x01], 0, &[], Memory),
        ("lock sub imm8", &[0xf0], W, &[0x83], 5, &[1], Memory),
        ("lock cmpxchg", &[0xf0], W, &[0x0f, 0xb1], 2, &[], Memory),
        ("lock xadd", &[0xf0], NO_REX, &[0x0f, 0xc1], 2, &[], Memory),
        ("lock inc", &[0xf0], W, &[0xff], 0, &[], Memory),
        ("lock bts", &[0xf0], W, &[0x0f, 0xab], 1, &[], Memory),
        ("cmpxchg8b", &[], NO_REX, &[0x0f, 0xc7], 1, &[], Memory),
        ("lock cmpxchg16b", &[0xf0], W, &[0x0f, 0xc7], 1, &[], Memory),
        ("movzx", &[], NO_REX, &[0x0f, 0xb6], 0, &[], Both),
        ("movsxd", &[], W, &[0x63], 0, &[], Both),
        ("cmove", &[], W, &[0x0f, 0x44], 0, &[], Both),
        ("setl", &[], NO_REX, &[0x0f, 0x9c], 0, &[], Both),
        ("shl imm8", &[], W, &[0xc1], 4, &[5], Both),
        ("rcr cl", &[], W, &[0xd3], 3, &[], Both),
        ("shld imm8", &[], W, &[0x0f, 0xa4], 0, &[9], Both),
        ("bt imm8", &[], W, &[0x0f, 0xba], 4, &[3], Both),
        ("popcnt", &[0xf3], W, &[0x0f, 0xb8], 0, &[], Both),
        ("tzcnt", &[0xf3], W, &[0x0f, 0xbc], 0, &[], Both),
        ("crc32", &[0xf2], W, &[0x0f, 0x38, 0xf1], 0, &[], Both),
        ("movbe", &[], W, &[0x0f, 0x38, 0xf0], 0, &[], Memory),
        ("movnti", &[], W, &[0x0f, 0xc3], 0, &[], Memory),
        ("nop rm", &[], NO_REX, &[0x0f, 0x1f], 0, &[], Both),
        ("prefetcht0", &[], NO_REX, &[0x0f, 0x18], 1, &[], Memory),
        ("clflush", &[], NO_REX, &[0x0f, 0xae], 7, &[], Memory),
        ("stmxcsr", &[], NO_REX, &[0x0f, 0xae], 3, &[], Memory),
        ("fld m64", &[], NO_REX, &[0xdd], 0, &[], Memory),
        ("fild m64", &[], NO_REX, &[0xdf], 5, &[], Memory),
        ("fstp m32", &[], NO_REX, &[0xd9], 3, &[], Memory),
        ("movups xmm, rm", &[], NO_REX, &[0x0f, 0x10], 1, &[], Both),
        ("movaps xmm, rm", &[], NO_REX, &[0x0f, 0x28], 1, &[], Both),
        ("movaps rm, xmm", &[], NO_REX, &[0x0f, 0x29], 6, &[], Both),
        ("movq rm, xmm", &[0x66], W, &[0x0f, 0x7e], 2, &[], Both),
        ("movntdq", &[0x66], NO_REX, &[0x0f, 0xe7], 2, &[], Memory),
        ("addsd", &[0xf2], NO_REX, &[0x0f, 0x58], 3, &[], Both),
        ("cvtsi2sd", &[0xf2], W, &[0x0f, 0x2a], 3, &[], Both),
        ("ucomisd", &[0x66], NO_REX, &[0x0f, 0x2e], 4, &[], Both),
        (
            "pshufd imm8",
            &[0x66],
            NO_REX,
            &[0x0f, 0x70],
            5,
            &[0x1b],
            Both,
        ),
        (
            "pclmulqdq",
            &[0x66],
            NO_REX,
            &[0x0f, 0x3a, 0x44],
            5,
            &[0x11],
            Both,
        ),
        (
            "vmovups ymm, m",
            &[],
            NO_REX,
            &[0xc5, 0xfc, 0x10],
            1,
            &[],
            LowMemory,
        ),
        (
            "vmovups m, ymm",
            &[],
            NO_REX,
            &[0xc5, 0xfc, 0x11],
            7,
            &[],
            LowMemory,
        ),
        (
            "vpshufd ymm, m, imm8",
            &[],
            NO_REX,
            &[0xc5, 0xfd, 0x70],
            2,
            &[0x4e],
            LowMemory,
        ),
        (
            "vpaddd ymm, ymm, m",
            &[],
            NO_REX,
            &[0xc5, 0xf5, 0xfe],
            3,
            &[],
            LowMemory,
        ),
        (
            "vmovups zmm, m",
            &[],
            NO_REX,
            &[0x62, 0xf1, 0x7c, 0x48, 0x10],
            1,
            &[],
            LowMemory,
        ),
        (
            "vmovdqu32 m{k1}, zmm",
            &[],
            NO_REX,
            &[0x62, 0xf1, 0x7e, 0x49, 0x7f],
            4,
            &[],
            LowMemory,
        ),
        (
            "vpternlogd zmm, m{1to16}",
            &[],
            NO_REX,
            &[0x62, 0xf3, 0x75, 0x58, 0x25],
            3,
            &[0x96],
            LowMemory,
        ),
        ("jmp rm", &[], NO_REX, &[0xff], 4, &[], Both),
        ("notrack jmp rm", &[0x3e], NO_REX, &[0xff], 4, &[], Both),
        ("call rm", &[], NO_REX, &[0xff], 2, &[], Both),
        ("data16 rex.W call rm", &[0x66], W, &[0xff], 2, &[], Both),
        ("bnd call rm", &[0xf2], NO_REX, &[0xff], 2, &[], Both),
    ]
};

/// Instructions whose only operands are registers, immediates, strings, the stack and offsets.
const FIXED: &[(&str, &[u8])] = &[
    ("push rbx", &[0x53]),
    ("push rsp", &[0x54]),
    ("push r12", &[0x41, 0x54]),
    ("pop rbp", &[0x5d]),
    ("pop rsp", &[0x5c]),
    ("pop r15", &[0x41, 0x5f]),
    ("push imm8", &[0x6a, 0x80]),
    ("push imm32", &[0x68, 1, 2, 3, 0x84]),
    ("pushf", &[0x9c]),
    ("sub rsp, imm8", &[0x48, 0x83, 0xec, 0x28]),
    (
        "sub rsp, imm32",
        &[0x48, 0x81, 0xec, 0x00, 0x00, 0x10, 0x00],
    ),
    ("enter 32, 0", &[0xc8, 32, 0, 0]),
    ("enter 32, 2", &[0xc8, 32, 0, 2]),
    ("leave", &[0xc9]),
    ("mov rax, imm64", &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 0x88]),
    ("mov r11d, imm32", &[0x41, 0xbb, 1, 2, 3, 0x84]),
    ("xor eax, eax", &[0x31, 0xc0]),
    ("bswap r8", &[0x49, 0x0f, 0xc8]),
    ("xchg rax, rbx", &[0x48, 0x93]),
    ("cdqe", &[0x48, 0x98]),
    ("cqo", &[0x48, 0x99]),
    ("lahf", &[0x9f]),
    ("sahf", &[0x9e]),
    ("stc", &[0xf9]),
    ("std", &[0xfd]),
    ("xlatb", &[0xd7]),
    ("nop", &[0x90]),
    ("data16 nop", &[0x66, 0x90]),
    ("pause", &[0xf3, 0x90]),
    ("nop of 9 bytes", &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
    (
        "nop of 15 bytes",
        &[
            0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0,
        ],
    ),
    ("endbr64", &[0xf3, 0x0f, 0x1e, 0xfa]),
    ("mfence", &[0x0f, 0xae, 0xf0]),
    ("xgetbv", &[0x0f, 0x01, 0xd0]),
    ("vzeroupper", &[0xc5, 0xf8, 0x77]),
    ("emms", &[0x0f, 0x77]),
    ("fninit", &[0xdb, 0xe3]),
    ("movsb", &[0xa4]),
    ("rep movsb", &[0xf3, 0xa4]),
    ("rep movsq", &[0xf3, 0x48, 0xa5]),
    ("rep stosq", &[0xf3, 0x48, 0xab]),
    ("repe cmpsb", &[0xf3, 0xa6]),
    ("repne scasb", &[0xf2, 0xae]),
    ("lodsd", &[0xad]),
    ("fs lodsb", &[0x64, 0xac]),
    ("addr32 rep stosb", &[0x67, 0xf3, 0xaa]),
    ("rdfsbase rax", &[0xf3, 0x48, 0x0f, 0xae, 0xc0]),
    ("wrgsbase rbx", &[0xf3, 0x48, 0x0f, 0xae, 0xdb]),
    ("ud2", &[0x0f, 0x0b]),
    ("ud1", &[0x0f, 0xb9, 0xc0]),
    ("ret", &[0xc3]),
    ("rep ret", &[0xf3, 0xc3]),
    ("bnd ret", &[0xf2, 0xc3]),
    ("ret imm16", &[0xc2, 0x10, 0x00]),
];

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(name, prefixes, rex, opcode, reg, immediate, takes) in OPCODES {
        let registers = if matches!(takes, Takes::Both) {
            register_forms()
        } else {
            Vec::new()
        };
        for form in memory_forms(layout).into_iter().chain(registers) {
            let (code, is_low) = encode(layout.at(), prefixes, rex, opcode, reg, immediate, form);
            if is_low || !matches!(takes, Takes::LowMemory) {
                cases.push(Case {
                    name: format!("{name}, {form:x?}"),
                    code,
                });
            }
        }
    }
    cases.extend(FIXED.iter().map(|&(name, code)| Case {
        name: name.into(),
        code: code.into(),
    }));
    for (name, head) in [
        ("mov eax, moffs64", &[0xa1][..]),
        ("mov moffs64, rax", &[0x48, 0xa3]),
    ] {
        for address in [layout.operand(), layout.hole()] {
            let code = [head, &address.to_le_bytes()].concat();
            cases.push(Case {
                name: format!("{name}, {address:x}"),
                code,
            });
        }
    }
    cases.extend(branches(layout));
    cases
}

/// Direct branches, to text, to the next instruction, and to where there is nothing.
fn branches(layout: Layout) -> Vec<Case> {
    let mut heads: Vec<(String, Vec<u8>)> = vec![
        ("jmp".into(), vec![0xe9]),
        ("bnd jmp".into(), vec![0xf2, 0xe9]),
        ("call".into(), vec![0xe8]),
        ("addr32 call".into(), vec![0x67, 0xe8]),
        ("data16 rex.W call".into(), vec![0x66, 0x66, 0x48, 0xe8]),
        ("data16 rex.W jmp".into(), vec![0x66, 0x48, 0xe9]),
    ];
    let mut short: Vec<(String, Vec<u8>)> = vec![("jmp".into(), vec![0xeb])];
    for condition in 0..16 {
        heads.push((format!("j{condition:x}"), vec![0x0f, 0x80 + condition]));
        short.push((format!("j{condition:x}"), vec![0x70 + condition]));
    }
    heads.push(("hinted jne".into(), vec![0x3e, 0x0f, 0x85]));
    short.push(("hinted, rex je".into(), vec![0x2e, 0x40, 0x74]));
    for (name, opcode) in [
        ("loopne", 0xe0),
        ("loope", 0xe1),
        ("loop", 0xe2),
        ("jrcxz", 0xe3),
    ] {
        short.push((name.into(), vec![opcode]));
        short.push((format!("addr32 {name}"), vec![0x67, opcode]));
    }
    short.push((
        "jrcxz of 15 bytes".into(),
        [&[0x2e; 13][..], &[0xe3]].concat(),
    ));

    let mut cases = Vec::new();
    for (name, head) in &heads {
        let next = layout.at() + head.len() as u64 + 4;
        for target in [
            layout.landing(),
            layout.text,
            next,
            layout.hole(),
            next.wrapping_sub(0x7000_0000),
        ] {
            let distance = target.wrapping_sub(next) as i32;
            let code = [head.as_slice(), &distance.to_le_bytes()].concat();
            cases.push(Case {
                name: format!("{name} rel32 {distance:x}"),
                code,
            });
        }
    }
    for (name, head) in &short {
        for distance in [0x7f_i8, 0, 1, 0x10, -0x20, -0x80] {
            let code = [head.as_slice(), &distance.to_le_bytes()].concat();
            cases.push(Case {
                name: format!("{name} rel8 {distance:x}"),
                code,
            });
        }
    }
    cases
}

/// The bytes, and whether they do without the extension bits of REX.
fn encode(
    at: u64,
    prefixes: &[u8],
    rex: u8,
    opcode: &[u8],
    reg: u8,
    immediate: &[u8],
    (addressing, operand): Form,
) -> (Vec<u8>, bool) {
    let reg = reg << 3;
    let low = |register: u8| register & 7;
    let mut tail = Vec::new();
    let mut extension = 0;
    let mut relative = None;
    let mut with_sib = |tail: &mut Vec<u8>, mode: u8, base: u8, index: Option<(u8, u8)>| {
        let (index, scale) = index.unwrap_or((4, 0));
        extension |= base >> 3 | index >> 3 << 1;
        if low(base) == 4 || index != 4 {
            tail.extend([mode | reg | 4, scale << 6 | low(index) << 3 | low(base)]);
        } else {
            tail.push(mode | reg | low(base));
        }
    };
    match operand {
        Operand::Register(register) => {
            extension = register >> 3;
            tail.push(0o300 | reg | low(register));
        }
        Operand::Memory(base, index, displacement) => match displacement {
            // There is no form without a displacement for these.
            Displacement::None if low(base) == 5 => {
                with_sib(&mut tail, 0o100, base, index);
                tail.push(0);
            }
            Displacement::None => with_sib(&mut tail, 0, base, index),
            Displacement::Byte(byte) => {
                with_sib(&mut tail, 0o100, base, index);
                tail.push(byte as u8);
            }
            Displacement::Long(long) => {
                with_sib(&mut tail, 0o200, base, index);
                tail.extend(long.to_le_bytes());
            }
        },
        Operand::Absolute(index, address) => {
            let (index, scale) = index.unwrap_or((4, 0));
            extension = index >> 3 << 1;
            tail.extend([reg | 4, scale << 6 | low(index) << 3 | 5]);
            tail.extend(address.to_le_bytes());
        }
        Operand::Relative(address) => {
            tail.push(reg | 5);
            relative = Some((tail.len(), address));
            tail.extend([0; 4]);
        }
    }
    let mut code = [addressing, prefixes].concat();
    if rex | extension != 0 {
        code.push(0x40 | rex | extension);
    }
    code.extend(opcode);
    let start = code.len();
    code.extend(tail);
    code.extend(immediate);
    if let Some((offset, address)) = relative {
        let distance = address.wrapping_sub(at + code.len() as u64) as i32;
        code[start + offset..start + offset + 4].copy_from_slice(&distance.to_le_bytes());
    }
    (code, extension == 0)
}
