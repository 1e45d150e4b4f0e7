//! The Python interpreters: what they compute, how programs end, and attempts to get out.
//!
//! Tests of python3 are skipped, with a line that says why, where the sandbox cannot be had. This test executable is
//! its own worker for monty: it is started again with the name of one test, `is_a_worker`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mathesis_reasoning::tools::python::{
    Ending, Error, Interpreter, Isolation, Limits, Options, Python, Run, host,
};

fn options(interpreter: Interpreter) -> Options {
    let arguments = ["is_a_worker", "--exact", "--nocapture"].map(String::from).to_vec();
    let limits = Limits { memory: 512 << 20, ..Limits::default() };
    let worker = Some((std::env::current_exe().unwrap(), arguments));
    Options { interpreter, limits, worker, ..Options::default() }
}

fn monty() -> Python {
    Python::new(options(Interpreter::Monty))
}

/// `None`, after saying why, where the sandbox cannot be had.
fn sandboxed(interpreter: Interpreter, limits: impl FnOnce(&mut Limits)) -> Option<Python> {
    let mut options = options(interpreter);
    limits(&mut options.limits);
    let python = Python::new(options);
    match python.check_python3() {
        Ok(()) => Some(python),
        Err(missing) => {
            println!("skipped: {missing}");
            None
        }
    }
}

fn python3() -> Option<Python> {
    sandboxed(Interpreter::Python3, |_| ())
}

/// Processes below `root`, as (process, start time).
fn descendants(root: u32) -> Vec<(u32, u64)> {
    let mut processes: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let fields: Vec<&str> = stat.rsplit_once(") ").map_or(vec![], |(_, rest)| rest.split(' ').collect());
        // A process that has ended and is not yet waited for runs nothing.
        if fields.len() > 19 && fields[0] != "Z" {
            processes.insert(id, (fields[1].parse().unwrap(), fields[19].parse().unwrap()));
        }
    }
    let below = |mut id: u32| {
        while let Some((parent, _)) = processes.get(&id) {
            if *parent == root {
                return true;
            }
            id = *parent;
        }
        false
    };
    processes.iter().filter(|(id, _)| below(**id)).map(|(id, (_, start))| (*id, *start)).collect()
}

fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ended(run: &Run, ending: Ending) {
    assert_eq!(run.ending, ending, "{run:?}");
}

#[test]
fn is_a_worker() {
    host();
    assert!(Python::new(Options::default()).has_monty());
}

#[test]
fn monty_runs_programs() {
    let python = monty();
    let run = python.run("import math\nprint('π', math.sqrt(16))\n[x * x for x in range(4)]").unwrap();
    ended(&run, Ending::Ok);
    assert_eq!((run.stdout.as_str(), run.value.as_deref()), ("π 4.0\n", Some("[0, 1, 4, 9]")));
    assert_eq!(run.interpreter, Interpreter::Monty);
    assert!(
        run.limits.iter().any(|enforced| enforced.by == "seccomp") || !cfg!(target_arch = "x86_64"),
        "{run:?}"
    );
    assert!(run.limits.iter().any(|enforced| enforced.by == "RLIMIT_AS"));

    let run = python.run("print(1)\n1 / 0").unwrap();
    ended(&run, Ending::Exception);
    assert_eq!(run.stdout, "1\n");
    assert!(run.error.unwrap().contains("ZeroDivisionError"));
    ended(&python.run("1 +").unwrap(), Ending::SyntaxError);
    let run = python.run("").unwrap();
    ended(&run, Ending::Ok);
    assert_eq!(run.value, None);
    // A fresh interpreter each time, in the same worker.
    python.run("kept = 5").unwrap();
    assert!(python.run("kept").unwrap().error.unwrap().contains("NameError"));
}

