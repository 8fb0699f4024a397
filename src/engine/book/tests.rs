//! The books against a model, over text of libraries that come and go: whatever happens in whatever order, nothing but the
//! sites that are wanted is in the text, and these are.

mod library;

use proptest::prelude::*;

use super::super::account::Limits as AccountLimits;
use super::super::budget::{Total, WINDOW};
use super::super::keeper;
use super::super::text::Text;
use super::*;
use crate::capture::program::Parts;
use library::{Contents, INSTRUCTIONS, Libraries, PAGES};

/// How many logpoints there are, each of which may have probes anywhere.
const ACCOUNTS: usize = 4;

/// What happens next. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// Probes are removed, and others placed, each at an instruction and for a logpoint; how that goes; and what is mapped
    /// when it was looked up already where these are.
    Change(
        Vec<usize>,
        Vec<(usize, usize)>,
        Fate,
        Option<(usize, Contents)>,
    ),
    /// A thread runs into an instruction, and is stopped for so long.
    Hit(usize, u64),
    /// Time goes by, in windows.
    Wait(u64),
    /// The tracer dies.
    Death,
    /// The application gives up privileges.
    Replacement,
    /// A library goes, comes, or another one takes its place.
    Map(usize, Contents),
    /// detrix's thread notices.
    Notice,
}

/// How the tracer deals with the orders of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It carries them out.
    Obeys,
    /// It dies after so many of them; the next one carries them out.
    Dies(usize),
    /// It dies, and the next one too.
    Dead,
    /// There is none, and none can be made.
    Missing,
    /// No write succeeds.
    CannotWrite,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        12 => Just(Fate::Obeys),
        2 => (0usize..6).prop_map(Fate::Dies),
        1 => Just(Fate::Dead),
        1 => Just(Fate::Missing),
        2 => Just(Fate::CannotWrite),
    ];
    let remove = prop::collection::vec(any::<usize>(), 0..4);
    let place = prop::collection::vec((any::<usize>(), any::<usize>()), 0..5);
    let contents = prop_oneof![
        2 => Just(Contents::Library),
        1 => Just(Contents::Nothing),
        1 => Just(Contents::Trap)
    ];
    let meanwhile = prop::option::weighted(0.1, (any::<usize>(), contents.clone()));
    prop_oneof![
        8 => (remove, place, fate, meanwhile).prop_map(|(remove, place, fate, meanwhile)| {
            Step::Change(remove, place, fate, meanwhile)
        }),
        6 => (any::<usize>(), 0u64..2_000_000).prop_map(|(at, cost)| Step::Hit(at, cost)),
        2 => (0u64..3).prop_map(Step::Wait),
        1 => Just(Step::Death),
        1 => Just(Step::Replacement),
        2 => (any::<usize>(), contents).prop_map(|(page, contents)| Step::Map(page, contents)),
        1 => Just(Step::Notice),
    ]
}

/// Records the hit and nothing else.
fn program() -> Program {
    let parts = Parts {
        record: 256,
        ..Parts::default()
    };
    Program::new(parts).unwrap()
}

/// A tracer that needs no other process: it carries orders out at once.
struct Hand {
    shared: Arc<Shared>,
    text: Text,
    alive: bool,
    fate: Fate,
    now: u64,
}

impl Hand {
    fn obey(&mut self, orders: &[Command]) {
        self.alive = true;
        self.text.look_again();
        for order in orders {
            // SAFETY: sites live as long as `shared`, and there is no other tracer.
            unsafe {
                match *order {
                    Command::Settle(site) => enforce::settle(&self.text, &*site),
                    Command::Disarm(site) => enforce::disarm(&self.text, &*site),
                    Command::Resume => enforce::resume(&self.shared, &self.text, self.now),
                    Command::Seize(_) => {}
                    Command::Leave => self.alive = false,
                }
            }
        }
        if !self.alive {
            self.die();
        }
    }

    /// Dies; its keeper does its work.
    fn die(&mut self) {
        self.alive = false;
        keeper::repair_text(&self.shared.sites);
    }
}

impl Patcher for Hand {
    fn order(&mut self, orders: &[Command]) -> Result<bool, EngineError> {
        match self.fate {
            Fate::Obeys | Fate::CannotWrite => self.obey(orders),
            Fate::Dies(after) => {
                self.obey(orders.get(..after).unwrap_or(orders));
                self.die();
                self.fate = Fate::Obeys;
                return Ok(false);
            }
            Fate::Dead => {
                self.die();
                return Ok(false);
            }
            Fate::Missing => {
                self.die();
                return Err(EngineError::NoAnswer);
            }
        }
        Ok(true)
    }

