//! Program of thought (Chen et al. 2022; Gao et al. 2022): the reply is a Python program, and what it computes is the answer.
//!
//! A stage between asking and judging: [`run`] runs the program of every reply of a record in a clean interpreter of
//! [`crate::tools::python`] and writes into the reply what came of it. Judging needs no interpreter.
//!
//! The program is the last fenced block of the reply that is Python or names no language. Its answer is the last line that
//! it prints; where it prints nothing, the value of its last expression. A program that defines `solution()` and nowhere
//! calls it, or assigns `answer` and prints nothing, gets a line that prints it. Decimals with the noise of binary
//! floating-point numbers, 15 or more significant digits, are rounded to 12.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use rayon::prelude::*;
use regex::Regex;

use super::{Ending, Form, Record, Reply, Settings, Stage, Trajectory, Turn};
use crate::answers::pattern;
use crate::models::Role;
use crate::tools::python::{self, Error, Limits, Options, Python, Run};

/// The end of a program for which there is no interpreter or no sandbox. It says nothing about the program.
pub const UNAVAILABLE: &str = "unavailable";

/// The longest output that is kept, in characters.
const LONGEST_OUTPUT: usize = 2000;

/// The interpreter that the settings of a suite describe.
pub fn interpreter(settings: &Settings) -> Python {
    let seconds = Duration::from_secs(settings.get("seconds").parse().unwrap_or(10));
    let memory = settings.get("memory").parse().unwrap_or(1024u64) << 20;
    let python3 = settings.get("python");
    Python::new(Options {
        limits: Limits { wall: seconds, cpu: seconds, memory, ..Limits::default() },
        python3: (!python3.is_empty()).then(|| python3.into()),
        ..Options::default()
    })
}

/// Runs the programs of a record that were not run before, or for want of an interpreter could not be.
pub fn run(record: &mut Record, python: &Python) {
    run_by(record, |program| python.run(program));
}

/// Runs the programs of all records on all cores.
pub fn run_all(records: &mut [Record], python: &Python) {
    records.par_iter_mut().for_each(|record| run(record, python));
}

fn run_by(record: &mut Record, execute: impl Fn(&str) -> Result<Run, Error>) {
    for reply in &mut record.replies {
        let was_unavailable =
            reply.trajectory.as_ref().is_some_and(|trajectory| trajectory.ended == UNAVAILABLE);
        if was_unavailable {
            *reply = Reply::complete(std::mem::take(&mut reply.text));
        }
        if reply.ending == Ending::Complete && reply.trajectory.is_none() {
            let trajectory = carried_out(&reply.text, &execute);
            if trajectory.ended == UNAVAILABLE {
                reply.ending = Ending::Failed;
                reply.failure = Some(trajectory.end());
            }
            reply.trajectory = Some(Box::new(trajectory));
        }
    }
}

/// What comes of the program in a text.
fn carried_out(text: &str, execute: impl Fn(&str) -> Result<Run, Error>) -> Trajectory {
    let mut trajectory = Trajectory { form: Form::Program, calls: 1, ..Trajectory::default() };
    let Some(program) = program(text) else {
        trajectory.ended = "no-program".into();
        return trajectory;
    };
    let (prepared, appended) = prepared(program);
    let mut turns = vec![Turn::of(Role::Assistant, prepared.as_ref())];
    match execute(&prepared) {
        Err(error) => {
            trajectory.ended = UNAVAILABLE.into();
            trajectory.note = error.to_string();
        }
        Ok(run) => {
            let printed = run.stdout.lines().rev().map(str::trim).find(|line| !line.is_empty());
            let value = run.value.as_deref().map(unquoted);
            let found = printed
                .map(|line| (line, appended.unwrap_or("printed")))
                .or(value.map(|value| (value, "value")));
            trajectory.ended = match (run.ending, &found) {
                (python::Ending::Ok, Some(_)) => "ran",
                (python::Ending::Ok, None) => "no-result",
                (python::Ending::Exception, _) => "exception",
                (python::Ending::SyntaxError, _) => "syntax-error",
                (python::Ending::Timeout, _) => "timeout",
                (python::Ending::Memory, _) => "memory",
                (python::Ending::OutputLimit, _) => "output-limit",
                (python::Ending::Killed, _) => "killed",
                (python::Ending::Refused, _) => "refused-by-sandbox",
            }
            .into();
            if run.ending == python::Ending::Ok {
                if let Some((answer, rule)) = found {
                    trajectory.answer = Some(without_noise(answer).into_owned());
                    trajectory.rule = format!("program: {rule}");
                }
            } else {
                // The last line of a traceback names the exception; those before name places.
                let error = run.error.as_deref().unwrap_or_default();
                trajectory.note = error.trim_end().lines().last().unwrap_or_default().trim().into();
            }
            let output = [run.stdout.trim_end(), value.unwrap_or_default()].concat();
            if !output.is_empty() {
                let skipped = output.chars().count().saturating_sub(LONGEST_OUTPUT);
                turns.push(Turn::tool(output.chars().skip(skipped).collect::<String>()));
            }
        }
    }
    trajectory.stages = vec![Stage {
        name: "program".into(),
        ended: trajectory.ended.clone(),
        answer: trajectory.answer.clone(),
        turns,
    }];
    trajectory
}

