//! One number per channel of a picture.

use serde::{Deserialize, Serialize};

/// One number per channel of a picture; in JSON an array in this order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 3]", into = "[f32; 3]")]
pub struct Channels {
    /// Number of the red channel.
    pub red: f32,
    /// Number of the green channel.
    pub green: f32,
    /// Number of the blue channel.
    pub blue: f32,
}

impl Channels {
    /// Makes a value from one number per channel.
    pub const fn new(red: f32, green: f32, blue: f32) -> Channels {
        Channels { red, green, blue }
    }

    /// Makes a value with the same number for all channels.
    pub const fn all(value: f32) -> Channels {
        Channels::new(value, value, value)
    }
}

impl From<[f32; 3]> for Channels {
    fn from([red, green, blue]: [f32; 3]) -> Channels {
        Channels { red, green, blue }
    }
}

impl From<Channels> for [f32; 3] {
    fn from(Channels { red, green, blue }: Channels) -> [f32; 3] {
        [red, green, blue]
    }
}
