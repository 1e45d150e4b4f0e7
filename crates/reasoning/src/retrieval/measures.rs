//! The measures of the TREC program trec_eval, value for value.
//!
//! Sources: the definitions in the explanations of trec_eval 10 (NIST), which are the field's standard; Järvelin and
//! Kekäläinen 2002 (nDCG), Buckley and Voorhees 2004 (bpref), Yilmaz and Aslam 2006 (infAP), Moffat and Zobel 2008
//! (rank-biased precision), Sakai 2007 (scoring without unjudged documents: the primed measures).
//!
//! With g_i the grade at rank i, rel_i whether g_i reaches the level, R the relevant documents of the topic and n the
//! documents retrieved:
//! - P@k = sum_{i<=k} rel_i / k, recall@k = sum_{i<=k} rel_i / R, AP = sum_i rel_i P@i / R
//! - DCG = sum_i gain(g_i) / log2(i + 1), nDCG = DCG / DCG of the topic's judged documents sorted by gain
//! - bpref = sum over retrieved relevant d of (1 - min(above(d), R) / min(N, R)) / R, above(d) the judged non-relevant
//!   documents above d, N those of the topic; the term is 1 where above(d) = 0
//!
//! Departures, where trec_eval reads memory that it did not set: a topic without judged documents has no grades; a
//! level above all grades counts all judged documents as non-relevant; rank-biased precision rescales gains outside
//! [0, 1] by their least and largest; gains closer than 1 are ordered. Not here: the measures over preferences and over
//! several judgement groups (`prefs_*`, `*_avgjg`).

use std::sync::LazyLock;

/// The grade of a retrieved document that the judgements do not hold.
pub const UNJUDGED: i64 = -1;
/// The grade of a retrieved document that stands in the judgements with a negative grade: pooled, but not judged.
pub const POOLED: i64 = -2;

/// What the measures look at: the grades down a ranking, and what was there to be found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JudgedRanking {
    /// The grade at every rank, the best first; [`UNJUDGED`] and [`POOLED`] are negative.
    pub grades: Vec<i64>,
    /// How many documents of the topic were judged with grade 0, 1, ...; no trailing zero.
    pub judged: Vec<usize>,
    /// The least grade of a relevant document.
    pub level: i64,
    /// The size of the collection; 0 where unknown. Only `utility` looks at it.
    pub collection: i64,
}

impl JudgedRanking {
    fn retrieved(&self) -> usize {
        self.grades.len()
    }

    fn is_relevant(&self, grade: i64) -> bool {
        grade >= 0 && grade >= self.level
    }

    fn relevant_retrieved(&self) -> usize {
        self.grades.iter().filter(|&&grade| self.is_relevant(grade)).count()
    }

    fn relevant(&self) -> usize {
        self.judged
            .iter()
            .enumerate()
            .filter(|(grade, _)| self.is_relevant(*grade as i64))
            .map(|(_, n)| n)
            .sum()
    }

    fn non_relevant(&self) -> usize {
        self.judged.iter().take(self.level.max(0) as usize).sum()
    }
}

/// A measure with its parameters.
#[derive(Clone, Debug)]
pub struct Measure {
    definition: &'static Definition,
    parameters: Parameters,
    labels: Vec<String>,
}

/// How the figure over all topics is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// The sum over topics, a whole number.
    Total,
    /// The arithmetic mean.
    Mean,
    /// The geometric mean; only the summary is printed.
    GeometricMean,
    /// The number of topics; only the summary is printed.
    Topics,
    /// The name of the run; only the summary is printed.
    Tag,
    /// The grades of the first ranks as characters; no summary.
    Grades,
}

#[derive(Clone, Debug, PartialEq)]
enum Parameters {
    None,
    /// Ranks, ascending: one value each.
    Cutoffs(Vec<usize>),
    /// Shares of the relevant documents, ascending: one value each.
    Shares(Vec<f64>),
    /// Numbers of one value.
    Numbers(Vec<f64>),
    /// `name=number` pairs of one value: gains of grades, and the persistence `p`.
    Pairs(Vec<(String, f64)>),
}

#[derive(Debug)]
struct Definition {
    name: &'static str,
    defaults: Defaults,
    summary: Summary,
    score: fn(&JudgedRanking, &Parameters, &mut Vec<f64>),
}

