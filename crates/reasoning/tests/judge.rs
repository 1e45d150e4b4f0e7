//! The rules of the modes on cases written for them, hostile input, and laws on random text.

#[path = "../examples/hostile/texts.rs"]
mod texts;

use std::time::{Duration, Instant};

use mathesis_reasoning::answers::{Equality, Language, Mode, Options, check, extract, mgsm};
use proptest::prelude::*;

/// The strict mode with a budget that a busy machine cannot spend.
fn patient() -> Options {
    Options { budget: Duration::from_secs(20), ..Options::default() }
}

#[track_caller]
fn equal(pairs: &[(&str, &str)]) {
    verdicts(pairs, Equality::Equal);
}

#[track_caller]
fn different(pairs: &[(&str, &str)]) {
    verdicts(pairs, Equality::Different);
}

#[track_caller]
fn verdicts(pairs: &[(&str, &str)], expected: Equality) {
    for (gold, answer) in pairs {
        for (a, b) in [(gold, answer), (answer, gold)] {
            let verdict = check(a, b, &patient());
            assert_eq!(verdict.equality, expected, "{a} | {b}: {}", verdict.reason);
        }
    }
}

#[test]
fn numbers() {
    equal(&[
        ("1/4", "0.25"),
        ("\\frac{9}{4}", "2\\frac14"),
        ("3\\,142", "3142"),
        ("0.1\\overline{6}", "\\frac16"),
        ("\\frac{2}{3}", "0.666667"),
        ("\\frac{2}{3}", "0.666666"),
        ("6!", "720"),
        ("\\sqrt[3]{-27}", "-3"),
        ("\\sqrt{7+4\\sqrt{3}}", "2+\\sqrt{3}"),
        ("\\log_3 81", "4"),
        ("2\\cos\\frac{\\pi}{5}", "\\frac{1+\\sqrt5}{2}"),
        ("e^{i\\pi}", "-1"),
        ("(1+i)^2", "2i"),
        ("10^{300}+1-10^{300}", "1"),
        ("৪২", "42"),
        ("forty-two", "42"),
        ("四十二", "42"),
        ("1.2e3", "1200"),
    ]);
    different(&[
        ("\\frac{2}{3}", "0.667"),
        ("\\frac{2}{3}", "0.666668"),
        ("10^{25}", "10^{25}+1"),
        ("\\sqrt2 \\cdot 10^{200}", "\\sqrt2\\cdot 10^{200}+1"),
        ("\\frac{1}{500!}", "\\frac{1}{501!}"),
        ("3.1416", "\\pi"),
        ("7", "7!"),
        ("101_2", "5"),
        ("2+3i", "2-3i"),
    ]);
}

#[test]
fn expressions_and_relations() {
    equal(&[
        ("(a-b)(a+b)", "a^2-b^2"),
        ("\\frac{1}{x}+\\frac1y", "\\frac{x+y}{xy}"),
        ("\\cos 2t", "1-2\\sin^2 t"),
        ("x = 7", "7"),
        ("g(t)=t^3", "t^3"),
        ("3x+y=6", "y=6-3x"),
        ("x < 4", "4 > x"),
        ("2x \\le 6", "3 \\ge x"),
        ("1 \\le x < 5", "[1,5)"),
        ("x<0 \\text{ or } x>3", "(-\\infty,0)\\cup(3,\\infty)"),
        ("x \\ne 2", "(-\\infty,2)\\cup(2,\\infty)"),
        ("ax^2", "x^2a"),
        ("(ax)^2", "a^2x^2"),
        ("{ab}^3", "a^3b^3"),
        ("2ab^2c", "2acb^2"),
        ("xy^{-1}", "\\frac{x}{y}"),
    ]);
    different(&[
        ("ax^2", "a^2x^2"),
        ("ax^2", "(ax)^2"),
        ("a+b", "a-b"),
        ("x^2", "y^2"),
        ("x = 7", "y = 7"),
        ("x > 4", "x < 4"),
        ("x > 4", "x \\ge 4"),
        ("\\sqrt{x^2}", "x"),
        ("2x+y=3", "3"),
    ]);
}

