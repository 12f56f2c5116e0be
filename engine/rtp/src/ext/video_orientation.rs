//! Coordination of video orientation (3GPP TS 26.114 §7.4.5): how the receiver must rotate the picture.

/// One byte: four reserved bits, camera, flip, rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoOrientation {
    /// The picture is from the camera that faces away from the user (C).
    pub back_camera: bool,
    /// The picture must be mirrored left to right (F).
    pub flip: bool,
    /// How far the picture must be turned clockwise.
    pub rotation: Rotation,
}

/// A clockwise rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// 0°.
    None,
    /// 90°.
    Quarter,
    /// 180°.
    Half,
    /// 270°.
    ThreeQuarters,
}

/// `None` unless one byte; reserved bits are ignored.
pub fn read(value: &[u8]) -> Option<VideoOrientation> {
    let [byte]: [u8; 1] = value.try_into().ok()?;
    let rotation = match byte & 0x03 {
        0 => Rotation::None,
        1 => Rotation::Quarter,
        2 => Rotation::Half,
        _ => Rotation::ThreeQuarters,
    };
    Some(VideoOrientation { back_camera: byte & 0x08 != 0, flip: byte & 0x04 != 0, rotation })
}

/// One byte.
pub fn write(orientation: VideoOrientation) -> [u8; 1] {
    let rotation = match orientation.rotation {
        Rotation::None => 0,
        Rotation::Quarter => 1,
        Rotation::Half => 2,
        Rotation::ThreeQuarters => 3,
    };
    [(u8::from(orientation.back_camera) << 3) | (u8::from(orientation.flip) << 2) | rotation]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_flip_and_rotation_round_trip_without_reserved_bits() {
        for byte in 0..=255 {
            assert_eq!(write(read(&[byte]).expect("one byte")), [byte & 0x0f]);
        }
        let turned = VideoOrientation { back_camera: true, flip: false, rotation: Rotation::ThreeQuarters };
        assert_eq!(read(&[0x0b]), Some(turned));
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0, 0]), None);
    }
}
