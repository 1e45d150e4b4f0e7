//! Cross-check and vote on 200 planted cases, and every filter with cases on both sides.

use mathesis_reasoning::answers::Mode;
use mathesis_reasoning::decontamination::{Decontaminator, TextSet};
use mathesis_reasoning::recipes::aops_live::votes::{Decider, decide};
use mathesis_reasoning::recipes::aops_live::{Options, Rewritten, Solution, candidate};
use mathesis_reasoning::recipes::time::Time;

fn solution(post: u64, original: &str, rewrites: &[&str]) -> Solution {
    let rewrites = rewrites.iter().map(|text| (!text.is_empty()).then(|| text.to_string())).collect();
    Solution { post, original: original.into(), rewrites }
}

fn boxed(answer: &str) -> String {
    format!("Thus \\boxed{{{answer}}}.")
}

/// A solution without a box of its own, with the answers of its two rewrites.
fn plain(post: u64, first: &str, second: &str) -> Solution {
    solution(post, "I get it by hand", &[&boxed(first), &boxed(second)])
}

/// A post with a box of its own.
fn own(post: u64, original: &str, first: &str, second: &str) -> Solution {
    solution(post, &format!("It is \\boxed{{{original}}}, clearly"), &[&boxed(first), &boxed(second)])
}

type Expected = Result<(String, Decider), &'static str>;

/// 200 cases by ten patterns and twenty values, each value in two forms that are equal.
fn cases() -> Vec<(Vec<Solution>, Expected)> {
    const EQUAL: [(&str, &str); 20] = [
        ("7", "7.0"),
        ("\\frac{1}{2}", "0.5"),
        ("\\frac{3}{4}", "\\dfrac{3}{4}"),
        ("-12", "-12"),
        ("1000", "1000"),
        ("x^2+1", "1+x^2"),
        ("2\\sqrt{3}", "\\sqrt{12}"),
        ("(1,2)", "(1, 2)"),
        ("2^{10}", "1024"),
        ("\\pi", "\\pi"),
        ("p+q", "q+p"),
        ("0", "0"),
        ("\\frac{22}{7}", "\\frac{44}{14}"),
        ("3n", "n\\cdot 3"),
        ("45", "\\left(45\\right)"),
        ("\\sqrt{2}/2", "\\frac{\\sqrt{2}}{2}"),
        ("99", "$99$"),
        ("(x+1)^2", "x^2+2x+1"),
        ("\\frac{1}{3}", "\\frac13"),
        ("5!", "120"),
    ];
    let vote = |answer: &str| Ok((answer.to_string(), Decider::Vote));
    let original = |answer: &str| Ok((answer.to_string(), Decider::OriginalBox));
    let mut cases = Vec::new();
    for (number, (form, other)) in EQUAL.into_iter().enumerate() {
        let wrong = format!("{}", 3001 + number);
        let third = format!("{}", 5001 + number);
        // Both rewrites agree, in the same form or another.
        cases.push((vec![plain(2, form, other)], vote(form)));
        // They disagree.
        cases.push((vec![plain(2, form, &wrong)], Err("no vote")));
        // A majority of two forms against one.
        cases
            .push((vec![plain(2, form, form), plain(3, &wrong, &wrong), plain(4, other, other)], vote(form)));
        // One against one.
        cases.push((vec![plain(2, form, other), plain(3, &wrong, &wrong)], Err("tie")));
        // One, one, and one post that disagrees with itself.
        let three = vec![plain(2, &wrong, &wrong), plain(3, form, &third), plain(4, form, other)];
        cases.push((three, Err("tie")));
        // The box of an original decides, against the votes of others.
        let boxes = vec![plain(2, &wrong, &wrong), own(3, form, other, form), plain(4, &wrong, &wrong)];
        cases.push((boxes, original(form)));
        // A rewrite against the original box: the post is rejected, and others vote.
        cases.push((vec![own(2, &wrong, &wrong, &third), plain(3, form, other)], vote(form)));
        // A rewrite that is a part of the original box.
        cases.push((vec![own(2, &format!("y = {form}"), form, form)], original(&format!("y = {form}"))));
        // Text in the answer.
        let text = format!("{form} \\text{{ apples}}");
        cases.push((vec![plain(2, &text, &text)], Err("text in the answer")));
        // A rewrite without a box, or none at all.
        let lone = vec![
            solution(2, "by hand", &[&boxed(form), "no box"]),
            solution(3, "by hand", &[&boxed(form), ""]),
        ];
        cases.push((lone, Err("no vote")));
    }
    cases
}

#[test]
fn two_hundred_planted_cases_are_decided_in_both_modes() {
    let cases = cases();
    assert_eq!(cases.len(), 200);
    for mode in [Mode::Qwen25, Mode::Strict] {
        let mut right = 0;
        for (number, (solutions, expected)) in cases.iter().enumerate() {
            let found = decide(solutions, mode).answer.map(|(answer, decider, _)| (answer, decider));
            match found == *expected {
                true => right += 1,
                false => println!("{} {number}: {found:?} instead of {expected:?}", mode.name()),
            }
        }
        println!("{}: {right} of 200", mode.name());
        assert_eq!(right, 200, "{}", mode.name());
    }
}