#[derive(Debug)]
enum Defaults {
    None,
    Cutoffs(&'static [usize]),
    Shares(&'static [f64]),
    Numbers(&'static [f64]),
    Pairs,
}

const RANKS: Defaults = Defaults::Cutoffs(&[5, 10, 15, 20, 30, 100, 200, 500, 1000]);
const ELEVEN: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
const FIFTHS: [f64; 10] = [0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0];

const fn define(
    name: &'static str,
    defaults: Defaults,
    summary: Summary,
    score: fn(&JudgedRanking, &Parameters, &mut Vec<f64>),
) -> Definition {
    Definition { name, defaults, summary, score }
}

/// In the order in which trec_eval prints them.
static DEFINITIONS: [Definition; 41] = [
    define("runid", Defaults::None, Summary::Tag, |_, _, out| out.push(0.0)),
    define("num_q", Defaults::None, Summary::Topics, |_, _, out| out.push(1.0)),
    define("num_ret", Defaults::None, Summary::Total, |r, _, out| out.push(r.retrieved() as f64)),
    define("num_rel", Defaults::None, Summary::Total, |r, _, out| out.push(r.relevant() as f64)),
    define("num_rel_ret", Defaults::None, Summary::Total, |r, _, out| {
        out.push(r.relevant_retrieved() as f64)
    }),
    define("map", Defaults::None, Summary::Mean, |r, _, out| out.push(average_precision(r))),
    define("gm_map", Defaults::None, Summary::GeometricMean, |r, _, out| {
        out.push(floored_log(average_precision(r)))
    }),
    define("Rprec", Defaults::None, Summary::Mean, |r, _, out| out.push(r_precision(r))),
    define("bpref", Defaults::None, Summary::Mean, |r, _, out| out.push(binary_preference(r))),
    define("recip_rank", Defaults::None, Summary::Mean, |r, _, out| out.push(reciprocal_rank(r))),
    define("iprec_at_recall", Defaults::Shares(&ELEVEN), Summary::Mean, |r, p, out| {
        interpolated_precision(r, p.numbers(), out)
    }),
    define("P", RANKS, Summary::Mean, |r, p, out| {
        at_cutoffs(r, p, out, |found, cutoff| found as f64 / cutoff as f64);
    }),
    define("relstring", Defaults::Numbers(&[10.0]), Summary::Grades, |_, _, out| out.push(0.0)),
    define("recall", RANKS, Summary::Mean, |r, p, out| {
        let relevant = r.relevant();
        at_cutoffs(r, p, out, |found, _| if relevant == 0 { 0.0 } else { found as f64 / relevant as f64 });
    }),
    define("infAP", Defaults::None, Summary::Mean, |r, _, out| out.push(inferred_average_precision(r))),
    define("gm_bpref", Defaults::None, Summary::GeometricMean, |r, _, out| {
        out.push(floored_log(binary_preference(r)))
    }),
    define("Rprec_mult", Defaults::Shares(&FIFTHS), Summary::Mean, |r, p, out| {
        r_precision_at(r, p.numbers(), out)
    }),
    define("utility", Defaults::Numbers(&[1.0, -1.0, 0.0, 0.0]), Summary::Mean, |r, p, out| {
        out.push(utility(r, p.numbers()))
    }),
    define("11pt_avg", Defaults::Numbers(&ELEVEN), Summary::Mean, |r, p, out| {
        // trec_eval adds the precisions up from the highest recall down.
        let mut precisions = Vec::with_capacity(p.numbers().len());
        interpolated_precision(r, p.numbers(), &mut precisions);
        out.push(precisions.iter().rev().sum::<f64>() / precisions.len() as f64);
    }),
    define("binG", Defaults::None, Summary::Mean, |r, _, out| out.push(binary_g(r))),
    define("G", Defaults::Pairs, Summary::Mean, |r, p, out| out.push(graded_g(r, &Gains::new(r, p)))),
    define("dcg", Defaults::Pairs, Summary::Mean, |r, p, out| {
        out.push(cumulated_gains(r, &Gains::new(r, p)).0)
    }),
    define("ideal_dcg", Defaults::Pairs, Summary::Mean, |r, p, out| {
        out.push(cumulated_gains(r, &Gains::new(r, p)).1)
    }),
    define("ndcg", Defaults::Pairs, Summary::Mean, |r, p, out| {
        let (gain, ideal) = cumulated_gains(r, &Gains::new(r, p));
        out.push(if ideal > 0.0 { gain / ideal } else { 0.0 });
    }),
    define("ndcg_rel", Defaults::Pairs, Summary::Mean, |r, p, out| {
        out.push(ndcg_at_relevant(r, &Gains::new(r, p)))
    }),
    define("Rndcg", Defaults::Pairs, Summary::Mean, |r, p, out| {
        out.push(ndcg_at_levels(r, &Gains::new(r, p)))
    }),
    define("ndcg_cut", RANKS, Summary::Mean, |r, p, out| ndcg_at_cutoffs(r, p.cutoffs(), out)),
    define("map_cut", RANKS, Summary::Mean, |r, p, out| average_precision_at(r, p.cutoffs(), out)),
    define("relative_P", RANKS, Summary::Mean, |r, p, out| {
        let relevant = r.relevant();
        at_cutoffs(
            r,
            p,
            out,
            |found, cutoff| {
                if relevant == 0 { 0.0 } else { found as f64 / cutoff.min(relevant) as f64 }
            },
        );
    }),
    define("success", Defaults::Cutoffs(&[1, 5, 10]), Summary::Mean, |r, p, out| {
        at_cutoffs(r, p, out, |found, _| if found > 0 { 1.0 } else { 0.0 });
    }),
    define("set_P", Defaults::None, Summary::Mean, |r, _, out| {
        out.push(share(r.relevant_retrieved(), r.retrieved()))
    }),
    define("set_relative_P", Defaults::None, Summary::Mean, |r, _, out| {
        out.push(share(r.relevant_retrieved(), r.retrieved().min(r.relevant())))
    }),
    define("set_recall", Defaults::None, Summary::Mean, |r, _, out| {
        out.push(share(r.relevant_retrieved(), r.relevant()))
    }),
    define("set_map", Defaults::None, Summary::Mean, |r, _, out| {
        let found = r.relevant_retrieved();
        out.push(share(found * found, r.retrieved() * r.relevant()));
    }),
    define("set_F", Defaults::Numbers(&[1.0]), Summary::Mean, |r, p, out| out.push(set_f(r, p.numbers()))),
    define("num_nonrel_judged_ret", Defaults::None, Summary::Total, |r, _, out| {
        out.push((r.grades.iter().filter(|&&grade| grade >= 0).count() - r.relevant_retrieved()) as f64)
    }),
    define("yaap", Defaults::None, Summary::Mean, |r, _, out| {
        let sum = precision_sum(r, usize::MAX);
        out.push(((1.0 + sum) / (1.0 + r.relevant() as f64 - sum)).ln());
    }),
    define("rbp", Defaults::Pairs, Summary::Mean, |r, p, out| out.push(rank_biased_precision(r, p))),
    define("rbp_resid", Defaults::Pairs, Summary::Mean, |r, p, out| out.push(rank_biased_residual(r, p))),
    define("unj", Defaults::Cutoffs(&[5, 10, 20]), Summary::Mean, |r, p, out| {
        counted_at_cutoffs(r, p, out, |grade| grade < 0, |found, cutoff| found as f64 / cutoff as f64);
    }),
    // Not of trec_eval: the share of the first k ranks that was judged, 1 - unj where k documents are retrieved.
    define("judged", Defaults::Cutoffs(&[10, 100, 1000]), Summary::Mean, |r, p, out| {
        counted_at_cutoffs(r, p, out, |grade| grade >= 0, |found, cutoff| found as f64 / cutoff as f64);
    }),
];

const OFFICIAL: [&str; 12] = [
    "runid",
    "num_q",
    "num_ret",
    "num_rel",
    "num_rel_ret",
    "map",
    "gm_map",
    "Rprec",
    "bpref",
    "recip_rank",
    "iprec_at_recall",
    "P",
];
const SET: [&str; 11] = [
    "runid",
    "num_q",
    "num_ret",
    "num_rel",
    "num_rel_ret",
    "utility",
    "set_P",
    "set_recall",
    "set_relative_P",
    "set_map",
    "set_F",
];
/// What `all_trec` leaves out.
const NOT_IN_ALL_TREC: [&str; 4] = ["dcg", "ideal_dcg", "yaap", "judged"];

impl Measure {
    /// Measures from their names as trec_eval takes them: a name, a name with parameters after the first point
    /// (`P.5,10`, `ndcg.1=3,2=9`, `iprec_at_recall..25,.5`), or one of the groups `official`, `set` and `all_trec`.
    /// Each measure comes once, in trec_eval's order, with the first parameters that are given for it.
    ///
    /// Errors: an unknown name, parameters of the wrong form, a cutoff below 1 or given twice.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Vec<Measure>, String> {
        let mut wanted: Vec<(&str, Option<&str>)> = Vec::new();
        for name in names {
            let name = name.as_ref();
            let (name, parameters) = match name.split_once('.') {
                Some((name, parameters)) => (name, Some(parameters)),
                None => (name, None),
            };
            let group: Vec<&str> = match name {
                "official" => OFFICIAL.to_vec(),
                "set" => SET.to_vec(),
                "all_trec" => DEFINITIONS
                    .iter()
                    .map(|d| d.name)
                    .filter(|name| !NOT_IN_ALL_TREC.contains(name))
                    .collect(),
                _ => vec![name],
            };
            if let Some(unknown) = group.iter().find(|name| DEFINITIONS.iter().all(|d| d.name != **name)) {
                return Err(format!("no measure is called `{unknown}`"));
            }
            if group.len() > 1 && parameters.is_some() {
                return Err(format!("`{name}` is a group of measures and takes no parameters"));
            }
            wanted.extend(group.into_iter().map(|name| (name, parameters)));
        }
        let mut measures = Vec::new();
        for definition in &DEFINITIONS {
            if wanted.iter().any(|(name, _)| *name == definition.name) {
                let given =
                    wanted.iter().find_map(|(name, given)| given.filter(|_| *name == definition.name));
                measures.push(Measure::with(definition, given)?);
            }
        }
        Ok(measures)
    }

    /// The labels of the values, one for each value.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How the figure over all topics is made.
    pub fn summary(&self) -> Summary {
        self.definition.summary
    }

    /// Whether the figure over all topics is an arithmetic mean of values of the topics.
    pub fn averages(&self) -> bool {
        self.summary() == Summary::Mean
    }

    /// The values for one topic, as many as labels. Not a number where trec_eval divides 0 by 0: interpolated precision
    /// at recall 0 of an empty ranking.
    pub fn score(&self, ranking: &JudgedRanking) -> Vec<f64> {
        let mut values = Vec::with_capacity(self.labels.len());
        (self.definition.score)(ranking, &self.parameters, &mut values);
        values
    }

    /// For `relstring`: the grades of the first ranks, a digit each, `>` above 9, `-` unjudged, `.` pooled.
    pub fn grades_text(&self, ranking: &JudgedRanking) -> String {
        let length = self.parameters.numbers()[0].max(0.0) as usize;
        let character = |&grade: &i64| match grade {
            UNJUDGED => '-',
            grade if grade < 0 => '.',
            grade => char::from_digit(grade as u32, 10).unwrap_or('>'),
        };
        ranking.grades.iter().take(length).map(character).collect()
    }

    fn with(definition: &'static Definition, given: Option<&str>) -> Result<Measure, String> {
        let name = definition.name;
        let numbers = |text: &str| -> Result<Vec<f64>, String> {
            text.split(',').map(|part| number(name, part)).collect()
        };
        let parameters = match (&definition.defaults, given) {
            (Defaults::None, None) => Parameters::None,
            (Defaults::None, Some(_)) => return Err(format!("`{name}` takes no parameters")),
            (Defaults::Cutoffs(ranks), None) => Parameters::Cutoffs(ranks.to_vec()),
            (Defaults::Shares(shares), None) => Parameters::Shares(shares.to_vec()),
            (Defaults::Numbers(values), None) => Parameters::Numbers(values.to_vec()),
            (Defaults::Pairs, None) => Parameters::Pairs(Vec::new()),
            (Defaults::Cutoffs(_), Some(text)) => {
                // trec_eval takes the whole part of 23.4.
                let mut ranks: Vec<usize> = numbers(text)?.into_iter().map(|x| x.max(0.0) as usize).collect();
                ranks.sort_unstable();
                if ranks[0] == 0 || ranks.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(format!("`{name}`: the cutoffs {text} are not distinct ranks from 1"));
                }
                Parameters::Cutoffs(ranks)
            }
            (Defaults::Shares(_), Some(text)) => {
                let mut shares = numbers(text)?;
                shares.sort_unstable_by(f64::total_cmp);
                if shares[0] < 0.0 || shares.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(format!("`{name}`: the shares {text} are not distinct numbers from 0"));
                }
                Parameters::Shares(shares)
            }
            (Defaults::Numbers(defaults), Some(text)) => {
                let values = numbers(text)?;
                if name == "utility" && values.len() != defaults.len() {
                    return Err(format!("`utility` takes {} numbers, not {}", defaults.len(), values.len()));
                }
                Parameters::Numbers(values)
            }
            (Defaults::Pairs, Some(text)) => {
                let pair = |part: &str| -> Result<(String, f64), String> {
                    let (key, value) = part
                        .split_once('=')
                        .ok_or_else(|| format!("`{name}`: expected grade=gain, found `{part}`"))?;
                    if key.parse::<i64>().is_err() && !(key == "p" && name.starts_with("rbp")) {
                        return Err(format!("`{name}`: `{key}` is not a grade"));
                    }
                    Ok((key.to_string(), number(name, value)?))
                };
                Parameters::Pairs(text.split(',').map(pair).collect::<Result<_, _>>()?)
            }
        };
        let labels = match (&parameters, given) {
            (Parameters::Cutoffs(ranks), _) => ranks.iter().map(|rank| format!("{name}_{rank}")).collect(),
            (Parameters::Shares(shares), _) => {
                shares.iter().map(|share| format!("{name}_{share:.2}")).collect()
            }
            (_, Some(text)) => vec![format!("{name}_{text}")],
            (_, None) => vec![name.to_string()],
        };
        Ok(Measure { definition, parameters, labels })
    }
}

