//! The measures, retrieval and statistics on small cases, and on the published data where MATHESIS_DATA names it.

use std::path::{Path, PathBuf};

use mathesis_reasoning::retrieval::embedding::{Embedding, HashedTokens};
use mathesis_reasoning::retrieval::measures::Measure;
use mathesis_reasoning::retrieval::significance::compare;
use mathesis_reasoning::retrieval::{
    Graph, GraphOptions, Judgements, Options, Repeated, Run, SparseIndex, Tokens, Vectors, Weighting,
    evaluate, search_exactly,
};
use mathesis_reasoning::suites::arqmath;
use proptest::prelude::*;
use rayon::prelude::*;

/// The data folder `name`, or `None` with the reason printed.
fn data(name: &str) -> Option<PathBuf> {
    match std::env::var_os("MATHESIS_DATA") {
        Some(folder) => Some(PathBuf::from(folder).join(name)),
        None => {
            eprintln!("skipped: MATHESIS_DATA does not name the data folder");
            None
        }
    }
}

#[test]
fn the_published_outputs_of_trec_eval_come_out_byte_for_byte() {
    let Some(folder) = data("trec-eval-cases") else { return };
    let default = Options::default();
    let parameters = [
        "iprec_at_recall..10,.20,.25,.75,.50",
        "P.5,7,3",
        "recall.20,2000",
        "Rprec_mult.5.0,0.2,0.35",
        "utility.2,-1,0,0",
        "11pt_avg..25,.5,.75",
        "ndcg.1=3,2=9,4=4.5",
        "ndcg_cut.10,20,23.4",
        "success.2,5,20",
    ];
    let complete = Options { complete: true, ..default.clone() };
    let hundred = Options { depth: 100, ..complete.clone() };
    let second = Options { level: 2, ..default.clone() };
    // Expected output, measures, topics printed, judgements, run, options.
    type Case<'a> = (&'a str, &'a [&'a str], bool, &'a str, &'a str, Options);
    let cases: [Case<'_>; 7] = [
        ("out.test", &["official"], false, "qrels.test", "results.test", default.clone()),
        ("out.test.a", &["all_trec"], false, "qrels.test", "results.test", default.clone()),
        ("out.test.aq", &["all_trec"], true, "qrels.test", "results.test", default.clone()),
        ("out.test.aqc", &["all_trec"], true, "qrels.test", "results.trunc", complete),
        ("out.test.aqcM", &["all_trec"], true, "qrels.test", "results.trunc", hundred),
        ("out.test.aql", &["all_trec", "relstring.20"], true, "qrels.rel_level", "results.test", second),
        ("out.test.meas_params", &parameters, true, "qrels.test", "results.test", default),
    ];
    for (expected, names, with_topics, judgements, run, options) in cases {
        let judgements = Judgements::read(&folder.join(judgements), Judgements::ANY_GRADE).unwrap();
        let run = Run::read(&folder.join(run), Repeated::Refuse).unwrap();
        let found = evaluate(&judgements, &run, &Measure::parse(names).unwrap(), &options).unwrap();
        let found = found.trec_text(with_topics, true);
        let expected_text = std::fs::read_to_string(folder.join(expected)).unwrap();
        for (found, wanted) in found.lines().zip(expected_text.lines()) {
            assert_eq!(found, wanted, "{expected}");
        }
        assert_eq!(found, expected_text, "{expected}");
    }
}

