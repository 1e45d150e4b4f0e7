//! Problem files: a structural model and what is asked of it, stated in TOML.
//!
//! ```toml
//! title = "Feedback"                       # optional
//!
//! [structural-model]
//! graph = "1 -> 2 -> 3 -> 1, 1 <-> 4"      # or file = "graph.dot" (or another file with arrows)
//! vertices = 4                             # optional: numbers from one, or a list of names
//!
//! [method]
//! name = "vanishing-ideal"                 # covariance, finite-to-one, test-fit, simulate; see super::options
//! degree = 3
//! ```

use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fit::SampleCovariance;
use super::graph::MixedGraph;
use super::notation::Vertices;
use super::one_connection::Parameters;
use super::{StructuralError, options};
use crate::statement::{
    Located, MethodPlaces, MethodTable, StatementError, document, entries, nearest, one_of, only_keys, table,
};

/// A method with its options: the `[method]` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum MethodChoice {
    /// The constraints up to a degree.
    VanishingIdeal(options::VanishingIdeal),
    /// The covariances as rational functions.
    Covariance(options::Covariance),
    /// The dimension.
    FiniteToOne(options::FiniteToOne),
    /// Do data obey the constraints.
    TestFit(options::TestFit),
    /// Data from the model.
    Simulate(options::Simulate),
}

impl MethodChoice {
    /// The names under which methods are asked for.
    pub const NAMES: &[&str] = &["covariance", "finite-to-one", "simulate", "test-fit", "vanishing-ideal"];

    /// The name under which it is asked for.
    pub fn name(&self) -> &'static str {
        match self {
            MethodChoice::VanishingIdeal(_) => "vanishing-ideal",
            MethodChoice::Covariance(_) => "covariance",
            MethodChoice::FiniteToOne(_) => "finite-to-one",
            MethodChoice::TestFit(_) => "test-fit",
            MethodChoice::Simulate(_) => "simulate",
        }
    }

    fn read(table: &MethodTable<'_>) -> Result<Self, StatementError> {
        Ok(match table.name.as_str() {
            "covariance" => MethodChoice::Covariance(table.options()?),
            "finite-to-one" => MethodChoice::FiniteToOne(table.options()?),
            "test-fit" => MethodChoice::TestFit(table.options()?),
            "simulate" => MethodChoice::Simulate(table.options()?),
            _ => MethodChoice::VanishingIdeal(table.options()?),
        })
    }
}

/// A problem file, read and checked, with the files that it names.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The title, if the file gives one.
    pub title: Option<String>,
    /// The graph.
    pub graph: MixedGraph,
    /// What is asked.
    pub method: MethodChoice,
    /// The parameters that the method is given.
    pub parameters: Option<Parameters<f64>>,
    /// What `test-fit` tests.
    pub source: Option<Source>,
    places: Places,
}

/// What a fit is tested on.
#[derive(Clone, Debug)]
pub enum Source {
    /// A sample.
    Sample(SampleCovariance),
    /// Observations to be simulated.
    Simulated {
        /// The true graph, on the same vertices.
        graph: MixedGraph,
        /// The true parameters; random if there are none.
        parameters: Option<Parameters<f64>>,
        /// The number of observations.
        samples: usize,
        /// The seed.
        seed: u64,
    },
}

/// Where things stand in the file.
#[derive(Clone, Debug, Default)]
struct Places {
    graph: Range<usize>,
    method: MethodPlaces,
}

const TABLES: &[&str] = &["title", "structural-model", "method"];

impl Statement {
    /// Read a problem file; files that it names are looked for in `folder`.
    ///
    /// # Errors
    /// [`StatementError`] with the place and the cause.
    pub fn parse(text: &str, folder: &Path) -> Result<Statement, StatementError> {
        Self::read(text, folder, None, None)
    }

    /// Read a problem file with another method than its own, by name and with default options, or with another seed.
    ///
    /// # Errors
    /// As [`Statement::parse`], and if no method has that name.
    pub fn parse_with(
        text: &str,
        folder: &Path,
        method: Option<&str>,
        seed: Option<u64>,
    ) -> Result<Statement, StatementError> {
        Self::read(text, folder, method, seed)
    }