fn number(measure: &str, text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("`{measure}`: `{text}` is not a number")),
    }
}

impl Parameters {
    fn cutoffs(&self) -> &[usize] {
        match self {
            Parameters::Cutoffs(ranks) => ranks,
            _ => &[],
        }
    }

    fn numbers(&self) -> &[f64] {
        match self {
            Parameters::Shares(numbers) | Parameters::Numbers(numbers) => numbers,
            _ => &[],
        }
    }

    fn pairs(&self) -> &[(String, f64)] {
        match self {
            Parameters::Pairs(pairs) => pairs,
            _ => &[],
        }
    }

    fn persistence(&self) -> f64 {
        self.pairs().iter().rev().find(|(name, _)| name == "p").map_or(0.9, |(_, value)| *value)
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The logarithm of a value that is at least 0.00001, for geometric means.
fn floored_log(value: f64) -> f64 {
    value.max(1e-5).ln()
}

fn at_cutoffs(r: &JudgedRanking, p: &Parameters, out: &mut Vec<f64>, value: impl Fn(usize, usize) -> f64) {
    counted_at_cutoffs(r, p, out, |grade| r.is_relevant(grade), value);
}

fn counted_at_cutoffs(
    r: &JudgedRanking,
    p: &Parameters,
    out: &mut Vec<f64>,
    counts: impl Fn(i64) -> bool,
    value: impl Fn(usize, usize) -> f64,
) {
    let (mut found, mut rank) = (0, 0);
    for &cutoff in p.cutoffs() {
        while rank < cutoff.min(r.retrieved()) {
            found += usize::from(counts(r.grades[rank]));
            rank += 1;
        }
        out.push(value(found, cutoff));
    }
}

/// The sum of P@i over the relevant ranks i up to a depth.
fn precision_sum(r: &JudgedRanking, depth: usize) -> f64 {
    let (mut found, mut sum) = (0, 0.0);
    for (rank, &grade) in r.grades.iter().take(depth).enumerate() {
        if r.is_relevant(grade) {
            found += 1;
            sum += found as f64 / (rank + 1) as f64;
        }
    }
    sum
}

fn average_precision(r: &JudgedRanking) -> f64 {
    let sum = precision_sum(r, usize::MAX);
    if sum > 0.0 { sum / r.relevant() as f64 } else { 0.0 }
}

fn average_precision_at(r: &JudgedRanking, cutoffs: &[usize], out: &mut Vec<f64>) {
    let relevant = r.relevant();
    let value =
        |&cutoff: &usize| if relevant == 0 { 0.0 } else { precision_sum(r, cutoff) / relevant as f64 };
    out.extend(cutoffs.iter().map(value));
}

fn r_precision(r: &JudgedRanking) -> f64 {
    let relevant = r.relevant();
    share(r.grades.iter().take(relevant).filter(|&&grade| r.is_relevant(grade)).count(), relevant)
}

fn binary_preference(r: &JudgedRanking) -> f64 {
    let (relevant, non_relevant) = (r.relevant(), r.non_relevant());
    let (mut above, mut sum) = (0usize, 0.0);
    for &grade in r.grades.iter().filter(|&&grade| grade >= 0) {
        if !r.is_relevant(grade) {
            above += 1;
        } else if above > 0 {
            sum += 1.0 - above.min(relevant) as f64 / non_relevant.min(relevant) as f64;
        } else {
            sum += 1.0;
        }
    }
    if relevant > 0 { sum / relevant as f64 } else { sum }
}

fn reciprocal_rank(r: &JudgedRanking) -> f64 {
    r.grades.iter().position(|&grade| r.is_relevant(grade)).map_or(0.0, |rank| 1.0 / (rank + 1) as f64)
}

/// The largest precision at or below the rank where a share of the relevant documents has been found.
fn interpolated_precision(r: &JudgedRanking, shares: &[f64], out: &mut Vec<f64>) {
    let (relevant, found) = (r.relevant() as f64, r.relevant_retrieved());
    let cutoffs: Vec<usize> = shares.iter().map(|share| (share * relevant).round() as usize).collect();
    let mut values = vec![0.0; shares.len()];
    let mut left = cutoffs.iter().rposition(|&cutoff| cutoff <= found).map_or(0, |last| last + 1);
    let mut best = found as f64 / r.retrieved() as f64;
    let mut so_far = found;
    for rank in (1..=r.retrieved()).rev() {
        if so_far == 0 {
            break;
        }
        best = best.max(so_far as f64 / rank as f64);
        if r.is_relevant(r.grades[rank - 1]) {
            while left > 0 && cutoffs[left - 1] == so_far {
                left -= 1;
                values[left] = best;
            }
            so_far -= 1;
        }
    }
    values[..left].fill(best);
    out.extend(values);
}

/// Precision after shares of R documents.
fn r_precision_at(r: &JudgedRanking, shares: &[f64], out: &mut Vec<f64>) {
    let relevant = r.relevant() as f64;
    for share in shares {
        let cutoff = (share * relevant + 0.9) as usize;
        let found = r.grades.iter().take(cutoff).filter(|&&grade| r.is_relevant(grade)).count();
        out.push(self::share(found, cutoff));
    }
}

fn inferred_average_precision(r: &JudgedRanking) -> f64 {
    const EPSILON: f64 = 1e-5;
    let (mut relevant, mut non_relevant, mut pooled, mut sum) = (0.0, 0.0, 0.0, 0.0);
    for (rank, &grade) in r.grades.iter().enumerate() {
        match grade {
            UNJUDGED => {}
            grade if grade < 0 => pooled += 1.0,
            grade if !r.is_relevant(grade) => non_relevant += 1.0,
            _ if rank == 0 => {
                relevant += 1.0;
                sum += 1.0;
            }
            _ => {
                // Of the ranks above, the share that is in the pool times the estimated precision there.
                let above = rank as f64;
                sum += 1.0 / (above + 1.0)
                    + (above / (above + 1.0))
                        * ((relevant + non_relevant + pooled) / above)
                        * ((relevant + EPSILON) / (relevant + non_relevant + 2.0 * EPSILON));
                relevant += 1.0;
            }
        }
    }
    let relevant = r.relevant();
    if relevant > 0 { sum / relevant as f64 } else { sum }
}

fn utility(r: &JudgedRanking, weights: &[f64]) -> f64 {
    let [retrieved, relevant, found] =
        [r.retrieved(), r.relevant(), r.relevant_retrieved()].map(|n| n as f64);
    weights[0] * found
        + weights[1] * (retrieved - found)
        + weights[2] * (relevant - found)
        + weights[3] * (r.collection as f64 + found - retrieved - relevant)
}

fn set_f(r: &JudgedRanking, weights: &[f64]) -> f64 {
    let found = r.relevant_retrieved();
    if found == 0 {
        return 0.0;
    }
    let (precision, recall) = (share(found, r.retrieved()), share(found, r.relevant()));
    (weights[0] + 1.0) * precision * recall / (weights[0] * precision + recall)
}

/// Mean over relevant documents of 1 / log2(2 + non-relevant documents above).
fn binary_g(r: &JudgedRanking) -> f64 {
    let (mut found, mut sum) = (0, 0.0);
    for (rank, &grade) in r.grades.iter().enumerate() {
        if r.is_relevant(grade) {
            found += 1;
            sum += 1.0 / ((3 + rank - found) as f64).log2();
        }
    }
    if found > 0 { sum / r.relevant() as f64 } else { 0.0 }
}

/// The gains of grades, and the gains that an ideal ranking has.
struct Gains {
    by_grade: Vec<(i64, f64)>,
    /// The positive gains of the judged documents, the largest first.
    ideal: Vec<f64>,
    /// Whether grades are their own gains.
    plain: bool,
}

impl Gains {
    /// A grade is its own gain where the parameters do not say otherwise.
    fn new(r: &JudgedRanking, parameters: &Parameters) -> Gains {
        let given = parameters.pairs().iter().filter_map(|(grade, gain)| Some((grade.parse().ok()?, *gain)));
        let mut by_grade: Vec<(i64, f64)> = given.collect();
        for grade in 0..r.judged.len() as i64 {
            if by_grade.iter().all(|(other, _)| *other != grade) {
                by_grade.push((grade, grade as f64));
            }
        }
        let count =
            |grade: i64| usize::try_from(grade).ok().and_then(|g| r.judged.get(g)).copied().unwrap_or(0);
        let mut gains: Vec<(f64, usize)> =
            by_grade.iter().map(|&(grade, gain)| (gain, count(grade))).collect();
        gains.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ideal = gains.iter().take_while(|(gain, _)| *gain > 0.0);
        let ideal = ideal.flat_map(|&(gain, count)| std::iter::repeat_n(gain, count)).collect();
        Gains { by_grade, ideal, plain: parameters.pairs().is_empty() }
    }

    fn of(&self, grade: i64) -> f64 {
        // Most documents have grade 0 or none, which mostly gain nothing.
        if grade <= 0 && self.plain {
            return 0.0;
        }
        self.by_grade.iter().find(|(other, _)| *other == grade).map_or(0.0, |(_, gain)| *gain)
    }
}

/// log2(rank + 2), from a table for the ranks that runs mostly have.
fn discount(rank: usize) -> f64 {
    static TABLE: LazyLock<Vec<f64>> =
        LazyLock::new(|| (2..1002).map(|rank| f64::from(rank).log2()).collect());
    TABLE.get(rank).copied().unwrap_or_else(|| ((rank + 2) as f64).log2())
}

/// DCG of the ranking and of the ideal ranking.
fn cumulated_gains(r: &JudgedRanking, gains: &Gains) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for (rank, &grade) in r.grades.iter().enumerate() {
        let gain = gains.of(grade);
        if gain != 0.0 {
            sums.0 += gain / discount(rank);
        }
    }
    for (rank, gain) in gains.ideal.iter().enumerate() {
        sums.1 += gain / discount(rank);
    }
    sums
}

/// nDCG averaged over the ranks of the relevant documents; those not retrieved count with nDCG at the end.
fn ndcg_at_relevant(r: &JudgedRanking, gains: &Gains) -> f64 {
    let (mut gain_sum, mut ideal_sum, mut sum, mut found) = (0.0, 0.0, 0.0, 0usize);
    for rank in 0..r.retrieved().max(gains.ideal.len()) {
        let gain = r.grades.get(rank).map_or(0.0, |&grade| gains.of(grade));
        if gain != 0.0 {
            gain_sum += gain / discount(rank);
        }
        if let Some(ideal) = gains.ideal.get(rank) {
            ideal_sum += ideal / discount(rank);
        }
        if gain > 0.0 {
            sum += gain_sum / ideal_sum;
            found += 1;
        }
    }
    sum += (gains.ideal.len() as f64 - found as f64) * gain_sum / ideal_sum;
    if sum > 0.0 { sum / gains.ideal.len() as f64 } else { 0.0 }
}

/// nDCG averaged over the ranks where the ideal ranking changes to a lower gain, and over the end of the ranking where
/// that lies beyond the last of them.
fn ndcg_at_levels(r: &JudgedRanking, gains: &Gains) -> f64 {
    if r.relevant() == 0 {
        return 0.0;
    }
    let (mut gain_sum, mut ideal_sum, mut sum, mut points) = (0.0, 0.0, 0.0, 0);
    let last = gains.ideal.len();
    for rank in 0..r.retrieved().max(last + 1) {
        let change = rank <= last && rank > 0 && gains.ideal.get(rank) != gains.ideal.get(rank - 1);
        if change && ideal_sum > 0.0 {
            sum += gain_sum / ideal_sum;
            points += 1;
        }
        let gain = r.grades.get(rank).map_or(0.0, |&grade| gains.of(grade));
        if gain != 0.0 {
            gain_sum += gain / discount(rank);
        }
        if let Some(ideal) = gains.ideal.get(rank) {
            ideal_sum += ideal / discount(rank);
        }
    }
    if r.retrieved() > last + 1 && ideal_sum > 0.0 {
        sum += gain_sum / ideal_sum;
        points += 1;
    }
    sum / f64::from(points)
}

fn ndcg_at_cutoffs(r: &JudgedRanking, cutoffs: &[usize], out: &mut Vec<f64>) {
    let ideal: Vec<i64> =
        (1..r.judged.len()).rev().flat_map(|g| std::iter::repeat_n(g as i64, r.judged[g])).collect();
    let sums = |grades: &[i64]| -> Vec<f64> {
        let (mut sum, mut rank) = (0.0, 0);
        let mut at_cutoff = |&cutoff: &usize| {
            while rank < cutoff.min(grades.len()) {
                if grades[rank] > 0 {
                    sum += grades[rank] as f64 / discount(rank);
                }
                rank += 1;
            }
            sum
        };
        cutoffs.iter().map(&mut at_cutoff).collect()
    };
    let values = sums(&r.grades).into_iter().zip(sums(&ideal));
    out.extend(values.map(|(gain, ideal)| if ideal > 0.0 { gain / ideal } else { gain }));
}

/// Gains against the cost of reading down to them, normalised by the sum of the ideal gains.
fn graded_g(r: &JudgedRanking, gains: &Gains) -> f64 {
    let (mut value, mut gain_sum, mut cost) = (0.0, 0.0, 0.0);
    for (rank, &grade) in r.grades.iter().enumerate() {
        let gain = gains.of(grade);
        gain_sum += gain;
        cost += gains.ideal.get(rank).copied().unwrap_or(0.0).max(1.0);
        if gain != 0.0 {
            value += gain / (2.0 + cost - gain_sum).log2();
        }
    }
    let ideal: f64 = gains.ideal.iter().sum();
    if ideal > 0.0 { value / ideal } else { 0.0 }
}

fn rank_biased_precision(r: &JudgedRanking, parameters: &Parameters) -> f64 {
    let mut gains = Gains::new(r, parameters);
    let least = gains.by_grade.iter().map(|(_, gain)| *gain).fold(0.0, f64::min);
    let largest = gains.by_grade.iter().map(|(_, gain)| *gain).fold(0.0, f64::max);
    if least < 0.0 || largest > 1.0 {
        gains.by_grade.iter_mut().for_each(|(_, gain)| *gain = (*gain - least) / (largest - least));
    }
    let p = parameters.persistence();
    let (mut sum, mut weight) = (0.0, 1.0);
    for &grade in &r.grades {
        let gain = gains.of(grade);
        if gain != 0.0 {
            sum += gain * weight;
        }
        weight *= p;
    }
    (1.0 - p) * sum
}

/// What rank-biased precision could gain if all unjudged and all further documents were relevant; 0 where all is
/// judged.
fn rank_biased_residual(r: &JudgedRanking, parameters: &Parameters) -> f64 {
    let p = parameters.persistence();
    let (mut sum, mut weight) = (0.0, 1.0);
    for &grade in &r.grades {
        if grade < 0 {
            sum += weight;
        }
        weight *= p;
    }
    if r.grades.iter().any(|&grade| grade < 0) { weight + (1.0 - p) * sum } else { 0.0 }
}
