//! Structural equation models: from a problem file to a run's outcome.
//!
//! - [`drawing`]: the graph, drawn.

mod drawing;

use std::fmt::Write as _;
use std::sync::Arc;

use mathesis_solvers::Status;
use mathesis_solvers::structural::fit::Score;
use mathesis_solvers::structural::vanishing_ideal::VanishingIdeal;
use mathesis_solvers::structural::{
    Covariances, Finding, MethodChoice, MixedGraph, Names, Parameters, Solution, Statement, StructuralError,
    solve as answer,
};
use mathesis_symbolic::{Notation, Polynomial, Symbol};
use serde_json::{Map, Value, json};

use super::{Request, csv, npy};
use crate::failure::Failure;
use crate::outcome::{
    Artefact, Fact, Figure, Outcome, ResultRecord, StatementRow, TableRecord, Tone, Verdict,
};
use crate::record::{figure, seconds, status_text};

const GRAPH: &str = "Graph";
const CONSTRAINTS: &str = "Constraints";
const COVARIANCES: &str = "Covariances";
const FIT: &str = "Fit";

/// The report shows polynomials up to this many characters; the files have all.
const LONGEST_SHOWN: usize = 700;

/// Answer what a file asks of a structural model.
///
/// # Errors
/// [`Failure::Input`] if it is not well stated or too large, else [`Failure::Work`].
pub fn solve(request: &Request<'_>) -> Result<Option<Outcome>, Failure> {
    let method = request.method(MethodChoice::NAMES)?;
    let statement = Statement::parse_with(&request.text, request.folder(), method, request.seed)
        .map_err(|error| request.refuse(error))?;
    let mut monitor = request.monitor(statement.method.name());
    let solved = answer(&statement, &mut monitor);
    monitor.finish();
    let solution = solved.map_err(|error| refusal(error, &statement, request))?;
    outcome(&statement, &solution).map(Some)
}

fn refusal(error: StructuralError, statement: &Statement, request: &Request<'_>) -> Failure {
    match statement.locate(&error) {
        Some(located) => request.refuse(located),
        None => Failure::work(error),
    }
}

/// What a finding adds to the outcome.
#[derive(Default)]
struct Parts {
    facts: Vec<Fact>,
    tables: Vec<TableRecord>,
    files: Vec<Artefact>,
    details: Map<String, Value>,
}

fn outcome(statement: &Statement, solution: &Solution) -> Result<Outcome, Failure> {
    let graph = &statement.graph;
    let mut parts = Parts::default();
    dimension(solution, &mut parts);
    match &solution.finding {
        Finding::FiniteToOne => {}
        Finding::Covariances(covariances) => covariance_parts(graph, covariances, &mut parts)?,
        Finding::Ideal(ideal) => ideal_parts(graph, ideal, &mut parts),
        Finding::Fit { ideal, scores, rejected, sample } => {
            ideal_parts(graph, ideal, &mut parts);
            fit_parts(graph, ideal, scores, &mut parts);
            parts.details.insert("rejected".into(), (*rejected).into());
            parts.details.insert("samples".into(), sample.samples().into());
            parts.facts.push(Fact::full("observations", sample.samples().to_string(), ""));
        }
        Finding::Simulation { parameters, rows, covariance } => {
            simulation_parts(graph, parameters, rows, covariance, &mut parts)?;
        }
    }
    let done = solution.status == Status::Converged;
    Ok(Outcome {
        title: statement.title.clone(),
        problem: json!({ "graph": graph.edges_text(), "vertices": graph.names() }),
        method: serde_json::to_value(&statement.method).map_err(Failure::work)?,
        seed: seed(&statement.method),
        verdict: verdict(solution),
        statement: statement_rows(graph),
        facts: parts.facts,
        figures: vec![Figure {
            name: "graph".to_string(),
            section: GRAPH,
            caption: "Effects (blue arrows) and correlated errors (dashed, orange).".to_string(),
            drawings: vec![drawing::draw(graph)],
        }],
        tables: parts.tables,
        notes: solution.notes.clone(),
        files: parts.files,
        result: ResultRecord {
            method: solution.method.to_string(),
            status: solution.status.clone(),
            done,
            iterations: None,
            seconds: solution.elapsed.as_secs_f64(),
            details: parts.details,
            notes: solution.notes.clone(),
        },
    })
}

