//! Lexical baselines: the diagnosis of the labelled example whose words, or whose characters, are the most alike.
//!
//! An item is the text "question wrong-answer" in small letters. Its terms are its pieces between white space, or its
//! runs of two to five characters; a term that occurs n times has the weight (1 + ln n) · (1 + ln((1 + N) / (1 + d))),
//! with N items of which d hold the term, and vectors have length one. N and d are counted over all items, so that the
//! likeness of two items does not depend on the trial. These are scikit-learn's `TfidfVectorizer(sublinear_tf=True)`
//! with `token_pattern=r"\S+"`, and with `analyzer="char", ngram_range=(2, 5)`.

use std::collections::HashMap;
use std::sync::Arc;

use super::records::{Item, Misconception};
use super::trials::Batch;
use crate::models::{Answer, Failure, FailureKind, Identity, Model, Request, Sample, Sending};

/// What items are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Pieces between white space.
    Words,
    /// Two to five characters in a row, white space included.
    Characters,
}

impl Terms {
    /// Both.
    pub const ALL: [Terms; 2] = [Terms::Words, Terms::Characters];

    /// The name in the name of the model: `lexical:words`, `lexical:characters`.
    pub fn name(self) -> &'static str {
        match self {
            Terms::Words => "words",
            Terms::Characters => "characters",
        }
    }
}

/// How alike items are: cosines of their vectors.
pub struct Likeness {
    count: usize,
    /// Row by row.
    cosines: Vec<f64>,
}

impl Likeness {
    /// Of all pairs of items.
    pub fn of(items: &[Item], terms: Terms) -> Self {
        let texts: Vec<String> = items.iter().map(text).collect();
        let vectors = match terms {
            Terms::Words => vectors(&texts, |text, each| {
                text.split(is_space).filter(|word| !word.is_empty()).for_each(each);
            }),
            Terms::Characters => {
                let texts: Vec<String> = texts.iter().map(|text| collapsed(text)).collect();
                vectors(&texts, runs)
            }
        };
        Likeness { count: items.len(), cosines: cosines(&vectors, items.len()) }
    }

    /// The cosine of two items.
    pub fn between(&self, one: usize, other: usize) -> f64 {
        self.cosines[one * self.count + other]
    }

    /// Which of these items is the most like `item`; the first of several. `None` of none.
    pub fn nearest(&self, item: usize, among: impl IntoIterator<Item = usize>) -> Option<usize> {
        let row = &self.cosines[item * self.count..(item + 1) * self.count];
        let mut best: Option<(usize, f64)> = None;
        for other in among {
            if best.is_none_or(|(_, most)| row[other] > most) {
                best = Some((other, row[other]));
            }
        }
        best.map(|(other, _)| other)
    }

    /// The diagnoses of the test examples of a batch.
    pub fn diagnoses(&self, items: &[Item], batch: &Batch) -> Vec<Misconception> {
        let nearest = |&test: &usize| self.nearest(test, batch.train.iter().copied());
        batch.test.iter().filter_map(nearest).map(|at| items[at].misconception).collect()
    }
}

/// How many items are diagnosed rightly by the nearest of all others, or of all others of their topic. Deterministic.
pub fn leave_one_out(items: &[Item], likeness: &Likeness, within_topic: bool) -> usize {
    (0..items.len())
        .filter(|&item| {
            let others = (0..items.len()).filter(|&other| {
                other != item && (!within_topic || items[other].topic() == items[item].topic())
            });
            let nearest = likeness.nearest(item, others);
            nearest.is_some_and(|other| items[other].misconception == items[item].misconception)
        })
        .count()
}

/// A lexical baseline as a model that is asked with the prompts of these batches.
pub struct LexicalModel {
    identity: Identity,
    replies: HashMap<String, String>,
}

