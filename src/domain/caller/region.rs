//! The country whose way of writing numbers a switch uses.

use std::str::FromStr;

use rlibphonenumber::PHONE_NUMBER_UTIL;

/// The region of a switch: what a number without country code is read as (PRODUCT.md 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region(rlibphonenumber::Region);

impl Region {
    /// The region as the number parser calls it.
    pub(super) const fn code(self) -> rlibphonenumber::Region {
        self.0
    }
}

/// The text is not a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a region: write the two capital letters of a country, as in \"DE\"")]
pub struct InvalidRegion;

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        if text.len() != 2 || !text.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(InvalidRegion);
        }
        let region = rlibphonenumber::Region::from_code(text).map_err(|_| InvalidRegion)?;
        PHONE_NUMBER_UTIL.get_country_code_for_region(region).map(|_| Self(region)).ok_or(InvalidRegion)
    }
}
