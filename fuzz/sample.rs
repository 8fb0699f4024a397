//! The smallest program that has a bit of everything that debug information describes; see `dwarf_seeds`.

#![no_std]
#![no_main]

use core::hint::black_box;

static TOTAL: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(3);

pub enum Side {
    Buy,
    Sell,
}

pub enum Event {
    Idle,
    Trade { price: f64, side: Side },
    Note(&'static str, Option<&'static Order>),
}

pub struct Order {
    id: u64,
    lots: [(u32, i16); 2],
    event: Event,
}

pub union Bits {
    float: f32,
    word: u32,
}

pub trait Fee {
    fn fee(&self, order: &Order) -> u64;
}

struct Flat(u64);

impl Fee for Flat {
    #[inline(never)]
    fn fee(&self, order: &Order) -> u64 {
        let sum = self.0 + order.id;
        black_box(sum) * 2
    }
}

#[inline]
fn lots<T: Copy + Into<u64>>(all: &[T]) -> u64 {
    let mut total = 0;
    for lot in all {
        total += black_box((*lot).into());
    }
    total
}

#[inline(never)]
fn handle(order: &Order, fee: &dyn Fee, sizes: &[u32]) -> u64 {
    let total = lots(sizes);
    let charged = fee.fee(order);
    let bits = Bits { float: total as f32 };
    let add = |extra: u64| total + charged + extra;
    let price = match order.event {
        Event::Trade { price, side: Side::Buy } => price as u64,
        Event::Trade { price, .. } => black_box(price as u64 + 1),
        Event::Note(text, _) => text.len() as u64,
        Event::Idle => 0,
    };
    // SAFETY: each bit pattern is a number.
    black_box(add(price)) + u64::from(unsafe { bits.word }) + u64::from(order.lots[1].0)
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let order = Order {
        id: black_box(7),
        lots: [(1, 2), (3, -4)],
        event: Event::Note(black_box("first"), None),
    };
    let traded = Event::Trade { price: 2.5, side: Side::Sell };
    let mut sum = handle(&order, &Flat(5), &[1, 2, 3]);
    loop {
        sum = handle(&Order { id: sum, event: Event::Idle, ..order }, &Flat(sum), &[4]);
        TOTAL.store(sum, core::sync::atomic::Ordering::Relaxed);
        black_box(&traded);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
