//! The quality of speech with delay and loss: the E-model (ITU-T G.107), with default values for everything
//! except the network, and a codec that conceals loss.

use std::time::Duration;

/// The mean opinion score of speech, 1 (bad) to 4.4 (telephone quality): `missing` is the share of lost
/// packets, not in bursts; `delay` is from mouth to ear.
pub fn opinion(missing: f32, delay: Duration) -> f32 {
    mos(R_UNIMPAIRED - delay_impairment(delay) - loss_impairment(missing))
}

/// The delay from mouth to ear: the network's one-way delay, the time to fill, code and play a frame, and a
/// jitter buffer.
pub fn mouth_to_ear(one_way: Duration, jitter: Duration) -> Duration {
    one_way + FRAME + 2 * jitter
}

/// Id without echo, in the simplified form of Cole and Rosenbluth (2001).
fn delay_impairment(delay: Duration) -> f32 {
    let ms = delay.as_secs_f32() * 1_000.0;
    0.024 * ms + 0.11 * (ms - 177.3).max(0.0)
}

/// Ie,eff (G.107 §3.5) of a codec with an impairment factor of zero.
fn loss_impairment(missing: f32) -> f32 {
    let percent = missing.clamp(0.0, 1.0) * 100.0;
    95.0 * percent / (percent + LOSS_ROBUSTNESS)
}

/// G.107 Annex B.
fn mos(r: f32) -> f32 {
    let r = r.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

/// R of a perfect network (G.107 §3.7).
const R_UNIMPAIRED: f32 = 93.2;

/// Bpl: the codec's robustness against loss, in percent. There is no published value for Opus; this is that
/// of GSM EFR (G.113 Appendix I), which conceals loss similarly. Codecs without concealment have 4, the best
/// have 30.
const LOSS_ROBUSTNESS: f32 = 10.0;

/// A frame of 20 ms, Opus's look-ahead of 6.5 ms, and the playout.
const FRAME: Duration = Duration::from_millis(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opinions_follow_the_table_of_g_107() {
        for (r, expected) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((mos(r) - expected).abs() < 0.01, "R = {r}: {}", mos(r));
        }
        assert_eq!((mos(-20.0), mos(0.0), mos(100.0)), (1.0, 1.0, 4.5));
    }

    #[test]
    fn delay_has_little_effect_up_to_a_threshold() {
        let at = |ms| opinion(0.0, Duration::from_millis(ms));
        assert!(at(0) - at(150) < 0.15 && at(150) - at(400) > 0.6, "{} {} {}", at(0), at(150), at(400));
        assert_eq!(
            mouth_to_ear(Duration::from_millis(50), Duration::from_millis(7)),
            Duration::from_millis(104)
        );
    }

    #[test]
    fn more_loss_never_raises_the_score() {
        let opinions: Vec<f32> =
            (0..=100).map(|percent| opinion(percent as f32 / 100.0, Duration::ZERO)).collect();
        assert!(opinions.windows(2).all(|pair| pair[1] <= pair[0]), "{opinions:?}");
    }
}
