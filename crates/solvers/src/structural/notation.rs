//! Reading mixed graphs: a notation of arrows, and a subset of Graphviz' DOT.
//!
//! ```text
//! 1 -> 2 -> 3; 2 <-> 3      # edges and chains, separated by commas, semicolons or line ends
//! x <- y, "blood pressure"  # names other than letters, digits, `_` and `.` in quotes; a name alone is a vertex
//! ```
//!
//! Of DOT: one `digraph` with node statements, edge chains and attributes; `[dir=both]`, on an edge or as `edge [dir=both]`
//! for those that follow, makes edges bidirected, `[dir=back]` turns them round. Subgraphs and ports are refused.

use std::ops::Range;

use super::graph::{GraphError, LARGEST_GRAPH, MixedGraph};
use crate::statement::{StatementError, nearest};

/// The vertices that a problem declares.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(untagged)]
pub enum Vertices {
    /// The numbers from one to this.
    Count(usize),
    /// These names.
    Names(Vec<String>),
}

impl MixedGraph {
    /// The graph that a text in the notation of arrows states. Without declared vertices there are those that the edges name:
    /// in the order of their first occurrence, or, if all are numbers, all from one to the largest.
    ///
    /// # Errors
    /// With the place in the text and what should stand there.
    pub fn parse(text: &str, vertices: Option<&Vertices>) -> Result<Self, StatementError> {
        let tokens = tokens(text, false)?;
        let mut draft = Draft::default();
        let mut position = 0;
        while position < tokens.len() {
            if tokens[position].kind == Kind::Separator {
                position += 1;
                continue;
            }
            let mut left = name_at(&tokens, position, text, "a vertex")?;
            draft.mention(left.clone());
            position += 1;
            while let Some(Token { kind: Kind::Arrow(arrow), .. }) = tokens.get(position) {
                let right = name_at(&tokens, position + 1, text, "the edge's second vertex")?;
                draft.mention(right.clone());
                draft.edge(left, right.clone(), *arrow);
                left = right;
                position += 2;
            }
            match tokens.get(position) {
                None | Some(Token { kind: Kind::Separator, .. }) => {}
                Some(token) => {
                    return Err(StatementError::new(
                        format!("`{}` behind a vertex", &text[token.span.clone()]),
                        token.span.clone(),
                    )
                    .expected("`->`, `<-`, `<->`, or a comma, semicolon or new line"));
                }
            }
        }
        draft.graph(vertices, text)
    }

    /// The graph that a DOT file states.
    ///
    /// # Errors
    /// With the place in the text and what should stand there; also for the parts of DOT that are not read.
    pub fn parse_dot(text: &str, vertices: Option<&Vertices>) -> Result<Self, StatementError> {
        let tokens = tokens(text, true)?;
        let word = |k: usize| tokens.get(k).map(|token| token.text(text));
        let mut position = 0;
        if word(position).as_deref() == Some("strict") {
            position += 1;
        }
        expect(&tokens, position, text, "digraph")?;
        position += 1;
        if tokens.get(position).is_some_and(|token| token.kind == Kind::Name) {
            position += 1;
        }
        expect(&tokens, position, text, "{")?;
        position += 1;
        let mut draft = Draft::default();
        let mut usual = Direction::Forward;
        loop {
            let Some(token) = tokens.get(position) else {
                return Err(
                    StatementError::new("the graph does not end", text.len()..text.len()).expected("`}`")
                );
            };
            match token.text(text).as_str() {
                "}" if token.kind == Kind::Symbol => break,
                ";" | "," if token.kind == Kind::Separator => position += 1,
                "subgraph" | "{" => {
                    return Err(StatementError::new("subgraphs are not read", token.span.clone())
                        .expected("nodes, edges and attributes in one digraph"));
                }
                "graph" | "node" | "edge" if word(position + 1).as_deref() == Some("[") => {
                    let of_edges = token.text(text) == "edge";
                    let found;
                    (found, position) = attributes(&tokens, position + 1, text, usual)?;
                    if of_edges {
                        usual = found;
                    }
                }
                _ if word(position + 1).as_deref() == Some("=") => {
                    name_at(&tokens, position + 2, text, "a value")?;
                    position += 3;
                }
                _ => position = edge_statement(&tokens, position, text, usual, &mut draft)?,
            }
        }
        if let Some(token) = tokens.get(position + 1) {
            return Err(StatementError::new("something stands behind the graph", token.span.clone())
                .expected("one digraph"));
        }
        draft.graph(vertices, text)
    }
}

