use std::time::{Duration, Instant};

use mathesis_symbolic::{parse, parse_equation};
use proptest::prelude::*;

/// Parse on a small stack and within a second or so, whatever comes out; the tests run unoptimised.
fn survives(text: String) {
    let shown: String = text.chars().take(40).collect();
    let start = Instant::now();
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        if let Ok(expression) = parse(&text) {
            let printed = expression.to_string();
            if printed.len() < 64 * 1024 {
                // Without the values in the message, which would be as long as the text.
                assert!(parse(&printed).as_ref() == Ok(&expression), "it does not read back the same");
            }
            let _ = expression.to_latex();
            let _ = expression.symbols();
        }
    });
    thread.unwrap().join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{shown} took {:?}", start.elapsed());
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in
        [("(", ")"), ("sin(", ")"), ("-", ""), ("2^", ""), ("√", ""), ("x^(", ")"), ("1/(1+", ")")]
    {
        for depth in [150, 199, 5000] {
            let text = format!("{}x{}", open.repeat(depth), close.repeat(depth));
            if depth == 5000 {
                assert!(parse(&text).unwrap_err().message.contains("nests deeper"), "{open}");
            }
            survives(text);
        }
    }
}

#[test]
fn length_is_bounded() {
    assert!(parse(&"x+".repeat(40_000)).unwrap_err().message.contains("longer"));
    survives("x+".repeat(30_000) + "1");
    survives((0..9000).map(|k| format!("x{k}")).collect::<Vec<_>>().join("+"));
    survives((0..9000).map(|k| format!("x{k}")).collect::<Vec<_>>().join("*"));
    survives("x*".repeat(30_000) + "y");
    survives("x-".repeat(30_000) + "y");
}

#[test]
fn numbers_are_bounded() {
    for text in [
        "9^9^9^9",
        "10^1000000",
        "(1/3)^(10^100)",
        "2^(10^18+1/2)",
        "x^9^9^9",
        "(2*x)^(10^9)",
        "(-7)^(10^30)",
    ] {
        survives(text.to_string());
    }
    assert_eq!(parse("9^9^9^9").unwrap().to_string(), "9^9^387420489");
    assert!(parse("1e1000000000").is_err());
    survives("9".repeat(60_000));
    survives(format!("0.{}", "7".repeat(60_000)));
    survives("10^1000*".repeat(8000) + "1");
    survives("10^1000+".repeat(8000) + "1");
    survives("(2*x)^4000*".repeat(5000) + "1");
    survives((10_000..18_000).map(|k| format!("1/{k}")).collect::<Vec<_>>().join("+"));
    survives((10_000..16_000).map(|k| format!("x/{k}")).collect::<Vec<_>>().join("+"));
    survives((1000..7000).map(|k| format!("sqrt({k})")).collect::<Vec<_>>().join("+"));
    survives(format!("sqrt({})", "7".repeat(20_000)));
    survives(format!(
        "({}){}",
        (0..5000).map(|k| format!("x{k}")).collect::<Vec<_>>().join("*"),
        "²".repeat(100)
    ));
}

#[test]
fn expansion_is_bounded() {
    let start = Instant::now();
    for text in ["(x+y+z+w+1)^10000", "((x+1)^300+y)^300", "(((x+1)^9+1)^9+1)^99", "(99999999999*x+1)^9000"] {
        let _ = parse(text).unwrap().expand();
    }
    let many = (0..250).map(|k| format!("(x{k}+y+z+1)^30")).collect::<Vec<_>>().join("+");
    let _ = parse(&many).unwrap().expand();
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-+*/^()=., 0-9eExyπ√²⁻a-z_·]{0,40}") {
        for error in [parse(&text).err(), parse_equation(&text).err()].into_iter().flatten() {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {text}", error.span);
        }
    }

    #[test]
    fn any_unicode_is_read_or_refused(text in "\\PC{0,30}") {
        for error in [parse(&text).err(), parse_equation(&text).err()].into_iter().flatten() {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {text}", error.span);
        }
    }
}