fn seed(method: &MethodChoice) -> u64 {
    match method {
        MethodChoice::Simulate(options) => options.seed,
        MethodChoice::TestFit(options) => options.simulate.as_ref().map_or(0, |from| from.seed),
        _ => 0,
    }
}

fn verdict(solution: &Solution) -> Verdict {
    let good = |text: String| Verdict { tone: Tone::Good, text };
    if solution.status != Status::Converged {
        let text = format!(
            "Not done ({}): what is listed is proved, but not complete",
            status_text(&solution.status)
        );
        return Verdict { tone: Tone::Bad, text };
    }
    match &solution.finding {
        Finding::FiniteToOne if solution.dimension.is_finite_to_one() => good(
            "Finite-to-one: almost every covariance matrix of the model has finitely many parameters"
                .to_string(),
        ),
        Finding::FiniteToOne => good(
            "Not finite-to-one: almost every covariance matrix of the model has infinitely many parameters"
                .to_string(),
        ),
        Finding::Covariances(covariances) => {
            let difference = covariances.check.largest_difference;
            let text = format!(
                "Exact covariances; at random numbers within {} of linear algebra",
                figure(difference)
            );
            Verdict { tone: if difference < 1e-9 { Tone::Good } else { Tone::Doubtful }, text }
        }
        Finding::Ideal(ideal) => {
            let degree = ideal.degrees.len();
            let enough = ideal.independent_constraints == ideal.dimension.codimension;
            let text = format!(
                "{} minimal constraints up to degree {degree}, every one verified exactly; {}",
                ideal.generators.len(),
                if enough {
                    "they cut out the model near a general point"
                } else {
                    "the model has further constraints of higher degree"
                }
            );
            Verdict { tone: if enough { Tone::Good } else { Tone::Doubtful }, text }
        }
        Finding::Fit { scores, rejected, .. } => {
            let largest = scores.iter().map(|score| score.z.abs()).fold(0.0, f64::max);
            let (tone, text) = match (scores.is_empty(), rejected) {
                (true, _) => (Tone::Doubtful, "Nothing tested: no constraints up to this degree".to_string()),
                (_, true) => {
                    (Tone::Doubtful, format!("The data reject the model: largest |z| is {largest:.2}"))
                }
                (_, false) => {
                    (Tone::Good, format!("The data do not reject the model: largest |z| is {largest:.2}"))
                }
            };
            Verdict { tone, text }
        }
        Finding::Simulation { rows, .. } => {
            let count = rows.len() / solution_size(solution);
            good(format!("{count} observations"))
        }
    }
}

fn solution_size(solution: &Solution) -> usize {
    match &solution.finding {
        Finding::Simulation { parameters, .. } => parameters.variances.len().max(1),
        _ => 1,
    }
}

fn statement_rows(graph: &MixedGraph) -> Vec<StatementRow> {
    let kind = match (graph.is_acyclic(), graph.is_simple()) {
        (true, true) => "acyclic, simple",
        (true, false) => "acyclic, with edges side by side",
        (false, true) => "with directed cycles, simple",
        (false, false) => "with directed cycles and edges side by side",
    };
    vec![
        StatementRow::latex(
            "model",
            "X = \\Lambda^T X + \\varepsilon,\\quad \\operatorname{Cov} \\varepsilon = \\Omega",
        ),
        StatementRow::latex("covariances", "\\Sigma = (I-\\Lambda)^{-T}\\, \\Omega\\, (I-\\Lambda)^{-1}"),
        StatementRow::text("edges", graph.edges_text()),
        StatementRow::text("graph", kind),
        StatementRow::text(
            "orientation",
            "lambda_i_j belongs to the edge i -> j: row the tail, column the head",
        ),
    ]
}

fn dimension(solution: &Solution, parts: &mut Parts) {
    let dimension = solution.dimension;
    let finite = dimension.is_finite_to_one();
    parts.facts.push(Fact::brief("parameters", dimension.parameters.to_string(), "vertices and edges"));
    parts.facts.push(Fact::brief(
        "dimension",
        dimension.rank.to_string(),
        "generic rank of the parametrisation's differential",
    ));
    let note = "independent constraints on a covariance matrix";
    parts.facts.push(Fact::brief("codimension", dimension.codimension.to_string(), note));
    let note = "not the same as identifiable: several parameters may give one covariance matrix";
    parts.facts.push(Fact::brief("finite-to-one", if finite { "yes" } else { "no" }, note));
    parts.details.insert("dimension".into(), json!(dimension));
    parts.details.insert("finite_to_one".into(), finite.into());
}

