//! Pairs of question and reply for training, mixed over languages.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::translation::Translation;
use crate::answers::Language;
use crate::random::Stream;

/// In which languages question and reply are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrangement {
    /// Question and reply in one language.
    #[default]
    Parallel,
    /// The question in English, the reply in the language.
    Cross,
    /// Both of these; an English pair is in once.
    Both,
}

impl Arrangement {
    /// All arrangements.
    pub const ALL: [Arrangement; 3] = [Arrangement::Parallel, Arrangement::Cross, Arrangement::Both];

    /// The name in recipes and of files.
    pub fn name(self) -> &'static str {
        match self {
            Arrangement::Parallel => "parallel",
            Arrangement::Cross => "cross",
            Arrangement::Both => "both",
        }
    }
}

/// A question with the reply to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The name of the item.
    pub id: String,
    /// The language of the reply.
    pub language: Language,
    /// The language of the question.
    pub question_language: Language,
    /// The question.
    pub question: String,
    /// The reply.
    pub answer: String,
}

/// How pairs are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// The languages of question and reply.
    pub arrangement: Arrangement,
    /// T: a language of n translations has the share n^(1/T) / Σ n^(1/T) of the mixture. 1 keeps the sizes, infinity
    /// makes all equal. Above 0. Default: 1.
    pub temperature: f64,
    /// How many translations are drawn, of which `Both` makes two pairs each. Default: as many as there are.
    pub total: Option<usize>,
    /// What the draws and the order depend on.
    pub seed: u64,
}

impl Default for Mixture {
    fn default() -> Self {
        Mixture { arrangement: Arrangement::Parallel, temperature: 1.0, total: None, seed: 0 }
    }
}

/// How many translations of each language a mixture takes, by largest remainder.
pub fn shares(sizes: &BTreeMap<Language, usize>, mixture: &Mixture) -> BTreeMap<Language, usize> {
    let total = mixture.total.unwrap_or_else(|| sizes.values().sum());
    let largest = sizes.values().copied().max().unwrap_or(0).max(1) as f64;
    // Relative to the largest, so that no power overflows.
    let weights: Vec<f64> = (sizes.values())
        .map(|size| if *size == 0 { 0.0 } else { (*size as f64 / largest).powf(1.0 / mixture.temperature) })
        .collect();
    let sum: f64 = weights.iter().sum();
    if sum == 0.0 {
        return sizes.keys().map(|language| (*language, 0)).collect();
    }
    let exact: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum).collect();
    let mut counts: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut order: Vec<usize> = (0..exact.len()).filter(|at| weights[*at] > 0.0).collect();
    // Of equal remainders the first language has precedence.
    order.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()));
    let missing = total.saturating_sub(counts.iter().sum());
    for at in order.iter().cycle().take(missing) {
        counts[*at] += 1;
    }
    sizes.keys().copied().zip(counts).collect()
}

/// The pairs of a mixture, shuffled. A language that has fewer translations than its share is taken whole as often as it
/// fits, the rest is drawn without repetition. The translations drawn depend on seed, temperature, total and sizes only,
/// so that parallel and cross mixtures ask the same questions.
pub fn mix(translations: &BTreeMap<Language, Vec<Translation>>, mixture: &Mixture) -> Vec<Pair> {
    let sizes = translations.iter().map(|(language, all)| (*language, all.len())).collect();
    let mut pairs = Vec::new();
    for (language, count) in shares(&sizes, mixture) {
        let all = &translations[&language];
        let mut random = Stream::new(&[mixture.seed, 0, language as u64]);
        let mut drawn: Vec<usize> = Vec::with_capacity(count);
        while drawn.len() < count {
            let mut order: Vec<usize> = (0..all.len()).collect();
            shuffle(&mut order, &mut random);
            drawn.extend(order.into_iter().take(count - drawn.len()));
        }
        for at in drawn {
            arrange(&all[at], mixture.arrangement, &mut pairs);
        }
    }
    shuffle(&mut pairs, &mut Stream::new(&[mixture.seed, 1]));
    pairs
}

fn arrange(translation: &Translation, arrangement: Arrangement, pairs: &mut Vec<Pair>) {
    let pair = |question_language, question: &str| Pair {
        id: translation.id.clone(),
        language: translation.language,
        question_language,
        question: question.to_string(),
        answer: translation.answer.clone(),
    };
    if matches!(arrangement, Arrangement::Parallel | Arrangement::Both) {
        pairs.push(pair(translation.language, &translation.question));
    }
    let is_new = arrangement == Arrangement::Cross || translation.language != Language::En;
    if matches!(arrangement, Arrangement::Cross | Arrangement::Both) && is_new {
        pairs.push(pair(Language::En, &translation.english));
    }
}

