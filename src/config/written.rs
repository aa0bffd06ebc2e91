//! The tables of the file, key by key: what cannot be read is noted as a fault, and the rest is read all the same.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::de::{DeserializeOwned, IgnoredAny};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::{Faults, likely};
use super::read::{Bytes, FromText, Text};

/// What stands at a key.
pub(super) enum Entry<T> {
    /// Nothing.
    Absent,
    /// What is noted as a fault already: nothing that depends on it can be told.
    Wrong,
    /// A value at its place.
    Given(Spanned<T>),
}

/// What stands at a key that has to be there. None: its absence or its value is noted as a fault already.
pub(super) struct Needed<T>(pub(super) Option<Spanned<T>>);

/// Texts in a list, as far as they can be read.
pub(super) struct List<T> {
    /// The ones that can be read, each at its place.
    pub(super) texts: Vec<Spanned<T>>,
    /// Whether these are all.
    pub(super) is_whole: bool,
}

impl<T> List<T> {
    /// Whether nothing is listed.
    pub(super) fn is_empty(&self) -> bool {
        self.is_whole && self.texts.is_empty()
    }
}

/// Texts by names that the operator chooses, as far as they can be read.
pub(super) struct ByName<K, V>(pub(super) BTreeMap<K, V>);

impl<T> Entry<T> {
    /// The value, or `default` where there is none that can be read.
    pub(super) fn or(self, default: T) -> T {
        self.given().unwrap_or(default)
    }

    /// The value, if there is one that can be read.
    pub(super) fn given(self) -> Option<T> {
        match self {
            Entry::Given(value) => Some(value.into_inner()),
            Entry::Absent | Entry::Wrong => None,
        }
    }

    /// The value, or `default` where nothing is given; none where it cannot be told.
    pub(super) fn value_or(&self, default: T) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Entry::Absent => Some(default),
            Entry::Wrong => None,
            Entry::Given(value) => Some(value.get_ref().clone()),
        }
    }

    /// Where it stands, if it can be read.
    pub(super) fn span(&self) -> Option<Range<usize>> {
        match self {
            Entry::Given(value) => Some(value.span()),
            Entry::Absent | Entry::Wrong => None,
        }
    }

    /// What `read` makes of the value; what it says against it is noted.
    pub(super) fn checked<U>(self, faults: &mut Faults, read: impl FnOnce(T) -> Result<U, String>) -> Entry<U> {
        match self {
            Entry::Absent => Entry::Absent,
            Entry::Wrong => Entry::Wrong,
            Entry::Given(value) => {
                let span = value.span();
                match read(value.into_inner()) {
                    Ok(value) => Entry::Given(Spanned::new(span, value)),
                    Err(why) => {
                        faults.add(span, why);
                        Entry::Wrong
                    }
                }
            }
        }
    }
}

/// A table whose keys are taken one by one.
pub(super) struct Entries<'t> {
    /// None: what stands here is no table, which is noted.
    table: Option<DeTable<'t>>,
    span: Range<usize>,
    /// Keys that are likely meant by unknown ones.
    meant: Vec<&'static str>,
}

/// A table with its keys: made by `tables!`.
pub(super) trait FromTable: Sized {
    /// The keys it may have.
    const KEYS: &'static [&'static str];

    /// Takes the keys.
    fn take_from(entries: &mut Entries<'_>, faults: &mut Faults) -> Self;
}

/// What can stand at a key of a table.
pub(super) trait FromKey: Sized {
    /// There is no such key in the table at `span`.
    fn absent(key: &str, span: &Range<usize>, faults: &mut Faults) -> Self;

    /// It cannot be told what is meant, which is noted already.
    fn wrong() -> Self;

    /// Reads what stands there, noting what is wrong with it.
    fn read(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Self;
}

/// Reads the table of the whole file.
pub(super) fn read_file<T: FromTable>(file: Spanned<DeTable<'_>>, faults: &mut Faults) -> T {
    let span = file.span();
    let mut entries = Entries::new(file.into_inner(), span, T::KEYS, faults);
    T::take_from(&mut entries, faults)
}

impl<'t> Entries<'t> {
    /// The entries of a table, whose unknown keys are noted.
    fn new(table: DeTable<'t>, span: Range<usize>, known: &'static [&'static str], faults: &mut Faults) -> Self {
        let unknown = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let meant = unknown.filter_map(|key| {
            let meant = likely(key.get_ref(), known.iter().copied());
            faults.add_unknown_key(key.span(), key.get_ref(), meant, known);
            meant
        });
        Self { meant: meant.collect(), table: Some(table), span }
    }

    fn none() -> Self {
        Self { table: None, span: 0..0, meant: Vec::new() }
    }

    /// Takes what stands at a key.
    pub(super) fn take<T: FromKey>(&mut self, key: &str, faults: &mut Faults) -> T {
        match self.table.as_mut().map(|table| table.remove(key)) {
            Some(Some(value)) => T::read(value, faults),
            Some(None) if !self.meant.contains(&key) => T::absent(key, &self.span, faults),
            _ => T::wrong(),
        }
    }
}

impl<T: FromTable> FromKey for T {
    fn absent(_: &str, span: &Range<usize>, faults: &mut Faults) -> Self {
        T::take_from(&mut Entries::new(DeTable::new(), span.clone(), T::KEYS, faults), faults)
    }