#[test]
fn monty_keeps_to_its_limits() {
    let mut options = options(Interpreter::Monty);
    options.limits =
        Limits { wall: Duration::from_millis(600), output: 10_000, memory: 128 << 20, ..Limits::default() };
    let python = Python::new(options);
    ended(&python.run("while True: pass").unwrap(), Ending::Timeout);
    let run = python.run("while True: print('x' * 100)").unwrap();
    ended(&run, Ending::OutputLimit);
    assert_eq!(run.stdout.len(), 10_000);
    for program in
        ["x = [0] * 10**10", "x = 'a' * 10**10", "x = []\nwhile True: x.append('y' * 10**6 + str(len(x)))"]
    {
        let run = python.run(program).unwrap();
        assert!(matches!(run.ending, Ending::Memory | Ending::Timeout), "{run:?}");
    }
    let run = python.run("10**10**10").unwrap();
    assert!(matches!(run.ending, Ending::Memory | Ending::Timeout | Ending::Exception), "{run:?}");
    let run = python.run("def f(n): return f(n + 1)\nf(0)").unwrap();
    assert!(run.error.unwrap().contains("RecursionError"));
    let run = python.run("(".repeat(100_000).as_str()).unwrap();
    assert!(run.ending != Ending::Ok, "{run:?}");
    ended(
        &python
            .run("def g():\n    n = 0\n    while True:\n        n += 1\nfor x in range(10**12): pass")
            .unwrap(),
        Ending::Timeout,
    );
    ended(&python.run("1 + 1").unwrap(), Ending::Ok);
}

#[test]
fn monty_has_no_access() {
    let python = monty();
    for program in [
        "open('/etc/passwd').read()",
        "import os\nos.environ['PATH']",
        "import os\nos.listdir('/')",
        "import os\nos.system('id')",
        "import socket",
        "import subprocess",
        "import ctypes",
        "from pathlib import Path\nPath('/etc/passwd').read_text()",
        "from pathlib import Path\nPath('/tmp/mathesis-escaped').write_text('x')",
        "__import__('os').system('id')",
        "eval('1')",
    ] {
        let run = python.run(program).unwrap();
        ended(&run, Ending::Exception);
        assert_eq!(run.value, None);
    }
    assert!(!PathBuf::from("/tmp/mathesis-escaped").exists());
}

#[test]
fn sessions_keep_their_state() {
    let pythons = [Some(monty()), python3()];
    for python in pythons.iter().flatten() {
        let mut session = python.session().unwrap();
        assert_eq!(session.run("x = 41").unwrap().value, None);
        assert_eq!(session.run("def f(y):\n    return x + y").unwrap().ending, Ending::Ok);
        assert_eq!(session.run("f(1)").unwrap().value.as_deref(), Some("42"));
        let run = session.run("x = 1\nprint('before')\nf('a')").unwrap();
        ended(&run, Ending::Exception);
        assert_eq!(run.stdout, "before\n");
        let error = run.error.unwrap();
        assert!(
            error.starts_with("Traceback (most recent call last):") && error.contains("TypeError"),
            "{error}"
        );
        ended(&session.run("x ===").unwrap(), Ending::SyntaxError);
        assert_eq!(session.run("f(1)").unwrap().value.as_deref(), Some("2"));
    }
}

#[test]
fn a_limit_ends_a_session() {
    let mut monty = options(Interpreter::Monty);
    monty.limits.wall = Duration::from_millis(300);
    let python3 = sandboxed(Interpreter::Python3, |limits| limits.wall = Duration::from_millis(300));
    for python in [Some(Python::new(monty)), python3].iter().flatten() {
        let mut session = python.session().unwrap();
        ended(&session.run("x = 1").unwrap(), Ending::Ok);
        let run = session.run("while True: pass").unwrap();
        ended(&run, Ending::Timeout);
        assert!(run.error.unwrap().contains("wall time limit of 0.3 s"));
        assert!(!session.is_alive());
        let error = session.run("x").unwrap_err();
        assert!(matches!(&error, Error::Ended(why) if why.contains("wall time limit")), "{error}");
    }
}

