//! The system calls that a program may make: a list of what is permitted, so that a new call of the kernel is refused.

use std::collections::BTreeMap;

use libc::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Filters for python3 and its extension modules, to be installed in this order; `None` on an architecture without.
///
/// The second permits no second process (`clone` only for threads), no socket, no `ptrace`, no mount or name space, no
/// shared memory outside the address space, no key ring, no `bpf`, no `io_uring`, and no further filter. The first
/// answers `clone3`, whose flags cannot be inspected, with "not implemented", upon which the C library falls back to
/// `clone`.
pub(super) fn python3() -> Option<[BpfProgram; 2]> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = PYTHON3.iter().map(|call| (*call, Vec::new())).collect();
    let thread = CLONE_THREAD as u64;
    let only_threads =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), thread).ok()?;
    rules.insert(SYS_clone, vec![SeccompRule::new(vec![only_threads]).ok()?]);
    rules.insert(SYS_clone3, Vec::new());
    let clone3 = BTreeMap::from([(SYS_clone3, Vec::new())]);
    Some([
        compile(clone3, SeccompAction::Allow, SeccompAction::Errno(ENOSYS as u32))?,
        compile(rules, SeccompAction::Errno(EPERM as u32), SeccompAction::Allow)?,
    ])
}

/// The filter that a worker of monty puts on itself: memory, time, and reading and writing what is open.
pub(super) fn worker() -> Option<BpfProgram> {
    let rules = WORKER.iter().map(|call| (*call, Vec::new())).collect();
    compile(rules, SeccompAction::Errno(EPERM as u32), SeccompAction::Allow)
}

/// The program as the kernel and bubblewrap read it: `struct sock_filter` after `struct sock_filter`.
pub(super) fn bytes(program: &BpfProgram) -> Vec<u8> {
    let instruction = |filter: &seccompiler::sock_filter| {
        let [k0, k1, k2, k3] = filter.k.to_ne_bytes();
        let [code0, code1] = filter.code.to_ne_bytes();
        [code0, code1, filter.jt, filter.jf, k0, k1, k2, k3]
    };
    program.iter().flat_map(instruction).collect()
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Option<BpfProgram> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    SeccompFilter::new(rules, otherwise, on_match, architecture).ok()?.try_into().ok()
}

const WORKER: &[c_long] = &[
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_recvfrom,
    SYS_sendto,
    SYS_ppoll,
    SYS_close,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_brk,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigreturn,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_sigaltstack,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_getrandom,
    SYS_sched_yield,
    SYS_gettid,
    SYS_getpid,
    SYS_tgkill,
    SYS_restart_syscall,
    SYS_rseq,
    SYS_set_robust_list,
    #[cfg(target_arch = "x86_64")]
    SYS_poll,
];

const PYTHON3: &[c_long] = &[
    // Files.
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_openat,
    SYS_close,
    SYS_close_range,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_getdents64,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_readlinkat,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_utimensat,
    SYS_truncate,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fadvise64,
    SYS_fsync,
    SYS_fdatasync,
    SYS_flock,
    SYS_fcntl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_ioctl,
    SYS_sendfile,
    SYS_copy_file_range,
    SYS_umask,
    // Waiting.
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_eventfd2,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_wait4,
    SYS_waitid,
    // Memory.
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_brk,
    SYS_mincore,
    SYS_msync,
    SYS_membarrier,
    SYS_get_mempolicy,
    // Threads and signals.
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_set_tid_address,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_sched_getscheduler,
    SYS_sched_getparam,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_sigaltstack,
    SYS_kill,
    SYS_tgkill,
    SYS_tkill,
    SYS_restart_syscall,
    // The process itself. `execve` is how bubblewrap starts python3; what it starts keeps this filter.
    SYS_execve,
    SYS_exit,
    SYS_exit_group,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getgroups,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getpgid,
    SYS_getsid,
    SYS_prlimit64,
    SYS_getrlimit,
    SYS_setrlimit,
    SYS_getrusage,
    SYS_times,
    SYS_getpriority,
    SYS_setitimer,
    SYS_getitimer,
    // Time, machine, chance.
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_uname,
    SYS_sysinfo,
    SYS_getcpu,
    SYS_getrandom,
    #[cfg(target_arch = "x86_64")]
    SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    SYS_open,
    #[cfg(target_arch = "x86_64")]
    SYS_stat,
    #[cfg(target_arch = "x86_64")]
    SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    SYS_access,
    #[cfg(target_arch = "x86_64")]
    SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    SYS_rename,
    #[cfg(target_arch = "x86_64")]
    SYS_link,
    #[cfg(target_arch = "x86_64")]
    SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    SYS_poll,
    #[cfg(target_arch = "x86_64")]
    SYS_select,
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    SYS_getpgrp,
    #[cfg(target_arch = "x86_64")]
    SYS_alarm,
    #[cfg(target_arch = "x86_64")]
    SYS_time,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compile_and_have_the_layout_of_the_kernel() {
        let Some([clone3, permitted]) = python3() else { return };
        assert_eq!(bytes(&permitted).len(), 8 * permitted.len());
        // The first instruction of a filter loads the architecture: BPF_LD | BPF_W | BPF_ABS at offset 4.
        assert_eq!(bytes(&clone3)[..8], [0x20, 0, 0, 0, 4, 0, 0, 0]);
        assert!(permitted.len() < 4096, "the kernel's maximum");
        assert!(worker().is_some());
    }

    #[test]
    fn nothing_that_reaches_outside_is_permitted() {
        let forbidden = [
            SYS_socket,
            SYS_socketpair,
            SYS_connect,
            SYS_bind,
            SYS_ptrace,
            SYS_process_vm_readv,
            SYS_mount,
            SYS_umount2,
            SYS_unshare,
            SYS_setns,
            SYS_pivot_root,
            SYS_chroot,
            SYS_bpf,
            SYS_perf_event_open,
            SYS_keyctl,
            SYS_add_key,
            SYS_userfaultfd,
            SYS_io_uring_setup,
            SYS_memfd_create,
            SYS_shmget,
            SYS_mq_open,
            SYS_kexec_load,
            SYS_init_module,
            SYS_open_by_handle_at,
            SYS_setuid,
            SYS_pidfd_getfd,
            SYS_execveat,
            SYS_setsid,
            SYS_clone,
        ];
        for call in forbidden {
            assert!(!PYTHON3.contains(&call), "{call}");
            assert!(!WORKER.contains(&call), "{call}");
        }
        for call in [SYS_openat, SYS_execve, SYS_clone3, SYS_kill, SYS_ioctl] {
            assert!(!WORKER.contains(&call), "{call}");
        }
    }
}
