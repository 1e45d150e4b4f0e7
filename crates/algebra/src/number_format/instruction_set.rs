//! Which vector instructions a kernel may use, found out at run time.

use std::fmt;

/// A set of vector instructions that this processor has.
///
/// A value can only be had for a set that was detected, so that holding one is the proof that its kernels can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionSet(pub(super) Level);

/// The sets for which kernels exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// What every processor of the target has.
    Baseline,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL, VNNI and VPOPCNTDQ (Intel Ice Lake, AMD Zen 4 and later).
    Avx512,
}

impl InstructionSet {
    /// No vector instructions beyond the target's baseline: the reference of the others.
    pub const BASELINE: Self = InstructionSet(Level::Baseline);

    /// The widest set that this processor has.
    pub fn best() -> Self {
        if detect(Level::Avx512) {
            InstructionSet(Level::Avx512)
        } else if detect(Level::Avx2) {
            InstructionSet(Level::Avx2)
        } else {
            Self::BASELINE
        }
    }

    /// All sets that this processor has, narrowest first.
    pub fn available() -> Vec<Self> {
        let levels = [Level::Baseline, Level::Avx2, Level::Avx512];
        levels.into_iter().filter(|&level| detect(level)).map(InstructionSet).collect()
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Level::Baseline => "baseline",
            Level::Avx2 => "AVX2",
            Level::Avx512 => "AVX-512",
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn detect(level: Level) -> bool {
    match level {
        Level::Baseline => true,
        Level::Avx2 => is_x86_feature_detected!("avx2"),
        Level::Avx512 => {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("avx512vpopcntdq")
                && is_x86_feature_detected!("avx2")
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect(level: Level) -> bool {
    level == Level::Baseline
}

/// Compiles a safe, branch-free function once for each instruction set and calls the one asked for.
///
/// The loops in the body are left to the compiler's vectoriser. Floating-point operations are never reassociated or fused
/// by it, so that all versions give the same bits.
///
/// Generic parameters are given twice, as declared and as passed: `[T: Bound, const N: usize] [T, N]`.
macro_rules! multiversion {
    ($set:expr, $function:ident, ($($arguments:tt)*) $(-> $result:ty)?) => {
        $crate::number_format::instruction_set::multiversion!(
            $set, [] [], $function, ($($arguments)*) $(-> $result)?
        )
    };
    (
        $set:expr, [$($declared:tt)*] [$($passed:tt)*], $function:ident,
        ($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)?
    ) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn avx2<$($declared)*>($($argument: $kind),*) $(-> $result)? {
            $function::<$($passed)*>($($argument),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
        fn avx512<$($declared)*>($($argument: $kind),*) $(-> $result)? {
            $function::<$($passed)*>($($argument),*)
        }
        match $set.0 {
            // SAFETY: an `InstructionSet` exists only for instructions that were detected.
            #[cfg(target_arch = "x86_64")]
            $crate::number_format::instruction_set::Level::Avx2 => unsafe { avx2::<$($passed)*>($($argument),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            $crate::number_format::instruction_set::Level::Avx512 => unsafe { avx512::<$($passed)*>($($argument),*) },
            _ => $function::<$($passed)*>($($argument),*),
        }
    }};
}
pub(super) use multiversion;
