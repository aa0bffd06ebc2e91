//! A member of an object as it came, and what the methods read of it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::refusal::{Reason, Refusal};

/// A member of an object as it came. The type is checked afterwards, so that the refusal can name
/// the member and never tells the value.
#[derive(Default)]
pub(super) enum Member<'a> {
    /// Missing or null.
    #[default]
    Absent,
    /// A string, borrowed where it holds no escapes.
    Text(Cow<'a, str>),
    /// A number that is an integer within i64.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// True, false, an array or an object.
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Member::Integer(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "an integer beyond i64 is refused wherever one is wanted")]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Member::Number(value as f64), Member::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Member::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}

/// The members of `params`.
pub(super) fn read<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, Refusal> {
    let text = params.map(RawValue::get).filter(|text| text.starts_with('{'));
    let text = text.ok_or_else(|| invalid("params is an object"))?;
    serde_json::from_str(text).map_err(|error| {
        // Members of any type are taken at first, so a data error is a member that is there twice.
        invalid(if error.is_data() {
            "params holds each member once"
        } else {
            "params holds a number or a string that cannot be read"
        })
    })
}

/// An integer of this range; none if it is absent.
pub(super) fn integer<T: TryFrom<i64>>(member: &Member<'_>, detail: &'static str) -> Result<Option<T>, Refusal> {
    match member {
        Member::Absent => Ok(None),
        Member::Integer(value) => T::try_from(*value).map(Some).map_err(|_| invalid(detail)),
        _ => Err(invalid(detail)),
    }
}

pub(super) fn invalid(detail: &'static str) -> Refusal {
    Refusal::new(Reason::InvalidParams, detail)
}

pub(super) fn too_long(detail: &'static str) -> Refusal {
    Refusal::new(Reason::LimitExceeded, detail)
}