    fn wrong() -> Self {
        T::take_from(&mut Entries::none(), &mut Faults::default())
    }

    fn read(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Self {
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            faults.add(span, "a value of the wrong type: expected a table");
            return T::wrong();
        };
        T::take_from(&mut Entries::new(table, span, T::KEYS, faults), faults)
    }
}

/// `[[table]]`: each at its place.
impl<T: FromTable> FromKey for Vec<Spanned<T>> {
    fn absent(_: &str, _: &Range<usize>, _: &mut Faults) -> Self {
        Vec::new()
    }

    fn wrong() -> Self {
        vec![Spanned::new(0..0, T::wrong())]
    }

    fn read(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Self {
        let span = value.span();
        let DeValue::Array(tables) = value.into_inner() else {
            faults
                .add(span, "there can be several of these tables: write the name in double brackets, as in [[tenant]]");
            return Self::wrong();
        };
        tables.into_iter().map(|table| Spanned::new(table.span(), T::read(table, faults))).collect()
    }
}

impl<T: FromValue> FromKey for Entry<T> {
    fn absent(_: &str, _: &Range<usize>, _: &mut Faults) -> Self {
        Entry::Absent
    }

    fn wrong() -> Self {
        Entry::Wrong
    }

    fn read(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Self {
        one(value, faults).map_or(Entry::Wrong, Entry::Given)
    }
}

impl<T: FromValue> FromKey for Needed<T> {
    fn absent(key: &str, span: &Range<usize>, faults: &mut Faults) -> Self {
        faults.add(span.clone(), format!("the key `{key}` is missing"));
        Needed(None)
    }

    fn wrong() -> Self {
        Needed(None)
    }

    fn read(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Self {
        Needed(one(value, faults))
    }
}

/// What a single value can be.
pub(super) trait FromValue: Sized {
    /// Reads it, noting what is wrong with it.
    fn from_value(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<Self>;
}

macro_rules! deserialized {
    ($($name:ty),*) => {
        $(impl FromValue for $name {
            fn from_value(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<Self> {
                deserialized(value, faults)
            }
        })*
    };
}

deserialized!(bool, u64, Bytes, IgnoredAny);

/// A text.
impl<T: FromText> FromValue for T {
    fn from_value(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<Self> {
        deserialized::<Text<T>>(value, faults).map(|text| text.0)
    }
}

impl<T: FromText> FromValue for List<T> {
    fn from_value(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<Self> {
        let span = value.span();
        let DeValue::Array(values) = value.into_inner() else {
            faults.add(span, "a value of the wrong type: expected a list of texts in brackets");
            return None;
        };
        let written = values.len();
        let texts: Vec<_> = values.into_iter().filter_map(|value| one(value, faults)).collect();
        Some(List { is_whole: texts.len() == written, texts })
    }
}

impl<K: FromText + Ord, V: FromText> FromValue for ByName<K, V> {
    fn from_value(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<Self> {
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            faults.add(span, "a value of the wrong type: expected a table of names and values");
            return None;
        };
        let pairs = table.into_iter().filter_map(|(key, value)| {
            let name = K::from_text(key.get_ref()).map_err(|why| faults.add(key.span(), why)).ok();
            let value = V::from_value(value, faults);
            name.zip(value)
        });
        Some(ByName(pairs.collect()))
    }
}

fn one<T: FromValue>(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<Spanned<T>> {
    let span = value.span();
    T::from_value(value, faults).map(|value| Spanned::new(span, value))
}

fn deserialized<T: DeserializeOwned>(value: Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<T> {
    let span = value.span();
    T::deserialize(ValueDeserializer::from(value)).map_err(|error| faults.add_from_toml(&error, span)).ok()
}