#[test]
fn artificial_runs_over_the_arqmath_judgements_have_their_reference_scores() {
    let Some(folder) = data("mse-arqmath") else { return };
    let judgements = arqmath::read_judgements(&folder.join("qrels.arqmath-2022-task1-official.txt")).unwrap();
    assert_eq!(judgements.topics().count(), 78);
    let all: Vec<(&str, &str, i64)> = judgements
        .topics()
        .flat_map(|t| judgements.documents(t).map(move |(d, grade)| (t, d, grade)))
        .collect();
    let by_grade = [0, 1, 2, 3].map(|grade| all.iter().filter(|judged| judged.2 == grade).count());
    assert_eq!(by_grade, [26_983, 4_921, 2_076, 867]);

    let number = |document: &str| document.parse::<f64>().unwrap();
    let judged = |score: &dyn Fn(&str, i64) -> f64| -> Vec<(String, String, f64)> {
        all.iter().map(|(t, d, grade)| (t.to_string(), d.to_string(), score(d, *grade))).collect()
    };
    let mut with_twins = judged(&|d, _| number(d) % 97.0);
    for (topic, document, _) in &all {
        let twin = format!("9{document}");
        if judgements.documents(topic).all(|(other, _)| other != twin) {
            with_twins.push((topic.to_string(), twin, number(document) % 97.0 + 0.5));
        }
    }
    let rows = [
        (judged(&|d, _| number(d)), true, ["0.5694", "0.0949", "0.0756", "0.0445"]),
        (judged(&|d, _| -number(d)), true, ["0.5784", "0.1023", "0.0923", "0.0575"]),
        (judged(&|d, _| number(d) % 97.0), true, ["0.5733", "0.0988", "0.0923", "0.0504"]),
        (judged(&|_, grade| grade as f64), true, ["1.0000", "1.0000", "0.9500", "1.0000"]),
        (with_twins.clone(), false, ["0.4900", "0.0475", "0.0321", "0.0504"]),
        (with_twins, true, ["0.5733", "0.0988", "0.0923", "0.0504"]),
    ];
    for (ranked, judged_only, wanted) in rows {
        let run = Run::new("artificial", ranked).unwrap();
        let options = Options { judged_only, ..Options::arqmath() };
        let measures = Measure::parse(&["ndcg", "map", "P.10", "bpref"]).unwrap();
        let found = evaluate(&judgements, &run, &measures, &options).unwrap();
        let figures =
            ["ndcg", "map", "P_10", "bpref"].map(|label| format!("{:.4}", found.figure(label).unwrap()));
        assert_eq!(figures, wanted);
        if judged_only {
            let scores = arqmath::score(&judgements, &run, false).unwrap();
            assert_eq!(scores.primed.figure("ndcg"), found.figure("ndcg"));
        }
    }
}

#[test]
fn the_published_precisions_give_the_studys_comparison() {
    let Some(folder) = data("mse-arqmath") else { return };
    let precisions = arqmath::read_precisions(&folder.join("p_at_10_per_topic.csv")).unwrap();
    assert_eq!(precisions.topics.len(), 78);
    let mean = |system| precisions.of(system).iter().sum::<f64>() / 78.0;
    let means = [0, 1, 2, 3, 4].map(|system| format!("{:.4}", mean(system)));
    assert_eq!(means, ["0.3244", "0.3744", "0.2628", "0.2590", "0.2667"]);
    for (stated, system) in precisions.stated.iter().zip(0..) {
        assert!((stated - mean(system)).abs() < 5e-5);
    }
    let found = compare(&precisions.of(1), &precisions.of(0)).unwrap();
    assert_eq!((found.wins, found.ties, found.losses), (38, 21, 19));
    assert_eq!(format!("{:+.4}", found.mean_difference), "+0.0500");
    assert_eq!(format!("{:.2}", found.t.unwrap().statistic), "2.73");

    let information =
        arqmath::read_information(&folder.join("Task1_ARQMath3_Topic_Information.csv")).unwrap();
    let values: Vec<(&str, f64)> =
        precisions.topics.iter().map(|(topic, v)| (topic.as_str(), v[1])).collect();
    let counts = |property: fn(&arqmath::Information) -> &str| -> Vec<(&str, usize)> {
        arqmath::by_property(&values, &information, property)
            .into_iter()
            .map(|(name, count, _)| (name, count))
            .collect()
    };
    assert_eq!(
        counts(|i| &i.category),
        [("Computation", 21), ("Concept", 16), ("Proof", 36), ("Proof & Concept", 5)]
    );
    assert_eq!(counts(|i| &i.difficulty), [("High", 18), ("Low", 17), ("Medium", 43)]);
    assert_eq!(counts(|i| &i.dependency), [("Both", 46), ("Formula", 22), ("Text", 10)]);
}

