//! Randomness from a seed.

/// Between 0 and 1 (xorshift64*). `random` must not be zero.
pub fn throw(random: &mut u64) -> f64 {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
}