fn ideal_parts(graph: &MixedGraph, ideal: &VanishingIdeal, parts: &mut Parts) {
    let count = ideal.generators.len();
    parts.facts.push(Fact::brief(
        "constraints",
        count.to_string(),
        "minimal generators, all verified exactly",
    ));
    let note = "of the constraints found, near a general covariance matrix of the model; they cut it out there once \
                this is the codimension";
    parts.facts.push(Fact::brief("independent constraints", ideal.independent_constraints.to_string(), note));
    let counted = |degree: usize| ideal.degrees.iter().find(|report| report.degree == degree);
    for report in ideal.degrees.iter().filter(|report| report.new_generators > 0) {
        let name = format!("constraints of degree {}", report.degree);
        parts.facts.push(Fact::brief(name, report.new_generators.to_string(), "new in this degree"));
    }
    parts.tables.push(TableRecord {
        section: CONSTRAINTS,
        caption: "The search, complete in each degree: multidegrees, monomials (unknown coefficients) in all of them and \
                  in the largest, and the minimal generators."
            .to_string(),
        header: ["degree", "multidegrees", "candidates", "largest block", "new generators", "time"].map(String::from).into(),
        rows: ideal
            .degrees
            .iter()
            .map(|report| {
                vec![
                    report.degree.to_string(),
                    report.multidegrees.to_string(),
                    report.candidates.to_string(),
                    report.largest_block.to_string(),
                    report.new_generators.to_string(),
                    seconds(report.seconds),
                ]
            })
            .collect(),
    });
    if count > 0 {
        parts.tables.push(TableRecord {
            section: CONSTRAINTS,
            caption: "The minimal generators; every one was verified exactly by expansion in the parameters."
                .to_string(),
            header: ["number", "degree", "multidegree", "terms", "polynomial"].map(String::from).into(),
            rows: ideal
                .generators
                .iter()
                .enumerate()
                .map(|(k, generator)| {
                    let text = generator.polynomial.to_string();
                    let shown =
                        if text.len() <= LONGEST_SHOWN { text } else { "see polynomials.txt".to_string() };
                    vec![
                        (k + 1).to_string(),
                        generator.degree().to_string(),
                        multidegree_text(&generator.multidegree),
                        generator.polynomial.len().to_string(),
                        shown,
                    ]
                })
                .collect(),
        });
    }
    parts.files.extend(polynomial_files(graph, ideal));
    let generators: Vec<Value> = ideal
        .generators
        .iter()
        .map(|generator| {
            json!({
                "degree": generator.degree(),
                "multidegree": generator.multidegree,
                "terms": generator.polynomial.len(),
                "polynomial": generator.polynomial.to_string(),
                "verified": "exactly",
            })
        })
        .collect();
    let complete = (1..).take_while(|degree| counted(*degree).is_some()).last().unwrap_or(0);
    parts.details.insert("generators".into(), generators.into());
    parts.details.insert("degrees".into(), json!(ideal.degrees));
    parts.details.insert(
        "certificate".into(),
        json!({
            "verified_exactly": count,
            "complete_to_degree": complete,
            "independent_constraints": ideal.independent_constraints,
            "codimension": ideal.dimension.codimension,
        }),
    );
}

fn multidegree_text(multidegree: &[u8]) -> String {
    multidegree.iter().map(u8::to_string).collect::<Vec<String>>().join(" ")
}

