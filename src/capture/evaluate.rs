//! Computes what an expression shows, from the record of a hit.

mod text;
mod time;

use self::text::{Text, compared, show_text, whole};
use self::time::time;
use super::compile::{Compiled, Reading, Shown};
use super::expr::Special;
use super::fold::Fold;
use super::format::Format;
use super::number::{Fault, Kind, Number, binary, cast, unary};
use super::program::{is_pseudo, pseudo};
use super::record::{Code, Entry, Record, Why};
use super::render::{Names, Showing, missing};
use super::typed::{Node, Part, Refusal};

impl Compiled {
    /// The text of an expression.
    pub(super) fn shown(&self, record: &Record<'_>, shown: &Shown, names: &dyn Names) -> String {
        let evaluation = Evaluation {
            compiled: self,
            record,
            shown,
            names,
        };
        let whole = !shown.format.is_debug();
        let mut text = match evaluation.value(&shown.node, whole) {
            Ok(value) => evaluation.show(&value, &shown.format),
            Err(trouble) => trouble.text(),
        };
        let mut said: Vec<&str> = Vec::new();
        for (condition, mark) in &shown.marks {
            if !said.contains(mark) && evaluation.number(condition).is_ok_and(Number::is_true) {
                text.push(' ');
                text.push_str(mark);
                said.push(mark);
            }
        }
        text
    }

    /// Why the condition could not be decided, if this is a record of that.
    pub(super) fn undecided(&self, record: &Record<'_>) -> Option<String> {
        let condition = self.condition.as_ref()?;
        let entry = record.entry(0);
        (entry.code != Code::Absent || entry.cut).then(|| {
            format!(
                "detrix: the condition `{condition}` could not be decided: {}",
                ended(entry).text()
            )
        })
    }
}

/// A value that was computed.
#[derive(Clone, Debug)]
enum Value {
    Number(Number),
    Text(Text),
    /// What was shown as it is.
    Rendered(String),
    Some(Box<Value>),
    None,
}

/// Why there is no value.
#[derive(Clone, Debug)]
enum Trouble {
    /// There is nothing, where there may be nothing.
    Nothing,
    /// It would have panicked.
    Fault(Fault),
    /// It would have panicked, as this says.
    Panic(String),
    /// What is to be shown instead.
    Said(String),
}

