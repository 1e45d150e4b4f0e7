//! Published tool calls against the tools here: the same error, or outputs that mean the same.
//!
//! Expressions agree if their difference is zero, relations if one is a multiple of the other (of the same direction), lists
//! as sets, systems as sets of assignments. The text may differ: the order of terms is a printer's choice.

use std::collections::BTreeMap;
use std::time::Duration;

use mathesis_symbolic::formula::{Budget, Formula};

use crate::answers::carp::{is_same, read};
use crate::tools::algebra::{Argument, Output, ToolError, call};

/// A published call.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct ToolCall {
    /// Its name.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// The arguments.
    pub args: Vec<Argument>,
    /// The published output, if there is no error.
    pub output: Option<Output>,
    /// The published error text.
    pub error: Option<String>,
}

/// How the outcome of a call compares with the published one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// Both refuse.
    SameError,
    /// The same text.
    SameText,
    /// Another text with the same meaning.
    SameMeaning,
    /// The published call has an output, this one an error.
    Refused,
    /// The published call has an error, this one an output.
    Answered,
    /// Both have outputs that mean different things.
    Different,
}

impl Agreement {
    /// Whether the outcomes agree.
    pub fn is_agreed(self) -> bool {
        matches!(self, Agreement::SameError | Agreement::SameText | Agreement::SameMeaning)
    }
}

impl ToolCall {
    /// Make the call here.
    ///
    /// # Errors
    /// What the tool answers instead of an output.
    pub fn replay(&self) -> Result<Output, ToolError> {
        call(&self.tool, &self.args)
    }

    /// Compare an outcome with the published one.
    pub fn compare(&self, outcome: &Result<Output, ToolError>) -> Agreement {
        match (&self.output, outcome) {
            (None, Err(_)) => Agreement::SameError,
            (None, Ok(_)) => Agreement::Answered,
            (Some(_), Err(_)) => Agreement::Refused,
            (Some(published), Ok(output)) if published == output => Agreement::SameText,
            (Some(published), Ok(output)) => {
                if is_same_output(published, output) {
                    Agreement::SameMeaning
                } else {
                    Agreement::Different
                }
            }
        }
    }
}

fn is_same_output(published: &Output, output: &Output) -> bool {
    match (published, output) {
        (Output::Text(a), Output::Text(b)) => is_same_text(a, b),
        (Output::Map(a), Output::Map(b)) => {
            if a.len() == 1 || b.len() == 1 {
                return a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && is_same_set(a.1, b.1));
            }
            let (a, b) = (rows(a), rows(b));
            let is_covered = |a: &[Vec<String>], b: &[Vec<String>]| {
                a.iter().all(|row| {
                    b.iter().any(|other| {
                        row.len() == other.len() && row.iter().zip(other).all(|(a, b)| is_same_text(a, b))
                    })
                })
            };
            is_covered(&a, &b) && is_covered(&b, &a)
        }
        (Output::Map(_), _) | (_, Output::Map(_)) => false,
        (a, b) => is_same_set(&as_list(a), &as_list(b)),
    }
}

fn as_list(output: &Output) -> Vec<String> {
    match output {
        Output::Text(text) => vec![text.clone()],
        Output::List(texts) => texts.clone(),
        Output::Map(map) => map.values().flatten().cloned().collect(),
    }
}

/// The solutions of a system, one after the other.
fn rows(map: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    let count = map.values().map(Vec::len).max().unwrap_or(0);
    (0..count).map(|k| map.values().filter_map(|values| values.get(k).cloned()).collect()).collect()
}

fn is_same_set(a: &[String], b: &[String]) -> bool {
    let is_covered = |a: &[String], b: &[String]| a.iter().all(|a| b.iter().any(|b| is_same_text(a, b)));
    is_covered(a, b) && is_covered(b, a)
}

/// Whether two outputs mean the same.
fn is_same_text(a: &str, b: &str) -> bool {
    if a.replace(' ', "") == b.replace(' ', "") {
        return true;
    }
    let (Some(a), Some(b)) = (read(a), read(b)) else { return false };
    match (&a, &b) {
        (Formula::Chain(..), Formula::Chain(..)) => is_same_relation(&a, &b),
        (Formula::Chain(..), _) | (_, Formula::Chain(..)) => false,
        _ => is_same(&a, &b),
    }
}

/// Whether one relation is the other times a number.
fn is_same_relation(a: &Formula, b: &Formula) -> bool {
    let parts = |formula: &Formula| match formula {
        Formula::Chain(sides, relations) => match (sides.as_slice(), relations.as_slice()) {
            ([left, right], [relation]) => Some((left.to_expr()?, right.to_expr()?, *relation)),
            _ => None,
        },
        _ => None,
    };
    if let (Formula::Chain(a, r), Formula::Chain(b, s)) = (a, b)
        && r == s
        && a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| is_same(a, b))
    {
        return true;
    }
    let (Some((a, b, relation)), Some((c, d, other))) = (parts(a), parts(b)) else { return false };
    let budget = Budget::new(Duration::from_millis(200));
    let ratio = ((a - b) / (c - d)).simplify(&budget);
    let Some(sign) = ratio.and_then(|ratio| ratio.sign_of_constant(&budget)) else { return false };
    sign != 0 && relation == other.times_sign(sign)
}