    /// A refusal by a method as a complaint about the file, if the file is what is to blame.
    pub fn locate(&self, error: &StructuralError) -> Option<StatementError> {
        let span = match error {
            StructuralError::BlockLimit { .. } | StructuralError::Degree { .. } => {
                self.places.method.option("degree")
            }
            StructuralError::TooManyPaths(_) => self.places.graph.clone(),
            StructuralError::Singular | StructuralError::NotPositiveDefinite => {
                self.places.method.option("parameters")
            }
            StructuralError::Data(_) => self.places.method.method.clone(),
            StructuralError::ParameterCount { .. } | StructuralError::NotProved { .. } => return None,
        };
        Some(StatementError::new(error.to_string(), span))
    }

    fn read(
        text: &str,
        folder: &Path,
        wanted: Option<&str>,
        seed: Option<u64>,
    ) -> Result<Statement, StatementError> {
        let document = document(text)?;
        let document = document.get_ref();
        for (key, _) in entries(document) {
            if !TABLES.contains(&key.text.as_str()) {
                return Err(StatementError::new(format!("there is no table `{}`", key.text), key.span)
                    .expected(one_of(TABLES))
                    .suggest(nearest(&key.text, TABLES.iter().copied())));
            }
        }
        let title = match document.get("title") {
            None => None,
            Some(value) => Some(Located::new(text, value, "`title`")?.text),
        };
        let (graph, graph_place) = read_graph(text, document, folder)?;
        let table = MethodTable::read(document, MethodChoice::NAMES, "vanishing-ideal", wanted)?;
        let mut method = MethodChoice::read(&table)?;
        let places = Places { graph: graph_place, method: table.places };
        if let Some(seed) = seed {
            match &mut method {
                MethodChoice::Simulate(options) => options.seed = seed,
                MethodChoice::TestFit(options::TestFit { simulate: Some(from), .. }) => from.seed = seed,
                _ => {}
            }
        }
        let mut statement = Statement { title, graph, method, parameters: None, source: None, places };
        statement.resolve(folder)?;
        Ok(statement)
    }

    /// Look up what the options name: parameters of edges, data files, graphs to simulate from.
    fn resolve(&mut self, folder: &Path) -> Result<(), StatementError> {
        let places = &self.places;
        match &self.method {
            MethodChoice::Covariance(options::Covariance { parameters: Some(table) })
            | MethodChoice::Simulate(options::Simulate { parameters: Some(table), .. }) => {
                let found = parameters(&self.graph, table, &places.method.option("parameters"))?;
                self.parameters = Some(found);
            }
            MethodChoice::TestFit(options) => {
                if !(options.level > 0.0 && options.level < 1.0) {
                    return Err(StatementError::new(
                        format!("the level is {}", options.level),
                        places.method.option("level"),
                    )
                    .expected("a probability between 0 and 1, such as 0.01"));
                }
                self.source = Some(source(options, &self.graph, folder, places)?);
            }
            _ => {}
        }
        Ok(())
    }
}

fn read_graph(
    text: &str,
    document: &DeTable<'_>,
    folder: &Path,
) -> Result<(MixedGraph, Range<usize>), StatementError> {
    let shape = "[structural-model] with `graph = \"1 -> 2, 2 <-> 3\"` or `file = \"graph.dot\"`";
    let Some(value) = document.get("structural-model") else {
        return Err(StatementError::new("there is no table `structural-model`", 0..0).expected(shape));
    };
    let model = table(value, "structural-model", shape)?;
    only_keys(model, "[structural-model]", &["graph", "file", "vertices"])?;
    let vertices = match model.get("vertices") {
        None => None,
        Some(value) => Some(read_vertices(value)?),
    };
    match (model.get("graph"), model.get("file")) {
        (Some(value), None) => {
            let located = Located::new(text, value, "`graph`")?;
            let graph = MixedGraph::parse(&located.text, vertices.as_ref())
                .map_err(|error| StatementError { span: located.at(error.span.clone()), ..error })?;
            Ok((graph, located.span))
        }
        (None, Some(value)) => {
            let located = Located::new(text, value, "`file`")?;
            let content = read_file(folder, &located.text, &located.span)?;
            let is_dot = [".dot", ".gv"].iter().any(|ending| located.text.ends_with(ending));
            let read = if is_dot { MixedGraph::parse_dot } else { MixedGraph::parse };
            let graph = read(&content, vertices.as_ref()).map_err(|error| {
                // The place is in the other file, so it is told in words.
                let line = content[..error.span.start.min(content.len())].matches('\n').count() + 1;
                let message = format!("{}, line {line}: {}", located.text, error.message);
                StatementError { message, span: located.span.clone(), ..error }
            })?;
            Ok((graph, located.span))
        }
        (Some(_), Some(value)) => {
            Err(StatementError::new("the graph is stated twice", value.span()).expected("`graph` or `file`"))
        }
        (None, None) => Err(StatementError::new("the graph is missing", value.span()).expected(shape)),
    }
}