    fn order_if_any(&mut self, orders: &[Command]) -> bool {
        if self.alive {
            self.obey(orders);
        }
        true
    }

    fn forget(&mut self) {
        assert!(!self.alive, "it answered");
    }
}

/// The books, what they are about, and what is expected of them.
struct World {
    libraries: Libraries,
    hand: Hand,
    book: Book,
    accounts: Vec<Arc<Account>>,
    /// Where the probes are that were placed, and not removed or lost.
    wanted: HashMap<u32, u64>,
    /// Addresses at which a probe was placed since anything happened to the mapping there.
    fresh: BTreeSet<u64>,
    last: u32,
}

impl World {
    fn new() -> Self {
        let shared = Arc::new(Shared::new(Total::new(0.02)).unwrap());
        let limits = |account: usize| AccountLimits {
            share: [0.001, 0.01, 1.0, 1.0][account],
            hits: (account == 3).then_some(5),
            ..AccountLimits::default()
        };
        Self {
            libraries: Libraries::new(),
            hand: Hand {
                shared: shared.clone(),
                text: Text::open(sys::thread_id()).unwrap(),
                alive: false,
                fate: Fate::Obeys,
                now: 10 * WINDOW,
            },
            book: Book::new(shared),
            accounts: (0..ACCOUNTS)
                .map(|account| Arc::new(Account::new(&limits(account))))
                .collect(),
            wanted: HashMap::new(),
            fresh: BTreeSet::new(),
            last: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change(remove, place, fate, meanwhile) => {
                self.change(&remove, &place, fate, meanwhile);
            }
            Step::Hit(at, cost) => self.hit(at, cost),
            Step::Wait(windows) => {
                self.hand.now += windows * WINDOW;
                if self.book.resume_at().is_some_and(|at| at <= self.hand.now) {
                    self.hand.order_if_any(&[Command::Resume]);
                }
            }
            Step::Death if self.hand.alive => {
                self.hand.die();
                let mut lost = self.book.lose();
                let mut wanted: Vec<u32> = self.wanted.drain().map(|(probe, _)| probe).collect();
                lost.sort_unstable();
                wanted.sort_unstable();
                assert_eq!(lost, wanted);
            }
            Step::Replacement if self.hand.alive => {
                let sites: Vec<Command> = self
                    .hand
                    .shared
                    .sites
                    .iter()
                    .map(|site| Command::Disarm(site))
                    .collect();
                self.hand.obey(&sites);
                self.expect(&BTreeSet::new(), &BTreeSet::new());
                let orders = self.book.wanted();
                assert!(self.hand.order(&orders).unwrap());
            }
            Step::Death | Step::Replacement => {}
            Step::Map(page, contents) => drop(self.map(page, contents)),
            Step::Notice => self.book.modules_changed(),
        }
    }

    /// Returns the addresses at which something else is mapped now.
    fn map(&mut self, page: usize, contents: Contents) -> Range<u64> {
        let addresses = self.libraries.map(page % PAGES, contents);
        self.fresh.retain(|address| !addresses.contains(address));
        addresses
    }

