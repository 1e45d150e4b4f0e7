//! Diagnosis of misconceptions (Otero, Druga and Lan, 2024): which of 55 misconceptions of middle-school algebra is behind
//! a wrong answer, given one diagnosed example of each.
//!
//! - [`records`]: 220 worked-wrong items, checked; [`trials`]: seeded trials across topics and within them;
//! - [`prompt`]: what is asked; [`replies`]: reading the diagnoses, also as the published drivers do; [`transcripts`]: both
//!   together, on file;
//! - [`lexical`]: baselines by likeness of words or characters;
//! - [`scores`], [`logs`], [`adjudication`]: counting, published decisions, expert review;
//! - [`remediation`] and [`rubric`]: recommending help, and rating the recommendations.
//!
//! The prompts are this project's own words. Seed 20,240,701 is that of the published split; its draws are another
//! generator's and cannot be had again.

pub mod adjudication;
pub mod lexical;
pub mod logs;
pub mod prompt;
pub mod records;
pub mod remediation;
pub mod replies;
pub mod rubric;
pub mod scores;
pub mod transcripts;
pub mod trials;

#[cfg(test)]
mod tests {
    use super::records::{Item, Misconception};

    /// Made-up items: four examples of each misconception.
    pub(super) fn items() -> Vec<Item> {
        Misconception::all()
            .flat_map(|misconception| {
                (1..=4).map(move |example| Item {
                    misconception,
                    example,
                    description: format!("thinks like {misconception}"),
                    question: format!("What is {} + {example}?", misconception.index()),
                    wrong: format!("{}x", misconception.index() * 10 + usize::from(example)),
                    right: format!("[right {misconception} {example}]"),
                    question_image: String::new(),
                    wrong_image: String::new(),
                    right_image: String::new(),
                    source: String::new(),
                    explanation: String::new(),
                })
            })
            .collect()
    }
}