impl Trouble {
    fn text(self) -> String {
        match self {
            Self::Nothing => "<unwrap of None>".into(),
            Self::Fault(Fault::Overflow) => "<arithmetic overflow>".into(),
            Self::Fault(Fault::DivisionByZero) => "<division by zero>".into(),
            Self::Fault(Fault::Type) => "<unavailable: it cannot be computed>".into(),
            Self::Panic(text) | Self::Said(text) => text,
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// How an expression without a value ended.
fn ended(entry: Entry) -> Trouble {
    let (first, second) = entry.numbers;
    let panics = match entry.code {
        Code::Refused => first <= Refusal::Key as u64,
        Code::OutOfBounds | Code::Negative | Code::Backwards => true,
        _ => false,
    };
    let said = match entry.code {
        Code::Nothing => return Trouble::Nothing,
        Code::Overflow => return Fault::Overflow.into(),
        Code::DivisionByZero => return Fault::DivisionByZero.into(),
        Code::Refused => match first {
            first if first == Refusal::Err as u64 => "<unwrap of Err(..)>",
            first if first == Refusal::Ok as u64 => "<unwrap_err of Ok(..)>",
            first if first == Refusal::Key as u64 => "<no such key>",
            first if first == Refusal::ThreadLocal as u64 => {
                "<no value in this thread: not made yet, or destroyed>"
            }
            first if first == Refusal::Unmade as u64 => "<not made yet>",
            first if first == Refusal::Damaged as u64 => {
                "<unavailable: its numbers do not go together>"
            }
            _ => "<unwrap of None>",
        }
        .into(),
        Code::Unreadable => format!("<unreadable {first:#x}>"),
        Code::OutOfBounds => format!("<index {first} out of bounds, len {second}>"),
        Code::Negative => format!(
            "<index {} out of bounds, len {second}>",
            first.cast_signed()
        ),
        Code::Backwards => format!("<slice index starts at {first} but ends at {second}>"),
        Code::InvalidLength => format!("<invalid length {second}>"),
        Code::Unfinished => {
            format!("<unavailable: only {first} of {second} elements were read>")
        }
        Code::Incomputable => "<unavailable: its place could not be computed>".into(),
        Code::Absent | Code::Ok if entry.cut => "<not captured: no room>".into(),
        Code::Absent | Code::Ok => "<not captured>".into(),
    };
    if panics {
        Trouble::Panic(said)
    } else {
        Trouble::Said(said)
    }
}

/// Where numbers are, in their order.
type Addresses<'a> = Box<dyn Iterator<Item = u64> + 'a>;

struct Evaluation<'a> {
    compiled: &'a Compiled,
    record: &'a Record<'a>,
    shown: &'a Shown,
    names: &'a dyn Names,
}

impl Evaluation<'_> {
    /// `whole`: whether it is an expression's whole value, and not a part of one.
    fn value(&self, node: &Node, whole: bool) -> Result<Value, Trouble> {
        Ok(match node {
            Node::Value(operand) => Value::Rendered(self.rendered(*operand, whole)?),
            Node::Text(_) | Node::Words(_) | Node::Format(_) => Value::Text(self.text(node)?),
            Node::Optional(operand, inner) => match self.present(*operand)? {
                true => Value::Some(Box::new(self.value(inner, false)?)),
                false => Value::None,
            },
            Node::Either(operand, inner, default) => {
                let default = unless_it_panics(self.value(default, whole))?;
                match self.present(*operand)? {
                    true => self.value(inner, whole)?,
                    false => default?,
                }
            }
            Node::Checked(inner) => match self.checked(inner)? {
                Some(number) => Value::Some(Box::new(Value::Number(number))),
                None => Value::None,
            },
            Node::Special(Special::Time) => Value::Rendered(time(self.number(node)?.bits())),
            _ => Value::Number(self.number(node)?),
        })
    }

    fn number(&self, node: &Node) -> Result<Number, Trouble> {
        let truth = |node: &Node| self.number(node).map(Number::is_true);
        Ok(match node {
            Node::Number(number) => *number,
            Node::Load(operand, kind) => self.load(*operand, *kind)?,
            Node::Special(special) => self.special(*special)?,
            Node::Unary(op, mode, inner) => unary(*op, *mode, self.number(inner)?)?,
            Node::Binary(op, mode, left, right) => {
                binary(*op, *mode, self.number(left)?, self.number(right)?)?
            }
            Node::Cast(inner, kind) => cast(self.number(inner)?, *kind)?,
            Node::And(left, right) => Number::boolean(truth(left)? && truth(right)?),
            Node::Or(left, right) => Number::boolean(truth(left)? || truth(right)?),
            Node::Within(inner, ranges, negated) => {
                let bits = self.number(inner)?.bits();
                let mut ranges = ranges.iter();
                let within = ranges.any(|(first, last)| (*first..=*last).contains(&bits));
                Number::boolean(within != *negated)
            }
            Node::Compare(comparison, left, right) => {
                let (left, right) = (self.text(left)?, self.text(right)?);
                if !left.exact || !right.exact {
                    let why = "<unavailable: a text to compare has parts that are not shown>";
                    return Err(Trouble::Said(why.into()));
                }
                let holds = compared(*comparison, &left, &right);
                Number::boolean(holds.ok_or_else(|| {
                    Trouble::Said("<not captured: the text is too long to compare>".into())
                })?)
            }
            Node::Present(operand) => Number::boolean(self.present(*operand)?),
            Node::Either(operand, inner, default) => {
                let default = unless_it_panics(self.number(default))?;
                match self.present(*operand)? {
                    true => self.number(inner)?,
                    false => default?,
                }
            }
            Node::Fallback(_, inner, default) => {
                let default = unless_it_panics(self.number(default))?;
                match self.checked(inner)? {
                    Some(number) => number,
                    None => default?,
                }
            }
            Node::Count(operand) => {
                let Reading::Run { index, .. } = self.reading(*operand)? else {
                    return Err(Fault::Type.into());
                };
                let (_, count) = self.found(*index)?;
                Number::new(Kind::USIZE, count.into())
            }
            Node::Fits(inner) => Number::boolean(self.checked(inner)?.is_some()),
            Node::Function(function, inner) => function.of(self.number(inner)?),
            Node::Fold(fold, operand, kind, wanted) => {
                let wanted = wanted.as_deref().map(|wanted| self.number(wanted));
                self.fold(*fold, *operand, *kind, wanted.transpose()?)?
            }
            Node::Checked(inner) => self.number(inner)?,
            Node::Value(_)
            | Node::Text(_)
            | Node::Words(_)
            | Node::Optional(..)
            | Node::Format(_) => return Err(Fault::Type.into()),
        })
    }

    /// What the outermost operation gives, if it gives anything. What fails within its operands fails as ever.
    fn checked(&self, node: &Node) -> Result<Option<Number>, Trouble> {
        let result = match node {
            Node::Unary(op, mode, inner) => unary(*op, *mode, self.number(inner)?),
            Node::Binary(op, mode, left, right) => {
                binary(*op, *mode, self.number(left)?, self.number(right)?)
            }
            other => {
                return match self.number(other) {
                    Ok(number) => Ok(Some(number)),
                    // The least of no elements.
                    Err(Trouble::Nothing) => Ok(None),
                    Err(trouble) => Err(trouble),
                };
            }
        };
        match result {
            Ok(number) => Ok(Some(number)),
            Err(Fault::Overflow | Fault::DivisionByZero) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    fn reading(&self, operand: usize) -> Result<&Reading, Trouble> {
        match self.shown.readings.get(operand) {
            Some(Reading::Unavailable(why)) => {
                Err(Trouble::Said(missing(*why, self.shown.readable)))
            }
            Some(reading) => Ok(reading),
            None => Err(Fault::Type.into()),
        }
    }

    /// Where an operand's value begins, and how many there are.
    fn found(&self, index: u8) -> Result<(u64, u64), Trouble> {
        let entry = self.record.entry(usize::from(index));
        match entry.code {
            Code::Ok => Ok(entry.numbers),
            _ => Err(ended(entry)),
        }
    }

    fn present(&self, operand: usize) -> Result<bool, Trouble> {
        let index = match self.reading(operand)? {
            Reading::Entry { index, .. }
            | Reading::Run { index, .. }
            | Reading::Entries { index, .. } => *index,
            Reading::Unavailable(_) | Reading::Unused => return Err(Fault::Type.into()),
        };
        match self.found(index) {
            Ok(_) => Ok(true),
            Err(Trouble::Nothing) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    fn rendered(&self, operand: usize, whole: bool) -> Result<String, Trouble> {
        let compiled = self.compiled;
        let showing = self.showing(whole);
        Ok(match self.reading(operand)? {
            Reading::Entry { index, ty } => {
                let (address, _) = self.found(*index)?;
                compiled.render_value(self.record, (*ty, address), showing)
            }
            Reading::Run { index, element, .. } => {
                let (address, count) = self.found(*index)?;
                compiled.render_elements(self.record, *element, (address, count), showing)
            }
            Reading::Entries { index, ty, side } => {
                let (address, _) = self.found(*index)?;
                compiled.render_side(self.record, (*ty, address), *side, showing)
            }
            Reading::Unavailable(_) | Reading::Unused => return Err(Fault::Type.into()),
        })
    }

    fn showing(&self, whole: bool) -> Showing<'_> {
        Showing {
            names: self.names,
            elements: self.shown.elements,
            whole,
        }
    }

    fn load(&self, operand: usize, kind: Kind) -> Result<Number, Trouble> {
        let Reading::Entry { index, .. } = self.reading(operand)? else {
            return Err(Fault::Type.into());
        };
        let (address, _) = self.found(*index)?;
        self.number_at(address, kind)
    }

    fn special(&self, special: Special) -> Result<Number, Trouble> {
        let mut specials = self.shown.specials.iter();
        let (_, index) = specials
            .find(|(known, _)| *known == special)
            .ok_or(Fault::Type)?;
        self.found(*index)?;
        self.number_at(pseudo(*index), Kind::unsigned(64))
    }

    fn number_at(&self, address: u64, kind: Kind) -> Result<Number, Trouble> {
        let mut bytes = [0; 16];
        let wanted = bytes
            .get_mut(..usize::from(kind.size()))
            .ok_or(Fault::Type)?;
        self.read(address, wanted)?;
        let number = Number::new(kind, u128::from_le_bytes(bytes));
        if number.is_valid() {
            Ok(number)
        } else {
            Err(Trouble::Said(Format::display().number(number)))
        }
    }

    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Trouble> {
        let read = self.record.read(address, out);
        read.map_err(|why| Trouble::Said(why_missing(why, address)))
    }

    fn fold(
        &self,
        fold: Fold,
        operand: usize,
        kind: Kind,
        wanted: Option<Number>,
    ) -> Result<Number, Trouble> {
        // Where it was done at the hit, there is the result.
        if let Reading::Entry { .. } = self.reading(operand)? {
            let kind = if fold == Fold::Contains {
                Kind::Bool
            } else {
                kind
            };
            return self.load(operand, kind);
        }
        let (count, addresses) = self.folded(operand)?;
        let mut result = fold.begin(kind);
        for (at, address) in (0..).zip(addresses) {
            if fold.is_over(result) {
                break;
            }
            if self.record.read(address, &mut [0]) == Err(Why::NotCaptured) {
                return Err(Trouble::Said(uncaptured(at, count)));
            }
            let element = self.number_at(address, kind)?;
            result = Some(fold.next(result, element, wanted)?);
        }
        result.ok_or(Trouble::Nothing)
    }

    /// How many numbers an operand has, and where each of them is.
    fn folded(&self, operand: usize) -> Result<(u64, Addresses<'_>), Trouble> {
        match self.reading(operand)? {
            Reading::Run { index, stride, .. } => {
                let (first, count) = self.found(*index)?;
                let address = move |at: u64| first.wrapping_add(at.wrapping_mul(*stride));
                Ok((count, Box::new((0..count).map(address))))
            }
            Reading::Entries { index, ty, side } => {
                let (address, _) = self.found(*index)?;
                let (count, found) = self
                    .compiled
                    .side(self.record, (*ty, address), *side, self.showing(false))
                    .map_err(Trouble::Said)?;
                let there = found.len() as u64;
                if there < count {
                    return Err(Trouble::Said(uncaptured(there, count)));
                }
                Ok((count, Box::new(found.into_iter())))
            }
            _ => Err(Fault::Type.into()),
        }
    }

    fn text(&self, node: &Node) -> Result<Text, Trouble> {
        match node {
            Node::Words(text) => Ok(whole(text.clone())),
            Node::Text(operand) => self.text_of(*operand),
            Node::Either(operand, inner, default) => {
                let default = unless_it_panics(self.text(default))?;
                match self.present(*operand)? {
                    true => self.text(inner),
                    false => default,
                }
            }
            Node::Format(parts) => {
                let mut text = String::new();
                let mut exact = true;
                for part in parts {
                    match part {
                        Part::Words(words) => text.push_str(words),
                        Part::Value(node, format) => {
                            let value = self.value(node, !format.is_debug())?;
                            exact &= is_exact(&value, format);
                            text.push_str(&self.show(&value, format));
                        }
                    }
                }
                Ok(Text {
                    exact,
                    ..whole(text)
                })
            }
            _ => Err(Fault::Type.into()),
        }
    }

    fn text_of(&self, operand: usize) -> Result<Text, Trouble> {
        let Reading::Entry { index, ty } = self.reading(operand)? else {
            return Err(Fault::Type.into());
        };
        let (address, _) = self.found(*index)?;
        let types = &self.compiled.types;
        let found = types.get(*ty).ok_or(Fault::Type)?;
        let place = types.view(*ty, &found).text().ok_or(Fault::Type)?;
        let word = |offset: u64| {
            let number = self.number_at(address.wrapping_add(offset), Kind::USIZE)?;
            Ok::<_, Trouble>(number.bits() as u64)
        };
        let (pointer, length) = (word(place.data)?, word(place.length)?);
        if length > i64::MAX.cast_unsigned() {
            return Err(Trouble::Said(format!("<invalid length {length}>")));
        }
        if length == 0 {
            return Ok(whole(String::new()));
        }
        let pointer = pointer.wrapping_add(place.header);
        // A wild pointer must not lead to where the record keeps registers.
        if is_pseudo(pointer) {
            return Err(Trouble::Said(format!("<unreadable {pointer:#x}>")));
        }
        let limit = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(self.compiled.limits.bytes);
        let (bytes, rest) = self.record.read_up_to(pointer, limit);
        match rest {
            Err(why @ (Why::Unreadable | Why::OptimizedOut)) if bytes.is_empty() => {
                Err(Trouble::Said(why_missing(why, pointer)))
            }
            _ => Ok(Text {
                bytes,
                length,
                exact: true,
            }),
        }
    }

    fn show(&self, value: &Value, format: &Format) -> String {
        match value {
            Value::Number(number) => format.number(*number),
            Value::Rendered(text) => format.shown(text),
            Value::Text(text) => show_text(text, format),
            Value::None => format.shown("None"),
            Value::Some(inner) => {
                let inner = match &**inner {
                    Value::Text(text) => show_text(text, &Format::debug()),
                    Value::Number(number) => Format::debug().number(*number),
                    other => self.show(other, &Format::debug()),
                };
                format.shown(&format!("Some({inner})"))
            }
        }
    }
}

/// An argument of `unwrap_or`, which is computed whether it is needed or not; an error where that panics.
fn unless_it_panics<T>(argument: Result<T, Trouble>) -> Result<Result<T, Trouble>, Trouble> {
    match argument {
        Err(
            panic @ (Trouble::Fault(Fault::Overflow | Fault::DivisionByZero) | Trouble::Panic(_)),
        ) => Err(panic),
        other => Ok(other),
    }
}

/// Whether a value is shown as the program would, with nothing left out, hidden or said in its place.
fn is_exact(value: &Value, format: &Format) -> bool {
    match value {
        Value::Number(_) | Value::None => true,
        Value::Some(inner) => is_exact(inner, &Format::debug()),
        Value::Text(text) => text.is_exact(format),
        // What is left out is `..`, and what is said in place of a value is in angle brackets.
        Value::Rendered(text) => !text.contains("..") && !text.contains('<'),
    }
}

/// Says how many of `count` elements are missing, where only so many are there.
fn uncaptured(there: u64, count: u64) -> String {
    let missing = count.saturating_sub(there);
    format!("<not captured: {missing} of {count} elements>")
}

fn why_missing(why: Why, address: u64) -> String {
    match why {
        Why::NotCaptured => "<not captured>".into(),
        Why::OptimizedOut => "<optimized out>".into(),
        Why::Unreadable if is_pseudo(address) => "<unreadable>".into(),
        Why::Unreadable => format!("<unreadable {address:#x}>"),
    }
}