fn read_vertices(value: &Spanned<DeValue<'_>>) -> Result<Vertices, StatementError> {
    let refusal = || {
        StatementError::new("`vertices` is neither a number nor a list of names", value.span())
            .expected("such as 4 or [\"age\", \"income\"]")
    };
    match value.get_ref() {
        DeValue::Integer(number) => {
            let count = usize::from_str_radix(number.as_str(), number.radix()).map_err(|_| refusal())?;
            Ok(Vertices::Count(count))
        }
        DeValue::Array(names) => {
            let name = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
                DeValue::String(name) => Ok(name.to_string()),
                DeValue::Integer(number) => Ok(number.as_str().to_string()),
                _ => Err(refusal()),
            };
            Ok(Vertices::Names(names.iter().map(name).collect::<Result<_, _>>()?))
        }
        _ => Err(refusal()),
    }
}

/// Values for edges and vertices, by their names.
fn parameters(
    graph: &MixedGraph,
    given: &options::ParameterTable,
    place: &Range<usize>,
) -> Result<Parameters<f64>, StatementError> {
    let names = graph.names();
    let mut effects = vec![None; graph.directed().len()];
    let mut correlations = vec![None; graph.bidirected().len()];
    let mut variances = vec![None; graph.len()];
    let edge_text = |(a, b): &(usize, usize), arrow: &str| format!("{} {arrow} {}", names[*a], names[*b]);
    let known: Vec<String> = graph
        .directed()
        .iter()
        .map(|edge| edge_text(edge, "->"))
        .chain(graph.bidirected().iter().map(|edge| edge_text(edge, "<->")))
        .chain(names.iter().cloned())
        .collect();
    for (key, value) in given {
        if !value.is_finite() {
            return Err(StatementError::new(format!("the parameter `{key}` is {value}"), place.clone())
                .expected("a finite number"));
        }
        let refusal = || {
            StatementError::new(format!("there is no parameter `{key}`"), place.clone())
                .expected(one_of(&known.iter().map(String::as_str).collect::<Vec<&str>>()))
                .suggest(nearest(key, known.iter().map(String::as_str)))
        };
        // A key is a graph of its own: one edge, or one vertex.
        let stated = MixedGraph::parse(key, Some(&Vertices::Names(names.to_vec()))).map_err(|_| refusal())?;
        let slot = match (stated.directed(), stated.bidirected()) {
            ([edge], []) => graph.directed().iter().position(|e| e == edge).map(|k| &mut effects[k]),
            ([], [edge]) => graph.bidirected().iter().position(|e| e == edge).map(|k| &mut correlations[k]),
            ([], []) => {
                names.iter().position(|name| name == key.trim().trim_matches('"')).map(|k| &mut variances[k])
            }
            _ => None,
        };
        *slot.ok_or_else(refusal)? = Some(*value);
    }
    let missing = |text: String| {
        StatementError::new(format!("the parameter `{text}` is missing"), place.clone())
            .expected("a number for each edge; variances are one unless given")
    };
    let all = |values: Vec<Option<f64>>, edges: &[(usize, usize)], arrow: &str| {
        let value = |(value, edge): (Option<f64>, &(usize, usize))| {
            value.ok_or_else(|| missing(edge_text(edge, arrow)))
        };
        values.into_iter().zip(edges).map(value).collect::<Result<Vec<f64>, StatementError>>()
    };
    if let Some(k) = variances.iter().position(|v| v.is_some_and(|v| v <= 0.0)) {
        return Err(StatementError::new(
            format!("the variance `{}` is not positive", names[k]),
            place.clone(),
        ));
    }
    Ok(Parameters {
        effects: all(effects, graph.directed(), "->")?,
        correlations: all(correlations, graph.bidirected(), "<->")?,
        variances: variances.into_iter().map(|v| v.unwrap_or(1.0)).collect(),
    })
}

