//! Tortures a program that checks its own results: clients that come, go, vanish and talk garbage, logpoints on whatever
//! it does, the tracer killed, sleeps, stops, and every kind of end, all at random and for as long as is asked.
//!
//! ```console
//! $ cargo bench --bench soak -- --minutes 30 --seed 7
//! ```
//!
//! The seed decides what is done, not how threads come to meet: a run that failed may have to be repeated. What is wrong
//! ends the soak with what was done before it.

mod actions;
mod clients;
mod figures;
mod life;

use std::time::{Duration, Instant};

use detrix_test_support::Random;

use figures::Figures;
use life::Life;

fn main() {
    let Arguments { minutes, seed } = Arguments::read();
    println!("soak: {minutes} minutes with --seed {seed}");
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut random = Random::new(seed);
    let mut figures = Figures::default();
    while Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now());
        let time = Duration::from_secs(5 + random.below(20)).min(left);
        Life::begin(&mut random, &mut figures).until(Instant::now() + time);
        println!("soak: {figures}");
    }
    println!("soak: held for {minutes} minutes with --seed {seed}");
}

/// What the command line says.
struct Arguments {
    minutes: u64,
    seed: u64,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self {
            minutes: 2,
            seed: Random::any_seed(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let number = arguments.next().and_then(|number| number.parse().ok());
                number.unwrap_or_else(|| panic!("{argument} needs a number"))
            };
            match argument.as_str() {
                "--minutes" => read.minutes = number(),
                "--seed" => read.seed = number(),
                // Cargo's.
                "--bench" => {}
                other => panic!("{other}: expected --minutes N or --seed S"),
            }
        }
        read
    }
}