#[test]
fn the_posts_behind_an_answer_and_the_rejected_ones_are_named() {
    let solutions = [plain(2, "7", "8"), plain(3, "7", "7.0"), own(4, "9", "1", "9"), plain(5, "7.0", "7")];
    let decision = decide(&solutions, Mode::Strict);
    assert_eq!(decision.answer, Ok(("7".into(), Decider::Vote, vec![3, 5])));
    assert_eq!(decision.rejected, [(2, "rewrites disagree"), (4, "against the original box")]);
    // A raw answer is judged as what a box holds: the last number of 2^{2022} is not its value, and it is not 2 because
    // no floating-point number holds it.
    assert_eq!(decide(&[plain(2, "2^{2022}", "2")], Mode::Qwen25).answer, Err("no vote"));
    assert_eq!(decide(&[], Mode::Qwen25).answer, Err("no vote"));
    // An original box that is not closed, or empty, is none.
    let open = solution(2, "so \\boxed{8", &[&boxed("7"), &boxed("7")]);
    assert_eq!(decide(&[open], Mode::Strict).answer, Ok(("7".into(), Decider::Vote, vec![2])));
}

fn question(question: &str) -> Rewritten {
    Rewritten {
        id: "1".into(),
        date: Time::parse("2024-05-01").unwrap(),
        original: "find it".into(),
        question: question.into(),
        solutions: vec![plain(2, "7", "7")],
        ..Rewritten::default()
    }
}

/// The reason why a question is no candidate; none if it is one.
fn reason(rewritten: Rewritten) -> Option<String> {
    let sets = [TextSet {
        name: "gsm8k".into(),
        texts: vec!["one two three four five six seven eight nine".into()],
    }];
    let engine = Decontaminator::new(&sets, 8).unwrap();
    let fate = candidate(rewritten, Some(&engine), &Options::default());
    let reason = fate.losses.last().filter(|loss| loss.part.is_none()).map(|loss| loss.reason.to_string());
    assert_eq!(fate.kept.is_empty(), reason.is_some());
    reason
}

#[test]
fn every_filter_has_two_sides() {
    let is = |rewritten: Rewritten, expected: Option<&str>| {
        let text = format!("{rewritten:?}");
        assert_eq!(reason(rewritten).as_deref(), expected, "{text}");
    };
    // The window: from the first moment of 2024 on, up to its end without it.
    for (date, expected) in [
        ("2023-12-31T23:59:59Z", Some("outside the window")),
        ("2024-01-01T00:00:00Z", None),
        ("2024-01-01T00:00:00+01:00", Some("outside the window")),
        ("2023-12-31T19:00:00-05:00", None),
    ] {
        is(Rewritten { date: Time::parse(date).unwrap(), ..question("Find n.") }, expected);
    }
    let until = Options { benchmark_until: Time::parse("2024-09-01"), ..Options::default() };
    for (date, kept) in [("2024-08-31T23:59:59Z", 1), ("2024-09-01T00:00:00Z", 0)] {
        let rewritten = Rewritten { date: Time::parse(date).unwrap(), ..question("Find n.") };
        assert_eq!(candidate(rewritten, None, &until).kept.len(), kept, "{date}");
    }
    // Other benchmarks, in the question or in the post; eight words, or seven.
    is(question("Two three four FIVE six seven eight nine"), Some("gsm8k_match_8gram"));
    is(question("two three four five six seven eight"), None);
    is(
        Rewritten { original: "xone two three four five six seven eight nine".into(), ..question("Find n.") },
        Some("gsm8k_match"),
    );
    // Proofs, in the question or as all solutions.
    is(question("Prove that n is even."), Some("proof"));
    is(question("Show that n is even."), Some("proof"));
    is(question("Improve n. Show the value."), Some("proof"));
    is(question("Proven facts; show n."), None);
    let proof = solution(3, "so", &["Clear. $\\blacksquare$", "Clear. $\\blacksquare$"]);
    is(Rewritten { solutions: vec![proof.clone()], ..question("Find n.") }, Some("proof"));
    is(Rewritten { solutions: vec![proof, plain(2, "7", "7")], ..question("Find n.") }, None);
    // Figures of the original post.
    for (original, expected) in [
        ("See the figure below", Some("figure")),
        ("Diagram attached", Some("figure")),
        ("prefigured, in figures", None),
        ("configure it", Some("figure")),
        ("see the figure", None),
    ] {
        is(Rewritten { original: original.into(), ..question("Find n in the figure below.") }, expected);
    }
    // A boxed answer.
    is(
        Rewritten { solutions: vec![solution(2, "", &["It is 7.", "It is 7."])], ..question("Find n.") },
        Some("no boxed answer"),
    );
    is(
        Rewritten { solutions: vec![solution(2, "", &["It is 7.", &boxed("7")])], ..question("Find n.") },
        None,
    );
    // One question, not several.
    is(question("n? m? k?"), Some("several questions"));
    is(question("n? m?"), None);
    is(question("1. Find n."), Some("several parts"));
    is(question(" (a) Find n."), Some("several parts"));
    is(question("Find 1. (a)"), None);
    is(question("(b) Find n."), None);
    // The first rule that fails is the reason.
    is(question("1. Prove one two three four five six seven eight nine???"), Some("gsm8k_match"));
    is(Rewritten { original: "figure 1".into(), ..question("1. a? b? c?") }, Some("figure"));
    is(question("1. a? b? c?"), Some("several questions"));
}
