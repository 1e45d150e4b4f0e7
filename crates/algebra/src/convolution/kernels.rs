//! The inner loops: sixteen output channels in registers, for AVX-512, AVX2 and any machine.
//!
//! Both loops see the input through *windows*: the three neighbours along z of a voxel, with all their channels, are
//! `3 · in` contiguous values, and the next voxel's window starts `in` values later.

/// Channels of one block.
pub(super) const BLOCK: usize = 16;

/// Which instructions the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// 512-bit vectors of x86-64.
    Avx512,
    /// 256-bit vectors with fused multiply-add of x86-64.
    Avx2,
    /// What the compiler makes of plain code.
    Portable,
}

impl Instructions {
    /// The best that this machine has.
    pub fn detect() -> Self {
        Self::available()[0]
    }

    /// All that this machine has, the best first.
    pub fn available() -> Vec<Self> {
        let mut available = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                available.push(Self::Avx512);
            }
            if avx2 {
                available.push(Self::Avx2);
            }
        }
        available.push(Self::Portable);
        available
    }
}

/// One plane of a convolution for one block of output channels. All strides count values.
#[derive(Clone, Copy)]
pub(super) struct Plane<'a> {
    /// Input, from the first value of the window of cell (0, 0) at tap (-1, -1) on.
    pub input: &'a [f32],
    /// Between neighbours along x and along y in the input.
    pub input_strides: (usize, usize),
    /// Channels of the input.
    pub channels_in: usize,
    /// `[27][in][16]`.
    pub weights: &'a [f32],
    pub bias: &'a [f32; BLOCK],
    /// Cells along y and z.
    pub cells: (usize, usize),
    pub rectify: bool,
    /// To add after the rectifier, from its cell (0, 0) on, with its strides along y and z.
    pub residual: Option<(&'a [f32], usize, usize)>,
    /// Strides of the output along y and z.
    pub output_strides: (usize, usize),
    /// How many of the block's channels exist.
    pub lanes: usize,
}

/// `output`, from its cell (0, 0) on.
///
/// # Panics
/// If a slice is too short for the cells and strides.
pub(super) fn convolve_plane(instructions: Instructions, plane: Plane<'_>, output: &mut [f32]) {
    let (ny, nz) = plane.cells;
    if ny == 0 || nz == 0 {
        return;
    }
    let reach = |(row, cell): (usize, usize)| (ny - 1) * row + (nz - 1) * cell + plane.lanes;
    let (input_x, input_y) = plane.input_strides;
    // These bounds make the pointers below valid.
    assert!(plane.input.len() >= 2 * input_x + (ny + 1) * input_y + (nz + 2) * plane.channels_in);
    assert_eq!(plane.weights.len(), 27 * plane.channels_in * BLOCK);
    assert!((1..=BLOCK).contains(&plane.lanes) && output.len() >= reach(plane.output_strides));
    if let Some((residual, row, cell)) = plane.residual {
        assert!(residual.len() >= reach((row, cell)));
    }
    // SAFETY: the asserts above bound every access of `plane_loop`; the instructions were detected.
    unsafe {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => x86::plane_512(plane, output.as_mut_ptr()),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => x86::plane_256(plane, output.as_mut_ptr()),
            _ => plane_loop::<[f32; BLOCK], 4>(plane, output.as_mut_ptr()),
        }
    }
}

/// A sum of outer products over a plane: the gradient of the weights of three taps along z.
#[derive(Clone, Copy)]
pub(super) struct OuterProducts<'a> {
    /// Input, from the first value of the window of cell (0, 0) on.
    pub input: &'a [f32],
    /// Between neighbours along y in the input.
    pub input_row: usize,
    /// Channels of the input.
    pub channels_in: usize,
    /// Gradient of a block of output channels, from cell (0, 0) on; all sixteen exist.
    pub gradient: &'a [f32],
    /// Strides of the gradient along y and z.
    pub gradient_strides: (usize, usize),
    /// Cells along y and z.
    pub cells: (usize, usize),
}

/// `sums[k][o] += Σ_cells window[k] · gradient[o]` for the `3 · in` values of a window and the sixteen of a block.
///
/// # Panics
/// If a slice is too short for the cells and strides.
pub(super) fn add_outer_products(instructions: Instructions, products: OuterProducts<'_>, sums: &mut [f32]) {
    let (ny, nz) = products.cells;
    if ny == 0 || nz == 0 {
        return;
    }
    let (row, cell) = products.gradient_strides;
    // These bounds make the pointers below valid.
    assert!(products.input.len() >= (ny - 1) * products.input_row + (nz + 2) * products.channels_in);
    assert!(products.gradient.len() >= (ny - 1) * row + (nz - 1) * cell + BLOCK);
    assert_eq!(sums.len(), 3 * products.channels_in * BLOCK);
    // SAFETY: the asserts above bound every access of `outer_loop`; the instructions were detected.
    unsafe {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => x86::outer_512(products, sums.as_mut_ptr()),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => x86::outer_256(products, sums.as_mut_ptr()),
            _ => outer_loop::<[f32; BLOCK], 4>(products, sums.as_mut_ptr()),
        }
    }
}