fn source(
    options: &options::TestFit,
    graph: &MixedGraph,
    folder: &Path,
    places: &Places,
) -> Result<Source, StatementError> {
    let refuse =
        |error: StructuralError, key: &str| StatementError::new(error.to_string(), places.method.option(key));
    match (&options.data, &options.covariance, &options.simulate) {
        (Some(file), None, None) => {
            let place = places.method.option("data");
            let rows = read_table(folder, file, graph, &place)?;
            let sample =
                SampleCovariance::of_observations(graph.len(), &rows).map_err(|e| refuse(e, "data"))?;
            Ok(Source::Sample(sample))
        }
        (None, Some(file), None) => {
            let place = places.method.option("covariance");
            let matrix = read_table(folder, file, graph, &place)?;
            let samples = options.samples.ok_or_else(|| {
                StatementError::new("the number of observations is missing", place)
                    .expected("`samples = 1000`")
            })?;
            let sample =
                SampleCovariance::new(graph.len(), matrix, samples).map_err(|e| refuse(e, "covariance"))?;
            Ok(Source::Sample(sample))
        }
        (None, None, Some(from)) => {
            let place = places.method.option("simulate");
            let vertices = Vertices::Names(graph.names().to_vec());
            let truth = match &from.graph {
                None => graph.clone(),
                Some(text) => MixedGraph::parse(text, Some(&vertices))
                    .map_err(|error| StatementError { span: place.clone(), ..error })?,
            };
            let parameters = match &from.parameters {
                None => None,
                Some(table) => Some(parameters(&truth, table, &place)?),
            };
            Ok(Source::Simulated { graph: truth, parameters, samples: from.samples, seed: from.seed })
        }
        (None, None, None) => {
            Err(StatementError::new("there is nothing to test", places.method.method.clone())
                .expected("`data`, `covariance` or `simulate`"))
        }
        _ => Err(StatementError::new("the data are stated twice", places.method.method.clone())
            .expected("one of `data`, `covariance` and `simulate`")),
    }
}

fn read_bytes(folder: &Path, file: &str, place: &Range<usize>) -> Result<Vec<u8>, StatementError> {
    std::fs::read(folder.join(file))
        .map_err(|error| StatementError::new(format!("cannot read {file}: {error}"), place.clone()))
}

fn read_file(folder: &Path, file: &str, place: &Range<usize>) -> Result<String, StatementError> {
    String::from_utf8(read_bytes(folder, file, place)?)
        .map_err(|_| StatementError::new(format!("{file} is not a text"), place.clone()))
}

/// The columns of a table that belong to the vertices, in their order, row-major.
///
/// CSV needs a header with the names; the rows of a covariance matrix follow the header's order, and are put into the vertices'.
/// An array of NumPy has its columns in the order of the vertices.
fn read_table(
    folder: &Path,
    file: &str,
    graph: &MixedGraph,
    place: &Range<usize>,
) -> Result<Vec<f64>, StatementError> {
    let refuse = |message: String| StatementError::new(format!("{file}: {message}"), place.clone());
    if file.ends_with(".npy") {
        let bytes = read_bytes(folder, file, place)?;
        let array = npyz::NpyFile::new(&bytes[..]).map_err(|error| refuse(error.to_string()))?;
        let shape = array.shape().to_vec();
        let in_rows = array.order() == npyz::Order::C;
        if shape.len() != 2 || shape[1] != graph.len() as u64 || !in_rows {
            return Err(refuse(format!("an array of shape {shape:?}"))
                .expected(format!("two dimensions in C order, the second of {}", graph.len())));
        }
        return array.into_vec::<f64>().map_err(|error| refuse(error.to_string()).expected("64-bit numbers"));
    }
    let content = read_file(folder, file, place)?;
    let mut lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header: Vec<&str> = match lines.next() {
        Some((_, line)) => line.split(',').map(|name| name.trim().trim_matches('"')).collect(),
        None => return Err(refuse("an empty file".to_string()).expected("a header with the vertices' names")),
    };
    let columns: Vec<usize> = graph
        .names()
        .iter()
        .map(|name| {
            header.iter().position(|column| column == name).ok_or_else(|| {
                refuse(format!("there is no column `{name}`"))
                    .expected(format!("columns for {}", graph.names().join(", ")))
                    .suggest(nearest(name, header.iter().copied()))
            })
        })
        .collect::<Result<_, _>>()?;
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for (number, line) in lines {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let row = columns.iter().map(|column| {
            let field = fields.get(*column).copied().unwrap_or("");
            field.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| {
                refuse(format!(
                    "line {}, column `{}`: `{field}` is not a number",
                    number + 1,
                    header[*column]
                ))
            })
        });
        rows.push(row.collect::<Result<_, _>>()?);
    }
    let is_matrix = rows.len() == header.len() && is_symmetric(&rows, &columns);
    // A covariance matrix has its rows in the order of the header.
    let order: Vec<usize> = if is_matrix { columns } else { (0..rows.len()).collect() };
    Ok(order.into_iter().flat_map(|row| rows[row].clone()).collect())
}