/// The generated answers that are not empty, with their topics.
fn generated_answers(folder: &Path) -> (Vec<String>, Vec<String>) {
    let files = [
        ("MAmmoTH-Coder-7b", 80, 1),
        ("Mistral-7B-Instruct", 80, 0),
        ("gpt4", 78, 0),
        ("llemma-7b", 80, 0),
        ("tora-code-13b", 78, 0),
        ("tora-code-7b", 79, 1),
    ];
    let (mut topics, mut texts) = (Vec::new(), Vec::new());
    for (name, rows, notices) in files {
        let read = arqmath::read_answers(&folder.join(format!("generated-answers.{name}.csv"))).unwrap();
        assert_eq!(read.answers.len(), rows, "{name}");
        assert_eq!(read.notices.len(), notices, "{name}: {:?}", read.notices);
        for (topic, answer) in read.answers.into_iter().filter(|(_, answer)| !answer.trim().is_empty()) {
            topics.push(topic);
            texts.push(answer);
        }
    }
    (topics, texts)
}

/// Mean P@5 and mean reciprocal rank over rankings of which each place is right or not.
fn precision_and_rank(rankings: &[Vec<bool>]) -> String {
    let count = rankings.len() as f64;
    let right = |ranking: &Vec<bool>| ranking.iter().take(5).filter(|right| **right).count() as f64 / 5.0;
    let first =
        |ranking: &Vec<bool>| ranking.iter().position(|right| *right).map_or(0.0, |p| 1.0 / (p + 1) as f64);
    let precision = rankings.iter().map(right).sum::<f64>() / count;
    format!("{precision:.4} / {:.4}", rankings.iter().map(first).sum::<f64>() / count)
}

#[test]
fn generated_answers_retrieve_what_scikit_learn_retrieves() {
    let Some(folder) = data("mse-arqmath") else { return };
    let (topics, texts) = generated_answers(&folder);
    assert_eq!(texts.len(), 474);
    let questions = arqmath::read_topics(&folder.join("topics.arqmath-2022-task1.xml")).unwrap();
    assert_eq!(questions.len(), 100);
    let asked: Vec<&arqmath::Topic> =
        questions.iter().filter(|question| topics.contains(&question.id)).collect();
    assert_eq!(asked.len(), 83);
    let cases = [
        (Tokens::Characters { least: 2, most: 5 }, "0.5662 / 0.8315", "0.8819 / 0.9640"),
        (Tokens::Blanks, "0.4384 / 0.7277", "0.7735 / 0.9641"),
    ];
    for (tokens, others, questions) in cases {
        let index = SparseIndex::new(&texts, tokens, Weighting::TfIdf);
        let same = |query: usize| -> Vec<bool> {
            let found = index.search(&texts[query], texts.len()).into_iter();
            found.filter(|(text, _)| *text != query).map(|(text, _)| topics[text] == topics[query]).collect()
        };
        let rankings: Vec<Vec<bool>> = (0..texts.len()).into_par_iter().map(same).collect();
        assert_eq!(precision_and_rank(&rankings), others);
        let answers = |topic: &arqmath::Topic| -> Vec<bool> {
            index
                .search(&topic.text(), texts.len())
                .into_iter()
                .map(|(text, _)| topics[text] == topic.id)
                .collect()
        };
        let rankings: Vec<Vec<bool>> = asked.iter().map(|topic| answers(topic)).collect();
        assert_eq!(precision_and_rank(&rankings), questions);
    }
}

/// The share of the exact ten nearest that the graph finds.
fn recall(rows: &Vectors, queries: &Vectors, options: &GraphOptions, breadth: usize) -> f64 {
    let exact = search_exactly(rows, queries, 10);
    let found = Graph::build(rows.clone(), options).search_all(queries, 10, breadth);
    let all: usize = exact.iter().map(Vec::len).sum();
    let right =
        exact.iter().zip(&found).map(|(exact, found)| found.iter().filter(|row| exact.contains(row)).count());
    right.sum::<usize>() as f64 / all as f64
}

