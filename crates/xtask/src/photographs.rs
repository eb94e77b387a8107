//! Labelled pictures for every machine: tiles of the photographs and textures in scikit-image's package.
//!
//! The class of a tile is the photograph that it was cut from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use image::{RgbImage, imageops};
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::folders;

/// Photographs of the classes.
const PHOTOGRAPHS: [&str; 12] = [
    "astronaut.png",
    "brick.png",
    "camera.png",
    "coffee.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
];
/// Width and height of a tile, in pixels.
const TILE: u32 = 64;
/// Number of tiles per photograph; each photograph is large enough for it.
const TILES: usize = 40;

/// Writes the tiles that are missing in `dir`, or all of them, as `<class>/00.png`, `01.png`, ...
pub(crate) fn cut(dir: &Path, force: bool) -> anyhow::Result<()> {
    let mut made = 0;
    for (seed, file) in PHOTOGRAPHS.into_iter().enumerate() {
        let class = dir.join(Path::new(file).with_extension(""));
        let paths: Vec<_> = (0..TILES)
            .map(|tile| class.join(format!("{tile:02}.png")))
            .collect();
        if !force && paths.iter().all(|path| path.exists()) {
            continue;
        }
        fs::create_dir_all(&class)
            .with_context(|| format!("cannot make the folder {}", class.display()))?;
        for (tile, path) in tiles(file, seed as u64)?.iter().zip(&paths) {
            tile.save(path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            made += 1;
        }
    }
    match made {
        0 => println!("{}: present", dir.display()),
        made => println!("{}: {made} tiles of photographs cut", dir.display()),
    }
    Ok(())
}

/// Draws non-overlapping tiles of a photograph at random.
fn tiles(file: &str, seed: u64) -> anyhow::Result<Vec<RgbImage>> {
    let path = folder().join(file);
    let photograph = fs::read(&path).with_context(|| {
        format!(
            "no photograph at {}: `make setup` fetches it",
            path.display()
        )
    })?;
    let photograph = picture::decode(&photograph)
        .with_context(|| format!("cannot read {}", path.display()))?
        .into_rgb8();
    let (columns, rows) = (photograph.width() / TILE, photograph.height() / TILE);
    let mut places: Vec<_> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (column * TILE, row * TILE)))
        .collect();
    ensure!(places.len() >= TILES, "{} is too small", path.display());
    places.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    let cut = |(x, y)| imageops::crop_imm(&photograph, x, y, TILE, TILE).to_image();
    Ok(places.into_iter().take(TILES).map(cut).collect())
}

fn folder() -> PathBuf {
    folders::workspace().join(".deps/python/skimage/data")
}
