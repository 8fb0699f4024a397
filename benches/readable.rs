//! How many variables of three crates of the registry can be read at their lines, in an optimized build: miniz_oxide and
//! regex-automata, which compute, and mini-redis, an asynchronous service.
//!
//! At each address where a logpoint on a line with statement rows would go, the variables count that the line's function
//! declares above it, those that were optimized out as well, and those whose scope has ended. The program that has the
//! crates reads its own debug information: see `fixtures/readable`.

use std::process::Command;

use detrix_test_support::{Profile, Table, readable};

fn main() {
    let output = Command::new(readable(Profile::Release))
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    let mut table = Table::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, whole, partly, all] = fields.as_slice() else {
            panic!("{line:?} is not `NAME READABLE PARTLY ALL`");
        };
        let number = |text: &str| text.parse::<f64>().expect("counts are numbers");
        let share = |count: &str| 100.0 * number(count) / number(all).max(1.0);
        let goal = if *name == "mini-redis" {
            "> 85 %"
        } else {
            "> 75 %"
        };
        table.add(
            &format!("{name}: readable of {all} variables at lines"),
            format!("{:.1} % (and {:.1} % in part)", share(whole), share(partly)),
            goal,
        );
    }
    println!("{table}");
}
