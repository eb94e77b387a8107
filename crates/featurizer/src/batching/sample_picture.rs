//! The deterministic sample pictures.

use crate::{Network, pictures::Reader};

/// A sample picture.
#[derive(Clone, Copy, Debug)]
pub(super) enum SamplePicture {
    /// Pseudo-random values from 0 to 255, different for every channel of every pixel.
    Noise,
    /// Blocks of 8 x 8 pixels of one colour; red is below 160, green below 96, blue below 32.
    DarkBlocks,
    /// 0 in every channel; a detector finds nothing in it.
    Black,
    /// 255 in every channel.
    White,
    /// Red increases from left to right, green from top to bottom, blue from right to left.
    Gradient,
}

impl SamplePicture {
    /// Pictures of every check.
    pub(super) const FIRST: [SamplePicture; 3] = [
        SamplePicture::Noise,
        SamplePicture::DarkBlocks,
        SamplePicture::Black,
    ];

    /// Pictures added if the network has equal outputs for any two of the first.
    pub(super) const MORE: [SamplePicture; 2] = [SamplePicture::White, SamplePicture::Gradient];

    /// Returns the picture's name for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            SamplePicture::Noise => "noise",
            SamplePicture::DarkBlocks => "dark blocks",
            SamplePicture::Black => "black",
            SamplePicture::White => "white",
            SamplePicture::Gradient => "gradient",
        }
    }

    /// Returns the network's input for this picture.
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
            .expect("the picture has the network's size");
        row
    }

    /// Returns red, green and blue of the pixel in line `y` and column `x`.
    fn pixel(self, network: &Network, y: usize, x: usize) -> [u8; 3] {
        let share = |place: usize, places: usize| (place * 255 / (places - 1).max(1)) as u8;
        match self {
            SamplePicture::Noise => noise(y * network.width + x),
            SamplePicture::DarkBlocks => {
                let [red, green, blue] = noise(y / 8 * network.width + x / 8);
                [red % 160, green % 96, blue % 32]
            }
            SamplePicture::Black => [0; 3],
            SamplePicture::White => [255; 3],
            SamplePicture::Gradient => {
                let (across, down) = (share(x, network.width), share(y, network.height));
                [across, down, 255 - across]
            }
        }
    }
}

/// Returns three pseudo-random numbers for a pixel.
fn noise(place: usize) -> [u8; 3] {
    [0, 1, 2].map(|channel| {
        // High bits of a product with the golden ratio, after one round of mixing.
        let mixed = (place as u64 * 3 + channel + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let noise = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 40;
        noise as u8
    })
}
