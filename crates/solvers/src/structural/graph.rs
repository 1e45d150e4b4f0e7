//! Mixed graphs: directed edges for effects, bidirected edges for correlated errors.

use serde::Serialize;

/// The largest number of vertices: sets of vertices are kept in the bits of a word.
pub const LARGEST_GRAPH: usize = 64;

/// A mixed graph: vertices with names, directed edges `tail -> head` and bidirected edges `a <-> b`.
///
/// Directed cycles are allowed, `a -> b` together with `b -> a` included; loops and repeated edges are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MixedGraph {
    names: Vec<String>,
    directed: Vec<(usize, usize)>,
    bidirected: Vec<(usize, usize)>,
}

/// Why something is no mixed graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An edge from a vertex to itself.
    #[error("the edge `{0}` joins a vertex to itself; a vertex' own variance is always part of the model")]
    Loop(String),
    /// An edge that is stated twice.
    #[error("the edge `{0}` is there twice")]
    Duplicate(String),
    /// An edge with a vertex that the graph does not have.
    #[error("the edge `{edge}` has the vertex `{vertex}`, which is not among the vertices {vertices}")]
    UnknownVertex {
        /// The edge as written.
        edge: String,
        /// The vertex.
        vertex: String,
        /// Those that there are.
        vertices: String,
    },
    /// Two vertices of one name.
    #[error("two vertices have the name `{0}`")]
    DuplicateVertex(String),
    /// No vertices, or more than [`LARGEST_GRAPH`].
    #[error("a graph has 1 to {LARGEST_GRAPH} vertices, this one has {0}")]
    Size(usize),
}

impl MixedGraph {
    /// A graph from its vertices' names and edges between vertex indices; `(tail, head)` for directed ones.
    ///
    /// # Errors
    /// [`GraphError`] names the edge or the vertex that is wrong.
    pub fn new(
        names: Vec<String>,
        directed: impl IntoIterator<Item = (usize, usize)>,
        bidirected: impl IntoIterator<Item = (usize, usize)>,
    ) -> Result<Self, GraphError> {
        if names.is_empty() || names.len() > LARGEST_GRAPH {
            return Err(GraphError::Size(names.len()));
        }
        if let Some(k) = (1..names.len()).find(|k| names[..*k].contains(&names[*k])) {
            return Err(GraphError::DuplicateVertex(names[k].clone()));
        }
        let mut graph = MixedGraph { names, directed: Vec::new(), bidirected: Vec::new() };
        for (tail, head) in directed {
            graph.check(tail, head, "->")?;
            if graph.directed.contains(&(tail, head)) {
                return Err(GraphError::Duplicate(graph.edge_text(tail, head, "->")));
            }
            graph.directed.push((tail, head));
        }
        for (a, b) in bidirected {
            graph.check(a, b, "<->")?;
            let edge = (a.min(b), a.max(b));
            if graph.bidirected.contains(&edge) {
                return Err(GraphError::Duplicate(graph.edge_text(a, b, "<->")));
            }
            graph.bidirected.push(edge);
        }
        Ok(graph)
    }

    /// A graph on the vertices 1 to `count`, with edges between these numbers.
    ///
    /// # Errors
    /// As [`MixedGraph::new`].
    pub fn numbered(
        count: usize,
        directed: &[(usize, usize)],
        bidirected: &[(usize, usize)],
    ) -> Result<Self, GraphError> {
        let names: Vec<String> = (1..=count).map(|k| k.to_string()).collect();
        // Number zero becomes an index beyond all others, and so an unknown vertex.
        let shift = |(a, b): &(usize, usize)| (a.wrapping_sub(1), b.wrapping_sub(1));
        Self::new(names, directed.iter().map(shift), bidirected.iter().map(shift))
    }

    fn check(&self, a: usize, b: usize, arrow: &str) -> Result<(), GraphError> {
        if let Some(unknown) = [a, b].into_iter().find(|v| *v >= self.len()) {
            return Err(GraphError::UnknownVertex {
                edge: self.edge_text(a, b, arrow),
                vertex: self.vertex_text(unknown),
                vertices: self.names.join(", "),
            });
        }
        if a == b { Err(GraphError::Loop(self.edge_text(a, b, arrow))) } else { Ok(()) }
    }

    fn vertex_text(&self, vertex: usize) -> String {
        self.names.get(vertex).cloned().unwrap_or_else(|| vertex.wrapping_add(1).to_string())
    }