/// The generators in the notations of people and of computer algebra systems.
fn polynomial_files(graph: &MixedGraph, ideal: &VanishingIdeal) -> Vec<Artefact> {
    let polynomials: Vec<&Polynomial> =
        ideal.generators.iter().map(|generator| &generator.polynomial).collect();
    let lines = |notation: Notation, end: &str| {
        let lines: Vec<String> = polynomials.iter().map(|p| p.write(notation)).collect();
        lines.join(end)
    };
    let mut plain = lines(Notation::Plain, "\n");
    if !plain.is_empty() {
        plain.push('\n');
    }
    let mut latex = String::from("% The constraints of a structural equation model: one display each.\n");
    for polynomial in &polynomials {
        let _ = writeln!(latex, "\\[ {} \\]", polynomial.to_latex());
    }
    // Other systems get numbers for names, which all of them can read.
    let names = Names::numbered(graph);
    let pairs = (0..graph.len()).flat_map(|i| (i..graph.len()).map(move |j| (i, j)));
    let variables: Arc<[Symbol]> = pairs.map(|(i, j)| names.covariance(i, j)).collect();
    // Generators have all covariances among their variables, in the same order.
    let renamed: Vec<Polynomial> = polynomials
        .iter()
        .map(|p| {
            Polynomial::from_terms(
                &variables,
                p.terms().map(|(exponents, c)| (exponents.to_vec(), c.clone())),
            )
        })
        .collect();
    let legend =
        graph.names().iter().enumerate().map(|(k, name)| format!("{} = {name}", k + 1)).collect::<Vec<_>>();
    let legend = legend.join(", ").replace(['\n', '\r'], " ");
    let list = |notation: Notation| {
        let names: Vec<String> = variables.iter().map(|v| notation.name(v)).collect();
        let body: Vec<String> = renamed.iter().map(|p| format!("  {}", p.write(notation))).collect();
        let body = if body.is_empty() { "  0".to_string() } else { body.join(",\n") };
        (names.join(", "), body)
    };
    let (ring, body) = list(Notation::Macaulay2);
    let macaulay2 = format!("-- vertices: {legend}\nR = QQ[{ring}];\nI = ideal(\n{body}\n);\n");
    let (ring, body) = list(Notation::Singular);
    let singular = format!("// vertices: {legend}\nring R = 0, ({ring}), dp;\nideal I =\n{body};\n");
    vec![
        Artefact::new("polynomials.txt", "the constraints, one a line", plain),
        Artefact::new("polynomials.tex", "the constraints in LaTeX", latex),
        Artefact::new("polynomials.m2", "the constraints as an ideal of Macaulay2", macaulay2),
        Artefact::new("polynomials.sing", "the constraints as an ideal of Singular", singular),
    ]
}

fn covariance_parts(graph: &MixedGraph, covariances: &Covariances, parts: &mut Parts) -> Result<(), Failure> {
    let names = Names::new(graph);
    parts.facts.push(Fact::full(
        "rule against linear algebra",
        figure(covariances.check.largest_difference),
        format!("largest relative difference at {} random stable systems", covariances.check.points),
    ));
    let mut text = format!("det(I - Lambda) = {}\n", covariances.determinant);
    let mut latex = format!("\\[ \\det(I-\\Lambda) = {} \\]\n", covariances.determinant.to_latex());
    let mut rows = Vec::new();
    let mut entries = Map::new();
    for ((i, j), value) in &covariances.entries {
        let name = names.covariance(*i, *j);
        let written = value.to_string();
        let _ = writeln!(text, "{name} = {written}");
        let _ = writeln!(latex, "\\[ {} = {} \\]", Notation::Latex.name(&name), value.to_latex());
        let shown =
            if written.len() <= LONGEST_SHOWN { written.clone() } else { "see covariances.txt".to_string() };
        rows.push(vec![name.to_string(), shown]);
        entries.insert(name.to_string(), written.into());
    }
    parts.tables.push(TableRecord {
        section: COVARIANCES,
        caption: format!(
            "Covariances by the one-connection rule, in lowest terms; det(I - Λ) is {}.",
            covariances.determinant
        ),
        header: ["covariance", "value"].map(String::from).into(),
        rows,
    });
    parts.details.insert("determinant".into(), covariances.determinant.to_string().into());
    parts.details.insert("covariances".into(), entries.into());
    parts.details.insert("check".into(), json!(covariances.check));
    parts.files.push(Artefact::new("covariances.txt", "the exact covariances", text));
    parts.files.push(Artefact::new("covariances.tex", "the exact covariances in LaTeX", latex));
    if let Some(values) = &covariances.values {
        parts.files.push(matrix_file(
            "covariance.csv",
            "the covariance matrix at the given numbers",
            graph,
            values,
        ));
        parts.details.insert("values".into(), json!(values));
    }
    Ok(())
}

