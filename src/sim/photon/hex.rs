/// Reads hex digits as the firmware does (`hex_decode` of `softap.cpp` and `wlan_hal.cpp`): whatever is
/// no digit stands for something all the same, an odd last digit is the upper half of a byte, and a NUL
/// ends it.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    text.chunks(2).map(|pair| nibble(pair[0]) << 4 | pair.get(1).map_or(0, |&low| nibble(low))).collect()
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b':'..=b'Z' => digit.wrapping_sub(b'A').wrapping_add(10),
        b'['..=b'z' => digit.wrapping_sub(b'a').wrapping_add(10),
        _ => 0,
    }
}

/// Lower-case hex digits.
pub(super) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case_are_read_and_nothing_is_refused() {
        assert_eq!(decode(b"00ffAbcD"), [0, 0xff, 0xab, 0xcd]);
        assert_eq!(decode(b"abc"), [0xab, 0xc0]);
        // `o` counts 24: the upper half of it is cut off, the lower half runs over.
        assert_eq!(decode(b"co"), [0xc0 | 24]);
        assert_eq!(decode(b"12\x0034"), [0x12]);
        assert_eq!(encode(&decode(b"09aF")), "09af");
    }
}