#[test]
fn python3_runs_programs() {
    let Some(python) = python3() else { return };
    let run = python
        .run("import sys, fractions\nprint('α')\nprint('β', file=sys.stderr)\nfractions.Fraction(1, 3) + 1")
        .unwrap();
    ended(&run, Ending::Ok);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("α\n", "β\n"));
    assert_eq!(run.value.as_deref(), Some("Fraction(4, 3)"));
    assert_eq!(run.interpreter, Interpreter::Python3);

    let run = python.run("def f():\n    return 1 / 0\n\nf()").unwrap();
    ended(&run, Ending::Exception);
    let expected = "Traceback (most recent call last):\n  File \"<program>\", line 4, in <module>\n    f()";
    let error = run.error.unwrap();
    assert!(error.starts_with(expected) && error.contains("    return 1 / 0"), "{error}");
    assert!(error.ends_with("ZeroDivisionError: division by zero"), "{error}");

    let run = python.run("x = (1 +").unwrap();
    ended(&run, Ending::SyntaxError);
    assert!(run.error.unwrap().contains("SyntaxError"));
    ended(&python.run("import sys\nsys.exit()").unwrap(), Ending::Ok);
    assert!(python.run("raise SystemExit('no')").unwrap().error.unwrap().contains("no"));
    let run = python.run("import os\nos._exit(3)").unwrap();
    ended(&run, Ending::Killed);
    assert!(run.error.unwrap().contains("status 3"));
    let run = python
        .run("import os, signal\nprint('x', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)")
        .unwrap();
    ended(&run, Ending::Killed);
    assert_eq!(run.stdout, "x\n");
    assert!(run.error.unwrap().contains("signal 11"));

    // As a script: classes can be pickled, threads are waited for, exit functions run.
    let run = python
        .run(
            "import pickle, threading, time, atexit\nclass A: pass\npickle.loads(pickle.dumps(A()))\n\
             atexit.register(print, 'last')\n\
             threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()",
        )
        .unwrap();
    ended(&run, Ending::Ok);
    assert_eq!(run.stdout, "thread\nlast\n");
    // Nothing to read.
    assert!(python.run("input()").unwrap().error.unwrap().contains("EOFError"));
}

#[test]
fn output_of_any_kind() {
    let Some(python) = python3() else { return };
    let run = python.run("import sys\nsys.stdout.buffer.write(bytes(range(256)))").unwrap();
    ended(&run, Ending::Ok);
    assert!(run.stdout.contains('\u{fffd}') && run.stdout.contains("ABC"));
    let run = python.run("import sys, os\nsys.stdout.close()\nos.close(2)\n5").unwrap();
    ended(&run, Ending::Ok);
    assert_eq!(run.value.as_deref(), Some("5"));
    assert_eq!(python.run("'\\ud800'").unwrap().value.as_deref(), Some("'\\ud800'"));
    let run = python.run("class A:\n    def __repr__(self): return '\\ud800'\nA()").unwrap();
    assert_eq!(run.value.as_deref(), Some("\\ud800"));
    ended(&python.run("class A:\n    def __repr__(self): 1 / 0\nA()").unwrap(), Ending::Exception);
}

#[test]
fn processor_time() {
    let Some(python) = sandboxed(Interpreter::Python3, |limits| {
        // So that a busy machine does not reach this one first.
        limits.wall = Duration::from_secs(120);
        limits.cpu = Duration::from_millis(200);
    }) else {
        return;
    };
    let ignoring = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n";
    for program in ["while True: pass", &format!("{ignoring}while True: pass")] {
        let run = python.run(program).unwrap();
        ended(&run, Ending::Timeout);
        assert!(run.error.as_deref().is_some_and(|error| error.contains("processor time")), "{run:?}");
    }
}

#[test]
fn programs_go_where_they_can_run() {
    let Some(python) = sandboxed(Interpreter::Auto, |_| ()) else { return };
    let interpreter = |program: &str| {
        let run = python.run(program).unwrap();
        (run.interpreter, run.value.unwrap_or_default())
    };
    assert_eq!(interpreter("import math\nmath.gcd(12, 18)"), (Interpreter::Monty, "6".into()));
    assert_eq!(
        interpreter("import decimal\ndecimal.Decimal(1)"),
        (Interpreter::Python3, "Decimal('1')".into())
    );
    // monty has no such function, or no such syntax: started again in python3.
    assert_eq!(interpreter("import math\nmath.sumprod if False else math.fsum([.1] * 10)").1, "1.0");
    assert_eq!(
        interpreter("import math\nmath.factorial(21)"),
        (Interpreter::Python3, "51090942171709440000".into())
    );
    assert_eq!(interpreter("match 3:\n    case int(x): pass\nx"), (Interpreter::Python3, "3".into()));
    let run = python.run("{}['x']").unwrap();
    assert_eq!((run.interpreter, run.ending), (Interpreter::Monty, Ending::Exception));
    // More than a second in monty: python3 is faster.
    let run = python.run("n = 0\nfor i in range(15_000_000): n += 1\nn").unwrap();
    assert_eq!(run.interpreter, Interpreter::Python3);
}