impl LexicalModel {
    /// Ready for the prompts of these batches, which are given in the same order.
    pub fn new(items: &[Item], terms: Terms, batches: &[Batch], prompts: &[String]) -> Self {
        let likeness = Likeness::of(items, terms);
        let reply = |batch: &Batch| {
            let diagnoses = likeness.diagnoses(items, batch);
            let lines = diagnoses.iter().enumerate().map(|(k, diagnosis)| format!("{},{diagnosis}", k + 1));
            lines.collect::<Vec<_>>().join("\n")
        };
        LexicalModel {
            identity: Identity {
                provider: "lexical".into(),
                endpoint: String::new(),
                model: format!("lexical-{}", terms.name()),
                revision: None,
            },
            replies: prompts.iter().cloned().zip(batches.iter().map(reply)).collect(),
        }
    }

    /// The baseline of a name such as `lexical:words`; `None` if the name is not of this kind.
    ///
    /// # Errors
    /// If there is no such baseline.
    pub fn open(
        name: &str,
        items: &[Item],
        batches: &[Batch],
        prompts: &[String],
    ) -> Option<Result<Arc<dyn Model>, String>> {
        let terms = name.strip_prefix("lexical:")?;
        let known = Terms::ALL.into_iter().find(|known| known.name() == terms);
        Some(match known {
            Some(terms) => Ok(Arc::new(LexicalModel::new(items, terms, batches, prompts))),
            None => Err(format!("`{name}`: expected lexical:words or lexical:characters")),
        })
    }
}

impl Model for LexicalModel {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        let reply = match self.replies.get(&request.prompt.last_text()) {
            Some(reply) => {
                let samples = vec![Sample::of(reply.as_str()); request.samples];
                Ok(Answer { samples, usage: None, model: self.identity.model.clone() }.to_reply())
            }
            None => Err(Failure::new(FailureKind::Rejected, "a prompt of another plan")),
        };
        Box::pin(std::future::ready(reply))
    }
}

fn text(item: &Item) -> String {
    format!("{} {}", item.question, item.wrong).to_lowercase()
}

/// White space as Python sees it.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Two or more characters of white space become one blank; a single one stays what it is.
fn collapsed(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if is_space(character) && characters.peek().is_some_and(|next| is_space(*next)) {
            while characters.next_if(|next| is_space(*next)).is_some() {}
            collapsed.push(' ');
        } else {
            collapsed.push(character);
        }
    }
    collapsed
}

/// Hands over every run of two to five characters.
fn runs<'a>(text: &'a str, each: &mut dyn FnMut(&'a str)) {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    for length in 2..=5 {
        for window in ends.windows(length + 1) {
            each(&text[window[0]..window[length]]);
        }
    }
}

/// The vectors of texts: for every term its text numbers with weights, the vectors being of length one.
fn vectors<'a>(
    texts: &'a [String],
    split: impl Fn(&'a str, &mut dyn FnMut(&'a str)),
) -> Vec<Vec<(u32, f64)>> {
    let mut numbers: HashMap<&str, usize, foldhash::fast::RandomState> = HashMap::default();
    // For every term, how often each text holds it.
    let mut postings: Vec<Vec<(u32, f64)>> = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        split(text, &mut |term| {
            let at = *numbers.entry(term).or_insert_with(|| {
                postings.push(Vec::new());
                postings.len() - 1
            });
            match postings[at].last_mut() {
                Some((last, count)) if *last == number as u32 => *count += 1.0,
                _ => postings[at].push((number as u32, 1.0)),
            }
        });
    }
    let total = texts.len() as f64;
    let mut squares = vec![0.0; texts.len()];
    for posting in &mut postings {
        let rarity = 1.0 + ((1.0 + total) / (1.0 + posting.len() as f64)).ln();
        for (number, weight) in posting {
            *weight = (1.0 + weight.ln()) * rarity;
            squares[*number as usize] += *weight * *weight;
        }
    }
    for (number, weight) in postings.iter_mut().flatten() {
        *weight /= squares[*number as usize].sqrt();
    }
    postings
}