/// Sixteen `f32` in registers.
trait Block: Copy {
    /// # Safety
    /// Sixteen values can be read there.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// Sixteen values can be written there.
    unsafe fn store(self, to: *mut f32);
    /// `self + weights · value`.
    ///
    /// # Safety
    /// The machine has the instructions.
    unsafe fn add_product(self, weights: Self, value: f32) -> Self;
    /// # Safety
    /// The machine has the instructions.
    unsafe fn add(self, other: Self) -> Self;
    /// `max(self, 0)`; not a number stays so.
    ///
    /// # Safety
    /// The machine has the instructions.
    unsafe fn rectify(self) -> Self;
}

impl Block for [f32; BLOCK] {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn add_product(mut self, weights: Self, value: f32) -> Self {
        for (sum, weight) in self.iter_mut().zip(weights) {
            *sum += weight * value;
        }
        self
    }
    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for (sum, value) in self.iter_mut().zip(other) {
            *sum += value;
        }
        self
    }
    #[inline(always)]
    unsafe fn rectify(self) -> Self {
        self.map(|value| if value < 0.0 { 0.0 } else { value })
    }
}

/// All rows of a plane, in tiles of at most `TILE` voxels along z.
///
/// # Safety
/// The bounds that [`convolve_plane`] asserts.
#[inline(always)]
unsafe fn plane_loop<B: Block, const TILE: usize>(plane: Plane<'_>, output: *mut f32) {
    // SAFETY: as the caller's.
    unsafe {
        match plane.channels_in {
            16 => rows::<B, TILE, 16>(plane, output),
            1 => rows::<B, TILE, 1>(plane, output),
            _ => rows::<B, TILE, 0>(plane, output),
        }
    }
}

/// As [`plane_loop`]; `IN` is the number of input channels, or 0 if that is only known at run time.
#[inline(always)]
unsafe fn rows<B: Block, const TILE: usize, const IN: usize>(plane: Plane<'_>, output: *mut f32) {
    let (ny, nz) = plane.cells;
    for y in 0..ny {
        let mut z = 0;
        while z < nz {
            // SAFETY: every tile ends at most at `nz`.
            unsafe {
                z += match nz - z {
                    left if left >= TILE => tile::<B, TILE, IN>(plane, output, y, z),
                    left if left >= 8 && TILE > 8 => tile::<B, 8, IN>(plane, output, y, z),
                    left if left >= 4 && TILE > 4 => tile::<B, 4, IN>(plane, output, y, z),
                    left if left >= 2 => tile::<B, 2, IN>(plane, output, y, z),
                    _ => tile::<B, 1, IN>(plane, output, y, z),
                };
            }
        }
    }
}

/// The outputs of `LENGTH` voxels from (y, z) on. Returns `LENGTH`.
#[inline(always)]
unsafe fn tile<B: Block, const LENGTH: usize, const IN: usize>(
    plane: Plane<'_>,
    output: *mut f32,
    y: usize,
    z: usize,
) -> usize {
    let channels = if IN == 0 { plane.channels_in } else { IN };
    let (input_x, input_y) = plane.input_strides;
    // SAFETY: offsets up to those that the caller bounds.
    unsafe {
        let mut sums = [B::load(plane.bias.as_ptr()); LENGTH];
        let mut weights = plane.weights.as_ptr();
        for tap in 0..9 {
            let window = plane.input.as_ptr().add(tap / 3 * input_x + (y + tap % 3) * input_y + z * channels);
            for k in 0..3 * channels {
                let weight = B::load(weights);
                weights = weights.add(BLOCK);
                for (t, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add_product(weight, *window.add(t * channels + k));
                }
            }
        }
        for (t, mut sum) in sums.into_iter().enumerate() {
            if plane.rectify {
                sum = sum.rectify();
            }
            let target = output.add(y * plane.output_strides.0 + (z + t) * plane.output_strides.1);
            if let Some((residual, row, cell)) = plane.residual {
                let source = residual.as_ptr().add(y * row + (z + t) * cell);
                sum = sum.add(B::load(first(source, plane.lanes).as_ptr()));
            }
            if plane.lanes == BLOCK {
                sum.store(target);
            } else {
                let mut all = [0.0; BLOCK];
                sum.store(all.as_mut_ptr());
                target.copy_from_nonoverlapping(all.as_ptr(), plane.lanes);
            }
        }
    }
    LENGTH
}

/// The first `lanes` values there, and zeros.
#[inline(always)]
unsafe fn first(source: *const f32, lanes: usize) -> [f32; BLOCK] {
    // SAFETY: the caller's: `lanes` values can be read.
    unsafe {
        if lanes == BLOCK {
            return source.cast::<[f32; BLOCK]>().read_unaligned();
        }
        let mut all = [0.0; BLOCK];
        all.as_mut_ptr().copy_from_nonoverlapping(source, lanes);
        all
    }
}

