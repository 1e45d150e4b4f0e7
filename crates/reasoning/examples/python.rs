//! Measurements of the Python interpreters; `bench/python/README.md` says how to run them and what came out.
//!
//! `python PROGRAMS [PYTHON3]`: start-up time, programs per second with one and two threads, the cost of the sandbox,
//! and on how many of the programs in the file (separated by lines of dashes) both interpreters agree.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mathesis_reasoning::tools::python::{Ending, Interpreter, Isolation, Options, Python, host};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    host();
    let mut arguments = std::env::args().skip(1);
    let file = std::fs::read_to_string(arguments.next().ok_or("the file of programs is missing")?)?;
    let programs: Vec<&str> = file.split("\n-----\n").collect();
    let python3 = arguments.next().map(PathBuf::from);
    let bare = python3.clone().unwrap_or_else(|| "/usr/bin/python3".into());
    let tool = |interpreter, isolation| {
        Python::new(Options { interpreter, isolation, python3: python3.clone(), ..Options::default() })
    };
    let monty = tool(Interpreter::Monty, Isolation::Sandbox);
    let sandboxed = tool(Interpreter::Python3, Isolation::Sandbox);
    let unconfined = tool(Interpreter::Python3, Isolation::None);
    let auto = tool(Interpreter::Auto, Isolation::Sandbox);
    sandboxed.check_python3()?;
    unconfined.check_python3()?;

    println!("one program `1 + 1`, median of many, from call to result:");
    let report = |name: &str, turns, run: &mut dyn FnMut()| {
        println!("  {name:44} {:9.3} ms", median(turns, run).as_secs_f64() * 1e3);
    };
    report("monty, new worker process", 100, &mut || {
        let _ = tool(Interpreter::Monty, Isolation::Sandbox).run("1 + 1");
    });
    report("monty, waiting worker, fresh interpreter", 1000, &mut || drop(monty.run("1 + 1")));
    report("python3 -I -c, bare process", 100, &mut || {
        let _ = Command::new(&bare).args(["-I", "-c", "print(1 + 1)"]).stdout(Stdio::null()).status();
    });
    report("python3, Isolation::None", 100, &mut || drop(unconfined.run("1 + 1")));
    report("python3, sandbox", 100, &mut || drop(sandboxed.run("1 + 1")));
    if let Ok(mut session) = monty.session() {
        report("monty, snippet of a session", 1000, &mut || drop(session.run("1 + 1")));
    }
    let mut session = sandboxed.session()?;
    report("python3, snippet of a session", 1000, &mut || drop(session.run("1 + 1")));
    for module in ["numpy", "sympy"] {
        if sandboxed.run(&format!("import {module}"))?.ending == Ending::Ok {
            report(&format!("python3, sandbox, import {module}"), 7, &mut || {
                drop(sandboxed.run(&format!("import {module}")))
            });
        }
    }

    let common: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| monty.run(program).is_ok_and(|run| run.ending == Ending::Ok))
        .collect();
    println!("programs per second, the {} of {} that monty can run:", common.len(), programs.len());
    for (name, python) in [
        ("monty", &monty),
        ("python3, Isolation::None", &unconfined),
        ("python3, sandbox", &sandboxed),
        ("chosen", &auto),
    ] {
        for threads in [1, 2] {
            let rounds = if name == "monty" { 10 } else { 1 };
            println!("  {name:30} {threads} threads {:9.1}", throughput(python, &common, threads, rounds));
        }
    }

    let (mut agree, mut chosen) = (0, 0);
    for program in &programs {
        let (one, other) = (monty.run(program)?, sandboxed.run(program)?);
        if (one.ending, &one.stdout, &one.value) == (other.ending, &other.stdout, &other.value) {
            agree += 1;
        } else {
            println!(
                "different:\n{program}\n  monty: {:?} {:?} {:?}\n  python3: {:?} {:?}",
                one.ending, one.stdout, one.error, other.ending, other.stdout
            );
        }
        chosen += usize::from(auto.run(program)?.interpreter == Interpreter::Monty);
    }
    println!("both interpreters agree on {agree} of {}; {chosen} were left to monty", programs.len());
    Ok(())
}

fn median(turns: usize, run: &mut dyn FnMut()) -> Duration {
    run();
    let mut times: Vec<Duration> = (0..turns)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[turns / 2]
}

fn throughput(python: &Python, programs: &[&str], threads: usize, rounds: usize) -> f64 {
    let next = AtomicUsize::new(0);
    let total = programs.len() * rounds;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && index < total
                {
                    let run = python.run(programs[index % programs.len()]);
                    assert!(
                        run.is_ok_and(|run| run.ending == Ending::Ok),
                        "{}",
                        programs[index % programs.len()]
                    );
                }
            });
        }
    });
    total as f64 / start.elapsed().as_secs_f64()
}
