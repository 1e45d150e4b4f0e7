//! Texts that are made to take long: too large, too deep, too many, or with values that grow.

/// The texts with what they are.
pub fn hostile() -> Vec<(&'static str, String)> {
    let mut texts = large();
    texts.extend(long_to_judge());
    texts
}

/// Texts that can be read, each of at most 10,000 bytes, and whose values take long.
pub fn long_to_judge() -> Vec<(&'static str, String)> {
    let many = |count: u32, item: &dyn Fn(u32) -> String| (0..count).map(item).collect::<String>();
    let listed =
        |count: u32, item: &dyn Fn(u32) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    vec![
        ("backtracking: a^n b", "a".repeat(9_000) + "!"),
        ("many letters with blanks", "a ".repeat(4_900)),
        ("many different factors", many(1_400, &|n| format!("a_{n} "))),
        ("many different letters of one power", many(1_100, &|n| format!("a_{n}^2"))),
        ("many terms", many(1_500, &|n| format!("+a_{n}"))),
        ("many sines", "\\sin x+".repeat(1_200) + "x"),
        ("many sines of sums", many(400, &|n| format!("\\sin(x+{n})+")) + "x"),
        ("many roots", many(700, &|n| format!("\\sqrt{{{n}}}+")) + "1"),
        ("many fractions", many(900, &|n| format!("1/{}+", n + 1)) + "1"),
        ("many fractions of letters", many(500, &|n| format!("\\frac{{1}}{{x+{n}}}+")) + "1"),
        ("an equation of many letters", many(1_300, &|n| format!("+a_{n}")) + "=1"),
        ("an inequality of many letters", many(1_300, &|n| format!("+a_{n}")) + "<1"),
        ("many numbers with exponents", listed(190, &|n| format!("1e{}", 4_000 + n))),
        ("many long numbers", listed(2, &|n| "7".repeat(4_900 + n as usize))),
        ("a set of roots", format!("\\{{{}\\}}", listed(190, &|n| format!("\\sqrt{{{}}}", n + 2)))),
        ("a list of powers", listed(190, &|n| format!("2^{{{}}}", n + 1_000))),
        ("many binomials", many(300, &|n| format!("\\binom{{{}}}{{4000}}+", 1_000_000 + n)) + "1"),
        ("many factorials", many(900, &|n| format!("{}!+", 11_000 + n)) + "1"),
        (
            "common divisors of long numbers",
            many(200, &|n| format!("\\gcd(2^{{200000}}+{n},3^{{100000}})+")) + "1",
        ),
        ("powers of sums", "(x+y+z+1)^{40}".repeat(30)),
        ("stops behind the answer", "1".to_string() + &".,".repeat(4_900)),
        ("boxes in boxes", "\\boxed{".repeat(1_000) + "1" + &"}".repeat(1_000)),
        ("unions of intervals", "(1,2)\\cup ".repeat(900) + "(3,4)"),
        ("signs that stand for two", "\\pm 1 ".repeat(1_200)),
        ("nested roots", "\\sqrt{".repeat(190) + "2" + &"}".repeat(190)),
        ("nested sines", "\\sin(".repeat(150) + "x" + &")".repeat(150)),
        ("a tower of powers", "9^".repeat(100) + "9"),
        ("nested factorials", "((((10^9)!)!)!)!".into()),
        ("matrices", "\\begin{pmatrix}".to_string() + &"\\sqrt2&".repeat(1_200) + "1\\end{pmatrix}"),
    ]
}

/// Texts of a megabyte and more, and such as are nothing.
fn large() -> Vec<(&'static str, String)> {
    let bytes: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        ("a million opening braces", "{".repeat(1_000_000)),
        ("a million nested braces", "{".repeat(500_000) + &"}".repeat(500_000)),
        ("\\frac without arguments", "\\frac".into()),
        ("many \\frac without arguments", "\\frac".repeat(1900)),
        ("10^(10^9)", "10^(10^9)".into()),
        ("10^{10^{9}} against itself plus one", "10^{10^{9}}+1".into()),
        ("a megabyte without an answer", "lorem ipsum ".repeat(87_400)),
        ("a megabyte of dollars", "$ ".repeat(500_000)),
        ("a megabyte of opening brackets", "\\[ \\( ".repeat(170_000)),
        ("bytes that are not UTF-8", String::from_utf8_lossy(&bytes).into_owned()),
        ("backtracking: answer answer ...", "answer: final answer is ".repeat(40_000)),
        ("backtracking: 1 + 1 + ...", "1+".repeat(4_900) + "="),
        ("backtracking: \\text{ \\text{ ...", "\\text{ and ".repeat(900)),
        ("boxes that are not closed", "\\boxed{".repeat(140_000)),
    ]
}