/// All outer products, with the sums of at most `TILE` values of the window in registers at a time.
///
/// # Safety
/// The bounds that [`add_outer_products`] asserts.
#[inline(always)]
unsafe fn outer_loop<B: Block, const TILE: usize>(products: OuterProducts<'_>, sums: *mut f32) {
    let window = 3 * products.channels_in;
    let mut k = 0;
    while k < window {
        // SAFETY: every tile ends at most at the end of the window.
        unsafe {
            k += match window - k {
                left if left >= TILE => outer_tile::<B, TILE>(products, sums, k),
                left if left >= 8 && TILE > 8 => outer_tile::<B, 8>(products, sums, k),
                left if left >= 4 && TILE > 4 => outer_tile::<B, 4>(products, sums, k),
                left if left >= 2 => outer_tile::<B, 2>(products, sums, k),
                _ => outer_tile::<B, 1>(products, sums, k),
            };
        }
    }
}

/// The sums of the values from `k` to `k + LENGTH` of the window. Returns `LENGTH`.
#[inline(always)]
unsafe fn outer_tile<B: Block, const LENGTH: usize>(
    products: OuterProducts<'_>,
    sums: *mut f32,
    k: usize,
) -> usize {
    let (ny, nz) = products.cells;
    // SAFETY: offsets up to those that the caller bounds.
    unsafe {
        let mut partial = [B::load(sums.add(k * BLOCK)); LENGTH];
        for (j, sum) in partial.iter_mut().enumerate() {
            *sum = B::load(sums.add((k + j) * BLOCK));
        }
        for y in 0..ny {
            let mut window = products.input.as_ptr().add(y * products.input_row + k);
            let mut gradient = products.gradient.as_ptr().add(y * products.gradient_strides.0);
            for _ in 0..nz {
                let block = B::load(gradient);
                for (j, sum) in partial.iter_mut().enumerate() {
                    *sum = sum.add_product(block, *window.add(j));
                }
                // One past the last row's last window at most, which is still inside or at the end of the slices.
                window = window.wrapping_add(products.channels_in);
                gradient = gradient.wrapping_add(products.gradient_strides.1);
            }
        }
        for (j, sum) in partial.into_iter().enumerate() {
            sum.store(sums.add((k + j) * BLOCK));
        }
    }
    LENGTH
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_max_ps,
        _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{Block, OuterProducts, Plane, outer_loop, plane_loop};

    /// # Safety
    /// The machine has AVX-512, and the bounds of [`plane_loop`].
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub unsafe fn plane_512(plane: Plane<'_>, output: *mut f32) {
        // SAFETY: the caller's.
        unsafe { plane_loop::<__m512, 16>(plane, output) }
    }

    /// # Safety
    /// The machine has AVX2 and FMA, and the bounds of [`plane_loop`].
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn plane_256(plane: Plane<'_>, output: *mut f32) {
        // SAFETY: the caller's.
        unsafe { plane_loop::<[__m256; 2], 6>(plane, output) }
    }

    /// # Safety
    /// The machine has AVX-512, and the bounds of [`outer_loop`].
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub unsafe fn outer_512(products: OuterProducts<'_>, sums: *mut f32) {
        // SAFETY: the caller's.
        unsafe { outer_loop::<__m512, 16>(products, sums) }
    }

    /// # Safety
    /// The machine has AVX2 and FMA, and the bounds of [`outer_loop`].
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn outer_256(products: OuterProducts<'_>, sums: *mut f32) {
        // SAFETY: the caller's.
        unsafe { outer_loop::<[__m256; 2], 6>(products, sums) }
    }

    // `maxps` returns its second operand if one is not a number, so that zero must be the first.

    impl Block for __m512 {
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's.
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn add_product(self, weights: Self, value: f32) -> Self {
            // SAFETY: the caller's.
            unsafe { _mm512_fmadd_ps(weights, _mm512_set1_ps(value), self) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { _mm512_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn rectify(self) -> Self {
            // SAFETY: the caller's.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), self) }
        }
    }

    impl Block for [__m256; 2] {
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's.
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's.
            unsafe {
                _mm256_storeu_ps(to, self[0]);
                _mm256_storeu_ps(to.add(8), self[1]);
            }
        }
        #[inline(always)]
        unsafe fn add_product(self, weights: Self, value: f32) -> Self {
            // SAFETY: the caller's.
            unsafe {
                let value = _mm256_set1_ps(value);
                [_mm256_fmadd_ps(weights[0], value, self[0]), _mm256_fmadd_ps(weights[1], value, self[1])]
            }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { [_mm256_add_ps(self[0], other[0]), _mm256_add_ps(self[1], other[1])] }
        }
        #[inline(always)]
        unsafe fn rectify(self) -> Self {
            // SAFETY: the caller's.
            unsafe {
                let zero = _mm256_setzero_ps();
                [_mm256_max_ps(zero, self[0]), _mm256_max_ps(zero, self[1])]
            }
        }
    }
}
