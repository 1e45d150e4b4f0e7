//! python3 inside bubblewrap: where both are, whether they work here, and how a sandbox is started.

use std::ffi::OsString;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::Process;
use super::{Enforced, Isolation, Limits, Options, filter};

const DRIVER: &str = include_str!("driver.py");

/// The user and group "nobody": of the program inside, and, where the caller is root, of the sandbox outside.
const NOBODY: u32 = 65534;

/// All that a program finds in its environment. One thread for the linear algebra of NumPy: a buffer per thread would
/// be taken from the program's memory.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("PATH", "/usr/bin:/bin"),
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("OMP_NUM_THREADS", "1"),
];

/// How python3 is started on this machine. Found once, by starting it.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// `None`: no isolation.
    bubblewrap: Option<PathBuf>,
    python3: PathBuf,
    /// Folders outside `/usr` that hold python3 and its packages.
    folders: Vec<PathBuf>,
    /// Whether bubblewrap is started as "nobody" by a caller who is root.
    nobody: bool,
    filters: Option<[Vec<u8>; 2]>,
}

impl Sandbox {
    /// Looks for python3 and bubblewrap and tries them; the error says what is missing and what to do.
    pub fn find(options: &Options) -> Result<Sandbox, String> {
        let python3 = options.python3.clone().unwrap_or_else(|| PathBuf::from("/usr/bin/python3"));
        let folders = folders_of(&python3)?;
        let mut sandbox = Sandbox { bubblewrap: None, python3, folders, nobody: false, filters: None };
        if options.isolation == Isolation::None {
            return sandbox.start("program", &options.limits).map(|_| sandbox);
        }
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        let Some(bubblewrap) =
            std::env::split_paths(&path).map(|folder| folder.join("bwrap")).find(|file| file.is_file())
        else {
            return Err(
                "python3 runs only in a sandbox, and bubblewrap is not installed. On Debian or Ubuntu: \
                 apt-get install bubblewrap"
                    .into(),
            );
        };
        sandbox.bubblewrap = Some(bubblewrap);
        if Path::new("/proc/sys/kernel/seccomp").exists() {
            sandbox.filters = filter::python3().map(|filters| filters.map(|filter| filter::bytes(&filter)));
        }
        // A python3 in root's home folder cannot be seen by "nobody".
        sandbox.nobody = rustix::process::geteuid().is_root();
        let mut outcome = sandbox.start("program", &options.limits);
        if outcome.is_err() && sandbox.nobody {
            sandbox.nobody = false;
            outcome = sandbox.start("program", &options.limits).or(outcome);
        }
        outcome.map_err(|complaint| explain(&complaint))?;
        Ok(sandbox)
    }

    /// Starts an interpreter for one "program" or for a "session".
    pub fn start(&self, kind: &str, limits: &Limits) -> Result<Process, String> {
        let mut inherited = Vec::new();
        let mut command = match &self.bubblewrap {
            None => {
                let mut command = Command::new(&self.python3);
                command.current_dir(std::env::temp_dir()).process_group(0);
                command
            }
            Some(bubblewrap) => {
                let mut command = Command::new(bubblewrap);
                if self.nobody {
                    command.uid(NOBODY).gid(NOBODY);
                }
                command.current_dir("/").args(self.arguments(limits));
                for filter in self.filters.iter().flatten() {
                    let file = inheritable(filter).map_err(|error| format!("seccomp filter: {error}"))?;
                    command.arg("--add-seccomp-fd").arg(file.as_raw_fd().to_string());
                    inherited.push(file);
                }
                command.arg("--").arg(&self.python3);
                command
            }
        };
        command.env_clear().envs(ENVIRONMENT).args(["-I", "-B", "-c", DRIVER, kind]);
        let cpu = limits.cpu.as_secs() + u64::from(limits.cpu.subsec_nanos() > 0);
        for (name, soft, hard) in [
            ("RLIMIT_AS", limits.memory, limits.memory),
            // The soft limit sends a signal that says why; the hard one kills who ignores it.
            ("RLIMIT_CPU", cpu, cpu + 1),
            ("RLIMIT_FSIZE", limits.file, limits.file),
            ("RLIMIT_NOFILE", limits.files, limits.files),
            ("RLIMIT_NPROC", limits.tasks, limits.tasks),
            ("RLIMIT_CORE", 0, 0),
            ("RLIMIT_MSGQUEUE", 0, 0),
        ] {
            command.arg(format!("{name}:{soft}:{hard}"));
        }
        let (mut process, lowered) = Process::start(command, inherited, true, self.bubblewrap.is_some())?;
        process.limits = self.enforced(&lowered);
        Ok(process)
    }

