//! The `mathesis` binary: argument parsing, progress, tables and reports around the library crates.

fn main() {}
