//! The table under every order in which the steps of its threads may be seen. See CONTRIBUTING.md for the command.

use loom::sync::Arc;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use super::*;

/// A site, which tells when it is made, read and freed.
struct Site {
    address: u64,
    witness: Witness,
}

fn site(address: u64) -> Site {
    let witness = Witness::new(1);
    witness.writes(0, 1);
    Site { address, witness }
}

impl Located for Site {
    fn address(&self) -> u64 {
        self.witness.reads(0, 1);
        self.address
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.witness.writes(0, 1);
    }
}

/// A thread that runs into an `int3` of ours finds its site, and one that looks without a reason sees a whole site or
/// none, and all that were there before, also while the table grows.
#[test]
fn loom_a_site_is_found_once_its_trap_is_there() {
    loom::model(|| {
        let sites = Arc::new(Table::new());
        sites.insert(site(16));
        // Whether the text is patched. That this is seen after what was written before is the kernel's promise.
        let patched = Arc::new(AtomicBool::new(false));
        let writer = thread::spawn({
            let (sites, patched) = (sites.clone(), patched.clone());
            move || {
                sites.insert(site(32));
                patched.store(true, Ordering::Release);
            }
        });
        let trapped = patched.load(Ordering::Acquire);
        let found = sites.find(32).map(Located::address);
        assert!(found == Some(32) || (found.is_none() && !trapped));
        assert_eq!(sites.find(16).map(Located::address), Some(16));
        writer.join().unwrap();
        assert_eq!(sites.iter().count(), 2);
    });
}

/// Two threads that look at once, of which each may see the table before or after it grew.
#[test]
fn loom_all_readers_see_what_was_there_before() {
    loom::model(|| {
        let sites = Arc::new(Table::new());
        sites.insert(site(16));
        let readers = [16, 32].map(|address| {
            let sites = sites.clone();
            thread::spawn(move || sites.find(address).map(Located::address))
        });
        sites.insert(site(32));
        let [first, second] = readers.map(|reader| reader.join().unwrap());
        assert_eq!(first, Some(16));
        assert!(second.is_none() || second == Some(32));
    });
}