#[test]
fn nothing_of_the_machine_is_seen() {
    let Some(python) = python3() else { return };
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    for folder in
        [home.as_str(), "/root", "/home", "/var", "/run", "/proc/1", "/sys/kernel", "/etc/ssh", "/mnt"]
    {
        let run = python.run(&format!("import os\nos.listdir({folder:?})")).unwrap();
        assert!(matches!(run.ending, Ending::Exception | Ending::Refused), "{folder}: {run:?}");
    }
    for file in [
        "/etc/shadow",
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/1/mem",
        "/dev/mem",
        "/dev/sda",
        "/dev/kmsg",
    ] {
        let run = python.run(&format!("open({file:?}, 'rb').read(1)")).unwrap();
        assert!(matches!(run.ending, Ending::Exception | Ending::Refused), "{file}: {run:?}");
    }
    // Of the parent's environment nothing is seen.
    let run = python.run("import os\nsorted(os.environ)").unwrap();
    let expected = "['HOME', 'LANG', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PATH', 'PWD', 'TMPDIR']";
    assert_eq!(run.value.unwrap().replace("'LC_CTYPE', ", ""), expected);
    // Only the interpreter's own descriptors are open: the three standard ones and the connection.
    let run = python
        .run("import os\ndef is_open(n):\n    try: os.fstat(n)\n    except OSError: return False\n    return True\n[n for n in range(64) if is_open(n)]")
        .unwrap();
    assert_eq!(run.value.as_deref(), Some("[0, 1, 2, 3]"));
    assert_eq!(
        python.run("import os\nos.getuid(), os.getpid() < 10").unwrap().value.as_deref(),
        Some("(65534, True)")
    );
}

#[test]
fn nothing_of_the_machine_is_written() {
    let Some(python) = python3() else { return };
    for path in
        ["/usr/x", "/x", "/etc/x", "/bin/x", "/dev/x", "/dev/shm/x", "/lib/x", "/usr/lib/x", "/../../x"]
    {
        let run = python.run(&format!("open({path:?}, 'w')")).unwrap();
        assert!(matches!(run.ending, Ending::Refused | Ending::Exception), "{path}: {run:?}");
        assert!(!PathBuf::from(path).exists());
    }
    ended(&python.run("import os\nos.remove('/usr/bin/env')").unwrap(), Ending::Refused);
    ended(&python.run("import os\nos.chmod('/usr/bin/env', 0o777)").unwrap(), Ending::Refused);
    // /tmp is its own, and goes with it.
    let name = format!("mathesis-{}", std::process::id());
    let run = python.run(&format!("open('/tmp/{name}', 'w').write('x')")).unwrap();
    ended(&run, Ending::Ok);
    assert!(!PathBuf::from("/tmp").join(&name).exists());
    let run = python.run("import os\nos.listdir('/tmp')").unwrap();
    assert_eq!(run.value.as_deref(), Some("[]"));
    // Symbolic links lead nowhere but inside; two sessions do not meet.
    let (mut one, mut other) = (python.session().unwrap(), python.session().unwrap());
    let link = "import os\nos.symlink('/', '/tmp/link')\nos.symlink('/tmp/link/root', '/tmp/home')\nos.link('/tmp/link', '/tmp/hard', follow_symlinks=False)";
    ended(&one.run(link).unwrap(), Ending::Ok);
    assert_eq!(one.run("'proc' in os.listdir('/tmp/link')").unwrap().value.as_deref(), Some("False"));
    ended(&one.run("os.listdir('/tmp/home')").unwrap(), Ending::Exception);
    ended(&one.run("open('/tmp/link/usr/x', 'w')").unwrap(), Ending::Refused);
    assert_eq!(other.run("import os\nos.listdir('/tmp')").unwrap().value.as_deref(), Some("[]"));
}

