//! The layers that the bandwidth of a transport allows a consumer.

use control::Layers;

/// The layers that bandwidth allows a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerBudget {
    /// Everything; also without an estimate.
    #[default]
    Everything,
    /// At most these layers.
    UpTo(Layers),
    /// None: video is paused until there is bandwidth again.
    Nothing,
}

/// The lower of two ceilings: fewer spatial layers, with the temporal layers of the same ceiling.
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
    fn the_lower_of_two_ceilings_applies() {
        let layers = |spatial, temporal| Layers { spatial, temporal };
        assert_eq!(lower(layers(2, 0), layers(1, 2)), layers(1, 2));
        assert_eq!(lower(layers(1, 2), layers(1, 1)), layers(1, 1));
    }
}
