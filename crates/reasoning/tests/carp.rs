//! CARP: the algebra tools, the records and the scores; the published figures where `MATHESIS_DATA` names the data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mathesis_reasoning::suites::carp::replay::{Agreement, ToolCall};
use mathesis_reasoning::suites::carp::{
    Accuracy, Failure, Failures, Record, Solution, Statistics, expression_accuracy, read_records,
};
use mathesis_reasoning::tools::algebra::{Argument, Output, TOOLS, call};
use proptest::prelude::*;

fn text(tool: &str, arguments: &[&str]) -> String {
    let arguments: Vec<Argument> = arguments.iter().map(|a| Argument::Text(a.to_string())).collect();
    shown(tool, &arguments)
}

fn list(tool: &str, items: &[&str]) -> String {
    shown(tool, &[Argument::List(items.iter().map(|item| item.to_string()).collect())])
}

fn shown(tool: &str, arguments: &[Argument]) -> String {
    match call(tool, arguments) {
        Ok(Output::Text(text)) => text,
        Ok(output) => serde_json::to_string(&output).unwrap().replace("\\\\", "\\"),
        Err(error) => format!("error: {error}"),
    }
}

fn substitute(expression: &str, conditions: &[&str]) -> String {
    let conditions = conditions.iter().map(|c| c.to_string()).collect();
    shown("substitute", &[Argument::Text(expression.to_string()), Argument::List(conditions)])
}

#[test]
fn constants_are_calculated_exactly() {
    assert_eq!(text("calculate", &["\\frac { 1 } { 2 + \\sqrt { 3 } }"]), "- \\sqrt { 3 } + 2");
    assert_eq!(text("calculate", &["25 ^ { 9 } + 5 ^ { 17 }"]), "4577636718750");
    assert_eq!(text("calculate", &["| | 0 - 2 | - 3 |"]), "1");
    assert_eq!(text("calculate", &["204_5 + 1"]), "55");
    assert_eq!(text("calculate", &["\\sqrt { 5 + 2 \\sqrt { 6 } } - \\sqrt { 2 } - \\sqrt { 3 }"]), "0");
}