#[test]
fn no_network() {
    let Some(python) = python3() else { return };
    for program in [
        "import socket\nsocket.socket()",
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "import socket\nsocket.socket(socket.AF_INET6)",
        "import socket\nsocket.socket(socket.AF_UNIX)",
        "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "import socket\nsocket.socketpair()",
        "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)",
        "import urllib.request\nurllib.request.urlopen('http://1.1.1.1', timeout=1)",
        "import socket\nsocket.getaddrinfo('example.org', 80)",
    ] {
        let run = python.run(program).unwrap();
        assert!(matches!(run.ending, Ending::Refused | Ending::Exception), "{program}: {run:?}");
    }
    ended(&python.run("import socket\nsocket.socket()").unwrap(), Ending::Refused);
}

#[test]
fn no_second_process() {
    let Some(python) = python3() else { return };
    if !python.run("1").unwrap().limits.iter().any(|enforced| enforced.limit == "system calls") {
        println!("skipped: no system-call filter here");
        return;
    }
    for program in [
        "import os\nwhile True: os.fork()",
        "import subprocess\nsubprocess.run(['/usr/bin/id'])",
        "import os\nos.posix_spawn('/bin/sh', ['sh', '-c', 'sleep 100'], {})",
        "import multiprocessing\nmultiprocessing.Process(target=print).start()",
        "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        while True: pass",
        "import pty\npty.fork()",
    ] {
        let run = python.run(program).unwrap();
        assert!(matches!(run.ending, Ending::Refused | Ending::Exception), "{program}: {run:?}");
    }
    let run = python.run("import os\nos.system('nohup sleep 100 &')").unwrap();
    assert_ne!(run.value.as_deref(), Some("0"), "{run:?}");
    // Another program may replace the interpreter; it stays in the same sandbox, and the run is over.
    ended(
        &python.run("import os\nos.execv('/bin/sh', ['sh', '-c', 'sleep 100 & sleep 100'])").unwrap(),
        Ending::Killed,
    );
    // Threads are permitted, within bounds.
    let run = python
        .run("import threading\nt = threading.Thread(target=print, args=(7,))\nt.start()\nt.join()")
        .unwrap();
    ended(&run, Ending::Ok);
    let run = python
        .run("import threading, time\ntry:\n    while True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\nexcept RuntimeError: n = threading.active_count()\nn")
        .unwrap();
    let threads: usize = run.value.clone().unwrap_or_default().parse().unwrap_or(0);
    let memory_or_count = if run.limits.iter().any(|enforced| enforced.limit == "tasks") { 32 } else { 128 };
    assert!(run.ending != Ending::Ok || threads <= memory_or_count, "{run:?}");
}

#[test]
fn forbidden_system_calls() {
    let Some(python) = python3() else { return };
    let mut session = python.session().unwrap();
    let prepared = session
        .run("import ctypes, os, errno\nlibc = ctypes.CDLL(None, use_errno=True)\ndef call(number, *arguments):\n    result = libc.syscall(number, *arguments)\n    return ctypes.get_errno() if result == -1 else 0")
        .unwrap();
    if prepared.ending != Ending::Ok {
        println!("skipped: this python3 has no ctypes: {:?}", prepared.error);
        return;
    }
    if !prepared.limits.iter().any(|enforced| enforced.limit == "system calls") {
        println!("skipped: no system-call filter here");
        return;
    }
    for call in [
        libc::SYS_socket,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_memfd_create,
        libc::SYS_shmget,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_open_by_handle_at,
        libc::SYS_setuid,
        libc::SYS_reboot,
        libc::SYS_sethostname,
        libc::SYS_clock_settime,
        libc::SYS_swapon,
        libc::SYS_personality,
        libc::SYS_pidfd_open,
        libc::SYS_execveat,
        libc::SYS_setsid,
        libc::SYS_seccomp,
        libc::SYS_prctl,
        999_999,
    ] {
        let run = session.run(&format!("call({call}, 0, 0, 0, 0, 0)")).unwrap();
        assert_eq!(run.value.as_deref(), Some("1"), "system call {call}: {run:?}");
    }
    // clone for a process, with name spaces, and clone3.
    for flags in [0x11_i64, 0x1000_0011, 0x7e02_0011] {
        let run = session.run(&format!("call({}, {flags}, 0, 0, 0, 0)", libc::SYS_clone)).unwrap();
        assert_eq!(run.value.as_deref(), Some("1"), "{run:?}");
    }
    let run = session.run(&format!("call({}, 0, 0) == errno.ENOSYS", libc::SYS_clone3)).unwrap();
    assert_eq!(run.value.as_deref(), Some("True"));
    // The x32 numbers of the same calls.
    #[cfg(target_arch = "x86_64")]
    assert_eq!(
        session.run("call(0x40000000 + 41, 2, 1, 0) in (1, 38)").unwrap().value.as_deref(),
        Some("True")
    );
    // Limits cannot be raised again.
    let run = session.run("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))").unwrap();
    assert!(matches!(run.ending, Ending::Exception | Ending::Refused), "{run:?}");
    ended(&session.run("os.kill(1, 9), os.getpid()").unwrap(), Ending::Ok);
    ended(&session.run("1").unwrap(), Ending::Ok);
}

