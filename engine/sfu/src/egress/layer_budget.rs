//! The layers that the bandwidth of a transport allows a consumer.

use control::Layers;

/// What bandwidth allows a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerBudget {
    /// Everything; also where there is no estimate.
    #[default]
    Everything,
    /// No more than these layers.
    UpTo(Layers),
    /// Nothing: video is paused until there is room again.
    Nothing,
}

/// The lower of two ceilings: of the one with fewer spatial layers, its temporal ones count.
pub fn lower(one: Layers, other: Layers) -> Layers {
    match one.spatial.cmp(&other.spatial) {
        std::cmp::Ordering::Less => one,
        std::cmp::Ordering::Greater => other,
        std::cmp::Ordering::Equal => one.min(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_ceilings_the_lower_counts() {
        let layers = |spatial, temporal| Layers { spatial, temporal };
        assert_eq!(lower(layers(2, 0), layers(1, 2)), layers(1, 2));
        assert_eq!(lower(layers(1, 2), layers(1, 1)), layers(1, 1));
    }
}
