//! Which interpreter a program needs, from its text. A wrong "python3" costs milliseconds and a wrong "monty" may
//! change what a program does, so every doubt goes to python3.

/// Modules that `monty` has, with the functions that short mathematical programs use.
const MODULES: [&str; 7] = ["math", "itertools", "functools", "collections", "re", "json", "typing"];

/// Words that monty does not have, or has with another meaning.
const WORDS: [&str; 15] = [
    "open",
    "input",
    "eval",
    "exec",
    "compile",
    "__import__",
    "globals",
    "locals",
    "vars",
    "dir",
    "id",
    "breakpoint",
    "class",
    "yield",
    "async",
];

/// Whether `program` imports and names only what `monty` is known to have.
///
/// A program that catches every exception would also catch the one by which monty says that it lacks something; it
/// goes to python3 as well.
pub(super) fn only_monty(program: &str) -> bool {
    let catches_everything = |line: &str| {
        line.strip_prefix("except").is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.starts_with([':', '(', '*'])
                || rest.starts_with("Exception")
                || rest.starts_with("BaseException")
        })
    };
    program.split(['\n', ';']).map(str::trim).all(|line| imports_known(line) && !catches_everything(line))
        && !words(program).any(|word| WORDS.contains(&word))
}

fn imports_known(line: &str) -> bool {
    let known = |module: &str| MODULES.contains(&module.trim());
    // `if x: import y` is one line too.
    let statement = line.rsplit_once(": ").map_or(line, |(_, rest)| rest.trim());
    [line, statement].iter().all(|line| match line.split_once(char::is_whitespace) {
        Some(("import", modules)) => {
            modules.split(',').all(|part| known(part.split_whitespace().next().unwrap_or_default()))
        }
        Some(("from", rest)) => known(rest.split_whitespace().next().unwrap_or_default()),
        _ => true,
    })
}

fn words(program: &str) -> impl Iterator<Item = &str> {
    program.split(|character: char| !character.is_alphanumeric() && character != '_')
}

/// Whether an exception of monty is the one that python3 would raise. Others may say that monty lacks something: its
/// `math.factorial(21)`, for one, raises OverflowError.
pub(super) fn is_final(exception: &str) -> bool {
    ["ZeroDivisionError", "KeyError", "IndexError", "AssertionError"].contains(&exception)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_decide() {
        assert!(only_monty("print(2 + 2)"));
        assert!(only_monty("import math\nfrom itertools import product\nprint(math.sqrt(4))"));
        assert!(only_monty("import math, re as r"));
        assert!(!only_monty("import numpy as np"));
        assert!(!only_monty("import math, sympy"));
        assert!(!only_monty("from sympy import *"));
        assert!(!only_monty("x = 1; import os"));
        assert!(!only_monty("if True: import os"));
        assert!(!only_monty("def f():\n    from fractions import Fraction"));
        assert!(!only_monty("from . import x"));
    }

    #[test]
    fn words_decide() {
        assert!(!only_monty("open('/etc/passwd')"));
        assert!(!only_monty("class A(B): pass"));
        assert!(!only_monty("try:\n    x\nexcept:\n    pass"));
        assert!(!only_monty("try:\n    x\nexcept Exception as error:\n    pass"));
        assert!(only_monty("try:\n    x\nexcept ZeroDivisionError:\n    pass"));
        assert!(only_monty("opened = 3"));
    }
}
