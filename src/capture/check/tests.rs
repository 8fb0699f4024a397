use super::*;
use crate::capture::program::{OPS, READ_COST, Slot, View};
use crate::symbols::place::{Register, Term};

fn checked(ops: Vec<Op>) -> Result<u64, CheckError> {
    let terms = vec![
        Term::Constant(1),
        Term::Drop,
        Term::Register(17, 0),
        Term::Load(9),
        Term::Pick(0),
    ];
    check(&Parts {
        ops,
        terms,
        steps: Vec::new(),
        bytes: vec![1, 2],
        ranges: vec![(0, 1)],
        searches: Vec::new(),
        expressions: 2,
        prefetch: None,
        record: 256,
    })
}

fn within(op: Op) -> Result<u64, CheckError> {
    checked(vec![Op::Expression { index: 0, end: 2 }, op])
}

const S: Slot = Slot(0);
const V: View = View(0);

#[test]
fn sound_programs_have_a_worst_case() {
    assert_eq!(checked(vec![]), Ok(0));
    assert_eq!(
        within(Op::Memory {
            to: S,
            base: S,
            offset: 0,
            size: 8
        }),
        Ok(2 + u64::from(READ_COST))
    );
    let looped = vec![
        Op::Expression { index: 0, end: 4 },
        Op::Loop {
            index: S,
            count: S,
            limit: 10,
            end: 4,
        },
        Op::Loop {
            index: S,
            count: S,
            limit: 10,
            end: 4,
        },
        Op::Jump { to: 4 },
    ];
    assert_eq!(checked(looped), Ok(1 + 1 + 10 + 100));
}

#[test]
fn each_operand_is_checked() {
    let part = |first, count| Part { first, count };
    let register = Register::General(0);
    for (op, error) in [
        (
            Op::Constant {
                to: Slot(64),
                value: 0,
            },
            CheckError::Slot(1),
        ),
        (
            Op::Element {
                to: View(64),
                from: V,
                offset: 0,
                index: S,
                stride: 1,
            },
            CheckError::View(1),
        ),
        (
            Op::Memory {
                to: S,
                base: S,
                offset: 0,
                size: 9,
            },
            CheckError::Size(1),
        ),
        (
            Op::Memory {
                to: S,
                base: S,
                offset: 0,
                size: 0,
            },
            CheckError::Size(1),
        ),
        (
            Op::Capture {
                to: V,
                base: S,
                offset: 0,
                size: 257,
            },
            CheckError::Size(1),
        ),
        (
            Op::CaptureCounted {
                to: V,
                base: S,
                count: S,
                stride: 1 << 20,
                limit: 1 << 20,
            },
            CheckError::Size(1),
        ),
        (
            Op::PieceRegister {
                at: 0,
                register,
                skip: 1,
                size: 8,
            },
            CheckError::Size(1),
        ),
        (
            Op::PieceRegister {
                at: 0,
                register: Register::Vector(16),
                skip: 0,
                size: 8,
            },
            CheckError::Register(1),
        ),
        (
            Op::PieceNumber {
                at: 0,
                slot: S,
                skip: 255,
                size: 8,
            },
            CheckError::Size(1),
        ),
        (
            Op::PieceBytes {
                at: 0,
                bytes: part(1, 2),
            },
            CheckError::Table(1),
        ),
        (
            Op::Match {
                slot: S,
                ranges: part(0, 2),
                negated: false,
                otherwise: 2,
            },
            CheckError::Table(1),
        ),
        (
            Op::Formula {
                to: S,
                terms: part(0, 6),
            },
            CheckError::Table(1),
        ),
        (
            Op::Formula {
                to: S,
                terms: part(0, 0),
            },
            CheckError::Formula(1),
        ),
        (
            Op::Formula {
                to: S,
                terms: part(0, 2),
            },
            CheckError::Formula(1),
        ),
        (
            Op::Formula {
                to: S,
                terms: part(1, 1),
            },
            CheckError::Formula(1),
        ),
        (
            Op::Formula {
                to: S,
                terms: part(2, 1),
            },
            CheckError::Register(1),
        ),
        (
            Op::Formula {
                to: S,
                terms: part(3, 1),
            },
            CheckError::Size(1),
        ),
        (
            Op::Formula {
                to: S,
                terms: part(4, 1),
            },
            CheckError::Formula(1),
        ),
        (Op::Jump { to: 1 }, CheckError::Jump(1)),
        (Op::Jump { to: 3 }, CheckError::Jump(1)),
        (
            Op::Loop {
                index: S,
                count: S,
                limit: 1,
                end: 3,
            },
            CheckError::Jump(1),
        ),
        (Op::Expression { index: 1, end: 2 }, CheckError::Order(1)),
    ] {
        assert_eq!(within(op), Err(error), "{op:?}");
    }
}

#[test]
fn blocks_nest_and_expressions_are_in_order() {
    assert_eq!(
        checked(vec![Op::Jump { to: 1 }]),
        Err(CheckError::Outside(0))
    );
    assert_eq!(
        checked(vec![Op::Expression { index: 2, end: 1 }]),
        Err(CheckError::Order(0))
    );
    let twice = vec![
        Op::Expression { index: 1, end: 1 },
        Op::Expression { index: 1, end: 2 },
    ];
    assert_eq!(checked(twice), Err(CheckError::Order(1)));
    let out_of_a_loop = vec![
        Op::Expression { index: 0, end: 4 },
        Op::Loop {
            index: S,
            count: S,
            limit: 1,
            end: 3,
        },
        Op::Jump { to: 4 },
        Op::Jump { to: 4 },
    ];
    assert_eq!(checked(out_of_a_loop), Err(CheckError::Jump(2)));
    let into_a_loop = vec![
        Op::Expression { index: 0, end: 4 },
        Op::Jump { to: 3 },
        Op::Loop {
            index: S,
            count: S,
            limit: 1,
            end: 4,
        },
        Op::Jump { to: 4 },
    ];
    assert_eq!(checked(into_a_loop), Err(CheckError::Jump(2)));
    let mut deep = vec![Op::Expression { index: 0, end: 6 }];
    deep.extend(
        [Op::Loop {
            index: S,
            count: S,
            limit: 1,
            end: 6,
        }; LOOPS + 1],
    );
    assert_eq!(checked(deep), Err(CheckError::Nesting(LOOPS + 1)));
}

#[test]
fn heads_are_checked() {
    let parts = |expressions, record, size| Parts {
        expressions,
        record,
        prefetch: Some(Prefetch {
            register: 7,
            offset: 0,
            size,
        }),
        ..Parts::default()
    };
    assert_eq!(
        check(&parts(97, 4096, 8)),
        Err(CheckError::TooManyExpressions(97))
    );
    assert_eq!(check(&parts(1, 4, 8)), Err(CheckError::Record(4)));
    assert_eq!(check(&parts(1, 4096, 513)), Err(CheckError::Prefetch));
    let many = Parts {
        ops: vec![Op::Jump { to: 0 }; OPS + 1],
        ..parts(1, 4096, 8)
    };
    assert_eq!(check(&many), Err(CheckError::TooManyOps(OPS + 1)));
}