    fn change(
        &mut self,
        remove: &[usize],
        place: &[(usize, usize)],
        fate: Fate,
        meanwhile: Option<(usize, Contents)>,
    ) {
        let mut known: Vec<u32> = self.wanted.keys().copied().collect();
        known.sort_unstable();
        let remove: Vec<u32> = remove
            .iter()
            .filter_map(|at| known.get(at % known.len().max(1)).copied())
            .collect();
        let mut placements = Vec::new();
        for (at, account) in place {
            let Some(address) = self
                .libraries
                .instruction(at % (PAGES * INSTRUCTIONS.len()))
            else {
                continue;
            };
            self.last += 1;
            placements.push(Placement {
                probe: self.last,
                address,
                text: self.libraries.range(),
                origin: None,
                program: program(),
                account: self.accounts[account % ACCOUNTS].clone(),
            });
        }
        let places: Vec<(u32, u64)> = placements
            .iter()
            .map(|placement| (placement.probe, placement.address))
            .collect();
        for probe in &remove {
            self.wanted.remove(probe);
        }
        locate(&mut placements);
        let remapped = meanwhile.map(|(page, contents)| self.map(page, contents));
        self.hand.fate = fate;
        if fate == Fate::CannotWrite {
            self.hand.text = Text::unwritable(sys::thread_id()).unwrap();
        }
        let changed = self.book.change(&mut self.hand, &remove, placements);
        self.hand.fate = Fate::Obeys;
        let writes = fate != Fate::CannotWrite;
        if !writes {
            self.hand.text = Text::open(sys::thread_id()).unwrap();
            // What could not be taken out is left to the keeper.
            self.hand.die();
            let lost = self.book.lose();
            self.wanted.clear();
            for ((probe, _), placed) in places.iter().zip(&changed.placed) {
                assert_eq!(lost.contains(probe), placed.is_ok());
            }
            return;
        }
        if let Some((_, lost)) = &changed.lost {
            for probe in lost {
                assert!(
                    self.wanted.remove(probe).is_some(),
                    "lost what was not there"
                );
            }
            assert!(self.wanted.is_empty(), "there is no tracer");
        }
        for ((probe, address), placed) in places.iter().zip(changed.placed) {
            match (placed, fate) {
                (Ok(()), _) => {
                    self.wanted.insert(*probe, *address);
                    self.fresh.insert(*address);
                }
                (Err(PlaceError::Tracer(_)), Fate::Dead | Fate::Missing) => {}
                (Err(_), _) if remapped.as_ref().is_some_and(|gone| gone.contains(address)) => {}
                (Err(error), _) => panic!("{fate:?}: {error}"),
            }
        }
    }

    /// A thread runs into an instruction: what the tracer does then.
    fn hit(&mut self, at: usize, cost: u64) {
        let at = at % (PAGES * INSTRUCTIONS.len());
        let Some(address) = self.libraries.instruction(at) else {
            return;
        };
        let shared = self.hand.shared.clone();
        if let Some(site) = shared.sites.find(address)
            && self.hand.alive
            && self.libraries.text()[self.libraries.offset(address)] == INT3
        {
            let mut expired = false;
            // SAFETY: there is no tracer but this.
            for probe in unsafe { site.probes() } {
                if probe.account.is_active() {
                    enforce::count(&shared, &probe.account, |tally| &tally.logged, 1);
                    expired |= probe.account.expire();
                }
            }
            // SAFETY: as above.
            unsafe {
                if enforce::charge(&shared, site, self.hand.now, cost) || expired {
                    enforce::settle_all(&shared, &self.hand.text);
                }
            }
        }
    }

    /// The text has nothing of ours but sites that are wanted, and those that must be there.
    fn check(&mut self) {
        let Self {
            book,
            fresh,
            wanted,
            ..
        } = self;
        // What was in memory that has gone may be dropped at any change; it is silent then.
        wanted.retain(|probe, address| {
            let known = book.address(*probe) == Some(*address);
            assert!(known || (book.is_silent(*probe) && !fresh.contains(address)));
            known
        });
        assert_eq!(self.book.is_empty(), self.wanted.is_empty());
        let active = |address: &u64| {
            let site = self
                .hand
                .shared
                .sites
                .find(*address)
                .expect("it was placed");
            // SAFETY: there is no tracer.
            let probes = unsafe { site.probes() };
            probes.iter().any(|probe| probe.account.is_active())
        };
        let may: BTreeSet<u64> = self.wanted.values().copied().filter(active).collect();
        let must = may.intersection(&self.fresh).copied().collect();
        self.expect(&must, &may);
        for (probe, address) in &self.wanted {
            assert!(!self.fresh.contains(address) || !self.book.is_silent(*probe));
        }
    }

    fn expect(&self, must: &BTreeSet<u64>, may: &BTreeSet<u64>) {
        let (text, own) = (self.libraries.text(), self.libraries.own_text());
        for ((address, byte), own) in (self.libraries.range().start..).zip(text).zip(own) {
            let patched = *byte != own;
            assert!(
                !patched || (*byte == INT3 && may.contains(&address)),
                "{address:#x}: {byte:#x}"
            );
            assert!(
                patched || !must.contains(&address),
                "no site at {address:#x}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn only_what_is_wanted_is_in_the_text(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        let all: Vec<u32> = world.wanted.drain().map(|(probe, _)| probe).collect();
        let changed = world.book.change(&mut world.hand, &all, Vec::new());
        prop_assert!(changed.lost.is_none());
        world.check();
        prop_assert!(!world.hand.alive, "it has nothing to stay for");
    }
}