    /// bubblewrap's arguments: what exists inside. There is no `/proc`, `/sys`, `/home`, `/root`, `/var`, `/run`.
    fn arguments(&self, limits: &Limits) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str], paths: &[&Path]| {
            arguments.extend(words.iter().map(OsString::from));
            arguments.extend(paths.iter().map(OsString::from));
        };
        add(&["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"], &[]);
        add(&["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL"], &[]);
        add(&["--uid", &NOBODY.to_string(), "--gid", &NOBODY.to_string(), "--hostname", "sandbox"], &[]);
        add(&["--ro-bind", "/usr", "/usr"], &[]);
        for folder in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].map(Path::new) {
            match std::fs::read_link(folder) {
                Ok(target) => add(&["--symlink"], &[&target, folder]),
                Err(_) if folder.is_dir() => add(&["--ro-bind"], &[folder, folder]),
                Err(_) => {}
            }
        }
        for file in ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"] {
            add(&["--ro-bind-try", file, file], &[]);
        }
        for folder in &self.folders {
            add(&["--ro-bind"], &[folder, folder]);
        }
        add(&["--dev", "/dev", "--remount-ro", "/dev"], &[]);
        add(&["--perms", "0700", "--size", &limits.temporary.max(4096).to_string(), "--tmpfs", "/tmp"], &[]);
        add(&["--remount-ro", "/", "--chdir", "/tmp"], &[]);
        arguments
    }

    fn enforced(&self, lowered: &str) -> Vec<Enforced> {
        let mut enforced = Vec::new();
        let mut add = |limit, by| enforced.push(Enforced { limit, by });
        if self.bubblewrap.is_some() {
            add("network", "network name space");
            add("files", "read-only mounts of the system; no home folders");
            add("temporary files", "tmpfs of limited size");
            add("other processes", "user, process and IPC name spaces");
            if self.filters.is_some() {
                add("system calls", "seccomp; no second process");
            }
        }
        let lowered: Vec<&str> = lowered.split(',').collect();
        // The kernel does not count the processes of its own root user.
        let counted = self.nobody || !rustix::process::geteuid().is_root();
        for (limit, by) in [
            ("memory", "RLIMIT_AS"),
            ("processor time", "RLIMIT_CPU"),
            ("file size", "RLIMIT_FSIZE"),
            ("open files", "RLIMIT_NOFILE"),
            ("tasks", "RLIMIT_NPROC"),
        ] {
            if lowered.contains(&by) && (by != "RLIMIT_NPROC" || counted) {
                add(limit, by);
            }
        }
        add("wall time", "kill by the parent");
        add("output", "kill by the parent");
        enforced
    }
}

/// Asks python3 where it lies. It is the caller's own interpreter and runs no program here.
fn folders_of(python3: &Path) -> Result<Vec<PathBuf>, String> {
    let output = Command::new(python3)
        .args([
            "-I",
            "-S",
            "-c",
            "import sys; print(sys.prefix, sys.base_prefix, sys.exec_prefix, sep='\\n')",
        ])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            format!(
                "python3 cannot be started ({}: {error}). On Debian or Ubuntu: apt-get install python3",
                python3.display()
            )
        })?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} is not a working python3: {}", python3.display(), error.trim()));
    }
    let mut folders: Vec<PathBuf> =
        String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect();
    // Of a virtual environment, -S sees only the base; its own folder is that of the configuration file.
    if let Some(environment) = python3.parent().and_then(Path::parent)
        && environment.join("pyvenv.cfg").is_file()
    {
        folders.push(environment.to_path_buf());
    }
    folders.sort();
    folders.dedup();
    let outside = |folder: &PathBuf| !folder.starts_with("/usr") && folder.parent().is_some();
    Ok(folders.into_iter().filter(outside).collect())
}

/// A file in memory that a child keeps open, positioned at its start.
fn inheritable(content: &[u8]) -> std::io::Result<OwnedFd> {
    // Not close-on-exec: another child that is started at this moment inherits it too, and finds nothing secret in it.
    let descriptor = rustix::fs::memfd_create("seccomp", rustix::fs::MemfdFlags::empty())?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

/// What to do about bubblewrap's complaint.
fn explain(complaint: &str) -> String {
    let advice = if complaint.contains("nknown option") {
        "bubblewrap 0.8 or newer is needed (Debian 12, Ubuntu 24.04)"
    } else if ["namespace", "uid map", "ermission denied", "not permitted"]
        .iter()
        .any(|word| complaint.contains(word))
    {
        "bubblewrap needs user name spaces: `sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000`, \
         on Ubuntu also an AppArmor profile for bwrap (or `kernel.apparmor_restrict_unprivileged_userns=0`), \
         in a container the right to create them"
    } else {
        "the sandbox does not start on this machine"
    };
    format!("python3 runs only in a sandbox, and {advice}. Its message: {complaint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_explained() {
        assert!(explain("bwrap: Unknown option --size").contains("0.8 or newer"));
        assert!(explain("bwrap: setting up uid map: Permission denied").contains("user name spaces"));
        assert!(
            explain("bwrap: Creating new namespace failed: Operation not permitted").contains("AppArmor")
        );
    }

    #[test]
    fn a_missing_python3_is_named() {
        let options = Options { python3: Some("/nowhere/python3".into()), ..Options::default() };
        let missing = Sandbox::find(&options).unwrap_err();
        assert!(
            missing.contains("/nowhere/python3") && missing.contains("apt-get install python3"),
            "{missing}"
        );
    }
}