/// Whether the rows at `columns` are a symmetric matrix.
fn is_symmetric(rows: &[Vec<f64>], columns: &[usize]) -> bool {
    let entry = |i: usize, j: usize| rows[columns[i]][j];
    (0..columns.len()).all(|i| (0..i).all(|j| entry(i, j) == entry(j, i)))
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, solve};
    use super::*;
    use crate::Silent;

    fn parse(text: &str) -> Result<Statement, StatementError> {
        Statement::parse(text, Path::new("."))
    }

    #[test]
    fn a_file_is_read_and_solved() {
        let text = "title = \"t\"\n[structural-model]\ngraph = \"1->2->3->4->1\"\n[method]\nname = \"vanishing-ideal\"\ndegree = 3\n";
        let statement = parse(text).unwrap();
        assert_eq!(statement.graph.len(), 4);
        let solution = solve(&statement, &mut Silent).unwrap();
        let Finding::Ideal(ideal) = solution.finding else { panic!("another finding") };
        assert_eq!(ideal.generators.len(), 2);
        for method in MethodChoice::NAMES.iter().filter(|name| **name != "test-fit") {
            let other = Statement::parse_with(text, Path::new("."), Some(method), Some(3)).unwrap();
            assert_eq!(other.method.name(), *method);
            solve(&other, &mut Silent).unwrap();
        }
    }

    #[test]
    fn parameters_are_found_by_name() {
        let text = |parameters: &str| {
            format!(
                "[structural-model]\ngraph = \"x -> y, y -> x, y <-> z\"\n[method]\nname = \"covariance\"\n\
                 parameters = {{ {parameters} }}\n"
            )
        };
        let good = text("\"x -> y\" = 0.5, \"x<-y\" = 0.25, \"z <-> y\" = 0.1, \"z\" = 2");
        let parameters = parse(&good).unwrap().parameters.unwrap();
        assert_eq!(parameters.effects, [0.5, 0.25]);
        assert_eq!(parameters.variances, [1.0, 1.0, 2.0]);
        assert_eq!(parameters.correlations, [0.1]);
        let message = |parameters: &str| parse(&text(parameters)).unwrap_err().message;
        assert!(message("\"x -> y\" = 0.5").contains("`y -> x` is missing"));
        assert!(message("\"x -> z\" = 0.5").contains("no parameter `x -> z`"));
        assert!(message("\"w\" = 0.5").contains("no parameter `w`"));
        let singular = text("\"x -> y\" = 2, \"y -> x\" = 0.5, \"z <-> y\" = 0.1");
        let statement = parse(&singular).unwrap();
        let error = solve(&statement, &mut Silent).unwrap_err();
        assert!(matches!(error, StructuralError::Singular));
        assert!(singular[statement.locate(&error).unwrap().span].starts_with('{'));
    }

    #[test]
    fn complaints_point_at_the_file() {
        let complaint = |text: &str| {
            let error = parse(text).unwrap_err();
            (error.message.clone(), text.get(error.span.clone()).unwrap_or("").to_string())
        };
        let graph = |graph: &str| format!("[structural-model]\nvertices = 3\ngraph = \"{graph}\"\n");
        assert_eq!(complaint(&graph("1 -> 2, 2 -> 2")).1, "2 -> 2");
        assert_eq!(complaint(&graph("1 -> 4")).1, "4");
        assert_eq!(complaint(&graph("1 -> 2, 1 -> 2")).1, "1 -> 2");
        assert!(complaint("[structural-model]\n").0.contains("missing"));
        assert!(complaint("[structural]\n").0.contains("no table `structural`"));
        assert!(
            complaint("[structural-model]\nfile = \"absent.dot\"\n").0.contains("cannot read absent.dot")
        );
        let method = |method: &str| format!("{}[method]\n{method}\n", graph("1 -> 2"));
        assert!(complaint(&method("name = \"vanish\"")).0.contains("no method `vanish`"));
        assert!(complaint(&method("name = \"vanishing-ideal\"\ndegre = 3")).0.contains("no option `degre`"));
        assert!(complaint(&method("name = \"test-fit\"")).0.contains("nothing to test"));
        assert!(complaint(&method("name = \"test-fit\"\ndata = \"absent.csv\"")).0.contains("absent.csv"));
        assert!(complaint(&method("name = \"test-fit\"\nlevel = 2.0\nsimulate = {}")).0.contains("level"));
        let large = method("name = \"vanishing-ideal\"\ndegree = 8\nblock-limit = 20");
        let statement = parse(&large).unwrap();
        let error = solve(&statement, &mut Silent).unwrap_err();
        assert_eq!(&large[statement.locate(&error).unwrap().span], "8");
    }

    #[test]
    fn data_are_read_in_any_order_of_columns() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
        let fit = |options: &str| {
            let text = format!(
                "[structural-model]\ngraph = \"a -> b -> c\"\n[method]\nname = \"test-fit\"\n{options}\n"
            );
            let statement = Statement::parse(&text, folder.path())?;
            let Ok(Solution { finding: Finding::Fit { scores, sample, .. }, .. }) =
                solve(&statement, &mut Silent)
            else {
                panic!("no fit")
            };
            Ok::<_, StatementError>((scores, sample.matrix().to_vec()))
        };
        use super::super::Solution;
        write("table.csv", "c,x,a,b\n1,0,2,3\n2,0,1,5\n4,0,0,1\n3,0,7,7\n");
        let (scores, matrix) = fit("data = \"table.csv\"").unwrap();
        assert_eq!(scores.len(), 1);
        write(
            "matrix.csv",
            &format!(
                "c,a,b\n{},{},{}\n{},{},{}\n{},{},{}\n",
                matrix[8],
                matrix[6],
                matrix[7],
                matrix[2],
                matrix[0],
                matrix[1],
                matrix[5],
                matrix[3],
                matrix[4]
            ),
        );
        let (same, again) = fit("covariance = \"matrix.csv\"\nsamples = 4").unwrap();
        assert_eq!(again, matrix);
        assert_eq!(same, scores);
        assert!(fit("covariance = \"matrix.csv\"").unwrap_err().message.contains("number of observations"));
        write("bad.csv", "a,b\n1,2\n");
        assert!(fit("data = \"bad.csv\"").unwrap_err().message.contains("no column `c`"));
        write("bad.csv", "a,b,c\n1,2,3\n1,x,3\n");
        assert!(fit("data = \"bad.csv\"").unwrap_err().message.contains("line 3, column `b`"));
        let mut array = Vec::new();
        {
            use npyz::WriterBuilder;
            let mut writer = npyz::WriteOptions::new()
                .default_dtype()
                .shape(&[3, 3])
                .writer(&mut array)
                .begin_nd()
                .unwrap();
            writer.extend(matrix.iter()).unwrap();
            writer.finish().unwrap();
        }
        std::fs::write(folder.path().join("matrix.npy"), array).unwrap();
        assert_eq!(fit("covariance = \"matrix.npy\"\nsamples = 4").unwrap().0, scores);
        write("graph.dot", "digraph { a -> b; b -> c [dir=both] }");
        let text = "[structural-model]\nfile = \"graph.dot\"\n";
        assert_eq!(Statement::parse(text, folder.path()).unwrap().graph.bidirected(), [(1, 2)]);
    }
}
