//! Arithmetic and algebra in words, made by rule, with worked solutions.
//!
//! A problem is a template with numbers, names and things. The numbers and the template alone decide on which [`Side`] it is
//! (one in ten to test on), so that no problem is on both, not even under other names. Every number of a solution stands in
//! the question, comes from an earlier line, or is one of a few constants (minutes of an hour, a hundred per cent); the last
//! line is `Answer: ` and the answer.

mod algebra;
mod arithmetic;
mod rates;

use std::ops::RangeInclusive;

use mathesis_algebra::random::{Sequence, Stream};

use super::Side;

/// A problem in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordProblem {
    /// The name of its template.
    pub template: &'static str,
    /// The question.
    pub question: String,
    /// The worked solution; its last line is `Answer: ` and the answer.
    pub solution: String,
    /// A whole number, or a fraction in lowest terms such as `5/12`.
    pub answer: String,
}

/// The names of all templates.
pub fn templates() -> impl Iterator<Item = &'static str> {
    all().map(|(name, _)| *name)
}

/// The problem of a number among the endlessly many of a seed. Templates take turns in random order.
pub fn word_problem(seed: u64, side: Side, number: u64) -> WordProblem {
    let count = all().count() as u64;
    let turn = Stream::new(seed, number / count).permutation(count as usize);
    let index = turn[(number % count) as usize];
    let (template, tell) = all().nth(index).unwrap_or_else(|| unreachable!("an index below the count"));
    // The turns are of the streams of the seed, the draws of those of its complement.
    let mut random = Sequence::new(Stream::new(!seed, 2 * number + u64::from(side == Side::Test)).bits(0));
    loop {
        let mut draw = Draw { random: &mut random, numbers: Vec::new() };
        let Told { question, working, answer } = tell(&mut draw);
        let example = template.bytes().map(u64::from).chain(draw.numbers.iter().map(|&number| number as u64));
        if Side::of(example) == side {
            let solution = format!("{working}\nAnswer: {answer}");
            return WordProblem { template, question, solution, answer };
        }
    }
}

type Template = (&'static str, fn(&mut Draw<'_>) -> Told);

fn all() -> impl Iterator<Item = &'static Template> {
    arithmetic::TEMPLATES.iter().chain(rates::TEMPLATES).chain(algebra::TEMPLATES)
}

/// A problem as its template tells it.
struct Told {
    question: String,
    working: String,
    answer: String,
}

fn told(question: String, working: String, answer: impl ToString) -> Told {
    Told { question, working, answer: answer.to_string() }
}

/// Draws what a template leaves open.
struct Draw<'a> {
    random: &'a mut Sequence,
    /// All numbers in the order of their draws.
    numbers: Vec<i64>,
}

impl Draw<'_> {
    /// A number of the problem.
    fn number(&mut self, range: RangeInclusive<i64>) -> i64 {
        let number = range.start() + (self.random.bits() % (range.end() - range.start() + 1) as u64) as i64;
        self.numbers.push(number);
        number
    }

    /// Several numbers of the problem, no two of which are equal.
    fn different<const N: usize>(&mut self, range: RangeInclusive<i64>) -> [i64; N] {
        let mut numbers = [0; N];
        for k in 0..N {
            numbers[k] = loop {
                let number = self.number(range.clone());
                if !numbers[..k].contains(&number) {
                    break number;
                }
                self.numbers.pop();
            };
        }
        numbers
    }

    /// A choice of words, which does not count for the side.
    fn any<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.random.bits() % of.len() as u64) as usize]
    }

    /// A word.
    fn one(&mut self, of: &[&'static str]) -> &'static str {
        self.any(of)
    }

    fn person(&mut self) -> &'static str {
        self.one(PEOPLE)
    }

    fn two_people(&mut self) -> [&'static str; 2] {
        self.different_words(PEOPLE)
    }

    /// Two of these.
    fn different_words(&mut self, of: &[&'static str]) -> [&'static str; 2] {
        let first = self.one(of);
        loop {
            let second = self.one(of);
            if second != first {
                return [first, second];
            }
        }
    }

    /// Things that are counted.
    fn things(&mut self) -> &'static str {
        self.one(THINGS)
    }

    /// A thing that is bought, and more than one of it.
    fn goods(&mut self) -> (&'static str, &'static str) {
        self.any(GOODS)
    }

    fn two_goods(&mut self) -> [(&'static str, &'static str); 2] {
        let first = self.goods();
        loop {
            let second = self.goods();
            if second != first {
                return [first, second];
            }
        }
    }

    fn money(&mut self) -> &'static str {
        self.one(&["euros", "dollars", "francs", "crowns", "pesos"])
    }
}

