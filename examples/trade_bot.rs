//! A trading bot that runs until it is killed, asleep for the debugger until somebody asks its control plane to wake it.
//! `test_wake` is the other half.
//!
//! ```console
//! $ cargo run --release --example trade_bot -- --daemon-port 8090
//! control plane: http://127.0.0.1:40123
//! $ curl -X POST http://127.0.0.1:40123/detrix/wake     # in another terminal
//! ```
//!
//! `--control-port N` fixes the port of the control plane, `--daemon-port N` or `--daemon-url URL` says where the daemon
//! is; every variable of detrix, such as `DETRIX_NAME`, works as well.

use std::error::Error;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

/// An order arrives this often.
const PACE: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn Error>> {
    detrix::init(config()?)?;
    let control_plane = detrix::status().control_plane_url();
    println!("control plane: {}", control_plane.unwrap_or_default());

    let mut account = Account::default();
    for id in 1.. {
        let order = Order::next(id);
        match account.trade(&order) {
            Some(price) => println!(
                "order {id}: {:?} {} {} at {price:.2}, profit {:.2}",
                order.side, order.quantity, order.symbol, account.profit
            ),
            None => println!("order {id}: waits for its limit"),
        }
        thread::sleep(PACE);
    }
    Ok(())
}

/// The configuration, from the command line.
fn config() -> Result<detrix::Config, Box<dyn Error>> {
    let mut config = detrix::Config {
        name: Some("trade-bot".to_owned()),
        ..detrix::Config::default()
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--control-port" => config.control_port = value.parse()?,
            "--daemon-port" => config.daemon_url = format!("http://127.0.0.1:{value}"),
            "--daemon-url" => config.daemon_url = value,
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    Ok(config)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Buy,
    Sell,
}

/// What somebody wants to buy or sell.
struct Order {
    id: u64,
    symbol: String,
    side: Side,
    quantity: u32,
    /// Not for less, or for more, than this.
    limit: Option<f64>,
}

impl Order {
    fn next(id: u64) -> Self {
        let symbol = ["BTCUSD", "ETHUSD", "SOLUSD"][(id % 3) as usize];
        Self {
            id,
            symbol: symbol.to_owned(),
            side: if id % 4 < 3 { Side::Buy } else { Side::Sell },
            quantity: (id * 7 % 50) as u32 + 1,
            limit: id.is_multiple_of(2).then_some(660.0),
        }
    }
}

/// What the bot has.
#[derive(Default)]
struct Account {
    position: i64,
    spent: f64,
    profit: f64,
}

impl Account {
    /// Fills an order and gives its price, unless its limit forbids.
    #[inline(never)]
    fn trade(&mut self, order: &Order) -> Option<f64> {
        let symbol = order.symbol.as_str();
        let quantity = order.quantity;
        let price = market_price(symbol, order.id);
        let fits = match (order.limit, order.side) {
            (None, _) => true,
            (Some(limit), Side::Buy) => price <= limit,
            (Some(limit), Side::Sell) => price >= limit,
        };
        if !black_box(fits) {
            return None;
        }
        let total = self.book(order.side, quantity, price); // MARK: order
        self.profit = self.position as f64 * price - self.spent; // MARK: profit
        black_box((symbol, quantity, total)); // MARK: filled
        Some(price)
    }

    #[inline(never)]
    fn book(&mut self, side: Side, quantity: u32, price: f64) -> f64 {
        let sign = if side == Side::Buy { 1 } else { -1 };
        let total = f64::from(quantity) * price;
        self.position += sign * i64::from(quantity);
        self.spent += sign as f64 * total;
        black_box(total)
    }
}

/// A price that goes up and down.
#[inline(never)]
fn market_price(symbol: &str, time: u64) -> f64 {
    let base = 600.0 + symbol.len() as f64 * 10.0;
    base + (time as f64 / 5.0).sin() * 25.0
}