fn matrix_file(name: &str, description: &str, graph: &MixedGraph, values: &[f64]) -> Artefact {
    let rows = values.chunks(graph.len()).map(|row| row.iter().map(|x| format!("{x:?}")).collect());
    Artefact::new(name, description, csv(&header(graph), rows))
}

/// The vertices' names; quotes where a comma would divide one.
fn header(graph: &MixedGraph) -> Vec<String> {
    let quoted = |name: &String| if name.contains(',') { format!("\"{name}\"") } else { name.clone() };
    graph.names().iter().map(quoted).collect()
}

fn fit_parts(graph: &MixedGraph, ideal: &VanishingIdeal, scores: &[Score], parts: &mut Parts) {
    let columns =
        ["constraint", "degree", "multidegree", "value", "standard_error", "z", "p"].map(String::from);
    let row = |(k, (generator, score)): (
        usize,
        (&mathesis_solvers::structural::vanishing_ideal::Generator, &Score),
    )| {
        vec![
            (k + 1).to_string(),
            generator.degree().to_string(),
            multidegree_text(&generator.multidegree),
            format!("{:?}", score.value),
            format!("{:?}", score.standard_error),
            format!("{:?}", score.z),
            format!("{:?}", score.p),
        ]
    };
    let rows = ideal.generators.iter().zip(scores).enumerate().map(row);
    parts.files.push(Artefact::new("scores.csv", "z scores of the constraints", csv(&columns, rows)));
    let largest = scores.iter().map(|score| score.z.abs()).fold(0.0, f64::max);
    let least = scores.iter().map(|score| score.p).fold(1.0, f64::min);
    parts.facts.push(Fact::brief("largest |z|", format!("{largest:.3}"), "of all constraints"));
    let corrected = (least * scores.len() as f64).min(1.0);
    parts.facts.push(Fact::brief(
        "p, corrected",
        figure(corrected),
        "least p times the number of constraints (Bonferroni)",
    ));
    parts.tables.push(TableRecord {
        section: FIT,
        caption: format!(
            "Scores of the {} constraints of the model on {}: value at the sample correlation matrix over its standard \
             error by the delta method.",
            scores.len(),
            graph.names().join(", ")
        ),
        header: ["constraint", "value", "standard error", "z", "p"].map(String::from).into(),
        rows: scores
            .iter()
            .enumerate()
            .map(|(k, score)| {
                vec![
                    (k + 1).to_string(),
                    figure(score.value),
                    figure(score.standard_error),
                    format!("{:.3}", score.z),
                    figure(score.p),
                ]
            })
            .collect(),
    });
    parts.details.insert("scores".into(), json!(scores));
}

fn simulation_parts(
    graph: &MixedGraph,
    parameters: &Parameters<f64>,
    rows: &[f64],
    covariance: &[f64],
    parts: &mut Parts,
) -> Result<(), Failure> {
    let lines = rows.chunks(graph.len()).map(|row| row.iter().map(|x| format!("{x:?}")).collect());
    parts.files.push(Artefact::new("data.csv", "the observations", csv(&header(graph), lines)));
    let shape = [(rows.len() / graph.len()) as u64, graph.len() as u64];
    parts.files.push(Artefact::new("data.npy", "the same as an array", npy(&shape, &[rows.to_vec()])?));
    parts.files.push(matrix_file("covariance.csv", "the model's covariance matrix", graph, covariance));
    let names = graph.names();
    let mut table = Map::new();
    for ((a, b), value) in graph.directed().iter().zip(&parameters.effects) {
        table.insert(format!("{} -> {}", names[*a], names[*b]), (*value).into());
    }
    for ((a, b), value) in graph.bidirected().iter().zip(&parameters.correlations) {
        table.insert(format!("{} <-> {}", names[*a], names[*b]), (*value).into());
    }
    for (name, value) in names.iter().zip(&parameters.variances) {
        table.insert(name.clone(), (*value).into());
    }
    let rows: Vec<Vec<String>> =
        table.iter().map(|(name, value)| vec![name.clone(), value.to_string()]).collect();
    parts.tables.push(TableRecord {
        section: COVARIANCES,
        caption: "The parameters behind the observations: effects, covariances and variances of errors."
            .to_string(),
        header: ["parameter", "value"].map(String::from).into(),
        rows,
    });
    parts.details.insert("parameters".into(), table.into());
    parts.details.insert("covariance".into(), json!(covariance));
    Ok(())
}
