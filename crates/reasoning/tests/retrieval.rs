//! The measures, retrieval and statistics on small cases, and on the published data where MATHESIS_DATA names it.

use std::path::PathBuf;

use mathesis_reasoning::retrieval::measures::Measure;
use mathesis_reasoning::retrieval::{Judgements, Options, Repeated, Run, evaluate};

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
    let cases: [(&str, &[&str], bool, &str, &str, Options); 7] = [
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