/// The last fenced block that is Python or names no language; Python goes first. A block that is not closed ends with the
/// text.
fn program(text: &str) -> Option<&str> {
    let (mut python, mut unnamed) = (None, None);
    let mut open: Option<(&str, usize)> = None;
    let mut place = 0;
    let mut keep = |language: &str, block| match language {
        "python" | "py" | "python3" => python = Some(block),
        "" => unnamed = Some(block),
        _ => {}
    };
    for line in text.split_inclusive('\n') {
        if let Some(rest) = line.trim_start().strip_prefix("```") {
            match open.take() {
                Some((language, start)) => keep(language, &text[start..place]),
                None => open = Some((rest.trim(), place + line.len())),
            }
        }
        place += line.len();
    }
    if let Some((language, start)) = open {
        keep(language, &text[start..]);
    }
    python.or(unnamed).filter(|program| !program.trim().is_empty())
}

/// A program that prints what it leaves in `solution()` or `answer`, and which of these.
fn prepared(program: &str) -> (Cow<'_, str>, Option<&'static str>) {
    static SOLUTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^def\s+solution\s*\(\s*\)"));
    static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bsolution\s*\("));
    static ANSWER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^answer\s*=[^=]"));
    let printing = |what: &str| Cow::Owned(format!("{}\nprint({what})\n", program.trim_end()));
    if SOLUTION.is_match(program) && CALL.find_iter(program).count() == 1 {
        return (printing("solution()"), Some("solution()"));
    }
    if ANSWER.is_match(program) && !program.contains("print(") {
        return (printing("answer"), Some("answer"));
    }
    (Cow::Borrowed(program), None)
}

/// A text as Python writes it, without the quotation marks.
fn unquoted(value: &str) -> &str {
    let inside = |mark| value.strip_prefix(mark)?.strip_suffix(mark);
    inside('\'').or_else(|| inside('"')).unwrap_or(value)
}

/// A decimal with more digits than a calculation in binary floating-point numbers keeps, rounded.
fn without_noise(text: &str) -> Cow<'_, str> {
    let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    let is_decimal = text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    match text.parse::<f64>() {
        Ok(value) if is_decimal && digits >= 15 => {
            let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
            Cow::Owned(rounded.to_string())
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::{Grader, Problem, Verdict};
    use super::*;
    use crate::answers::Mode;
    use crate::tools::python::Interpreter;

    fn ran(ending: python::Ending, stdout: &str) -> Run {
        Run {
            ending,
            stdout: stdout.into(),
            stderr: String::new(),
            value: None,
            error: None,
            interpreter: Interpreter::Monty,
            elapsed: Duration::ZERO,
            limits: Vec::new(),
        }
    }

    #[test]
    fn the_last_python_block_is_the_program() {
        assert_eq!(program("```python\na\n```\nbetter:\n```py\nb\n```\n"), Some("b\n"));
        assert_eq!(program("```python\na\n```\nOutput:\n```\n3\n```"), Some("a\n"));
        assert_eq!(program("```\na\n```\n```text\nb\n```"), Some("a\n"));
        assert_eq!(program("so\n```python\nprint(1)"), Some("print(1)"));
        assert_eq!(program("  ```python\n  a\n  ```"), Some("  a\n"));
        for none in ["print(1)", "```json\n{}\n```", "```python\n\n```", ""] {
            assert_eq!(program(none), None, "{none}");
        }
    }

    #[test]
    fn results_that_are_left_behind_are_printed() {
        let end = |text| {
            let (program, rule) = prepared(text);
            (program.lines().last().unwrap().to_string(), rule)
        };
        assert_eq!(end("def solution():\n    return 3\n").0, "print(solution())");
        assert_eq!(end("def solution():\n    return 3\nprint(solution())").1, None);
        assert_eq!(end("answer = 3"), ("print(answer)".into(), Some("answer")));
        assert_eq!(end("answer = 3\nprint(answer)").1, None);
        assert_eq!(end("    answer = 3").1, None);
        assert_eq!(end("answer == 3").1, None);
    }

    #[test]
    fn noise_goes_and_digits_stay() {
        for (text, expected) in [
            ("109.99999999999999", "110"),
            ("0.30000000000000004", "0.3"),
            ("-2.6666666666666665", "-2.66666666667"),
            ("3.14", "3.14"),
            ("123456789012345678", "123456789012345678"),
            ("1.5 apples 123456789012345", "1.5 apples 123456789012345"),
            ("1/3", "1/3"),
        ] {
            assert_eq!(without_noise(text), expected);
        }
    }

    /// Every end has its name, its verdict, and its reason in the record; and none is judged by what was printed before it.
    #[test]
    fn every_end_is_told_apart() {
        let judged = |text: &str, run: Result<Run, Error>| {
            let run = Cell::new(Some(run));
            let mut record = Record::new(
                &Problem { reference: "3".into(), ..Problem::default() },
                String::new(),
                None,
                vec![Reply::complete(text)],
            );
            run_by(&mut record, |_| run.take().expect("one program"));
            Grader::new(Mode::Strict).grade_record(&mut record);
            let ended = record.replies[0].trajectory.as_ref().unwrap().ended.clone();
            (ended, record.grades[0].verdict, record.grades[0].reason.clone())
        };
        let block = "```python\nprint(3)\n```";
        use python::Ending::{Exception, Killed, Memory, OutputLimit, Refused, SyntaxError, Timeout};
        assert_eq!(judged(block, Ok(ran(python::Ending::Ok, "noise\n3\n\n"))).1, Verdict::Right);
        assert_eq!(judged(block, Ok(ran(python::Ending::Ok, "4\n"))).1, Verdict::Wrong);
        let value = Run { value: Some("'3'".into()), ..ran(python::Ending::Ok, "") };
        assert_eq!(judged(block, Ok(value)).1, Verdict::Right);
        assert_eq!(judged(block, Ok(ran(python::Ending::Ok, ""))).0, "no-result");
        assert_eq!(judged("3", Err(Error::Start("?".into()))).0, "no-program");
        for (ending, name) in [
            (Exception, "exception"),
            (SyntaxError, "syntax-error"),
            (Timeout, "timeout"),
            (Memory, "memory"),
            (OutputLimit, "output-limit"),
            (Killed, "killed"),
            (Refused, "refused-by-sandbox"),
        ] {
            let error = Some("Traceback\n  File 1\nZeroDivisionError: division by zero\n".into());
            let (ended, verdict, reason) = judged(block, Ok(Run { error, ..ran(ending, "3\n") }));
            assert_eq!((ended.as_str(), verdict), (name, Verdict::NoAnswer));
            assert_eq!(reason, format!("{name}: ZeroDivisionError: division by zero"));
        }
        let (ended, verdict, reason) = judged(block, Err(Error::Unavailable("no bubblewrap".into())));
        assert_eq!((ended.as_str(), verdict), (UNAVAILABLE, Verdict::Error));
        assert!(reason.contains("no bubblewrap"), "{reason}");
    }

    #[test]
    fn what_ran_is_not_run_again_and_what_could_not_is() {
        let runs = Cell::new(0);
        let replies = ["```\n1\n```", "```\n2\n```"].map(Reply::complete);
        let mut record = Record::new(&Problem::default(), String::new(), None, replies.to_vec());
        let execute = |available: bool| {
            let runs = &runs;
            move |program: &str| {
                runs.set(runs.get() + 1);
                match available || program.starts_with('1') {
                    true => Ok(ran(python::Ending::Ok, program)),
                    false => Err(Error::Unavailable("none".into())),
                }
            }
        };
        run_by(&mut record, execute(false));
        assert_eq!((runs.get(), record.replies[1].ending), (2, Ending::Failed));
        run_by(&mut record, execute(true));
        assert_eq!((runs.get(), record.replies[1].ending), (3, Ending::Complete));
        let answers: Vec<_> =
            record.replies.iter().map(|r| r.trajectory.as_ref().unwrap().answer.clone().unwrap()).collect();
        assert_eq!(answers, ["1", "2"]);
        run_by(&mut record, execute(true));
        assert_eq!(runs.get(), 3);
        // A reply that is not complete is not run.
        record.replies = vec![Reply { ending: Ending::Truncated, ..Reply::complete("```\n3\n```") }];
        run_by(&mut record, execute(true));
        assert_eq!((runs.get(), record.replies[0].trajectory.is_none()), (3, true));
    }
}