#[test]
fn equations_and_systems() {
    assert_eq!(text("solve_eq", &["x ^ { 2 } - 3 x - 4 = 0"]), r#"["x = - 1","x = 4"]"#);
    assert_eq!(text("solve_eq", &["\\sqrt { x - 11 } = 5"]), r#"["x = 36"]"#);
    assert_eq!(text("solve_eq", &["27 ^ { x } = 3 ^ { 12 }"]), r#"["x = 4"]"#);
    assert_eq!(text("solve_eq", &["y = y"]), "error: 方程无解或含有多个未知数");
    assert_eq!(text("solve_eq", &["x + y = 1"]), "error: 方程无解或含有多个未知数");
    let system = list("solve_multi_eq", &["m + n = 3", "mn = - 4"]);
    assert!(
        system.contains(r#""m":["m = - 1","m = 4"]"#) || system.contains(r#""m":["m = 4","m = - 1"]"#),
        "{system}"
    );
    assert_eq!(list("solve_multi_eq", &["x + 3 y - 3 = 0", "x + 3 y = 3"]), r#"{"x":["x = - 3 y + 3"]}"#);
    assert_eq!(list("solve_multi_eq", &["y = x", "y = x + 1"]), "error: 方程无解或给定条件不足解出方程");
    assert_eq!(text("partial_solve", &["3 x + a = x + 2", "a"]), "a = - 2 x + 2");
    assert_eq!(text("partial_solve", &["a ^ { x } = 3", "a"]), "error: 方程无解");
    assert_eq!(text("partial_solve", &["y < 2 - 3 x", "x"]), "x < - \\frac { y } { 3 } + \\frac { 2 } { 3 }");
}

#[test]
fn inequalities() {
    assert_eq!(text("solve_ineq", &["- x - 3 x \\le - 4"]), "x \\ge 1");
    assert_eq!(text("solve_ineq", &["x ^ { 2 } < 2"]), "- \\sqrt { 2 } < x 且 x < \\sqrt { 2 }");
    assert_eq!(text("solve_ineq", &["x ^ { 2 } \\ge 4"]), "x \\le - 2 或 x \\ge 2");
    assert_eq!(text("solve_ineq", &["x ^ { 2 } \\ge 0"]), "error: 方程无解或含有多个未知数");
    assert_eq!(
        list("solve_multi_ineq", &["x + 1 > 0", "2 x \\le 3"]),
        "- 1 < x 且 x \\le \\frac { 3 } { 2 }"
    );
    assert_eq!(list("solve_multi_ineq", &["x > 2", "x < 1"]), "error: 方程无解或给定条件不足解出方程");
}

#[test]
fn substitution() {
    assert_eq!(substitute("x ^ { 2 a + b }", &["x ^ { a } = 2"]), "4 x ^ { b }");
    assert_eq!(substitute("- 3 ( b - a )", &["a - b = \\frac { 1 } { 2 }"]), "\\frac { 3 } { 2 }");
    assert_eq!(substitute("3 ^ { x + 3 y }", &["x + 3 y = 3"]), "27");
    assert_eq!(substitute("m ^ { 2 } n - ( m + 3 )", &["mn = 1"]), "- 3");
    assert_eq!(substitute("x - 2 y = 3", &["x = 1"]), "y = - 1");
    assert_eq!(substitute("y < 0", &["y = - 3 x + 6"]), "x > 2");
    assert_eq!(substitute("x + y = 3", &["z = 1"]), "error: 代入无效上下文条件");
    assert_eq!(substitute("a - b + c", &["a = 0", "c = 2"]), "- b + 2");
}

#[test]
fn rewriting_and_needless_calls() {
    assert_eq!(text("expand", &["( 2 a - 1 ) ^ { 2 }"]), "4 a ^ { 2 } - 4 a + 1");
    assert_eq!(text("expand", &["x ^ { 2 } + 6 x + 9"]), "error: 不必要调用 expand");
    assert_eq!(text("factor", &["x ^ { 2 } - 9"]), "( x + 3 ) ( x - 3 )");
    assert_eq!(text("factor", &["2 a ^ { 2 } + 4 b"]), "2 ( a ^ { 2 } + 2 b )");
    assert_eq!(text("factor", &["m ^ { 2 } + n ^ { 2 }"]), "error: 不必要调用 factor");
    assert_eq!(text("factor", &["\\frac { x ^ { 2 } } { 2 } - 2"]), "\\frac { ( x + 2 ) ( x - 2 ) } { 2 }");
    assert_eq!(text("collect", &["ax + bx + 2 x + 1", "x"]), "x ( a + b + 2 ) + 1");
    assert_eq!(text("collect", &["x ^ { 2 } + 1", "x"]), "error: 不必要调用 collect");
}

#[test]
fn tools_for_competition_problems() {
    let square = |expression: &str| text("complete_the_square", &[expression]);
    assert_eq!(square("x ^ { 2 } + 1300 x + 1300"), "( x + 650 ) ^ { 2 } - 421200");
    assert_eq!(square("2 x ^ 2 - 4 x + 8"), "2 ( x - 1 ) ^ { 2 } + 6");
    for expression in
        ["x ^ 2 + x", "- 3 t ^ 2 + 5 t - 7", "( 2 a + 1 ) ^ 2", "\\frac { y ^ 2 } { 2 } - y + 1"]
    {
        let found = square(expression);
        assert_eq!(text("is_equal", &[&found, expression]), "True", "{found}");
    }
    for wrong in ["x + 1", "x ^ 3", "a x ^ 2 + b x", "5", "x ^ 2 = 1", "\\sqrt { x }"] {
        assert!(square(wrong).starts_with("error: 无法"), "{wrong}: {}", square(wrong));
    }

    let remainder = |dividend: &str, divisor: &str| text("mod", &[dividend, divisor]);
    assert_eq!(remainder("2001 \\cdot 2002 \\cdot 2003 \\cdot 2004 \\cdot 2005", "19"), "11");
    // 3 has the order 6 modulo 7, and 100 = 16 * 6 + 4.
    assert_eq!(remainder("3 ^ { 100 }", "7"), "4");
    assert_eq!((remainder("- 7", "3"), remainder("7", "- 3")), ("2".into(), "- 2".into()));
    assert_eq!(remainder("\\frac { 7 } { 2 }", "\\frac { 2 } { 3 }"), "\\frac { 1 } { 6 }");
    assert_eq!(remainder("204_5", "10"), "4");
    for (dividend, divisor) in [("7", "0"), ("x", "3"), ("\\sqrt { 2 }", "1")] {
        assert!(remainder(dividend, divisor).starts_with("error"), "{dividend} {divisor}");
    }

    let converted = |number: &str, base: &str| text("base_conversion", &[number, base]);
    assert_eq!(converted("204_5", "10"), "54_{10}");
    assert_eq!(converted("54_{10}", "5"), "204_5");
    assert_eq!((converted("FF_16", "2"), converted("0_3", "7")), ("11111111_2".into(), "0_7".into()));
    assert_eq!(converted(&format!("{}_2", "1".repeat(128)), "16"), format!("{}_{{16}}", "F".repeat(32)));
    for (number, base) in [
        ("204", "5"),
        ("209_5", "10"),
        ("204_1", "10"),
        ("204_37", "10"),
        ("204_5", "1"),
        ("-1_5", "2"),
        ("_5", "2"),
    ] {
        assert!(converted(number, base).starts_with("error: 无法转换进制"), "{number} {base}");
    }
    assert_eq!(text("calculate", &[&format!("{}_2 + 1", "1".repeat(70))]), (1u128 << 70).to_string());

    assert_eq!(text("is_equal", &["( x + 1 ) ^ 2", "x ^ 2 + 2 x + 1"]), "True");
    assert_eq!(text("is_equal", &["x", "y"]), "False");
    assert_eq!(text("is_equal", &["x < 2", "2 > x"]), "True");
    assert_eq!(text("is_equal", &["11_2", "3"]), "True");
    assert!(text("is_equal", &["\\frac { 1 } { 0 }", "1"]).starts_with("error"));
    assert_eq!(text("finish", &["\\frac { 1 } { 2 }"]), "\\frac { 1 } { 2 }");
}

#[test]
fn bad_input_gets_an_error() {
    let deep = format!("{}x{}", "( ".repeat(5000), " )".repeat(5000));
    let long = "x + ".repeat(25_000) + "1";
    let bracket = "{ ".repeat(300);
    let hostile = [
        "",
        "\\frac { 1 } { 0 }",
        "\\frac { x } { x - x } = 1",
        "\\frac { 1 } { 2",
        "x ^ { 1000000000 } - 1 = 0",
        "( x + 1 ) ^ { 1000000000 } = 2",
        "( ( ( x + y + z + 1 ) ^ { 99 } ) ^ { 99 } ) ^ { 99 } = 0",
        "9 ^ { 9 ^ { 9 ^ { 9 } } } = x ^ { 2 } - x",
        "x = \\pm 2",
        "f ( x ) = 2",
        "5 mod 3",
        "x ^ { 5 } - x - 1 = 0",
        deep.as_str(),
        long.as_str(),
        bracket.as_str(),
    ];
    for input in hostile {
        for tool in ["solve_eq", "solve_ineq"] {
            let short: String = input.chars().take(40).collect();
            assert!(text(tool, &[input]).starts_with("error"), "{tool} {short}");
        }
        for tool in ["calculate", "expand", "factor", "complete_the_square"] {
            text(tool, &[input]);
        }
        for tool in ["mod", "base_conversion", "is_equal"] {
            text(tool, &[input, "7"]);
        }
        substitute(input, &["x = 2", "y = x"]);
        text("partial_solve", &[input, "x"]);
        text("collect", &[input, "x"]);
        list("solve_multi_eq", &[input, "x = y"]);
    }
    assert!(list("solve_multi_eq", &[]).starts_with("error"));
    assert!(shown("solve_eq", &[]).starts_with("error"));
    assert!(text("unknown", &["x"]).starts_with("error"));
    assert!(TOOLS.iter().all(|tool| shown(tool, &[]).starts_with("error")));
}

fn polynomial() -> impl Strategy<Value = String> {
    let term = (-9..10_i64, 0..3_u32, 0..3_u32);
    prop::collection::vec(term, 1..5).prop_map(|terms| {
        let terms: Vec<String> =
            terms.iter().map(|(c, i, j)| format!("( {c} ) x ^ {{ {i} }} y ^ {{ {j} }}")).collect();
        terms.join(" + ")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn factors_expand_to_the_same(a in polynomial(), b in polynomial()) {
        let product = format!("( {a} ) ( {b} )");
        let expanded = text("expand", &[&product]);
        let factored = text("factor", &[&product]);
        // Both are the product: their difference is nothing.
        for rewritten in [expanded, factored] {
            if !rewritten.starts_with("error") {
                let difference = text("calculate", &[&format!("( {product} ) - ( {rewritten} )")]);
                prop_assert_eq!(&difference, "0", "{} as {}", product, rewritten);
            }
        }
    }

    #[test]
    fn solutions_fulfil_the_equation(a in 1..6_i64, b in -9..10_i64, c in -9..10_i64) {
        let side = |x: &str| format!("{a} ( {x} ) ^ {{ 2 }} + ( {b} ) ( {x} ) + ( {c} )");
        let equation = format!("{} = 0", side("x"));
        match call("solve_eq", &[Argument::Text(equation)]) {
            Ok(Output::List(solutions)) => {
                prop_assert!(b * b >= 4 * a * c);
                for solution in solutions {
                    let value = solution.strip_prefix("x = ").unwrap();
                    prop_assert_eq!(text("calculate", &[&side(value)]), "0");
                }
            }
            _ => prop_assert!(b * b < 4 * a * c),
        }
    }

    #[test]
    fn no_call_panics(tool in 0..TOOLS.len(), input in "[-+*/=<>(){}xyza0-9^ |,\\\\]{0,40}", other in "[xy=0-9+ ]{0,8}") {
        let one = Argument::Text(input.clone());
        let _ = call(TOOLS[tool], std::slice::from_ref(&one));
        let _ = call(TOOLS[tool], &[one.clone(), Argument::Text(other.clone())]);
        let _ = call(TOOLS[tool], &[one, Argument::List(vec![other.clone()])]);
        let _ = call(TOOLS[tool], &[Argument::List(vec![input, other])]);
    }
}

fn record() -> Record {
    let line = r#"{"content": "$x + y = 3$, $x = 1$: $y ^ 2 + 1$?", "answer": "5", "steps": "$y = 2$",
        "expr_cands": ["x + y = 3", "x = 1", "y = 2"], "exprs": ["1 + y = 3", "y = 2", "5"],
        "edges": {"directed": true, "multigraph": false, "graph": {},
            "nodes": [{"id": "x + y = 3"}, {"id": "x = 1"}, {"id": "1 + y = 3"}, {"id": "y = 2"}, {"id": "5"}],
            "links": [
                {"source": "x + y = 3", "target": "1 + y = 3", "rel": "被代入"},
                {"source": "x = 1", "target": "1 + y = 3", "rel": "代入"},
                {"source": "1 + y = 3", "target": "y = 2", "rel": "等式方程求解"},
                {"source": "y = 2", "target": "5", "rel": "代入"}]}}"#
        .replace('\n', " ");
    let (mut records, bad) = read_records(&line);
    assert_eq!(bad, []);
    records.remove(0)
}

#[test]
fn a_target_brings_its_ancestors() {
    let record = record();
    let score = |solution: &str, answer: &str| expression_accuracy(&record, Solution::Text(solution), answer);
    assert_eq!(score("", "5").value(), 1.0);
    assert_eq!(score("", "4").failure(), Some(Failure::First));
    // What is given does not count.
    assert_eq!(score("$x + y = 3$, $x = 1$", "4").reached, 0);
    let middle = score("$y + 1 = 3$", "4");
    assert_eq!((middle.reached, middle.targets, middle.failure()), (1, 3, Some(Failure::Middle)));
    // The later target alone brings the one before it; a chain is its two ends.
    let last = score("$y = 3 - 1 = 2$", "4");
    assert_eq!((last.value(), last.failure()), (2.0 / 3.0, Some(Failure::Last)));
    let lines: Vec<String> =
        ["Action: solve_eq(\"1 + y = 3\")", "Output: ['y = 2']", "Final Answer: 4"].map(String::from).into();
    assert_eq!(expression_accuracy(&record, Solution::Transcript(&lines), "4").reached, 2);
    let all: Vec<Accuracy> = vec![score("", "5"), score("", "4"), middle, last];
    assert_eq!(Failures::of(&all), Failures { right: 1, first: 1, middle: 1, last: 1 });
}

#[test]
fn bad_records_are_named_by_line() {
    let good = r#"{"content": "", "answer": "1", "steps": "", "expr_cands": [], "exprs": ["1"], "edges": {"nodes": [], "links": []}}"#;
    let dangling =
        good.replace("\"links\": []", r#""links": [{"source": "a", "target": "b", "rel": "计算"}]"#);
    let cycle = good.replace(
        r#""nodes": [], "links": []"#,
        r#""nodes": [{"id": "a"}, {"id": "b"}], "links": [{"source": "a", "target": "b", "rel": "计算"}, {"source": "b", "target": "a", "rel": "计算"}]"#,
    );
    let missing = good.replace("\"answer\": \"1\", ", "");
    let (records, bad) = read_records(&[good, &dangling, "", &cycle, &missing, "{"].join("\n"));
    assert_eq!(records.len(), 1);
    let faults: Vec<(usize, bool)> = bad
        .iter()
        .map(|b| (b.line, ["not listed", "cycle", "answer", "EOF"].iter().any(|word| b.fault.contains(word))))
        .collect();
    assert_eq!(faults, [(2, true), (4, true), (5, true), (6, true)]);
}

fn folder() -> Option<PathBuf> {
    match std::env::var_os("MATHESIS_DATA").map(|data| PathBuf::from(data).join("carp")) {
        Some(path) if path.is_dir() => Some(path),
        _ => {
            println!("skipped: MATHESIS_DATA holds no carp");
            None
        }
    }
}

fn records(split: &str) -> Option<Vec<Record>> {
    let text = std::fs::read_to_string(folder()?.join(format!("carp_zh_{split}.json"))).unwrap();
    let (records, bad) = read_records(&text);
    assert_eq!(bad, []);
    Some(records)
}

#[test]
fn statistics_are_the_published_ones() {
    let (Some(test), Some(dev)) = (records("test"), records("dev")) else { return };
    let rounded = |(mean, largest): (f64, usize), digits: i32| {
        let scale = 10_f64.powi(digits);
        ((mean * scale).round() / scale, largest)
    };
    let statistics = Statistics::of(&test);
    assert_eq!(rounded(statistics.nodes, 3), (5.963, 17));
    assert_eq!(rounded(statistics.edges, 3), (5.671, 22));
    assert_eq!(rounded(statistics.targets, 3), (2.683, 9));
    assert_eq!(rounded(statistics.candidates, 2).0, 7.55);
    let of_dev = Statistics::of(&dev);
    assert_eq!(rounded(of_dev.nodes, 3), (5.878, 18));
    assert_eq!(rounded(of_dev.edges, 2), (5.64, 22));
    assert_eq!(rounded(of_dev.targets, 3), (2.638, 11));
    let mut labels: BTreeMap<String, usize> = statistics.labels;
    for (label, count) in of_dev.labels {
        *labels.entry(label).or_default() += count;
    }
    assert_eq!(labels.len(), 18);
    for (label, count) in
        [("被描述", 2389), ("限制性描述", 1567), ("代入", 1081), ("提取因式参考", 158), ("同取对数", 13)]
    {
        assert_eq!(labels[label], count, "{label}");
    }
}

#[test]
fn expression_accuracy_of_the_worked_solutions() {
    let Some(records) = records("test") else { return };
    let score = |r: &Record| expression_accuracy(r, Solution::Text(&r.steps), "-10000");
    let scores: Vec<Accuracy> = records.iter().map(score).collect();
    let mean = scores.iter().map(Accuracy::value).sum::<f64>() / scores.len() as f64;
    assert!((mean - 0.474684).abs() < 1e-6, "{mean}");
    assert_eq!(Failures::of(&scores), Failures { right: 0, first: 199, middle: 77, last: 700 });
}

#[test]
fn published_tool_calls_are_reproduced() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("tool_calls.jsonl")).unwrap();
    let mut counts: BTreeMap<Agreement, usize> = BTreeMap::new();
    for line in text.lines() {
        let call: ToolCall = serde_json::from_str(line).unwrap();
        *counts.entry(call.compare(&call.replay())).or_default() += 1;
    }
    println!("{counts:?}");
    assert_eq!(counts.values().sum::<usize>(), 1536);
    let agreed: usize = counts.iter().filter(|(a, _)| a.is_agreed()).map(|(_, n)| n).sum();
    assert!(agreed >= 1460, "{counts:?}");
}

/// Where the outcomes differ from the published ones, these are right: checked by putting solutions in.
#[test]
fn deviations_from_the_published_tools_are_right() {
    // √(m − 20) + √(n + 15) = 0 has no solution with m = n + 35 but at n = −15.
    assert_eq!(text("partial_solve", &["\\sqrt { m - 20 } + \\sqrt { n + 15 } = 0", "m"]), "error: 方程无解");
    assert_ne!(text("calculate", &["\\sqrt { 36 - 20 } + \\sqrt { 1 + 15 }"]), "0");
    // An identity for every a but 0 and 1, of which one tool names a single solution.
    assert!(
        text("solve_eq", &["\\frac { | a | } { a - a ^ { 2 } } = \\frac { | a | } { a ( 1 - a ) }"])
            .starts_with("error")
    );
    assert_eq!(
        text("calculate", &["\\frac { | 3 | } { 3 - 3 ^ { 2 } } - \\frac { | 3 | } { 3 ( 1 - 3 ) }"]),
        "0"
    );
    // The domain of a root bounds an inequality that holds wherever it is defined.
    assert_eq!(text("solve_ineq", &["\\sqrt { 7 - 2 x } \\ge 0"]), "x \\le \\frac { 7 } { 2 }");
    // x cancels.
    let equation = "x ^ { 2 } + k ^ { 2 } - 16 = x ^ { 2 } - 3 k + 12";
    assert_eq!(text("partial_solve", &[equation, "k"]), r#"["k = - 7","k = 4"]"#);
    for k in ["- 7", "4"] {
        assert_eq!(text("calculate", &[&format!("( {k} ) ^ {{ 2 }} - 16 + 3 * ( {k} ) - 12")]), "0");
    }
    // Of the three pairs over the complex numbers one is real: k = −7 would make x² = −33.
    let system = list("solve_multi_eq", &["x ^ { 2 } + k ^ { 2 } - 16 = 0", "x ^ { 2 } - 3 k + 12 = 0"]);
    assert_eq!(system, r#"{"k":["k = 4"],"x":["x = 0"]}"#);
    assert!(list("solve_multi_eq", &["a + b = \\frac { 3 } { 2 }", "ab = 1"]).starts_with("error"));
    // A power of a condition's left side with a negative exponent: at a = 2, n = −1, m = 3 both are 512.
    assert_eq!(substitute("{ a } ^ { 2 m - 3 n }", &["{ a } ^ { n } = \\frac { 1 } { 2 }"]), "8 a ^ { 2 m }");
    assert_eq!(text("calculate", &["2 ^ { 2 * 3 - 3 * ( - 1 ) } - 8 * 2 ^ { 2 * 3 }"]), "0");
    // With (x − y) / (x + y) = 2, that is x = −3y, both are 5/3.
    let fraction = "\\frac { x - y } { x + y } - \\frac { 2 ( x + y ) } { 3 ( x - y ) }";
    assert_eq!(substitute(fraction, &["\\frac { x - y } { x + y } = 2"]), "\\frac { 5 } { 3 }");
    assert_eq!(substitute(fraction, &["x = - 3 y"]), "\\frac { 5 } { 3 }");
    assert_eq!(substitute("\\frac { 4 ( x - 2 y ) } { 3 ( x - y ) }", &["x = - 3 y"]), "\\frac { 5 } { 3 }");
    // Where |a| = |b| is implied.
    assert_eq!(list("solve_multi_eq", &["| a | = | b |", "a = - b"]), r#"{"a":["a = - b"]}"#);
    assert_eq!(text("calculate", &["| - b | - | b |"]), "0");
}