const PEOPLE: &[&str] = &[
    "Ada", "Amir", "Anna", "Ben", "Bo", "Carla", "Chen", "Clara", "Dana", "David", "Elif", "Emil", "Fatima",
    "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jana", "Jonas", "Kofi", "Lea", "Leon", "Lin", "Luis",
    "Maria", "Max", "Mina", "Nora", "Olga", "Omar", "Paul", "Priya", "Rosa", "Sam", "Sofia", "Tariq", "Tom",
    "Yuki",
];

const THINGS: &[&str] = &[
    "apples",
    "balloons",
    "beads",
    "books",
    "bottles",
    "buttons",
    "cards",
    "chestnuts",
    "coins",
    "cookies",
    "eggs",
    "flowers",
    "lemons",
    "marbles",
    "nuts",
    "oranges",
    "pears",
    "pebbles",
    "pencils",
    "plums",
    "postcards",
    "shells",
    "stamps",
    "stickers",
    "sweets",
    "tickets",
    "tiles",
    "tomatoes",
    "tulips",
    "walnuts",
];

const GOODS: &[(&str, &str)] = &[
    ("ball", "balls"),
    ("book", "books"),
    ("brush", "brushes"),
    ("cake", "cakes"),
    ("candle", "candles"),
    ("cup", "cups"),
    ("hat", "hats"),
    ("kite", "kites"),
    ("lamp", "lamps"),
    ("mug", "mugs"),
    ("notebook", "notebooks"),
    ("pen", "pens"),
    ("plant", "plants"),
    ("plate", "plates"),
    ("puzzle", "puzzles"),
    ("ruler", "rulers"),
    ("scarf", "scarves"),
    ("spoon", "spoons"),
    ("towel", "towels"),
    ("vase", "vases"),
];

