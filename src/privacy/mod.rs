//! Privacy and proof (PRODUCT.md 3.6, 7): who saw or did what with personal data, and that nobody changed the record of
//! it. Knows no socket.
//!
//! | module | what lives there |
//! |---|---|
//! | [`audit`] | the audit log: a chain of authenticated entries |
//! | [`inquiry`] | from a number that somebody gives to the caller whom a switch would report with it |

pub mod audit;
pub mod inquiry;