/// A name as the notation of arrows spells it.
pub(super) fn quoted(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(is_part_of_name);
    if plain { name.to_string() } else { format!("\"{name}\"") }
}

fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Forward,
    Back,
    Both,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Name,
    Arrow(Direction),
    Separator,
    Symbol,
}

struct Token {
    kind: Kind,
    span: Range<usize>,
}

impl Token {
    fn text(&self, text: &str) -> String {
        let raw = &text[self.span.clone()];
        if self.kind == Kind::Name { raw.trim_matches('"').to_string() } else { raw.to_string() }
    }
}

fn tokens(text: &str, dot: bool) -> Result<Vec<Token>, StatementError> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(c) = text[start..].chars().next() {
        let rest = &text[start..];
        let comment = |length: Option<usize>| length.unwrap_or(rest.len());
        let (kind, length) = if rest.starts_with("/*") && dot {
            (None, comment(rest.find("*/").map(|end| end + 2)))
        } else if c == '#' || (dot && rest.starts_with("//")) {
            (None, comment(rest.find('\n')))
        } else if rest.starts_with("<->") && !dot {
            (Some(Kind::Arrow(Direction::Both)), 3)
        } else if rest.starts_with("->") {
            (Some(Kind::Arrow(Direction::Forward)), 2)
        } else if rest.starts_with("<-") && !dot {
            (Some(Kind::Arrow(Direction::Back)), 2)
        } else if c == '"' {
            let Some(end) = rest[1..].find('"') else {
                return Err(
                    StatementError::new("a name in quotes does not end", start..text.len()).expected("`\"`")
                );
            };
            (Some(Kind::Name), end + 2)
        } else if is_part_of_name(c) {
            let end = rest.find(|c| !is_part_of_name(c)).unwrap_or(rest.len());
            (Some(Kind::Name), end)
        } else if c == ',' || c == ';' || (c == '\n' && !dot) {
            (Some(Kind::Separator), 1)
        } else if c.is_whitespace() {
            (None, c.len_utf8())
        } else if dot && "{}[]=".contains(c) {
            (Some(Kind::Symbol), 1)
        } else {
            let place = start..start + c.len_utf8();
            let expected = if dot {
                "nodes, `->` and attributes in a digraph"
            } else {
                "names, `->`, `<-`, `<->`, commas and semicolons"
            };
            return Err(
                StatementError::new(format!("`{c}` is not part of a graph"), place).expected(expected)
            );
        };
        if let Some(kind) = kind {
            tokens.push(Token { kind, span: start..start + length });
        }
        start += length;
    }
    Ok(tokens)
}

type Name = (String, Range<usize>);

fn name_at(tokens: &[Token], position: usize, text: &str, expected: &str) -> Result<Name, StatementError> {
    match tokens.get(position) {
        Some(token) if token.kind == Kind::Name => Ok((token.text(text), token.span.clone())),
        Some(token) => Err(StatementError::new(
            format!("`{}` where a name should be", text[token.span.clone()].escape_debug()),
            token.span.clone(),
        )
        .expected(expected)),
        None => {
            Err(StatementError::new("the graph ends too early", text.len()..text.len()).expected(expected))
        }
    }
}

fn expect(tokens: &[Token], position: usize, text: &str, word: &str) -> Result<(), StatementError> {
    match tokens.get(position) {
        Some(token) if token.text(text) == word => Ok(()),
        found => {
            let span = found.map_or(text.len()..text.len(), |token| token.span.clone());
            let message =
                found.map_or("the file ends too early".to_string(), |t| format!("`{}`", t.text(text)));
            Err(StatementError::new(message, span)
                .expected(format!("`{word}`"))
                .help("a DOT file is `digraph { a -> b; b -> c [dir=both] }`"))
        }
    }
}