#[test]
fn python3_keeps_to_its_limits() {
    let within = |wall| {
        sandboxed(Interpreter::Python3, |limits| {
            *limits = Limits {
                wall,
                cpu: Duration::from_secs(1),
                memory: 256 << 20,
                temporary: 8 << 20,
                file: 4 << 20,
                output: 100_000,
                ..Limits::default()
            }
        })
    };
    let Some(python) = within(Duration::from_millis(1500)) else { return };
    let run = |program: &str| python.run(program).unwrap();
    std::thread::scope(|scope| {
        // Time: processor and wall, with every signal ignored that can be.
        // The connection closed by the program.
        scope.spawn(|| ended(&run("import os\nos.closerange(0, 60)\nwhile True: pass"), Ending::Timeout));
        scope.spawn(|| {
            let ignoring = "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nprint('ignoring')\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass";
            let timeout = run(ignoring);
            ended(&timeout, Ending::Timeout);
            assert_eq!(timeout.stdout, "ignoring\n");
        });
        scope.spawn(|| {
            ended(&run("import signal, time\nsignal.signal(signal.SIGALRM, lambda *a: signal.alarm(1))\nsignal.alarm(1)\nwhile True:\n    try: time.sleep(100)\n    except BaseException: pass"), Ending::Timeout);
        });
        scope.spawn(|| ended(&run("len(str(10**10**10))"), Ending::Timeout));
        scope.spawn(|| ended(&run("def g():\n    while True: yield 1\nsum(g())"), Ending::Timeout));
    });
    // The rest is not about time, of which a busy machine may give a program little.
    let Some(python) = within(Duration::from_secs(60)) else { return };
    let run = |program: &str| python.run(program).unwrap();
    // Memory.
    ended(&run("x = bytearray(10**10)"), Ending::Memory);
    ended(&run("x = []\nwhile True: x.append(bytearray(10**6))"), Ending::Memory);
    // The same limit, met by a function that reports it as an OSError.
    let mapped = run("import mmap\nx = []\nwhile True: x.append(mmap.mmap(-1, 2**24))");
    assert!(mapped.error.unwrap().contains("Cannot allocate memory"));
    // Output, of both kinds and as a value.
    for program in [
        "while True: print('x' * 1000)",
        "import os\nwhile True: os.write(2, b'y' * 65536)",
        "'z' * 10**6",
        "print('x' * 10**6)",
    ] {
        let too_much = run(program);
        ended(&too_much, Ending::OutputLimit);
        assert!(too_much.stdout.len() + too_much.stderr.len() <= 100_000);
    }
    // Disk.
    let full = run("for n in range(100): open(f'/tmp/{n}', 'wb').write(bytes(10**6))");
    ended(&full, Ending::Exception);
    assert!(full.error.unwrap().contains("No space left"));
    let full = run("f = open('/tmp/f', 'wb')\nwhile True: f.write(bytes(10**5))");
    assert!(full.error.unwrap().contains("File too large"));
    let files = run("x = []\nwhile True: x.append(open('/dev/null'))");
    assert!(files.error.unwrap().contains("Too many open files"));
    // Depth.
    assert!(run("def f(n): return f(n + 1)\nf(0)").error.unwrap().contains("RecursionError"));
    let deep =
        run("import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)");
    assert_ne!(deep.ending, Ending::Ok, "{deep:?}");
    let deep = run(&"(".repeat(1_000_000));
    ended(&deep, Ending::SyntaxError);
    // A program larger than any buffer arrives.
    assert_eq!(run(&format!("x = '{}'\nlen(x)", "y".repeat(1 << 22))).value.as_deref(), Some("4194304"));
}