    fn edge_text(&self, a: usize, b: usize, arrow: &str) -> String {
        format!("{} {arrow} {}", self.vertex_text(a), self.vertex_text(b))
    }

    /// The number of vertices.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: a graph has a vertex.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The vertices' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The directed edges as `(tail, head)`.
    pub fn directed(&self) -> &[(usize, usize)] {
        &self.directed
    }

    /// The bidirected edges, the lower index first.
    pub fn bidirected(&self) -> &[(usize, usize)] {
        &self.bidirected
    }

    /// The number of free parameters: one variance for each vertex and one number for each edge.
    pub fn parameter_count(&self) -> usize {
        self.len() + self.directed.len() + self.bidirected.len()
    }

    /// Whether any two vertices are joined by at most one edge of any kind.
    pub fn is_simple(&self) -> bool {
        let pairs = |edges: &[(usize, usize)]| {
            edges.iter().map(|(a, b)| (*a.min(b), *a.max(b))).collect::<Vec<(usize, usize)>>()
        };
        let mut all = pairs(&self.directed);
        all.extend(pairs(&self.bidirected));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        all.len() == count
    }

    /// Whether no directed path leads back to its start.
    pub fn is_acyclic(&self) -> bool {
        // Sources are taken away until none is left.
        let mut left: u64 = if self.len() == 64 { u64::MAX } else { (1 << self.len()) - 1 };
        loop {
            let heads = self
                .directed
                .iter()
                .filter(|(tail, head)| left >> tail & 1 == 1 && left >> head & 1 == 1)
                .fold(0, |heads, (_, head)| heads | 1 << head);
            if heads == left {
                return left == 0;
            }
            left = heads;
        }
    }

    /// The edges in the notation that [`MixedGraph::parse`] reads, vertices without edges included.
    pub fn edges_text(&self) -> String {
        let quoted = |v: usize| super::notation::quoted(&self.names[v]);
        let directed = self.directed.iter().map(|(a, b)| format!("{} -> {}", quoted(*a), quoted(*b)));
        let bidirected = self.bidirected.iter().map(|(a, b)| format!("{} <-> {}", quoted(*a), quoted(*b)));
        let touched = |v: &usize| self.directed.iter().chain(&self.bidirected).any(|(a, b)| a == v || b == v);
        let alone = (0..self.len()).filter(|v| !touched(v)).map(quoted);
        directed.chain(bidirected).chain(alone).collect::<Vec<String>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let error = |n, d: &[(usize, usize)], b: &[(usize, usize)]| {
            MixedGraph::numbered(n, d, b).unwrap_err().to_string()
        };
        assert!(error(3, &[(1, 2), (2, 2)], &[]).contains("`2 -> 2`"));
        assert!(error(3, &[(1, 2), (1, 2)], &[]).contains("`1 -> 2` is there twice"));
        assert!(error(3, &[], &[(1, 2), (2, 1)]).contains("`2 <-> 1` is there twice"));
        assert!(error(3, &[(1, 4)], &[]).contains("vertex `4`"));
        assert!(error(3, &[(0, 1)], &[]).contains("vertex `0`"));
        assert!(error(0, &[], &[]).contains("has 0"));
        assert!(error(65, &[], &[]).contains("has 65"));
        let twins = MixedGraph::new(vec!["a".into(), "a".into()], [], []);
        assert_eq!(twins, Err(GraphError::DuplicateVertex("a".into())));
    }

    #[test]
    fn kinds_of_graphs() {
        let graph = |d: &[(usize, usize)], b: &[(usize, usize)]| MixedGraph::numbered(3, d, b).unwrap();
        assert!(graph(&[(1, 2), (2, 3), (1, 3)], &[]).is_acyclic());
        assert!(!graph(&[(1, 2), (2, 3), (3, 1)], &[]).is_acyclic());
        assert!(graph(&[(1, 2), (2, 3), (3, 1)], &[]).is_simple());
        assert!(!graph(&[(1, 2), (2, 1)], &[]).is_simple());
        assert!(!graph(&[(1, 2)], &[(1, 2)]).is_simple());
        assert_eq!(graph(&[(1, 2)], &[(2, 3)]).parameter_count(), 5);
        assert!(MixedGraph::numbered(64, &[(1, 64)], &[]).unwrap().is_acyclic());
        assert!(!MixedGraph::numbered(64, &[(1, 64), (64, 1)], &[]).unwrap().is_acyclic());
    }
}