#[test]
fn the_graph_finds_the_nearest_answers() {
    let Some(folder) = data("mse-arqmath") else { return };
    let (_, texts) = generated_answers(&folder);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embedding = HashedTokens { tokens: Tokens::Formulas, dimension: 256 };
    let rows = embedding.embed(&texts).unwrap();
    let questions = arqmath::read_topics(&folder.join("topics.arqmath-2022-task1.xml")).unwrap();
    let questions: Vec<String> = questions.iter().map(arqmath::Topic::text).collect();
    let queries = embedding.embed(&questions.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    // The graph of the study: M = 256, efConstruction = 16, efSearch = 64.
    let study = GraphOptions { links: 256, breadth: 16, seed: 0 };
    for (options, breadth) in [(GraphOptions::default(), 100), (study, 64)] {
        let found = recall(&rows, &queries, &options, breadth);
        assert!(found >= 0.99, "{options:?}: recall@10 {found}");
    }
}

/// Values from -1 to 1 that repeat from run to run.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn the_graph_is_exact_on_few_rows_and_close_on_many() {
    for (rows, dimension) in [(0, 3), (1, 1), (2, 7), (17, 5), (40, 16)] {
        let queries = Vectors::new(dimension, numbers(1, 5 * dimension)).unwrap();
        let rows = Vectors::new(dimension, numbers(2, rows * dimension)).unwrap();
        let graph = Graph::build(rows.clone(), &GraphOptions::default());
        let found = graph.search_all(&queries, 10, 50);
        assert_eq!(found, search_exactly(&rows, &queries, 10));
        assert!(graph.search(queries.row(0), 0, 10).is_empty());
    }
    let mut rows = Vectors::new(16, numbers(3, 16 * 1500)).unwrap();
    rows.normalise();
    let queries = Vectors::new(16, numbers(4, 16 * 50)).unwrap();
    let found = recall(&rows, &queries, &GraphOptions { links: 8, breadth: 64, seed: 7 }, 80);
    assert!(found > 0.97, "{found}");
    // Among equal rows a full answer is found, though perhaps not every row.
    let equal = Vectors::new(2, [1.0, 0.5].repeat(300)).unwrap();
    let found =
        Graph::build(equal, &GraphOptions { links: 4, breadth: 16, seed: 0 }).search(&[1.0, 1.0], 10, 50);
    assert!(found.len() == 10 && found.iter().all(|(_, product)| *product == 1.5), "{found:?}");
}