/// A node, or a chain of edges, with its attributes; returns the position behind it.
fn edge_statement(
    tokens: &[Token],
    start: usize,
    text: &str,
    usual: Direction,
    draft: &mut Draft,
) -> Result<usize, StatementError> {
    let mut chain = vec![name_at(tokens, start, text, "a node")?];
    let mut position = start + 1;
    while matches!(tokens.get(position), Some(Token { kind: Kind::Arrow(_), .. })) {
        chain.push(name_at(tokens, position + 1, text, "the edge's second node")?);
        position += 2;
    }
    let mut direction = usual;
    while tokens.get(position).is_some_and(|token| &text[token.span.clone()] == "[") {
        (direction, position) = attributes(tokens, position, text, direction)?;
    }
    chain.iter().for_each(|name| draft.mention(name.clone()));
    for pair in chain.windows(2) {
        draft.edge(pair[0].clone(), pair[1].clone(), direction);
    }
    Ok(position)
}

/// `[key=value, ...]` from its bracket on; returns the direction that it leaves and the position behind it.
fn attributes(
    tokens: &[Token],
    start: usize,
    text: &str,
    usual: Direction,
) -> Result<(Direction, usize), StatementError> {
    let mut direction = usual;
    let mut position = start + 1;
    loop {
        match tokens.get(position) {
            Some(token) if &text[token.span.clone()] == "]" => return Ok((direction, position + 1)),
            Some(token) if token.kind == Kind::Separator => position += 1,
            _ => {
                let (key, _) = name_at(tokens, position, text, "an attribute or `]`")?;
                expect(tokens, position + 1, text, "=")?;
                let (value, place) = name_at(tokens, position + 2, text, "the attribute's value")?;
                if key == "dir" {
                    direction = match value.as_str() {
                        "forward" => Direction::Forward,
                        "back" => Direction::Back,
                        "both" => Direction::Both,
                        _ => {
                            return Err(StatementError::new(
                                format!("`dir={value}` is no kind of edge"),
                                place,
                            )
                            .expected("`forward`, `back` or `both`")
                            .suggest(nearest(&value, ["forward", "back", "both"])));
                        }
                    };
                }
                position += 3;
            }
        }
    }
}

/// What a text mentions, before its names are looked up.
#[derive(Default)]
struct Draft {
    names: Vec<Name>,
    edges: Vec<(Name, Name, Direction)>,
}

impl Draft {
    fn mention(&mut self, name: Name) {
        if !self.names.iter().any(|(known, _)| *known == name.0) {
            self.names.push(name);
        }
    }

    fn edge(&mut self, left: Name, right: Name, direction: Direction) {
        self.edges.push(match direction {
            Direction::Back => (right, left, Direction::Forward),
            _ => (left, right, direction),
        });
    }

