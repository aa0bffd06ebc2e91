//! Numbers in decimal digits, as both protocols write lengths.

/// Appends a number.
pub fn write(out: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        write(out, number / 10);
    }
    out.extend(u8::try_from(number % 10).map(|digit| b'0' + digit));
}

/// The number at the start and how many digits it has, once the byte behind it is there. A number without digits is 0.
pub fn read(bytes: &[u8]) -> Option<(usize, usize)> {
    let digits = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = bytes
        .iter()
        .take(digits)
        .fold(0_usize, |number, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
    Some((number, digits))
}
