//! For `bench/countermath`: macro F1 of label and prediction vectors. Standard input holds a JSON array of arrays of pairs
//! of classes (0 false, 1 true, 2 no verdict); standard output, for each, macro F1 over the classes that occur, F1 over 0
//! and 1, and accuracy.

use mathesis_reasoning::suites::countermath::records::Field;
use mathesis_reasoning::suites::countermath::scores::{Decision, score};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lists: Vec<Vec<(u8, u8)>> = serde_json::from_reader(std::io::stdin())?;
    let values: Vec<[f64; 3]> = (lists.iter())
        .map(|pairs| {
            let decision = |&(truth, predicted): &(u8, u8)| Decision {
                field: Field::Algebra,
                truth: truth == 1,
                predicted: (predicted < 2).then_some(predicted == 1),
            };
            let scores = score(&pairs.iter().map(decision).collect::<Vec<_>>()).all;
            [scores.macro_f1, scores.f1_of_two, scores.accuracy]
        })
        .collect();
    println!("{}", serde_json::to_string(&values)?);
    Ok(())
}
