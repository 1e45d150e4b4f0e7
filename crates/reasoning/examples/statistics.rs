//! Reads questions about statistics as JSON lines and writes the answers, for comparisons with other programs
//! (`bench/statistics`).

use std::io::{BufRead, Write};

use mathesis_reasoning::statistics::agreement::{Scale, krippendorff_alpha, spearman};
use mathesis_reasoning::statistics::interval::{
    clustered_standard_error, pooled_standard_error, standard_error, student_t, wilson,
};
use mathesis_reasoning::statistics::macro_f1;
use mathesis_reasoning::statistics::paired::{mcnemar, paired_difference};
use mathesis_reasoning::statistics::samples::{all_right_at_k, g_pass_at_k, mean_g_pass_at_k, pass_at_k};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
enum Question {
    Clusters { values: Vec<Vec<f64>> },
    Pooled { groups: Vec<(f64, usize)> },
    Wilson { successes: usize, trials: usize },
    Samples { n: usize, c: usize, k: usize, t: f64 },
    Paired { pairs: Vec<(f64, f64)> },
    McNemar { first: usize, second: usize },
    MacroF1 { pairs: Vec<(u32, u32)> },
    Raters { units: Vec<Vec<Option<f64>>> },
    Ranks { pairs: Vec<(f64, f64)> },
}

fn answer(question: Question) -> Value {
    match question {
        Question::Clusters { values } => {
            let all: Vec<f64> = values.iter().flatten().copied().collect();
            let interval = student_t(&values, 0.95);
            json!([standard_error(&all), clustered_standard_error(&values), interval.low, interval.high])
        }
        Question::Pooled { groups } => json!([pooled_standard_error(&groups)]),
        Question::Wilson { successes, trials } => {
            let interval = wilson(successes, trials, 0.95);
            json!([interval.low, interval.high])
        }
        Question::Samples { n, c, k, t } => {
            json!([
                pass_at_k(n, c, k),
                all_right_at_k(n, c, k),
                g_pass_at_k(n, c, k, t),
                mean_g_pass_at_k(n, c, k)
            ])
        }
        Question::Paired { pairs } => {
            let paired = paired_difference(&pairs, 0.95, 0).expect("two pairs or more");
            json!([
                paired.difference,
                paired.standard_error,
                paired.interval.low,
                paired.interval.high,
                paired.t_test
            ])
        }
        Question::McNemar { first, second } => {
            let test = mcnemar(first, second);
            json!([test.exact, test.mid])
        }
        Question::MacroF1 { pairs } => json!([macro_f1(&pairs)]),
        Question::Raters { units } => {
            let scales = [Scale::Nominal, Scale::Ordinal, Scale::Interval, Scale::Ratio];
            json!(scales.map(|scale| krippendorff_alpha(&units, scale)))
        }
        Question::Ranks { pairs } => json!([spearman(&pairs)]),
    }
}

fn main() {
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let question = serde_json::from_str(&line.expect("readable input")).expect("a question");
        writeln!(output, "{}", answer(question)).expect("writable output");
    }
}
