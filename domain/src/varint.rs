//! Numbers in as many bytes of seven bits as they take, for what the store keeps packed.

/// Appends a number.
pub fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

/// Takes a number off the front; none when the bytes end before it does.
#[must_use]
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Appends a number that may be negative; small ones of either sign are short.
pub fn write_signed(number: i64, out: &mut Vec<u8>) {
    write((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned(), out);
}

/// Takes a number that may be negative.
#[must_use]
pub fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let number = take(bytes)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// Appends bytes and how many they are.
pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}

/// Takes as many bytes as the number before them says.
#[must_use]
pub fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_taken(number in any::<u64>(), signed in any::<i64>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut written = Vec::new();
            write(number, &mut written);
            write_signed(signed, &mut written);
            write_bytes(&bytes, &mut written);
            let mut rest = written.as_slice();
            prop_assert_eq!(take(&mut rest), Some(number));
            prop_assert_eq!(take_signed(&mut rest), Some(signed));
            prop_assert_eq!(take_bytes(&mut rest), Some(bytes.as_slice()));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut rest = bytes.as_slice();
            while take_bytes(&mut rest).is_some() {}
            let _ = take_signed(&mut rest);
        }
    }
}
