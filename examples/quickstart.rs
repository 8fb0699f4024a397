//! A small order service that debugs itself: wakes detrix, attaches to its own port as any client would, sets two logpoints,
//! prints what they say and what they cost, sleeps, and checks that its text is byte for byte what it was.
//!
//! ```console
//! $ cargo run --release --example quickstart
//! ```

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Threads that handle orders.
const WORKERS: u64 = 3;

/// Events that are printed.
const EVENTS: usize = 12;

fn main() -> Result<()> {
    detrix::init(detrix::Config {
        name: Some("quickstart".to_owned()),
        register: false,
        ..detrix::Config::default()
    })?;
    let before = own_text()?;

    let service = Service::default();
    let logged = thread::scope(|scope| {
        for worker in 0..WORKERS {
            let service = &service;
            scope.spawn(move || service.work(worker));
        }
        let logged = debug(&service);
        // The workers end whether or not that went well, or the scope would wait for them for ever.
        service.closed.store(true, Ordering::Relaxed);
        logged
    });
    logged?;
    detrix::shutdown()?;

    let after = own_text()?;
    if after != before {
        return Err("the program's text is not what it was".into());
    }
    let orders = service.handled.load(Ordering::Relaxed);
    println!(
        "asleep again: {orders} orders handled, {} bytes of text byte for byte as before",
        after.len()
    );
    Ok(())
}

/// Everything that a debugger's user does, on the port that `wake` opens.
fn debug(service: &Service) -> Result<()> {
    let start = Instant::now();
    let port = detrix::wake()?.debug_port;
    println!("awake on port {port} after {:.1?}", start.elapsed());
    let port = u16::try_from(port)?;

    let mut client = dap::Client::connect(("127.0.0.1", port))?;
    client.initialize()?;
    client.attach(serde_json::json!({}))?;

    let (order_line, fee_line) = (line_of("handle")?, line_of("fee")?);
    let logpoints = [
        (
            order_line,
            "order id={order.id} symbol={order.symbol} quantity={order.quantity} side={order.side}",
        ),
        (fee_line, "fee of gross={gross}"),
    ];
    let quiet = cost_of_an_order(service);
    for placed in client.set_logpoints(file!(), &logpoints)? {
        if !placed.verified {
            return Err(format!(
                "a logpoint was refused: {}",
                placed.message.unwrap_or_default()
            )
            .into());
        }
    }
    let mut printed = 0;
    while printed < EVENTS {
        let output = client.next_output(Duration::from_secs(60))?;
        let Some(line) = output.line.filter(|_| output.source.is_some()) else {
            continue;
        };
        println!("quickstart.rs:{line}  {}", output.output.trim_end());
        printed += 1;
    }

    // Only the logpoint on the order is left: one hit an order.
    client.set_logpoints(file!(), &logpoints[..1])?;
    let logged = cost_of_an_order(service);
    println!(
        "a hit costs {:.1} us: an order takes {quiet:.2} us without a logpoint, {logged:.2} us with one",
        logged - quiet
    );
    client.call("disconnect", serde_json::json!({}))?;
    detrix::sleep()?;
    Ok(())
}

/// The service: its workers handle orders until it is closed.
#[derive(Default)]
struct Service {
    closed: AtomicBool,
    handled: AtomicU64,
    revenue: AtomicU64,
}

struct Order {
    id: u64,
    symbol: String,
    quantity: u32,
    side: Side,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Buy,
    Sell,
}

impl Service {
    fn work(&self, worker: u64) {
        for index in 0.. {
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            self.handle(&Order::new(worker * 1_000_000 + index));
            // An order arrives every few milliseconds.
            thread::sleep(Duration::from_millis(5 + worker));
        }
    }

    #[inline(never)]
    fn handle(&self, order: &Order) -> u64 {
        let cents = if order.side == Side::Buy { 120 } else { 118 };
        let gross = u64::from(order.quantity) * cents;
        self.handled.fetch_add(1, Ordering::Relaxed); // LOG: handle
        // The first order of each worker is free.
        let fee = match order.id % 1_000_000 {
            0 => 0,
            _ => fee(gross, order.symbol.len() as u64),
        };
        self.revenue.fetch_add(fee, Ordering::Relaxed);
        gross + fee
    }
}

/// A release build has no such function: it is inlined, and can be debugged all the same.
#[inline(always)]
fn fee(gross: u64, length: u64) -> u64 {
    let base = black_box(gross) / 50;
    black_box(base + length) // LOG: fee
}

impl Order {
    fn new(id: u64) -> Self {
        let symbol = ["BTC-USD", "ETH-USD", "SOL-USD"][(id % 3) as usize];
        Self {
            id,
            symbol: symbol.to_owned(),
            quantity: (id % 9) as u32 + 1,
            side: if id.is_multiple_of(2) {
                Side::Buy
            } else {
                Side::Sell
            },
        }
    }
}

/// The median time that one order takes, in microseconds. The pauses between bursts keep the logpoint below its budget, or
/// it would be taken out and cost nothing.
fn cost_of_an_order(service: &Service) -> f64 {
    const BURSTS: usize = 20;
    const BURST: usize = 20;
    let order = Order::new(999);
    let mut times = Vec::with_capacity(BURSTS * BURST);
    for _ in 0..BURSTS {
        for _ in 0..BURST {
            let start = Instant::now();
            black_box(service.handle(black_box(&order)));
            times.push(start.elapsed());
        }
        let next = Instant::now() + Duration::from_millis(10);
        while Instant::now() < next {
            std::hint::spin_loop();
        }
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// The number of the line that is marked with `// LOG: name`.
fn line_of(name: &str) -> Result<u64> {
    let mark = format!("// LOG: {name}");
    let index = include_str!("quickstart.rs")
        .lines()
        .position(|line| line.ends_with(&mark))
        .ok_or("the mark is in this file")?;
    Ok(index as u64 + 1)
}

/// The bytes of every executable mapping of this program's own file, as they are in memory now.
fn own_text() -> Result<Vec<u8>> {
    let program = fs::read_link("/proc/self/exe")?;
    let memory = fs::File::open("/proc/self/mem")?;
    let mut text = Vec::new();
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(access), Some(path)) = (fields.next(), fields.next(), fields.nth(3))
        else {
            continue;
        };
        if !access.contains('x') || Path::new(path) != program {
            continue;
        }
        let (start, end) = range.split_once('-').ok_or("maps has ranges")?;
        let (start, end) = (
            u64::from_str_radix(start, 16)?,
            u64::from_str_radix(end, 16)?,
        );
        let mut bytes = vec![0; usize::try_from(end - start)?];
        memory.read_exact_at(&mut bytes, start)?;
        text.extend(bytes);
    }
    if text.is_empty() {
        return Err(io::Error::other("the program's text is not mapped").into());
    }
    Ok(text)
}
