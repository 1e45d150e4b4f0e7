use mathesis_symbolic::{Expr, ParseError, Symbol, parse, parse_equation};
use proptest::prelude::*;

use crate::tree::*;

fn latex(text: &str) -> String {
    parse(text).unwrap().to_latex()
}

fn error(text: &str) -> ParseError {
    parse(text).unwrap_err()
}

#[test]
fn operators_bind_as_on_paper() {
    let x = Expr::symbol("x");
    assert_eq!(parse("-100^2*sin(100*x)").unwrap(), -Expr::integer(10000) * (Expr::integer(100) * &x).sin());
    assert_eq!(parse("-x^2").unwrap(), -x.pow(2));
    assert_eq!(parse("2^-3").unwrap(), Expr::rational(1, 8));
    assert_eq!(parse("2^3^2").unwrap(), Expr::integer(512));
    assert_eq!(parse("x^-y^2").unwrap(), x.pow(-Expr::symbol("y").pow(2)));
    assert_eq!(parse("8/2/2*3").unwrap(), Expr::integer(6));
    assert_eq!(parse("1 - 2 - 3").unwrap(), Expr::integer(-4));
    assert_eq!(parse("1 - -2").unwrap(), Expr::integer(3));
    assert_eq!(parse("2**3").unwrap(), Expr::integer(8));
    assert_eq!(parse("ln(x)").unwrap(), x.log());
    assert_eq!(parse(" .5 + 5. ").unwrap(), Expr::rational(11, 2));
}

#[test]
fn unicode_is_read() {
    assert_eq!(parse("x² − √(x)·π ÷ 2 + 3×x⁻¹").unwrap(), parse("x^2 - sqrt(x)*pi/2 + 3/x").unwrap());
    assert_eq!(parse("x¹⁰").unwrap(), parse("x^10").unwrap());
    assert_eq!(parse("2^x²").unwrap(), parse("2^(x^2)").unwrap());
    assert_eq!(parse("α*β_1").unwrap(), Expr::symbol("α") * Expr::symbol("β_1"));
}

#[test]
fn names_keep_their_subscripts() {
    let symbols = parse("u_tt - x1*u_xx + pi + e").unwrap().symbols();
    assert_eq!(symbols.into_iter().collect::<Vec<_>>(), ["u_tt", "u_xx", "x1"].map(Symbol::new));
}

#[test]
fn equations_have_two_sides() {
    let (left, right) = parse_equation("u_xx + u = -sin(x)").unwrap();
    assert_eq!(left, parse("u_xx + u").unwrap());
    assert_eq!(right, parse("-sin(x)").unwrap());
    assert_eq!(parse_equation("u_xx").unwrap_err().span, 4..4);
    assert_eq!(parse_equation("a == b").unwrap_err().span, 3..4);
    assert_eq!(parse_equation("a = b = c").unwrap_err().span, 6..7);
    assert_eq!(parse_equation("2x = 1").unwrap_err().help.unwrap(), "write `2*x`");
    assert_eq!(error("a = b").span, 2..3);
}

#[test]
fn multiplication_is_never_implied() {
    for (text, span, help) in [
        ("2pi", 1..3, "write `2*pi`"),
        ("2x", 1..2, "write `2*x`"),
        ("1 + 2(x+1)", 5..6, "write `2*(x+1)`"),
        ("x y", 2..3, "write `x*y`"),
        ("(x+1)(x-1)", 5..6, "write `(x+1)*(x-1)`"),
        ("2sin(x)", 1..4, "write `2*sin(x)`"),
        ("u(1-u)", 0..1, "write `u*(1-u)` to multiply"),
        ("sin(2x)", 5..6, "write `2*x`"),
    ] {
        let error = error(text);
        assert_eq!((error.span, error.help.as_deref()), (span, Some(help)), "{text}");
    }
}

#[test]
fn mistakes_are_named_where_they_are() {
    for (text, span, message) in [
        ("", 0..0, "the text ends where an operand should follow"),
        ("x +", 3..3, "the text ends where an operand should follow"),
        ("* x", 0..1, "an operand is missing"),
        ("()", 1..2, "nothing stands before `)`"),
        ("(x", 0..1, "this parenthesis is not closed"),
        ("x)", 1..2, "this parenthesis was never opened"),
        ("sin x", 0..3, "the function `sin` has no argument"),
        ("1/0", 2..3, "division by zero"),
        ("1/(x-x)", 2..7, "division by zero"),
        ("0^-1", 0..4, "division by zero"),
        ("2 + log(0)", 4..10, "`log(0)` is not defined"),
        ("tan(pi/2)", 0..9, "`tan(pi/2)` is not defined"),
        ("1.2.3", 3..4, "a number has one decimal point"),
        ("x # y", 2..3, "unexpected character `#`"),
        ("1e99999999999999999999", 0..22, "this number has too many digits"),
    ] {
        let error = error(text);
        assert_eq!((error.span, error.message.as_str()), (span, message), "{text}");
    }
    assert_eq!(error("sen(x)").help.unwrap(), "did you mean `sin`?");
    assert_eq!(error("arctan(x)").help.unwrap(), "did you mean `atan`?");
    assert_eq!(error("sin^2(x)").help.unwrap(), "write the power after the argument: `sin(x)^2`");
}

#[test]
fn plain_text_reads_well() {
    for text in [
        "x^2 + 2*x*y + y^2 + 1",
        "-x/2 + 1/2",
        "u*u_x + u_t - u_xx/100",
        "2*x/(3*y*z)",
        "x*exp(-x^2/2)/sqrt(pi)",
        "1/sqrt(x + 1)",
        "x^(-y)",
        "(x + y)^2/2",
        "-10000*sin(100*x)",
        "(-8)^(1/3)",
        "(2/3)^x",
        "9^9^387420489",
        "sqrt(2)*x/2",
        "e + exp(-2)",
    ] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn latex_reads_well() {
    assert_eq!(latex("x^2/2"), "\\frac{x^{2}}{2}");
    assert_eq!(latex("u_xx + α_1*theta"), "\\theta \\alpha_{1} + u_{xx}");
    assert_eq!(latex("-sin(2*pi*x)"), "-\\sin\\left(2 \\pi x\\right)");
    assert_eq!(latex("1/sqrt(x + 1)"), "\\frac{1}{\\sqrt{x + 1}}");
    assert_eq!(latex("(x+1)/(2*(y+1))"), "\\frac{x + 1}{2 \\left(y + 1\\right)}");
    assert_eq!(latex("6*12^1000000"), "6 \\cdot 12^{1000000}");
    assert_eq!(latex("exp(-x)*abs(x)"), "\\left|x\\right| e^{-x}");
    assert_eq!(latex("x1 + speed"), "\\mathrm{speed} + x_{1}");
    assert_eq!(latex("sin(x)^2"), "\\sin^{2}\\left(x\\right)");
    assert_eq!(latex("-1/2"), "-\\frac{1}{2}");
    assert_eq!(latex("(x/2)^y"), "2^{-y} x^{y}");
    assert_eq!(latex("asin(x)"), "\\arcsin\\left(x\\right)");
}

proptest! {
    #[test]
    fn plain_text_reads_back_the_same(tree in prop_oneof![rational_trees(), elementary_trees()]) {
        let expression = tree.build();
        if !expression.is_undefined() {
            let text = expression.to_string();
            prop_assert_eq!(parse(&text), Ok(expression), "{}", text);
        }
    }
}