/// The items that pairs ask, by the language of the reply.
pub fn question_sets(pairs: &[Pair]) -> BTreeMap<Language, HashSet<&str>> {
    let mut sets: BTreeMap<Language, HashSet<&str>> = BTreeMap::new();
    for pair in pairs {
        sets.entry(pair.language).or_default().insert(&pair.id);
    }
    sets
}

/// A random order (Fisher and Yates).
fn shuffle<T>(values: &mut [T], random: &mut Stream) {
    for last in (1..values.len()).rev() {
        values.swap(last, random.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translations(sizes: &[(Language, usize)]) -> BTreeMap<Language, Vec<Translation>> {
        let translation = |language: Language, number: usize| Translation {
            id: number.to_string(),
            language,
            question: format!("{} {number}", language.code()),
            answer: format!("a {number}"),
            english: format!("en {number}"),
            attempts: 1,
        };
        (sizes.iter())
            .map(|(language, size)| (*language, (0..*size).map(|n| translation(*language, n)).collect()))
            .collect()
    }

    #[test]
    fn parallel_and_cross_ask_the_same_and_both_is_their_union() {
        let all = translations(&[(Language::En, 40), (Language::De, 40), (Language::Bn, 31)]);
        let mixed =
            |arrangement, total| mix(&all, &Mixture { arrangement, total, temperature: 2.0, seed: 7 });
        for total in [None, Some(60), Some(300)] {
            let (parallel, cross) = (mixed(Arrangement::Parallel, total), mixed(Arrangement::Cross, total));
            assert_eq!(parallel.len(), total.unwrap_or(111));
            assert_eq!(question_sets(&parallel), question_sets(&cross));
            assert!(parallel.iter().all(|pair| pair.question_language == pair.language));
            assert!(cross.iter().all(|pair| pair.question == format!("en {}", pair.id)));
            let both = mixed(Arrangement::Both, total);
            let english = parallel.iter().filter(|pair| pair.language == Language::En).count();
            assert_eq!(both.len(), 2 * parallel.len() - english);
            let texts = |pairs: &[Pair]| {
                let mut texts: Vec<String> =
                    pairs.iter().map(|p| format!("{} {}", p.question, p.language.code())).collect();
                texts.sort();
                texts
            };
            let mut union = texts(&parallel);
            let cross: Vec<Pair> = cross.into_iter().filter(|pair| pair.language != Language::En).collect();
            union.extend(texts(&cross));
            union.sort();
            assert_eq!(texts(&both), union);
        }
    }

    #[test]
    fn without_a_total_everything_is_in_once_and_in_a_random_order() {
        let all = translations(&[(Language::En, 50), (Language::Th, 20)]);
        let pairs = mix(&all, &Mixture { seed: 1, ..Mixture::default() });
        let sets = question_sets(&pairs);
        assert_eq!((sets[&Language::En].len(), sets[&Language::Th].len(), pairs.len()), (50, 20, 70));
        assert_eq!(pairs, mix(&all, &Mixture { seed: 1, ..Mixture::default() }));
        assert_ne!(pairs, mix(&all, &Mixture { seed: 2, ..Mixture::default() }));
        // Languages alternate: in a block order there would be one change.
        assert!(pairs.windows(2).filter(|two| two[0].language != two[1].language).count() > 10);
    }

    #[test]
    fn temperature_moves_shares_from_the_sizes_to_equality() {
        let sizes = [(Language::En, 900), (Language::De, 100), (Language::Te, 0)].into();
        let shares = |temperature, total| {
            let mixture = Mixture { temperature, total, ..Mixture::default() };
            super::shares(&sizes, &mixture).into_values().collect::<Vec<_>>()
        };
        // In the order of the codes: de, en, te.
        assert_eq!(shares(1.0, None), [100, 900, 0]);
        assert_eq!(shares(f64::INFINITY, None), [500, 500, 0]);
        // sqrt(9) to sqrt(1).
        assert_eq!(shares(2.0, Some(100)), [25, 75, 0]);
        assert_eq!(shares(1.0, Some(7)), [1, 6, 0]);
        assert_eq!(super::shares(&[(Language::Te, 0)].into(), &Mixture::default())[&Language::Te], 0);
    }

    #[test]
    fn a_language_with_too_few_is_taken_whole_before_anything_is_repeated() {
        let all = translations(&[(Language::De, 10)]);
        let pairs = mix(&all, &Mixture { total: Some(25), ..Mixture::default() });
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for pair in &pairs {
            *counts.entry(&pair.id).or_default() += 1;
        }
        assert_eq!((counts.len(), counts.values().filter(|count| **count == 3).count()), (10, 5));
        assert!(counts.values().all(|count| (2..=3).contains(count)));
    }
}
