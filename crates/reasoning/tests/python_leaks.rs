//! Nothing is left over: processes, descriptors, files. Alone in its executable, so that all children are its own.

use std::path::Path;
use std::time::{Duration, Instant};

use mathesis_reasoning::tools::python::{Interpreter, Limits, Options, Python, host};

fn count(folder: impl AsRef<Path>) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn children() -> usize {
    let parent = std::process::id().to_string();
    let is_child = |stat: String| {
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(parent.as_str()))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| is_child(stat.clone()))
        .count()
}

#[test]
fn nothing_is_left_over() {
    host();
    let runs: usize = std::env::var("PYTHON_LEAK_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let worker =
        (std::env::current_exe().unwrap(), ["nothing_is_left_over", "--exact"].map(String::from).to_vec());
    let limits = Limits { wall: Duration::from_millis(200), memory: 128 << 20, ..Limits::default() };
    let programs =
        ["1 + 1", "1 / 0", "open('/tmp/left', 'w').write('x')", "while True: pass", "import os\nos._exit(1)"];
    for interpreter in [Interpreter::Monty, Interpreter::Python3] {
        let options = Options {
            interpreter,
            limits: limits.clone(),
            worker: Some(worker.clone()),
            ..Options::default()
        };
        let python = Python::new(options.clone());
        if interpreter == Interpreter::Python3
            && let Err(missing) = python.check_python3()
        {
            println!("skipped: {missing}");
            continue;
        }
        // Descriptors that the tool opens once exist from here on.
        python.run("1").unwrap();
        drop(python);
        let before = (count("/proc/self/fd"), children(), count(std::env::temp_dir()));
        let python = Python::new(options);
        for turn in 0..runs {
            python.run(programs[turn % programs.len()]).unwrap();
            if turn % 10 == 0 {
                let mut session = python.session().unwrap();
                session.run("x = 1").unwrap();
            }
        }
        drop(python);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let after = (count("/proc/self/fd"), children(), count(std::env::temp_dir()));
            // Other processes of the machine use the folder for temporary files too.
            if after.0 == before.0 && after.1 == before.1 && after.2 <= before.2 + 3 {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "left over (descriptors, children, files): {before:?}, then {after:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
