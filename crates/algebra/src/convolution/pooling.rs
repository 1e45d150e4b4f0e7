//! Half the cells along each axis, and back.
//!
//! The two are adjoint up to a factor: the gradient of [`average_pool`] is an eighth of [`upsample`], that of [`upsample`] is eight times
//! [`average_pool`].

use rayon::prelude::*;

use super::volume::Volume;

/// The mean over blocks of 2×2×2 cells.
///
/// # Panics
/// If a number of cells is odd.
pub fn average_pool(volume: &Volume) -> Volume {
    let mut pooled = Volume::zeros(volume.batch(), volume.cells().map(|n| n / 2), volume.channels(), 0);
    average_pool_into(volume, &mut pooled);
    pooled
}

/// As [`average_pool`], into a volume of half the cells.
///
/// # Panics
/// If a number of cells is odd or `pooled` has another shape.
pub fn average_pool_into(volume: &Volume, pooled: &mut Volume) {
    let channels = volume.channels();
    let half = check(volume, pooled);
    for_each_plane(pooled, |batch, x, y, row| {
        for (z, target) in row.chunks_exact_mut(channels).enumerate() {
            target.fill(0.0);
            for corner in 0..4 {
                let source = volume.row(batch, 2 * x + corner / 2, 2 * y + corner % 2);
                for source in source[2 * z * channels..2 * (z + 1) * channels].chunks_exact(channels) {
                    target.iter_mut().zip(source).for_each(|(sum, value)| *sum += value);
                }
            }
            target.iter_mut().for_each(|sum| *sum *= 0.125);
        }
    });
    debug_assert_eq!(pooled.cells(), half);
}

/// Every cell repeated in a block of 2×2×2 cells.
pub fn upsample(volume: &Volume) -> Volume {
    let mut fine = Volume::zeros(volume.batch(), volume.cells().map(|n| 2 * n), volume.channels(), 0);
    upsample_add_into(volume, None, &mut fine);
    fine
}

/// [`upsample`] plus `skip`, into a volume of twice the cells.
///
/// # Panics
/// If `fine` or `skip` has another shape.
pub fn upsample_add_into(volume: &Volume, skip: Option<&Volume>, fine: &mut Volume) {
    let channels = volume.channels();
    check(fine, volume);
    if let Some(skip) = skip {
        let shape = (fine.batch(), fine.cells(), channels);
        assert_eq!((skip.batch(), skip.cells(), skip.channels()), shape, "skip connection");
    }
    for_each_plane(fine, |batch, x, y, row| {
        let source = volume.row(batch, x / 2, y / 2);
        for (z, target) in row.chunks_exact_mut(channels).enumerate() {
            target.copy_from_slice(&source[z / 2 * channels..(z / 2 + 1) * channels]);
        }
        if let Some(skip) = skip {
            row.iter_mut().zip(skip.row(batch, x, y)).for_each(|(sum, value)| *sum += value);
        }
    });
}

fn check(fine: &Volume, coarse: &Volume) -> [usize; 3] {
    assert!(fine.cells().iter().all(|n| n % 2 == 0), "an even number of cells: {:?}", fine.cells());
    let half = fine.cells().map(|n| n / 2);
    let expected = (fine.batch(), half, fine.channels());
    assert_eq!((coarse.batch(), coarse.cells(), coarse.channels()), expected, "volume of half the cells");
    half
}

/// Calls `write(batch, x, y, row)` for every row inside the halo, planes in parallel.
fn for_each_plane(volume: &mut Volume, write: impl Fn(usize, usize, usize, &mut [f32]) + Sync) {
    let (plane, row) = volume.strides();
    let (first, halo, [nx, ny, nz], channels) =
        (volume.first_in_plane(), volume.halo(), volume.cells(), volume.channels());
    if volume.batch() * nx * ny * nz * channels == 0 {
        return;
    }
    let planes = nx + 2 * halo;
    volume.raw_mut().par_chunks_exact_mut(plane).enumerate().for_each(|(index, values)| {
        let (batch, x) = (index / planes, index % planes);
        if (halo..halo + nx).contains(&x) {
            for y in 0..ny {
                write(batch, x - halo, y, &mut values[first + y * row..][..nz * channels]);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(batch: usize, cells: [usize; 3], channels: usize) -> Vec<f32> {
        (0..batch * cells.iter().product::<usize>() * channels)
            .map(|i| ((i * 31 + 7) % 17) as f32 - 8.0)
            .collect()
    }

    proptest! {
        #[test]
        fn both_are_what_their_definitions_say(batch in 0_usize..3, x in 0_usize..3, y in 0_usize..3, z in 0_usize..4, channels in 1_usize..5) {
            let (coarse, fine) = ([x, y, z], [2 * x, 2 * y, 2 * z]);
            let values = count(batch, fine, channels);
            let at = |b: usize, [i, j, k]: [usize; 3], c: usize| values[(((b * fine[0] + i) * fine[1] + j) * fine[2] + k) * channels + c];
            let volume = Volume::from_values(batch, fine, channels, values.clone());
            let pooled = average_pool(&volume).into_values();
            let mut index = 0;
            for b in 0..batch { for i in 0..x { for j in 0..y { for k in 0..z { for c in 0..channels {
                let mean = (0..8).map(|n| at(b, [2 * i + n / 4, 2 * j + n / 2 % 2, 2 * k + n % 2], c)).sum::<f32>() / 8.0;
                prop_assert_eq!(pooled[index], mean);
                index += 1;
            }}}}}
            // Pooling undoes upsampling, and ⟨upsample a, b⟩ = 8 ⟨a, pool b⟩.
            let small = count(batch, coarse, channels);
            let up = upsample(&Volume::from_values(batch, coarse, channels, small.clone()));
            prop_assert_eq!(average_pool(&up).into_values(), small.clone());
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            prop_assert_eq!(dot(&up.clone().into_values(), &values), 8.0 * dot(&small, &pooled));
            // With a halo and a skip connection.
            let mut target = Volume::zeros(batch, fine, channels, 1);
            upsample_add_into(&Volume::surrounded(batch, coarse, channels, &small), Some(&volume), &mut target);
            let sum: Vec<f32> = up.into_values().iter().zip(&values).map(|(a, b)| a + b).collect();
            prop_assert_eq!(target, Volume::surrounded(batch, fine, channels, &sum));
        }
    }
}