/// The cosines of all pairs of texts, from the postings of every term.
fn cosines(postings: &[Vec<(u32, f64)>], count: usize) -> Vec<f64> {
    let mut cosines = vec![0.0; count * count];
    for posting in postings {
        for (k, &(one, weight)) in posting.iter().enumerate() {
            let row = one as usize * count;
            for &(other, its) in &posting[k..] {
                cosines[row + other as usize] += weight * its;
            }
        }
    }
    for one in 0..count {
        for other in 0..one {
            cosines[one * count + other] = cosines[other * count + one];
        }
    }
    cosines
}

#[cfg(test)]
mod tests {
    use super::super::tests::items;
    use super::super::trials::{Experiment, plan};
    use super::*;

    /// Vectors in full, one dimension for every term of all texts.
    fn plainly(texts: &[String], terms: impl Fn(&str) -> Vec<String>) -> Vec<f64> {
        let lists: Vec<Vec<String>> = texts.iter().map(|text| terms(text)).collect();
        let all: std::collections::BTreeSet<&String> = lists.iter().flatten().collect();
        let vectors: Vec<Vec<f64>> = (lists.iter())
            .map(|list| {
                let vector: Vec<f64> = (all.iter())
                    .map(|term| {
                        let times = list.iter().filter(|other| other == term).count() as f64;
                        let holding = lists.iter().filter(|list| list.contains(term)).count() as f64;
                        let idf = ((1.0 + texts.len() as f64) / (1.0 + holding)).ln() + 1.0;
                        if times == 0.0 { 0.0 } else { (1.0 + times.ln()) * idf }
                    })
                    .collect();
                let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
                vector.into_iter().map(|x| x / length).collect()
            })
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        vectors.iter().flat_map(|a| vectors.iter().map(move |b| dot(a, b))).collect()
    }

    #[test]
    fn cosines_are_those_of_plain_vectors() {
        let texts: Vec<String> =
            ["a b  a\nc", "b \u{1f} c,", "ü+ü = 2ü", "x y", "a b a"].map(str::to_string).into();
        let words = |text: &str| text.split(is_space).filter(|w| !w.is_empty()).map(str::to_string).collect();
        let runs_of = |text: &str| -> Vec<String> {
            let text: Vec<char> = collapsed(text).chars().collect();
            (2..=5).flat_map(|n| text.windows(n).map(|run| run.iter().collect())).collect()
        };
        let fast = |fast: Vec<Vec<(u32, f64)>>, slow: Vec<f64>| {
            for (fast, slow) in cosines(&fast, texts.len()).iter().zip(&slow) {
                assert!((fast - slow).abs() < 1e-14, "{fast} {slow}");
            }
        };
        fast(
            vectors(&texts, |text, each| text.split(is_space).filter(|w| !w.is_empty()).for_each(each)),
            plainly(&texts, words),
        );
        let collapsed_texts: Vec<String> = texts.iter().map(|text| collapsed(text)).collect();
        fast(vectors(&collapsed_texts, runs), plainly(&texts, runs_of));
        assert_eq!(collapsed("a \n b\nc"), "a b\nc");
    }

    #[test]
    fn the_model_names_the_nearest_example_and_refuses_other_prompts() {
        let items = items();
        let batches = plan(&items, &[Experiment::CrossTopic], 2, 5);
        let prompts = ["first".to_string(), "second".to_string()];
        let open = |name| LexicalModel::open(name, &items, &batches, &prompts);
        assert!(open("openai:gpt").is_none());
        assert!(open("lexical:letters").unwrap().is_err());
        let model = open("lexical:words").unwrap().unwrap();
        let ask = |text: &str| {
            let request = Request::chat([crate::models::Message::user(text)]);
            crate::models::block_on(crate::models::ask(&*model, &request))
        };
        let reply = ask("second").unwrap().samples.remove(0).text;
        let likeness = Likeness::of(&items, Terms::Words);
        let expected = likeness.diagnoses(&items, &batches[1]);
        let parsed = super::super::replies::parse(&reply, 55, super::super::replies::Rules::Numbered);
        let predicted: Vec<String> = parsed.predictions.iter().map(|predicted| predicted.label()).collect();
        assert_eq!(predicted, expected.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(ask("third").is_err());
    }
}
