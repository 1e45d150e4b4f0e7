//! Names of unknowns, coordinates and parameters.

use std::fmt;
use std::sync::Arc;

/// A name that stands for a real number: `x`, `u_xx`, `α`. Cheap to clone; equal names are equal symbols.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(Arc<str>);

impl Symbol {
    /// The symbol of this name.
    ///
    /// Any text is accepted, but only names that the notation can spell (a letter, then letters, digits and
    /// underscores, other than a constant's or a function's name) survive printing and parsing.
    pub fn new(name: &str) -> Self {
        Symbol(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