#[test]
fn the_graph_does_not_depend_on_the_number_of_threads() {
    let rows = Vectors::new(8, numbers(5, 8 * 400)).unwrap();
    let queries = Vectors::new(8, numbers(6, 8 * 20)).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let options = GraphOptions { links: 4, breadth: 8, seed: 1 };
        pool.install(|| Graph::build(rows.clone(), &options).search_all(&queries, 10, 10))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn vectors_are_checked_and_read_from_npy() {
    assert!(Vectors::new(0, vec![]).is_err());
    assert!(Vectors::new(2, vec![1.0; 3]).is_err());
    assert!(Vectors::new(2, vec![1.0, f32::NAN]).unwrap_err().contains("row 0"));
    let folder = std::env::temp_dir().join(format!("mathesis-retrieval-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, descr: &str, shape: &str, data: &[u8]| {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        Vectors::read(&path)
    };
    let wanted = Vectors::new(2, vec![1.0, -2.0, 0.5, 4.0]).unwrap();
    let single: Vec<u8> = [1.0f32, -2.0, 0.5, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let double: Vec<u8> = [1.0f64, -2.0, 0.5, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(write("single.npy", "<f4", "(2, 2)", &single).unwrap(), wanted);
    assert_eq!(write("double.npy", "<f8", "(2, 2)", &double).unwrap(), wanted);
    for (name, descr, shape, data) in [
        ("flat.npy", "<f4", "(4,)", &single),
        ("whole.npy", "<i4", "(2, 2)", &single),
        ("short.npy", "<f8", "(2, 2)", &single),
    ] {
        let error = write(name, descr, shape, data).unwrap_err();
        assert!(error.file.ends_with(name), "{error}");
    }
    assert!(Vectors::read(&folder.join("missing.npy")).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn paired_tests_give_scipys_values() {
    let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-12, "{found} against {wanted}");
    let first = [0.31, 0.62, 0.18, 0.55, 0.9, 0.41, 0.27, 0.73];
    let second = [0.25, 0.68, 0.07, 0.30, 0.71, 0.48, 0.06, 0.70];
    let found = compare(&first, &second).unwrap();
    near(found.t.unwrap().statistic, 2.098543184007808);
    near(found.t.unwrap().p, 0.07403027094654736);
    near(found.wilcoxon.unwrap().statistic, 7.0);
    near(found.wilcoxon.unwrap().p, 0.1484375);
    // With ties and equal differences the normal approximation decides.
    let first = [3.0, 6.0, 1.0, 5.0, 9.0, 4.0, 2.0, 7.0, 5.0];
    let second = [2.0, 6.0, 0.0, 3.0, 7.0, 5.0, 0.0, 7.0, 2.0];
    let found = compare(&first, &second).unwrap();
    assert_eq!((found.wins, found.ties, found.losses), (6, 2, 1));
    near(found.t.unwrap().statistic, 2.6261286571944513);
    near(found.t.unwrap().p, 0.030360131660194543);
    near(found.wilcoxon.unwrap().statistic, 2.0);
    near(found.wilcoxon.unwrap().p, 0.039591763236690385);
}

fn judgements(text: &str) -> Result<Judgements, String> {
    Judgements::parse("judged", text, 0..=3).map_err(|error| error.to_string())
}

fn run(text: &str, repeated: Repeated) -> Result<Run, String> {
    Run::parse("run", text.to_string(), repeated).map_err(|error| error.to_string())
}

#[test]
fn bad_files_are_named_by_line() {
    let cases = [
        ("", "judged: holds no judgements"),
        ("# only a comment\n\n", "judged: holds no judgements"),
        ("1 0 a 1\n1 0 b\n", "judged:2: expected four columns (topic, iteration, document, grade), found 3"),
        ("1 0 a 1 x\n", "judged:1: expected four columns (topic, iteration, document, grade), found 5"),
        ("1 0 a 4\n", "judged:1: expected a grade from 0 to 3, found `4`"),
        ("1 0 a one\n", "judged:1: expected a grade from 0 to 3, found `one`"),
        ("1 0 a 1\n2 0 a 1\n1 0 a 1\n", "judged:3: document a is judged twice for topic 1"),
    ];
    for (text, message) in cases {
        assert_eq!(judgements(text).unwrap_err(), message);
    }
    let cases = [
        ("", "run: holds no ranked documents"),
        ("\n\r\n", "run: holds no ranked documents"),
        (
            "1 Q0 a 1 0.5 t\n1 Q0 b 2 0.4\n",
            "run:2: expected six columns (topic, Q0, document, rank, score, tag), found 5",
        ),
        ("1 Q0 a 1 high t\n", "run:1: expected a score, found `high`"),
        ("1 Q0 a 1 nan t\n", "run:1: expected a score, found `nan`"),
        ("1 Q0 a 1 2 t\n2 Q0 a 1 2 t\n1 Q0 a 2 1 t\n", "run:3: document a stands twice in topic 1"),
    ];
    for (text, message) in cases {
        assert_eq!(run(text, Repeated::Refuse).unwrap_err(), message);
    }
    assert!(Run::new("t", [("1", "two words", 1.0)]).is_err());
    assert!(Run::new("t", [("1", "", 1.0)]).is_err());
    assert!(Run::new("t", [("1", "a", f64::NAN)]).is_err());
}

#[test]
fn windows_line_ends_blanks_and_further_columns_do_not_matter() {
    let judged = judgements("#c\r\n1\t0\ta\t1\r\n\r\n1 0 b 0\r\n2 0 a 2").unwrap();
    assert_eq!(judged.topics().collect::<Vec<_>>(), ["1", "2"]);
    let run = run("1 Q0 a 1 0.5 t\r\n  1 Q0  c 2 1e2 t more junk\r\n\r\n", Repeated::Refuse).unwrap();
    assert_eq!(run.ranking("1").collect::<Vec<_>>(), [("c", 100.0), ("a", 0.5)]);
    assert_eq!(run.tag(), "t");
    assert_eq!(run.ranking("2").len(), 0);
}

#[test]
fn ties_fall_by_document_and_not_by_line_or_rank() {
    // By file order, which ranx keeps, the relevant `a` would be first.
    let judged = judgements("1 0 a 1\n1 0 b 0\n").unwrap();
    let tied = run("1 Q0 a 1 0.5 t\n1 Q0 b 2 0.5 t\n1 Q0 B 3 0.5 t\n", Repeated::Refuse).unwrap();
    assert_eq!(tied.ranking("1").map(|(document, _)| document).collect::<Vec<_>>(), ["b", "a", "B"]);
    let found =
        evaluate(&judged, &tied, &Measure::parse(&["recip_rank"]).unwrap(), &Options::default()).unwrap();
    assert_eq!(found.figure("recip_rank"), Some(0.5));
}

#[test]
fn repeated_documents_count_at_their_first_place() {
    let text = "1 Q0 a 1 1 t\n1 Q0 b 2 2 t\n1 Q0 a 3 3 t\n1 Q0 b 3 2 t\n";
    let run = run(text, Repeated::KeepFirst).unwrap();
    assert_eq!(run.ranking("1").collect::<Vec<_>>(), [("a", 3.0), ("b", 2.0)]);
    assert_eq!(run.dropped(), 2);
}

#[test]
fn topics_without_a_partner_are_named_and_counted_as_asked() {
    let judged = judgements("1 0 a 1\n2 0 b 1\n").unwrap();
    let run = run("1 Q0 a 1 1 t\n3 Q0 a 1 1 t\n", Repeated::Refuse).unwrap();
    let measures = Measure::parse(&["map", "num_q", "num_ret", "unj", "utility"]).unwrap();
    let found = evaluate(&judged, &run, &measures, &Options::default()).unwrap();
    assert_eq!((found.unjudged_topics, found.missing_topics), (vec!["3".to_string()], vec!["2".to_string()]));
    assert_eq!(found.topics.len(), 1);
    let complete =
        evaluate(&judged, &run, &measures, &Options { complete: true, ..Options::default() }).unwrap();
    let figures =
        ["map", "num_q", "num_ret", "unj_5", "utility"].map(|label| complete.figure(label).unwrap());
    assert_eq!(figures, [0.5, 2.0, 1.0, 0.0, 0.5]);
    let other = Judgements::parse("judged", "9 0 a 1", 0..=3).unwrap();
    assert!(evaluate(&other, &run, &measures, &Options::default()).is_err());
}

#[test]
fn measure_names_are_checked() {
    for bad in [
        "nDCG",
        "P.0",
        "P.5,5",
        "P.x",
        "P.",
        "map.5",
        "official.5",
        "ndcg.1",
        "ndcg.p=0.5",
        "utility.1,2",
        "",
    ] {
        assert!(Measure::parse(&[bad]).is_err(), "{bad}");
    }
    let labels = |names: &[&str]| -> Vec<String> {
        Measure::parse(names).unwrap().iter().flat_map(|measure| measure.labels().to_vec()).collect()
    };
    // In trec_eval's order, once each, with the first parameters that are given.
    assert_eq!(labels(&["P.7,3", "map", "P.5", "map"]), ["map", "P_3", "P_7"]);
    assert_eq!(
        labels(&["rbp.p=0.8", "iprec_at_recall.1,.5"]),
        ["iprec_at_recall_0.50", "iprec_at_recall_1.00", "rbp_p=0.8"]
    );
}

#[test]
fn answer_files_of_all_three_forms_are_read() {
    let folder = std::env::temp_dir().join(format!("mathesis-answers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let read = |bytes: &[u8]| {
        let path = folder.join("answers.csv");
        std::fs::write(&path, bytes).unwrap();
        arqmath::read_answers(&path)
    };
    let plain = read(b"A.301\tLet, $x$\nA.302\t\"two\nlines, \"\"quoted\"\"\"\nA.303\t\n").unwrap();
    let answers: Vec<(&str, &str)> = plain.answers.iter().map(|(t, a)| (t.as_str(), a.as_str())).collect();
    assert_eq!(answers, [("A.301", "Let, $x$"), ("A.302", "two\nlines, \"quoted\""), ("A.303", "")]);
    assert!(
        plain.notices.len() == 1 && plain.notices[0].ends_with(":4: the answer to A.303 is empty"),
        "{plain:?}"
    );
    let other = read(b"Column1,Column2\r\nA.301,\"it\x92s \x81\"\r\n").unwrap();
    assert_eq!(other.answers[0].1, "it\u{2019}s \u{fffd}");
    assert_eq!(other.notices.len(), 2);
    for (bytes, message) in [
        (&b"A.301\tx\nA.301\ty\n"[..], ":2: topic A.301 is answered twice"),
        (b"A.301\tx\tz\n", ":1: expected two columns (topic, answer), found 3"),
        (b"A.301\tx\nB\ty\n", ":2: expected a topic as A.301, found `B`"),
        (b"", ": holds no answers"),
        (b"Column1,Column2\n", ": holds no answers"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Plain definitions, written for a ranking of grades with all of them judged.
mod plain {
    pub fn precision(relevant: &[bool], depth: usize) -> f64 {
        relevant.iter().take(depth).filter(|relevant| **relevant).count() as f64 / depth as f64
    }

    pub fn average_precision(relevant: &[bool], all: usize) -> f64 {
        let at = |place: usize| if relevant[place] { precision(relevant, place + 1) } else { 0.0 };
        if all == 0 { 0.0 } else { (0..relevant.len()).map(at).sum::<f64>() / all as f64 }
    }

    pub fn dcg(grades: &[i64], depth: usize) -> f64 {
        grades
            .iter()
            .take(depth)
            .zip(2..)
            .map(|(&grade, next)| grade.max(0) as f64 / f64::from(next).log2())
            .sum()
    }

    /// By pairs: for each relevant document the share of the first R non-relevant ones that stand below it.
    pub fn bpref(judged: &[bool], relevant: usize, non_relevant: usize) -> f64 {
        let most = relevant.min(non_relevant);
        let mut sum = 0.0;
        for (place, _) in judged.iter().enumerate().filter(|(_, relevant)| **relevant) {
            let above = judged[..place].iter().filter(|relevant| !**relevant).count();
            sum += if above == 0 { 1.0 } else { 1.0 - above.min(relevant) as f64 / most as f64 };
        }
        if relevant == 0 { 0.0 } else { sum / relevant as f64 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The measures are their plain definitions, whatever the order of the lines, and the primed ones those of the run
    /// without its unjudged documents.
    #[test]
    fn measures_are_their_definitions(
        judged in prop::collection::btree_map(0..40u32, 0..4i64, 1..30),
        ranked in prop::collection::btree_map(0..40u32, -3..3i32, 1..40),
        level in 1..3i64,
        turn in 0..40usize,
    ) {
        let lines: String = judged.iter().map(|(d, grade)| format!("1 0 d{d} {grade}\n")).collect();
        let judgements = judgements(&lines).unwrap();
        let mut lines: Vec<String> = ranked.iter().map(|(d, score)| format!("1 Q0 d{d} 0 {score} t")).collect();
        let first = run(&lines.join("\n"), Repeated::Refuse).unwrap();
        let middle = turn % lines.len();
        lines.rotate_left(middle);
        let second = run(&lines.join("\n"), Repeated::Refuse).unwrap();
        let measures = Measure::parse(&["all_trec", "dcg", "ideal_dcg", "yaap", "judged"]).unwrap();
        let options = Options { level, ..Options::default() };
        let found = evaluate(&judgements, &first, &measures, &options).unwrap();
        prop_assert_eq!(found.trec_text(true, true), evaluate(&judgements, &second, &measures, &options).unwrap().trec_text(true, true));

        let mut order: Vec<(i32, String)> = ranked.iter().map(|(d, score)| (*score, format!("d{d}"))).collect();
        order.sort_by(|a, b| b.cmp(a));
        let grade = |name: &String| judged.get(&name[1..].parse().unwrap()).copied().unwrap_or(-1);
        let grades: Vec<i64> = order.iter().map(|(_, name)| grade(name)).collect();
        let relevant: Vec<bool> = grades.iter().map(|&grade| grade >= level).collect();
        let all = judged.values().filter(|&&grade| grade >= level).count();
        let of_judged: Vec<bool> = grades.iter().filter(|&&g| g >= 0).map(|&grade| grade >= level).collect();
        let mut ideal: Vec<i64> = judged.values().copied().collect();
        ideal.sort_by(|a, b| b.cmp(a));
        let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        for (label, wanted) in [
            ("P_10", plain::precision(&relevant, 10)),
            ("map", plain::average_precision(&relevant, all)),
            ("map_cut_5", plain::average_precision(&relevant[..relevant.len().min(5)], all)),
            ("ndcg", ratio(plain::dcg(&grades, 99), plain::dcg(&ideal, 99))),
            ("ndcg_cut_5", ratio(plain::dcg(&grades, 5), plain::dcg(&ideal, 5))),
            ("bpref", plain::bpref(&of_judged, all, judged.len() - all)),
            ("Rprec", if all == 0 { 0.0 } else { plain::precision(&relevant, all) }),
            ("unj_20", grades.iter().take(20).filter(|&&grade| grade < 0).count() as f64 / 20.0),
            ("judged_10", grades.iter().take(10).filter(|&&grade| grade >= 0).count() as f64 / 10.0),
        ] {
            let value = found.figure(label).unwrap();
            prop_assert!((value - wanted).abs() < 1e-12, "{}: {} against {}", label, value, wanted);
        }

        let kept = ranked.iter().filter(|(d, _)| judged.contains_key(d)).map(|(d, s)| ("1", format!("d{d}"), f64::from(*s)));
        let primed = evaluate(&judgements, &first, &measures, &Options { judged_only: true, ..options.clone() }).unwrap();
        if let Ok(kept) = Run::new("t", kept) {
            let kept = evaluate(&judgements, &kept, &measures, &options).unwrap();
            prop_assert_eq!(primed.trec_text(true, true), kept.trec_text(true, true));
        }
    }

    /// A run that is written and read again is the same run.
    #[test]
    fn runs_survive_their_file(
        ranked in prop::collection::vec((0..4u32, 0..30u32, prop::num::f64::NORMAL | prop::num::f64::ZERO), 1..60)
    ) {
        let triples = ranked.iter().map(|(topic, d, score)| (topic.to_string(), d.to_string(), *score));
        let first = Run::new("tag", triples).unwrap();
        let mut file = Vec::new();
        first.write(&mut file, usize::MAX).unwrap();
        let second = run(std::str::from_utf8(&file).unwrap(), Repeated::Refuse).unwrap();
        prop_assert_eq!(first.topics().collect::<Vec<_>>(), second.topics().collect::<Vec<_>>());
        for topic in first.topics() {
            prop_assert_eq!(first.ranking(topic).collect::<Vec<_>>(), second.ranking(topic).collect::<Vec<_>>());
        }
    }

    /// No text makes a reader panic.
    #[test]
    fn readers_do_not_panic(text in "[ -~\\n\\r\\t<>&;é]{0,200}") {
        let _ = judgements(&text);
        let _ = run(&text, Repeated::KeepFirst);
        let _ = arqmath::parse_topics("topics", &text);
        let _ = arqmath::plain_text(&text);
        for tokens in [Tokens::Blanks, Tokens::Formulas, Tokens::Characters { least: 2, most: 3 }] {
            let _ = tokens.of(&text);
        }
    }
}