/// The greatest common divisor of two numbers above 0.
fn common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// A fraction in lowest terms; a whole number without its denominator.
fn fraction(numerator: i64, denominator: i64) -> String {
    let divisor = common_divisor(numerator, denominator);
    match (numerator / divisor, denominator / divisor) {
        (whole, 1) => whole.to_string(),
        (numerator, denominator) => format!("{numerator}/{denominator}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    /// Numbers that a solution may use without an explanation: two and three of something, sides, angles, days, months, hours,
    /// minutes, per cent, grams, and the like.
    const CONSTANTS: &[i64] = &[1, 2, 3, 4, 7, 12, 24, 52, 60, 100, 180, 1000];

    /// A value as a fraction of whole numbers.
    type Ratio = (i64, i64);

    /// The value of sums of products of numbers, with parentheses.
    fn value(tokens: &mut std::iter::Peekable<std::slice::Iter<'_, String>>) -> Ratio {
        fn reduced(a: i64, b: i64) -> Ratio {
            let divisor = common_divisor(a.abs().max(1), b.abs()).max(1);
            let sign = b.signum();
            if a == 0 { (0, 1) } else { (sign * a / divisor, sign * b / divisor) }
        }
        fn factor(tokens: &mut std::iter::Peekable<std::slice::Iter<'_, String>>) -> Ratio {
            match tokens.next().expect("a factor").as_str() {
                "(" => {
                    let inner = value(tokens);
                    assert_eq!(tokens.next().map(String::as_str), Some(")"));
                    inner
                }
                "-" => {
                    let (a, b) = factor(tokens);
                    (-a, b)
                }
                number => (number.parse().expect("a number"), 1),
            }
        }
        fn product(tokens: &mut std::iter::Peekable<std::slice::Iter<'_, String>>) -> Ratio {
            let mut result = factor(tokens);
            while let Some(operator) = tokens.next_if(|token| matches!(token.as_str(), "*" | "/")) {
                let (a, b) = factor(tokens);
                let (a, b) = if operator == "*" { (a, b) } else { (b, a) };
                result = reduced(result.0 * a, result.1 * b);
            }
            result
        }
        let mut result = product(tokens);
        while let Some(operator) = tokens.next_if(|token| matches!(token.as_str(), "+" | "-")) {
            let (a, b) = product(tokens);
            let a = if operator == "+" { a } else { -a };
            result = reduced(result.0 * b + a * result.1, result.1 * b);
        }
        result
    }

    /// Words, numbers and signs.
    fn tokens(text: &str) -> Vec<String> {
        let mut tokens: Vec<String> = Vec::new();
        let mut last = ' ';
        for character in text.chars() {
            let kind = |c: char| (c.is_ascii_digit(), c.is_alphabetic());
            if (character.is_ascii_digit() || character.is_alphabetic()) && kind(last) == kind(character) {
                tokens.last_mut().expect("a token before").push(character);
            } else if !character.is_whitespace() {
                tokens.push(character.to_string());
            }
            last = character;
        }
        tokens
    }

    /// Every equation between numbers in a text, as the values of its sides and their numbers.
    fn equations(text: &str) -> Vec<Vec<(Ratio, Vec<i64>)>> {
        let mut runs = vec![Vec::new()];
        for token in tokens(text) {
            if token.parse::<i64>().is_ok() || "+-*/()=".contains(&token) {
                runs.last_mut().expect("a run").push(token);
            } else {
                runs.push(Vec::new());
            }
        }
        let with_sides = runs.into_iter().filter(|run| run.contains(&"=".to_string()));
        with_sides
            .filter(|run| {
                run.first() != Some(&"=".to_string()) && !matches!(run[0].as_str(), "+" | "*" | "/")
            })
            .map(|run| {
                run.split(|token| token == "=")
                    .map(|side| {
                        let numbers = side.iter().filter_map(|token| token.parse().ok()).collect();
                        let mut tokens = side.iter().peekable();
                        let result = value(&mut tokens);
                        assert!(tokens.next().is_none(), "{side:?}");
                        (result, numbers)
                    })
                    .collect()
            })
            .collect()
    }

    fn check(problem: &WordProblem) {
        let WordProblem { question, solution, answer, .. } = problem;
        let say = format!("{problem:#?}");
        let mut known: HashSet<i64> =
            tokens(question).iter().filter_map(|token| token.parse().ok()).collect();
        known.extend(CONSTANTS);
        let mut results = HashSet::new();
        let equations = equations(solution);
        assert!(!equations.is_empty(), "{say}");
        for sides in equations {
            for (position, (result, numbers)) in sides.iter().enumerate() {
                assert_eq!(*result, sides[0].0, "{say}");
                results.insert(*result);
                for number in numbers {
                    assert!(position > 0 || known.contains(number), "{number} comes from nowhere: {say}");
                    known.insert(*number);
                }
            }
        }
        let parts: Vec<i64> = answer.split('/').map(|part| part.parse().expect("a number")).collect();
        let answered = (parts[0], parts.get(1).copied().unwrap_or(1));
        assert!(results.contains(&answered), "{say}");
        assert!(common_divisor(answered.0.abs().max(1), answered.1) == 1, "{say}");
        assert_eq!(solution.lines().last(), Some(format!("Answer: {answer}").as_str()), "{say}");
        assert!(question.ends_with(['?', '.']) && !question.contains("  "), "{say}");
    }

    #[test]
    fn every_step_of_every_solution_is_right() {
        let count = templates().count();
        assert!(count >= 40, "{count}");
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for side in [Side::Training, Side::Test] {
            for number in 0..60 * count as u64 {
                let problem = word_problem(1, side, number);
                check(&problem);
                *seen.entry(problem.template).or_default() += 1;
            }
        }
        assert!(templates().all(|name| seen[name] == 120));
    }

    #[test]
    fn no_problem_is_on_both_sides() {
        // Without its words, a problem is its template with its numbers, which are those of its question.
        let problems = |side, seed| -> HashSet<(&str, Vec<String>)> {
            (0..6000)
                .map(|number| {
                    let problem = word_problem(seed, side, number);
                    let numbers = tokens(&problem.question);
                    let numbers = numbers.into_iter().filter(|t| t == "-" || t.parse::<i64>().is_ok());
                    (problem.template, numbers.collect())
                })
                .collect()
        };
        let (training, test) = (problems(Side::Training, 1), problems(Side::Test, 2));
        assert!(training.len() > 4000 && test.len() > 1500, "{} {}", training.len(), test.len());
        assert!(training.is_disjoint(&test));
    }

    #[test]
    fn problems_depend_on_seed_and_number_alone() {
        assert_eq!(word_problem(3, Side::Training, 77), word_problem(3, Side::Training, 77));
        let questions: HashSet<String> =
            (0..1000).map(|number| word_problem(3, Side::Training, number).question).collect();
        assert!(questions.len() > 990);
        assert_ne!(word_problem(3, Side::Training, 77), word_problem(4, Side::Training, 77));
    }
}