#[test]
fn structures() {
    equal(&[
        ("(1,2)", "( 1 , 4/2 )"),
        ("\\{3,5\\}", "5,3"),
        ("4 \\pm 1", "3,5"),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{bmatrix}1\\\\4/2\\end{bmatrix}"),
        ("[0,2]\\cup[1,3]", "[0,3]"),
        ("(a,b)=(1,2)", "b=2, a=1"),
        ("3:4", "9:12"),
        ("\\mathbb{R}", "(-\\infty,\\infty)"),
    ]);
    different(&[
        ("(1,2)", "(2,1)"),
        ("[1,2]", "[1,2)"),
        ("\\{1,2\\}", "(1,2,3)"),
        ("1,2", "1,2,3"),
        ("3:4", "4:3"),
        ("(1,2),(3,4)", "(2,1),(4,3)"),
    ]);
}

#[test]
fn units_percent_text_and_choices() {
    equal(&[
        ("5\\text{ km}", "5"),
        ("5\\text{ km}", "5000\\text{ m}"),
        ("2\\text{ hours}", "120 minutes"),
        ("45^\\circ", "45"),
        ("\\$3.50", "3.5"),
        ("75\\%", "0.75"),
        ("75\\%", "75"),
        ("\\text{the red ball}", "Red ball."),
        ("(D)", "\\text{D}"),
        ("\\textbf{(A)}\\ 12", "12"),
        ("yes", "True"),
    ]);
    different(&[
        ("5\\text{ km}", "5\\text{ m}"),
        ("3s", "3"),
        ("75", "0.75"),
        ("north", "south"),
        ("(D)", "(A)"),
        ("", ""),
        ("12:05", "24:10"),
    ]);
}

#[test]
fn text_rules_of_published_checkers() {
    let of = |mode, gold, answer| check(gold, answer, &Options::of(mode)).is_equal();
    assert!(of(Mode::Hendrycks, "\\frac{1}{2}", "0.5") && of(Mode::Hendrycks, "\\sqrt{3}", "\\sqrt3"));
    assert!(!of(Mode::Hendrycks, "0.50", "0.5") && !of(Mode::Hendrycks, "(1, 2)", "(1,2.0)"));
    assert!(of(Mode::Hendrycks, "x=\\frac34", "3/4"));
    assert!(of(Mode::Gsm8k, "1,250", "1250") && !of(Mode::Gsm8k, "1250", "1250.0"));
    assert!(of(Mode::MathOctopus, "12", "12.0004") && !of(Mode::MathOctopus, "12", "12.1"));
    assert!(of(Mode::Mgsm, "1,000", "1000.00"));
}

#[test]
fn extraction() {
    let found = |text: &str, options: &Options| extract(text, options).map(|found| found.answer);
    let strict = Options::default();
    assert_eq!(found("so \\boxed{\\left\\{ x \\right.} holds", &strict).unwrap(), "\\left\\{ x \\right.");
    assert_eq!(found("either $\\boxed{2}$ or $\\boxed{3}$.", &strict).unwrap(), "2,3");
    assert_eq!(found("\\boxed{2}, wait: \\boxed{3", &strict).unwrap(), "3");
    assert_eq!(found("The answer is 1,500 dollars.", &strict).unwrap(), "1500");
    assert_eq!(found("no number at all", &strict), None);
    let german = Options { language: Some(Language::De), ..Options::default() };
    assert_eq!(found("Die Antwort lautet 1.500,5", &german).unwrap(), "1500.5");
    assert_eq!(found("#### -1,250 and more", &Options::of(Mode::Gsm8k)).unwrap(), "-1250");
    assert_eq!(found("it is -3", &Options::of(Mode::MathOctopus)).unwrap(), "3");
    assert_eq!(mgsm::native_answer("答えは-8です。", Language::Ja).unwrap(), "-8");
    assert_eq!(mgsm::native_answer("উত্তর হল 8।", Language::Bn), None);
}

