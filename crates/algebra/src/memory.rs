//! Keeping memory that was freed, and asking for memory before it is read.
//!
//! Steps of a training or a decoding allocate the same large arrays again and again. The system's allocator gives large arrays back
//! to the operating system when they are freed, and the next one is made of pages that have to be cleared, or even fetched from
//! the host of a virtual machine, at the first touch: this can cost more than the arithmetic on them.

/// Makes the process keep what it frees for its next allocations. To be called once, at the beginning of a program that allocates large
/// arrays repeatedly; the process then stays as large as it ever was. Does nothing where the allocator is not that of the GNU C library.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function changes settings of the allocator under its own lock, and takes any values.
    unsafe {
        // Large arrays come from the heap like small ones, and the end of the heap stays however much of it is free.
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}

/// Asks for the line of memory with this place, which need not be one that may be read.
#[inline(always)]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which reads nothing and takes any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
