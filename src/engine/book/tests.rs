//! The books against a model, over text of libraries and under threads that come and go: whatever happens in whatever order,
//! nothing but the sites that are wanted is in the text, and these are; each hit of a thread that is traced is counted once.

mod hand;
mod library;

use proptest::prelude::*;

use super::super::account::Limits as AccountLimits;
use super::super::budget::{Total, WINDOW};
use super::*;
use crate::capture::program::Parts;
use hand::{Fate, Hand};
use library::{Contents, INSTRUCTIONS, Libraries, PAGES};

/// How many logpoints there are, each of which may have probes anywhere.
const ACCOUNTS: usize = 4;

/// The numbers that threads have, which are used again: some share a place in the table, or are around its end.
const THREADS: [i32; 4] = [1, 1 + (1 << 16), (1 << 16) - 1, (2 << 16) - 1];

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
    /// A thread runs into an instruction, and is stopped for so long. It may be sent back there by a signal, and then hits
    /// once more when it is next said to.
    Hit(usize, usize, u64, bool),
    /// Time goes by, in windows; whether code can be written at their end.
    Wait(u64, bool),
    /// A thread makes another one, which its tracer may not be told of.
    Birth(usize, usize, bool),
    /// A thread ends.
    End(usize),
    /// detrix's thread compares the list of threads with those that are traced.
    Look,
    /// The tracer dies.
    Death,
    /// The application gives up privileges.
    Replacement,
    /// A library goes, comes, or another one takes its place.
    Map(usize, Contents),
    /// detrix's thread notices.
    Notice,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        12 => Just(Fate::Obeys),
        3 => (0usize..6, prop::bool::weighted(0.7))
            .prop_map(|(after, next_writes)| Fate::Dies(after, next_writes)),
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
        8 => (any::<usize>(), any::<usize>(), 0u64..2_000_000, prop::bool::weighted(0.3))
            .prop_map(|(thread, at, cost, back)| Step::Hit(thread, at, cost, back)),
        2 => (0u64..3, prop::bool::weighted(0.8))
            .prop_map(|(windows, writes)| Step::Wait(windows, writes)),
        3 => (any::<usize>(), any::<usize>(), prop::bool::weighted(0.8))
            .prop_map(|(parent, number, told)| Step::Birth(parent, number, told)),
        2 => any::<usize>().prop_map(Step::End),
        1 => Just(Step::Look),
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
    /// The threads that are traced, and the address at which each is to hit once more that was sent back.
    traced: HashMap<i32, Option<u64>>,
    /// Which tracer does that.
    tracer: u32,
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
            hand: Hand::new(shared.clone(), 10 * WINDOW),
            book: Book::new(shared),
            accounts: (0..ACCOUNTS)
                .map(|account| Arc::new(Account::new(&limits(account))))
                .collect(),
            wanted: HashMap::new(),
            fresh: BTreeSet::new(),
            last: 0,
            traced: HashMap::new(),
            tracer: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change(remove, place, fate, meanwhile) => {
                self.change(&remove, &place, fate, meanwhile);
            }
            Step::Hit(thread, at, cost, back) => self.hit(thread, at, cost, back),
            Step::Wait(windows, writes) => self.wait(windows, writes),
            Step::Birth(parent, number, told) => self.birth(parent, number, told),
            Step::End(thread) => self.end(thread),
            Step::Look => self.look(),
            Step::Death if self.hand.alive => {
                self.hand.die();
                self.lose();
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

    /// The tracer has died, and its end is noticed.
    fn lose(&mut self) {
        let mut lost = self.book.lose();
        let mut wanted: Vec<u32> = self.wanted.drain().map(|(probe, _)| probe).collect();
        lost.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(lost, wanted);
    }

    fn wait(&mut self, windows: u64, writes: bool) {
        self.hand.now += windows * WINDOW;
        if self.book.resume_at().is_none_or(|at| at > self.hand.now) {
            return;
        }
        self.hand.set_writable(writes);
        self.hand.order_if_any(&[Command::Resume]);
        self.hand.set_writable(true);
        // What could not be put back is known, and its owner told to place it again.
        let silent: Vec<u32> = self
            .wanted
            .keys()
            .copied()
            .filter(|probe| self.book.is_silent(*probe))
            .collect();
        let could_hit = |probe: &u32| {
            let account = &self.book.probes[probe].account;
            account.standing() != Standing::Expired
        };
        assert_eq!(self.book.has_silent(), silent.iter().any(could_hit));
        for probe in &silent {
            let address = self.wanted.remove(probe).expect("it is of these");
            assert!(!writes || !self.fresh.contains(&address));
        }
        self.book.change(&mut self.hand, &silent, Vec::new());
    }

    /// A new tracer holds all threads, and knows nothing of them.
    fn note_tracer(&mut self) {
        if std::mem::replace(&mut self.tracer, self.hand.made) != self.hand.made {
            let all = self.hand.living.iter();
            self.traced = all.map(|thread| (*thread, None)).collect();
        }
    }

    /// An instruction that is mapped, more often than not one of those that are `liked`.
    fn instruction(&self, at: usize, liked: impl Fn(u64, Option<&Site>) -> bool) -> Option<u64> {
        let all = 0..PAGES * INSTRUCTIONS.len();
        let all = all.filter_map(|index| self.libraries.instruction(index));
        let (liked, others): (Vec<u64>, Vec<u64>) =
            all.partition(|address| liked(*address, self.hand.shared.sites.find(*address)));
        let among = match at % 4 {
            1.. if !liked.is_empty() => liked,
            _ => others,
        };
        among.get(at / 4 % among.len().max(1)).copied()
    }

    fn thread(&self, at: usize) -> i32 {
        let living = &self.hand.living;
        *living
            .iter()
            .nth(at % living.len())
            .expect("the first one stays")
    }

    fn birth(&mut self, parent: usize, number: usize, told: bool) {
        let (parent, child) = (self.thread(parent), THREADS[number % THREADS.len()]);
        let traced = self.hand.alive && self.traced.contains_key(&parent);
        if self.hand.living.insert(child) && told && traced {
            self.hand.threads.insert(child);
            self.traced.insert(child, None);
        }
    }

    fn end(&mut self, thread: usize) {
        let thread = self.thread(thread);
        if thread != THREADS[0] {
            self.hand.living.remove(&thread);
            self.hand.threads.remove(thread);
            self.traced.remove(&thread);
        }
    }

    fn look(&mut self) {
        let untraced = self
            .hand
            .living
            .iter()
            .copied()
            .chain(self.hand.shared.untraced.take());
        let orders: Vec<Command> = untraced.map(Command::Seize).collect();
        if self.hand.alive {
            self.hand.obey(&orders);
            for thread in &self.hand.living {
                self.traced.entry(*thread).or_default();
            }
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
            let Some(address) = self.instruction(*at, |_, site| site.is_some()) else {
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
        let writes = !matches!(fate, Fate::CannotWrite | Fate::Dies(_, false));
        self.hand.set_writable(fate != Fate::CannotWrite);
        let changed = self.book.change(&mut self.hand, &remove, placements);
        self.hand.fate = Fate::Obeys;
        let known = |probe: &u32| self.book.address(*probe).is_some();
        assert!(
            changed.lost.is_some() || changed.dropped || self.wanted.keys().all(known),
            "gone without a word"
        );
        for ((probe, _), placed) in places.iter().zip(&changed.placed) {
            let works = placed.is_ok() && self.hand.alive;
            assert!(!works || !self.book.is_silent(*probe), "said to be placed");
        }
        if !writes {
            self.hand.set_writable(true);
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
        if !self.hand.alive {
            self.note_dropped();
            self.lose();
        }
    }

    /// A thread runs into an instruction: what the tracer does then.
    fn hit(&mut self, thread: usize, at: usize, cost: u64, back: bool) {
        const STACK: u64 = 4096;
        let patched = |address| self.libraries.text()[self.libraries.offset(address)] == INT3;
        let Some(address) = self.instruction(at, |address, _| patched(address)) else {
            return;
        };
        let tid = self.thread(thread);
        let shared = self.hand.shared.clone();
        let Some(site) = shared.sites.find(address).filter(|_| patched(address)) else {
            return;
        };
        assert!(self.hand.alive, "it is somebody's");
        let Some(entry) = self.hand.threads.find(tid) else {
            // The handler of SIGTRAP passes it through.
            shared.untraced.push(tid);
            return;
        };
        let repeats = entry.take_repeat(address, STACK);
        let expected = self.traced.get_mut(&tid).expect("it is traced");
        assert_eq!(repeats, *expected == Some(address), "{tid} {address:#x}");
        if repeats {
            *expected = None;
        }
        if back {
            entry.expect_repeat(address, STACK);
            *expected = Some(address);
        }
        let mut expired = false;
        // SAFETY: there is no tracer but this.
        for probe in unsafe { site.probes() } {
            if !repeats && probe.account.is_active() {
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

    /// What was in memory that has gone may be dropped at any change.
    fn note_dropped(&mut self) {
        self.wanted.retain(|probe, address| {
            let known = self.book.address(*probe) == Some(*address);
            assert!(known || !self.fresh.contains(address));
            known
        });
    }

    /// The text has nothing of ours but sites that are wanted, and those that must be there.
    fn check(&mut self) {
        if self.hand.alive {
            let threads = &self.hand.threads;
            assert_eq!(threads.count(), self.traced.len());
            assert!(self.traced.keys().all(|tid| threads.find(*tid).is_some()));
        }
        self.note_dropped();
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
            world.note_tracer();
            world.check();
        }
        let all: Vec<u32> = world.wanted.drain().map(|(probe, _)| probe).collect();
        let changed = world.book.change(&mut world.hand, &all, Vec::new());
        prop_assert!(changed.lost.is_none());
        world.check();
        prop_assert!(!world.hand.alive, "it has nothing to stay for");
    }
}
