//! The pictures of the trial, always the same.

use crate::{Network, pictures::Reader};

/// A picture of the trial.
#[derive(Clone, Copy, Debug)]
pub(super) enum TrialPicture {
    /// Every channel of every pixel is a number of its own, 0 to 255.
    Noise,
    /// Blocks of 8 x 8 pixels, each of one colour, below 160 of red, 96 of green and 32 of blue.
    DarkBlocks,
    /// Zeros, in which a detector finds nothing.
    Black,
    /// 255 in every channel.
    White,
    /// Red grows from left to right, green from top to bottom, and blue falls from left to right.
    Gradient,
}

impl TrialPicture {
    /// Those of every trial.
    pub(super) const FIRST: [TrialPicture; 3] = [
        TrialPicture::Noise,
        TrialPicture::DarkBlocks,
        TrialPicture::Black,
    ];

    /// Those that are added if the network has the same output for any two of the first.
    pub(super) const MORE: [TrialPicture; 2] = [TrialPicture::White, TrialPicture::Gradient];

    /// Its name in a message.
    pub(super) fn name(self) -> &'static str {
        match self {
            TrialPicture::Noise => "noise",
            TrialPicture::DarkBlocks => "dark blocks",
            TrialPicture::Black => "black",
            TrialPicture::White => "white",
            TrialPicture::Gradient => "gradient",
        }
    }

    /// The picture as the network takes it: its input for one picture.
    pub(super) fn tensor(self, network: &Network) -> Vec<f32> {
        let mut pixels = Vec::with_capacity(network.values() * 4);
        for y in 0..network.height {
            for x in 0..network.width {
                let channels = self.pixel(network, y, x);
                pixels.extend(channels.map(|value| f32::from(value).to_le_bytes()));
            }
        }
        let mut row = vec![0.0; network.values()];
        Reader::new(network)
            .floats(pixels.as_flattened(), &mut row)
            .expect("the pixels are as many as the network takes");
        row
    }

    /// Red, green and blue of the pixel in line `y` and column `x`.
    fn pixel(self, network: &Network, y: usize, x: usize) -> [u8; 3] {
        let share = |place: usize, places: usize| (place * 255 / (places - 1).max(1)) as u8;
        match self {
            TrialPicture::Noise => noise(y * network.width + x),
            TrialPicture::DarkBlocks => {
                let [red, green, blue] = noise(y / 8 * network.width + x / 8);
                [red % 160, green % 96, blue % 32]
            }
            TrialPicture::Black => [0; 3],
            TrialPicture::White => [255; 3],
            TrialPicture::Gradient => {
                let (across, down) = (share(x, network.width), share(y, network.height));
                [across, down, 255 - across]
            }
        }
    }
}

/// Three numbers without a pattern for every place.
fn noise(place: usize) -> [u8; 3] {
    [0, 1, 2].map(|channel| {
        // The top bits of a product with the golden ratio, after a round of mixing: noise enough.
        let mixed = (place as u64 * 3 + channel + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let noise = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 40;
        noise as u8
    })
}
