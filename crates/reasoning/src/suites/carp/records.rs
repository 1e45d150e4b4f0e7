//! The records of CARP and what the paper counts in them.

use std::collections::{BTreeMap, BTreeSet};

/// A problem with its worked solution.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Record {
    /// The problem, expressions between dollar signs.
    pub content: String,
    /// The answer.
    pub answer: String,
    /// The worked solution.
    pub steps: String,
    /// Every expression in problem and solution.
    pub expr_cands: Vec<String>,
    /// The target expressions in the order of the solution; the last one is the answer.
    pub exprs: Vec<String>,
    /// How expressions follow from others.
    pub edges: Graph,
}

/// What of a record scores a solution: the target expressions, and what leads to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExpressionFlow {
    /// The target expressions in the order of the solution; the last one is the answer.
    pub targets: Vec<String>,
    /// How expressions follow from others.
    pub links: Vec<Link>,
}

impl Record {
    /// A record of a parsed line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn checked(value: serde_json::Value) -> Result<Record, String> {
        let record: Record = serde_json::from_value(value).map_err(|error| error.to_string())?;
        match record.edges.fault() {
            Some(fault) => Err(fault),
            None if record.exprs.is_empty() => Err("no target expressions".to_string()),
            None => Ok(record),
        }
    }

    /// What scores its solutions.
    pub fn flow(&self) -> ExpressionFlow {
        ExpressionFlow { targets: self.exprs.clone(), links: self.edges.links.clone() }
    }
}

/// A directed graph in node-link form.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Graph {
    nodes: Vec<Node>,
    /// The edges.
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, serde::Deserialize)]
struct Node {
    id: String,
}

/// An edge.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Link {
    /// The expression or description that is used.
    pub source: String,
    /// The expression that follows.
    pub target: String,
    /// How: one of 18 labels.
    pub rel: String,
}

impl Graph {
    /// The nodes: expressions and descriptions.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.id.as_str())
    }

    /// What is wrong with the graph, if something is.
    fn fault(&self) -> Option<String> {
        let nodes: BTreeSet<&str> = self.nodes().collect();
        for end in self.links.iter().flat_map(|link| [&link.source, &link.target]) {
            if !nodes.contains(end.as_str()) {
                return Some(format!("edge of a node that is not listed: `{end}`"));
            }
        }
        // Nodes without remaining predecessors are taken away until none is left, or a cycle is.
        let mut left = nodes;
        while !left.is_empty() {
            let held: BTreeSet<&str> = self
                .links
                .iter()
                .filter(|link| left.contains(link.source.as_str()))
                .map(|link| link.target.as_str())
                .collect();
            let rest: BTreeSet<&str> = left.intersection(&held).copied().collect();
            if rest.len() == left.len() {
                let node = rest.first().copied().unwrap_or_default();
                return Some(format!("a cycle through or before `{node}`"));
            }
            left = rest;
        }
        None
    }
}

/// A record that is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct BadRecord {
    /// The line, from one.
    pub line: usize,
    /// What is wrong with it.
    pub fault: String,
}

/// Read a file of records, one JSON object a line: those that are sound, and what is wrong with the others.
pub fn read_records(text: &str) -> (Vec<Record>, Vec<BadRecord>) {
    let mut records = Vec::new();
    let mut bad = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let checked = serde_json::from_str(line).map_err(|error| error.to_string()).and_then(Record::checked);
        match checked {
            Ok(record) => records.push(record),
            Err(fault) => bad.push(BadRecord { line: index + 1, fault }),
        }
    }
    (records, bad)
}

/// Means and maxima over records.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Nodes of the graph: mean and maximum.
    pub nodes: (f64, usize),
    /// Edges.
    pub edges: (f64, usize),
    /// Target expressions.
    pub targets: (f64, usize),
    /// Expressions of problem and solution.
    pub candidates: (f64, usize),
    /// How often each label occurs.
    pub labels: BTreeMap<String, usize>,
}

impl Statistics {
    /// Of these records; means of nothing are zero.
    pub fn of(records: &[Record]) -> Self {
        let over = |count: &dyn Fn(&Record) -> usize| {
            let counts: Vec<usize> = records.iter().map(count).collect();
            let mean = counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64;
            (mean, counts.into_iter().max().unwrap_or(0))
        };
        let mut labels = BTreeMap::new();
        for link in records.iter().flat_map(|record| &record.edges.links) {
            *labels.entry(link.rel.clone()).or_insert(0) += 1;
        }
        Statistics {
            nodes: over(&|record| record.edges.nodes.len()),
            edges: over(&|record| record.edges.links.len()),
            targets: over(&|record| record.exprs.len()),
            candidates: over(&|record| record.expr_cands.len()),
            labels,
        }
    }
}