#[test]
fn many_threads_at_once() {
    let Some(python) = sandboxed(Interpreter::Auto, |_| ()) else { return };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let python = &python;
            scope.spawn(move || {
                for turn in 0..4 {
                    let n = 10 * thread + turn;
                    assert_eq!(python.run(&format!("{n} * 2")).unwrap().value, Some((2 * n).to_string()));
                    let run = python.run(&format!("import time\ntime.sleep(0.01)\n{n} * 3")).unwrap();
                    assert_eq!(run.value, Some((3 * n).to_string()), "{run:?}");
                }
            });
        }
    });
    // A session outlives the thread that made it.
    let mut session = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let mut session = python.session().unwrap();
                session.run("x = 5").unwrap();
                session
            })
            .join()
            .unwrap()
    });
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(session.run("x").unwrap().value.as_deref(), Some("5"));
}

#[test]
fn no_isolation_only_by_name() {
    let mut options = options(Interpreter::Python3);
    options.isolation = Isolation::None;
    let python = Python::new(options);
    let Ok(run) = python.run("import os\n1 + 1") else {
        println!("skipped: no python3");
        return;
    };
    assert_eq!(run.value.as_deref(), Some("2"));
    assert!(!run.limits.iter().any(|enforced| enforced.limit == "network"), "{:?}", run.limits);
    assert!(run.limits.iter().any(|enforced| enforced.by == "RLIMIT_AS"));
}

#[test]
fn without_a_sandbox_there_is_an_error() {
    // In a process of its own, whose PATH has no bwrap.
    if std::env::var_os("PYTHON_TEST_NO_BWRAP").is_some() {
        let python = Python::new(options(Interpreter::Python3));
        let error = python.run("1").unwrap_err().to_string();
        assert!(
            error.contains("apt-get install bubblewrap") || error.contains("apt-get install python3"),
            "{error}"
        );
        assert!(python.session().is_err());
        // What monty can do still works; what it lacks is refused.
        let python = Python::new(options(Interpreter::Auto));
        assert_eq!(python.run("6 * 7").unwrap().value.as_deref(), Some("42"));
        assert!(matches!(python.run("import sympy"), Err(Error::Unavailable(_))));
        assert!(matches!(python.run("match 3:\n    case int(x): pass"), Err(Error::Unavailable(_))));
        return;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["without_a_sandbox_there_is_an_error", "--exact"])
        .env("PYTHON_TEST_NO_BWRAP", "1")
        .env("PATH", "/nowhere")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn nothing_outlives_a_killed_parent() {
    if std::env::var_os("PYTHON_TEST_PARENT").is_some() {
        let pythons: Vec<Python> = [Some(monty()), python3()].into_iter().flatten().collect();
        let sessions: Vec<_> = pythons.iter().map(|python| python.session().unwrap()).collect();
        std::thread::scope(|scope| {
            for mut session in sessions {
                scope.spawn(move || session.run("while True: pass"));
            }
            std::thread::sleep(Duration::from_millis(200));
            println!("\nready");
        });
        return;
    }
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["nothing_outlives_a_killed_parent", "--exact", "--nocapture"])
        .env("PYTHON_TEST_PARENT", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
    let below = descendants(parent.id());
    assert!(!below.is_empty());
    parent.kill().unwrap();
    parent.wait().unwrap();
    await_that("processes outlive their parent", || {
        // Orphans have another parent now.
        let all = descendants(1);
        below.iter().all(|process| !all.contains(process))
    });
}