#[test]
fn hostile_input_is_answered_within_the_budget() {
    let nested = "{".repeat(1_000_000);
    let deep = format!("{}1{}", "(".repeat(3000), ")".repeat(3000));
    let fractions = "\\frac".repeat(1500);
    let powers = "9^".repeat(2000) + "9";
    let roots = "\\sqrt".repeat(1900);
    let boxes = "\\boxed{".repeat(100_000);
    let blanks = format!("answer is {}", " ".repeat(1_000_000));
    let unions = "[0,1]\\cup".repeat(1000) + "[0,1]";
    let factorials = "9".to_string() + &"!".repeat(5000);
    let minuses = "-".repeat(5000) + "1";
    let sums = "(a+b+c+d)^{40}(e+f+g+h)^{40}(a+e)^{100}";
    let megabyte = "lorem ipsum ".repeat(90_000);
    let hostile = [
        nested.as_str(),
        &deep,
        &fractions,
        &powers,
        &roots,
        &boxes,
        &blanks,
        &unions,
        &factorials,
        &minuses,
        sums,
        &megabyte,
        "10^{10^9}",
        "10^{10^{10^{10}}}",
        "2^{10^9}+1",
        "((((((10^9)!)!)!)!)!)!",
        "\\frac",
        "\\frac{",
        "\\sqrt[",
        "\\begin{pmatrix}",
        "\\text{",
        "1/0",
        "0^{-1}",
        "\\log 0",
        "\\tan\\frac{\\pi}{2}",
        "\u{0}",
        "\\",
    ];
    for text in hostile {
        for mode in Mode::ALL {
            let options = Options::of(mode);
            let start = Instant::now();
            extract(text, &options);
            check(text, "1", &options);
            check("10^{10^9}+1", text, &options);
            // Far above the budget, as machines are slow; a hang would be far above this.
            assert!(start.elapsed() < Duration::from_secs(20), "{mode:?} {:.40}", text);
        }
    }
    let verdict = check("10^{10^9}", "10^{10^9}+1", &Options::default());
    assert_ne!(verdict.equality, Equality::Equal, "{}", verdict.reason);
}

#[test]
fn many_threads_judge_alike() {
    use rayon::prelude::*;
    let all = (0..2000u32).into_par_iter().all(|n| {
        let (gold, answer) = (format!("\\frac{{{n}}}{{7}}"), format!("{n}/7"));
        check(&gold, &answer, &patient()).is_equal()
    });
    assert!(all);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // Any text equals itself unless it is empty, and the order of the two does not matter.
    #[test]
    fn reflexive_and_symmetric(
        a in "[-+*/^_=<>,.;:!|(){}\\[\\]0-9a-eix\\\\ ]{0,24}",
        b in "(\\\\frac|\\\\sqrt|\\\\text|\\\\pm|\\\\pi|[-+^{}(),=x0-9])([-+^{}(),=x0-9%]){0,12}",
    ) {
        let options = patient();
        prop_assert_eq!(check(&a, &a, &options).is_equal(), !a.trim().is_empty());
        let (forth, back) = (check(&a, &b, &options), check(&b, &a, &options));
        prop_assert_eq!(forth.equality, back.equality, "{} {}", forth.reason, back.reason);
    }

    // Fractions are equal exactly if they are proportional, in every notation.
    #[test]
    fn fractions(a in -60i64..60, b in 1i64..60, c in -60i64..60, d in 1i64..60) {
        let verdict = check(&format!("\\frac{{{a}}}{{{b}}}"), &format!("{c}/{d}"), &patient());
        prop_assert_eq!(verdict.is_equal(), a * d == b * c);
    }
}

