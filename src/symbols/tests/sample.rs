//! Code for the tests to look at. The markers name lines.

use std::hint::black_box;

#[derive(Clone, Debug)]
pub struct Order {
    pub id: u64,
    pub name: String,
    pub quantity: u32,
}

pub fn run() {
    let orders: Vec<Order> = (0..4)
        .map(|id| Order {
            id,
            name: format!("order {id}"),
            quantity: 3,
        })
        .collect();
    black_box(total(black_box(&orders), 1000)).ok();
    black_box(choose(black_box(3)));
    black_box(branches(black_box(7)));
    black_box(outer(black_box(5)));
    let n = black_box(1u64);
    let text = black_box("text".to_owned());
    black_box(many(n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, text));
    let [first, second, ..] = orders.as_slice() else {
        return;
    };
    black_box(joined(first.clone(), second.clone(), n));
}

#[inline(never)]
pub fn total(orders: &[Order], limit: u64) -> Result<u64, String> {
    // total: entry
    let mut total = 0u64; // total: zero
    for order in orders {
        // total: loop
        let value = order.id * u64::from(order.quantity); // total: value
        if value > limit {
            // total: compare
            return Err(format!("{} is over {limit}", order.name)); // total: error
        }
        total += value; // total: add
    }
    // total: comment

    let result = black_box(total) + 1; // total: result
    Ok(result) // total: end
}

// between functions

#[inline(never)]
pub fn choose(key: u32) -> u32 {
    match key {
        // choose: match
        0 => black_box(17),
        1 => black_box(3) + 1,
        2 => black_box(key * 7),
        3 => black_box(key ^ 5), // choose: three
        4 => black_box(9) * 2,
        _ => 0,
    }
}

#[inline(never)]
pub fn branches(x: u32) -> u32 {
    let y = if black_box(x) > 3 {
        black_box(x) + 1
    } else {
        black_box(x) * 2
    }; // branches: both
    let twice = |n: u32| {
        // branches: closure
        let double = black_box(n) * 2; // branches: inside
        double + 1
    };
    twice(y) + twice(x) // branches: calls
}

#[inline(always)]
fn inlined(a: u32) -> u32 {
    black_box(a) + 2 // inlined: body
}

#[inline(never)]
pub fn outer(a: u32) -> u32 {
    let first = inlined(a); // outer: first
    // outer: comment
    fn nested(b: u32) -> u32 {
        black_box(b) * 3 // nested: body
    }
    first + inlined(first) + nested(a) // outer: last
}

#[allow(clippy::too_many_arguments)]
#[inline(never)]
pub fn many(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, s: String) -> u64 {
    let sum = a + b + c + d + e + f + g; // many: sum
    black_box(sum) + s.len() as u64 // many: end
}

#[inline(never)]
pub fn joined(first: Order, second: Order, count: u64) -> u64 {
    let text = format!("{count}"); // joined: text
    first.id + second.id + text.len() as u64
}