    fn graph(self, vertices: Option<&Vertices>, text: &str) -> Result<MixedGraph, StatementError> {
        let whole = 0..text.len();
        let place = |error: GraphError, span: Range<usize>| StatementError::new(error.to_string(), span);
        let numbers = |count: usize| {
            let in_range = (1..=LARGEST_GRAPH).contains(&count);
            in_range
                .then(|| (1..=count).map(|k| k.to_string()).collect::<Vec<String>>())
                .ok_or_else(|| place(GraphError::Size(count), whole.clone()))
        };
        let names = match vertices {
            Some(Vertices::Count(count)) => numbers(*count)?,
            Some(Vertices::Names(names)) => names.clone(),
            None => {
                let as_numbers: Option<Vec<usize>> =
                    self.names.iter().map(|(name, _)| name.parse().ok().filter(|n| *n > 0)).collect();
                match as_numbers.as_deref() {
                    Some([]) | None => self.names.iter().map(|(name, _)| name.clone()).collect(),
                    Some(values) => numbers(values.iter().copied().max().unwrap_or(0))?,
                }
            }
        };
        let index = |(name, span): &Name| {
            names.iter().position(|known| known == name).ok_or_else(|| {
                StatementError::new(format!("there is no vertex `{name}`"), span.clone())
                    .expected(format!("one of {}", names.join(", ")))
                    .suggest(nearest(name, names.iter().map(String::as_str)))
            })
        };
        for name in &self.names {
            index(name)?;
        }
        let (mut directed, mut bidirected) = (Vec::new(), Vec::new());
        for (left, right, direction) in &self.edges {
            let edge = (index(left)?, index(right)?);
            let kind = if *direction == Direction::Both { &mut bidirected } else { &mut directed };
            kind.push(edge);
            // With each edge, so that the complaint has its place.
            let span = left.1.start.min(right.1.start)..left.1.end.max(right.1.end);
            MixedGraph::new(names.clone(), directed.iter().copied(), bidirected.iter().copied())
                .map_err(|error| place(error, span))?;
        }
        MixedGraph::new(names.clone(), directed, bidirected).map_err(|error| place(error, whole))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> MixedGraph {
        MixedGraph::parse(text, None).unwrap()
    }

    #[test]
    fn edges_chains_and_names() {
        let graph = parse("1 -> 2 -> 3; 2 <-> 3 # a bow\n 5 <- 3,");
        assert_eq!(graph, MixedGraph::numbered(5, &[(1, 2), (2, 3), (3, 5)], &[(2, 3)]).unwrap());
        let named = parse("smoking -> \"blood pressure\"\n age");
        assert_eq!(named.names(), ["smoking", "blood pressure", "age"]);
        assert_eq!(parse(&named.edges_text()), named);
        let declared = MixedGraph::parse("b -> a", Some(&Vertices::Names(vec!["a".into(), "b".into()])));
        assert_eq!(declared.unwrap().directed(), [(1, 0)]);
    }

    #[test]
    fn complaints_have_places() {
        let error = |text: &str| {
            let error = MixedGraph::parse(text, Some(&Vertices::Count(3))).unwrap_err();
            (error.message.clone(), text[error.span].to_string())
        };
        assert_eq!(error("1 -> 2, 2 -> 4"), ("there is no vertex `4`".into(), "4".into()));
        assert_eq!(error("1 -> 2, 3 -> 3").1, "3 -> 3");
        assert_eq!(error("1 -> 2; 2->3, 1 -> 2").1, "1 -> 2");
        assert_eq!(error("1 -> ").1, "");
        assert_eq!(error("1 2"), ("`2` behind a vertex".into(), "2".into()));
        assert_eq!(error("1 - 2").1, "-");
        assert_eq!(error("1 -> \"2").1, "\"2");
        assert!(MixedGraph::parse("", None).is_err());
        assert!(MixedGraph::parse("1 -> 99999999999", None).is_err());
    }

    #[test]
    fn dot_files() {
        let text = "digraph g { // a comment\n node [shape=circle]; a -> b -> c; edge [dir=both] b -> c;\n \
                    d -> a [dir=back, color=\"red\"]; rankdir=LR; e /* alone */ }";
        let graph = MixedGraph::parse_dot(text, None).unwrap();
        assert_eq!(graph.names(), ["a", "b", "c", "d", "e"]);
        assert_eq!(graph.directed(), [(0, 1), (1, 2), (0, 3)]);
        assert_eq!(graph.bidirected(), [(1, 2)]);
        for bad in [
            "graph { a -- b }",
            "digraph { subgraph x { a } }",
            "digraph { a -> b",
            "digraph { a [dir=none] }",
            "digraph { a -> }",
            "digraph { a } b",
            "",
            "digraph { a:n -> b }",
        ] {
            assert!(MixedGraph::parse_dot(bad, None).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-<>12ab,;\"\n {}=\\[\\]#/*é]{0,40}") {
            for read in [MixedGraph::parse(&text, None), MixedGraph::parse_dot(&format!("digraph {text}"), None)] {
                if let Err(error) = read {
                    prop_assert!(error.span.start <= error.span.end);
                }
            }
        }
    }
}