/// Every rule of extraction, one by one: mode, response, answer, rule.
#[test]
fn every_rule_of_extraction() {
    let cases = [
        (Mode::Hendrycks, "first \\boxed{1}, then \\boxed{\\frac{1}{2}}.", Some("\\frac{1}{2}"), "last box"),
        (Mode::Hendrycks, "so $\\boxed 17$ is it", Some("17"), "text after the box command"),
        (Mode::Hendrycks, "an unclosed \\boxed{3", None, ""),
        (Mode::Hendrycks, "only \\fbox{3}", None, ""),
        (Mode::Prm800k, "\\boxed{8}", Some("8"), "last box"),
        (
            Mode::Qwen25,
            "The final answer is $12$. I hope it is correct.",
            Some("12"),
            "final answer sentence",
        ),
        (Mode::Qwen25, "\\boxed{3} or \\boxed{4", Some("4"), "last box"),
        (Mode::Qwen25, "so the answer is 7.", Some("7"), "after the answer phrase"),
        (Mode::Qwen25, "the final answer is: 9", Some("9"), "after the answer phrase"),
        (Mode::Qwen25, "答案是 5\n\n也许", Some("5"), "after the answer phrase"),
        (Mode::Qwen25, "3 apples and 1,204 pears", Some("1204"), "last number"),
        (
            Mode::Minerva,
            "Final Answer: The final answer is $\\frac12$. I hope it is correct.",
            Some("$\\frac12$"),
            "final answer sentence",
        ),
        (Mode::Minerva, "the answer is 3", None, ""),
        (Mode::Gsm8k, "work\n#### -1,250\n#### 7", Some("-1250"), ""),
        (Mode::Gsm8k, "no mark, 7", None, ""),
        (Mode::MathOctopus, "it is -1,234.5", Some("1234.5"), ""),
        (Mode::MathOctopus, "nothing", Some("0.0"), ""),
        (
            Mode::MathVerify,
            "It is 4. Final answer is $5$. I hope so. \\boxed{6}",
            Some("5"),
            "final answer is ... I hope",
        ),
        (
            Mode::MathVerify,
            "The final answer to this is $5$, see $6$",
            Some("5"),
            "final answer is, or a box",
        ),
        (Mode::MathVerify, "$\\boxed{3}$ and then $x = 4$", Some("3"), "final answer is, or a box"),
        (Mode::MathVerify, "\\boxed{1} and \\boxed{2}", Some("1,2"), "final answer is, or a box"),
        (
            Mode::MathVerify,
            "\\boxed{1} and a long way from here to \\boxed{1}, or so",
            Some("1"),
            "final answer is, or a box",
        ),
        (Mode::MathVerify, "Answer: $8$ and then $9 in all", Some("8"), "answer with a colon"),
        (Mode::MathVerify, "the answer = 1,234.50 coins, not 7", Some("1234.50"), "answer"),
        (Mode::MathVerify, "we get $a$ and $b$ ,or $c$", Some("a, b, c"), "last formula or number"),
        (Mode::MathVerify, "first 3, then 28 percent", Some("28\\%"), "last formula or number"),
        (Mode::MathVerify, "it costs €1 234,", Some("1234"), "last formula or number"),
        (Mode::MathVerify, "that is 2,74 or so", Some("2.74"), "last formula or number"),
        (Mode::MathVerify, "so \\frac{3}{4} of it", Some("\\frac{3}{4}"), "last formula or number"),
        (Mode::MathVerify, "XY7Z", None, ""),
        (Mode::Carp, "因此答案是：12", Some("12"), ""),
        (Mode::Carp, "所以 \\boxed{3}", Some("3"), ""),
    ];
    let mut wrong = Vec::new();
    for (mode, response, answer, rule) in cases {
        let found = extract(response, &Options::of(mode));
        let is_right = match (&found, answer) {
            (Some(found), Some(answer)) => found.answer == answer && (rule.is_empty() || found.rule == rule),
            (None, None) => true,
            _ => false,
        };
        if !is_right {
            wrong.push((mode, response, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The steps of Math-Verify's comparison, its known faults included.
#[test]
fn steps_of_math_verify() {
    let of = |gold: &str, answer: &str| check(gold, answer, &Options::of(Mode::MathVerify)).is_equal();
    // Assignments and equations.
    assert!(of("x=1", "1") && of("1", "y=1") && !of("x=1", "y=1") && !of("2x+z=1", "1"));
    assert!(of("x = 2+3 = 5", "5") && of("y=2x+1", "4x-2y+2=0"));
    // Relations against sets, in one direction only.
    assert!(of("2<x<7", "(2,7)") && !of("(2,7)", "2<x<7"));
    assert!(of("x \\ge 5", "5 \\le x") && of("x<1", "-x>-1") && !of("x>5", "x<5"));
    // Tuples, sets and intervals.
    assert!(of("(1,3)", "\\{1,3\\}") && !of("(3,1)", "\\{1,3\\}") && of("\\{1,3\\}", "3,1"));
    assert!(!of("[0,1)", "(0,1)") && of("[0,2]\\cup[1,3]", "[0,3]") && of("3;4", "\\{4,3\\}"));
    // Names.
    assert!(of("\\text{Odd}", "odd") && of("\\text{(C)}", "C") && !of("east", "west"));
    // Numbers: six places of decimals, percent signs of whole numbers, fifteen digits of constants.
    assert!(of("\\frac13", "0.333333") && !of("\\frac13", "0.333") && of("9\\%", "9") && of("9\\%", "0.09"));
    assert!(of("\\frac{1}{40!}", "\\frac{1}{41!}") && !of("10^{20}", "10^{20}+1"));
    assert!(of("10", "010_2") && of("2m", "2") && !of("0.28", "28"));
    // Texts that are not read are compared as they stand.
    assert!(of("\\sum_{k} k", "\\sum_{k} k") && !of("\\sum_{k} k", "\\sum_{j} j") && !of("", ""));
}

/// Thousands of letters in a row are words and no product: the budget was overrun by them once.
#[test]
fn long_words_are_text() {
    let letters = "a".repeat(9000);
    let start = Instant::now();
    assert_eq!(check(&letters, "1", &Options::default()).equality, Equality::Different);
    assert!(check(&letters, &format!(" {letters}"), &Options::default()).is_equal());
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// What an announcement announces: a list of numbers as a whole, one number without what follows it.
#[test]
fn announced_lists_are_not_cut() {
    for (response, expected) in [
        ("The roots follow.\nAnswer: 2, 3", "2, 3"),
        ("The answer is 2 and 3.", "2, 3"),
        ("Answer: -1, 0.5, or 4", "-1, 0.5, 4"),
        ("**Answer: 2; 3**", "2; 3"),
        ("Answer: 1,234", "1234"),
        ("Answer: 18, so 3 are left", "18"),
        ("The answer is 5, 3 of which are red.", "5"),
        ("Answer: 7", "7"),
    ] {
        let found = extract(response, &Options::of(Mode::Strict)).map(|found| found.answer);
        assert_eq!(found.as_deref(), Some(expected), "{response}");
    }
    let list = extract("Answer: 3 and 2", &Options::of(Mode::Strict)).expect("a list");
    assert!(check("2, 3", &list.answer, &Options::of(Mode::Strict)).is_equal());
}

/// What this thread has had of the processor.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The margin is that of the longest single step between two looks at the budget, in a build without optimisation.
#[test]
fn hostile_texts_are_judged_within_the_budget() {
    const MARGIN: Duration = Duration::from_millis(30);
    let options = Options { budget: Duration::from_millis(20), ..Options::default() };
    for (name, text) in texts::long_to_judge() {
        let other = format!("{text}+0");
        for (gold, answer) in
            [(text.as_str(), "1"), ("10^{10^9}", text.as_str()), (text.as_str(), other.as_str())]
        {
            let start = processor_time();
            check(gold, answer, &options);
            let time = processor_time() - start;
            assert!(time < options.budget + MARGIN, "{name}: {time:?}");
        }
    }
    assert!(texts::hostile().len() > texts::long_to_judge().len());
}
