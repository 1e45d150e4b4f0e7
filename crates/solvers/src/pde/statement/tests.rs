use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"title = "A string"

[domain]
x = ["0", "2*pi"]

[equation]
unknown = "u"
equation = "u_xx = -omega^2*sin(omega*x)"

[parameters]
omega = 100

[conditions]
x = { lower = "u = 0", upper = "u = sin(200*pi)" }

[exact]
u = "sin(omega*x)"

[method]
name = "gp-hm"
kernel = "gaussian-mixture"
points = 300
"#;

/// The good file with one part replaced.
fn changed(part: &str, by: &str) -> String {
    assert!(GOOD.contains(part), "no `{part}` in the file");
    GOOD.replacen(part, by, 1)
}

/// Refused with a message and a place that covers a text.
#[track_caller]
fn refused(text: &str, message: &str, place: &str) -> StatementError {
    let error = Statement::parse(text).expect_err("the file is wrong");
    assert!(error.message.contains(message), "message: {error:?}");
    assert_eq!(&text[error.span.clone()], place, "{error:?}");
    error
}

const TWO: &str = r#"
[domain]
x = [0, 1]
y = [0, 2]
[equation]
unknown = "u"
equation = "u_xx + u_yy = 0"
[conditions]
x = { lower = "u = 0", upper = "u = y" }
y = { lower = "u = 0", upper = "u = 2*x" }
"#;

#[test]
fn a_good_file_is_read() {
    let statement = Statement::parse(GOOD).expect("well stated");
    assert_eq!(statement.title.as_deref(), Some("A string"));
    assert_eq!(statement.problem.dimension(), 1);
    assert!((statement.problem.axes[0].upper.1 - 2.0 * std::f64::consts::PI).abs() < 1e-15);
    assert_eq!(statement.problem.conditions.len(), 2);
    assert_eq!(statement.warnings, Vec::<String>::new());
    let MethodChoice::GpHm(options) = &statement.method else { panic!("another method") };
    assert_eq!(options.points, options::PerAxis::All(300));
    assert_eq!(options.kernel, options::Kernel::GaussianMixture);
}

#[test]
fn axes_keep_the_order_of_the_file() {
    let text = TWO.replace("x = [0, 1]\ny = [0, 2]", "y = [0, 2]\nx = [0, 1]");
    let statement = Statement::parse(&text).expect("well stated");
    let names: Vec<_> = statement.problem.axes.iter().map(|axis| axis.name.name().to_string()).collect();
    assert_eq!(names, ["y", "x"]);
    assert_eq!(statement.method.name(), "auto");
}

#[test]
fn another_method_keeps_its_own_options_only() {
    let same = Statement::parse_for_method(GOOD, "gp-hm").expect("well stated");
    assert!(
        matches!(same.method, MethodChoice::GpHm(options) if options.points == options::PerAxis::All(300))
    );
    let other = Statement::parse_for_method(GOOD, "collocation").expect("well stated");
    assert_eq!(other.method, MethodChoice::Collocation(options::Collocation::default()));
    let error = Statement::parse_for_method(GOOD, "colocation").expect_err("no such method");
    assert_eq!(error.help.as_deref(), Some("did you mean `collocation`?"));
}

#[test]
fn toml_that_is_none() {
    let error = Statement::parse("[domain\nx = 1").expect_err("not TOML");
    assert!(error.span.start <= 8, "{error:?}");
    let error = Statement::parse("[domain]\nx = [0, 1]\nx = [0, 2]\n").expect_err("a key twice");
    assert!(error.message.contains("duplicate key"), "{error:?}");
}

#[test]
fn tables_and_keys_that_do_not_exist() {
    let error = refused(&changed("[conditions]", "[condition]"), "no table `condition`", "condition");
    assert_eq!(error.help.as_deref(), Some("did you mean `conditions`?"));
    let error = refused(&changed("unknown =", "unkown ="), "no key `unkown`", "unkown");
    assert_eq!(error.help.as_deref(), Some("did you mean `unknown`?"));
    let error = refused(&changed("points = 300", "pionts = 300"), "no option `pionts`", "pionts");
    assert_eq!(error.help.as_deref(), Some("did you mean `points`?"));
    let error = refused(&changed("\"gp-hm\"", "\"gphm\""), "no method `gphm`", "\"gphm\"");
    assert_eq!(error.help.as_deref(), Some("did you mean `gp-hm`?"));
    let error = refused(&changed("gaussian-mixture", "gausian-mixture"), "no choice", "\"gausian-mixture\"");
    assert_eq!(error.help.as_deref(), Some("did you mean `gaussian-mixture`?"));
    refused(&changed("points = 300", "points = -3"), "wrong kind", "-3");
    refused("[equation]\nunknown = \"u\"\n", "no table [domain]", "");
    refused("[domain]\nx = [0, 1]\n", "no table [equation]", "");
}

#[test]
fn names_that_nobody_knows() {
    let error = refused(&changed("-omega^2", "-omgea^2"), "unknown name `omgea`", "omgea");
    assert_eq!(error.help.as_deref(), Some("did you mean `omega`?"));
    refused(&changed("u_xx =", "u_xz ="), "the subscript `xz`", "u_xz");
    refused(&changed("\"u = 0\"", "\"w = 0\""), "unknown name `w`", "w");
    let error = refused(&changed("\"2*pi\"", "\"2pi\""), "an operator is missing", "pi");
    assert!(error.help.as_deref().is_some_and(|help| help.contains("2*pi")), "{error:?}");
    refused(&changed("u = \"sin(omega*x)\"", "u = \"u + x\""), "`u` is unknown here", "u");
}

#[test]
fn derivatives_of_too_high_an_order() {
    refused(&changed("u_xx =", "u_xxxxx ="), "a derivative of order 5", "u_xxxxx");
}

#[test]
fn domains_that_are_none() {
    refused(&changed("[\"0\", \"2*pi\"]", "[1, 1]"), "the domain is empty along `x`", "[1, 1]");
    refused(&changed("[\"0\", \"2*pi\"]", "[0, inf]"), "is not finite", "inf");
    refused(&changed("[\"0\", \"2*pi\"]", "[0]"), "not a pair of bounds", "[0]");
    refused(&changed("\"2*pi\"", "\"2*x\""), "unknown name `x`", "x");
    refused(&changed("\"2*pi\"", "\"log(-1)\""), "not a finite number", "\"log(-1)\"");
    let four = "[domain]\na = [0, 1]\nb = [0, 1]\nc = [0, 1]\nd = [0, 1]\n";
    refused(four, "`d` is a fourth axis", "d");
    refused("[domain]\n", "no axes", "[domain]");
}

#[test]
fn names_that_collide() {
    refused(&changed("unknown = \"u\"", "unknown = \"x\""), "is a coordinate already", "\"x\"");
    refused(&changed("x = [\"0\"", "omega = [\"0\""), "is a parameter already", "omega");
    refused(&changed("unknown = \"u\"", "unknown = \"pi\""), "cannot be the name", "\"pi\"");
    refused(&changed("unknown = \"u\"", "unknown = \"\""), "cannot be the name", "\"\"");
    refused(&changed("x = [\"0\"", "\"\" = [\"0\""), "cannot be the name", "\"\"");
}

#[test]
fn equations_and_unknowns_are_counted() {
    refused(
        &changed("unknown = \"u\"", "unknown = [\"u\", \"v\"]"),
        "1 equation for 2 unknowns",
        "\"u_xx = -omega^2*sin(omega*x)\"",
    );
    refused(&changed("u_xx = -omega^2*sin(omega*x)", "x = 1"), "mentions no unknown", "\"x = 1\"");
    refused(&changed("u_xx =", "u_xx +"), "", "");
}

#[test]
fn conditions_are_counted() {
    let one = changed("{ lower = \"u = 0\", upper = \"u = sin(200*pi)\" }", "{ lower = \"u = 0\" }");
    refused(&one, "1 condition along `x` where the equation needs 2", "x");
    let none = GOOD.replace("[conditions]\nx = { lower = \"u = 0\", upper = \"u = sin(200*pi)\" }", "");
    refused(&none, "no condition along `x` where the equation needs 2", "\"u_xx = -omega^2*sin(omega*x)\"");
    // More than enough: for gp-hm only, and for auto, which then chooses gp-hm.
    let three = changed("lower = \"u = 0\"", "lower = [\"u = 0\", \"u_x = omega\"]");
    Statement::parse(&three).expect("gp-hm takes it");
    Statement::parse_for_method(&three, "auto").expect("auto takes it");
    let error = Statement::parse_for_method(&three, "collocation").expect_err("one too many");
    assert!(error.message.contains("3 conditions along `x` where the equation needs 2"), "{error:?}");
    let periodic = changed("{ lower = \"u = 0\", upper = \"u = sin(200*pi)\" }", "\"periodic\"");
    assert!(Statement::parse(&periodic).expect("well stated").problem.axes[0].periodic);
    // First order in time takes one; two unknowns take their own.
    let heat = "[domain]\nx = [0, 1]\nt = [0, 1]\n[equation]\nunknown = [\"u\", \"v\"]\n\
                equation = [\"u_t = u_xx + v\", \"v_t = v_x\"]\n[conditions]\n\
                x = { lower = \"u = 0\", upper = [\"u = 0\", \"v = 0\"] }\nt.lower = [\"u = 0\", \"v = 0\"]\n";
    Statement::parse(heat).expect("well stated");
}

#[test]
fn conditions_on_faces_that_do_not_exist() {
    let error = refused(&changed("x = { lower", "y = { lower"), "no axis `y`", "y");
    assert_eq!(error.expected.as_deref(), Some("`x`"));
    let error = refused(&changed("upper =", "uper ="), "no face `uper`", "uper");
    assert_eq!(error.help.as_deref(), Some("did you mean `upper`?"));
    let error = refused(
        &changed("{ lower = \"u = 0\", upper = \"u = sin(200*pi)\" }", "\"periodc\""),
        "says nothing",
        "\"periodc\"",
    );
    assert_eq!(error.help.as_deref(), Some("did you mean `periodic`?"));
}

#[test]
fn corners_must_agree() {
    Statement::parse(TWO).expect("well stated");
    let torn = TWO.replace("u = 2*x", "u = 3*x");
    let error = refused(&torn, "disagree where x = 1 and y = 2 meet", "\"u = 3*x\"");
    assert!(error.message.contains("u = 2 there, and 3"), "{error:?}");
}

#[test]
fn exact_solutions_must_be_some() {
    refused(
        &changed("upper = \"u = sin(200*pi)\"", "upper = \"u = 1\""),
        "misses this condition by 1",
        "\"u = 1\"",
    );
    refused(&changed("u = \"sin(omega*x)\"", "w = \"sin(omega*x)\""), "no unknown `w`", "w");
    let doubtful = Statement::parse(&changed("u_xx =", "2*u_xx =")).expect("only doubtful");
    assert!(doubtful.warnings[0].contains("misses the equation"), "{:?}", doubtful.warnings);
}

#[test]
fn refusals_of_methods_are_placed() {
    let statement = Statement::parse(GOOD).expect("well stated");
    let error = SolveError::Option { key: "points", message: "too few".to_string() };
    let located = statement.locate(&error).expect("the file is to blame");
    assert_eq!(&GOOD[located.span], "300");
    let error = SolveError::NotApplicable { method: "gp-hm", reason: "no".to_string() };
    assert_eq!(&GOOD[statement.locate(&error).expect("the file is to blame").span], "\"gp-hm\"");
    assert!(statement.locate(&SolveError::Breakdown("singular".to_string())).is_none());
}

#[test]
fn places_survive_multibyte_text_and_escapes() {
    let text = changed("title = \"A string\"", "title = \"Ä – ∂²u\"").replace("-omega^2", "-omgea^2");
    refused(&text, "unknown name `omgea`", "omgea");
    // With escapes in the string its inner places are not known; the whole value is.
    let text = changed("u_xx = -omega^2*sin(omega*x)", "u_xx\\t= -omgea^2");
    refused(&text, "unknown name `omgea`", "\"u_xx\\t= -omgea^2\"");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        let _ = Statement::parse(&text);
    }

    #[test]
    fn no_damaged_file_makes_it_panic(
        cut in 0..GOOD.len(),
        length in 0..30_usize,
        insert in "[\\[\\]{}\"=a-z0-9_^*()., \n-]{0,8}",
    ) {
        let end = (cut + length).min(GOOD.len());
        let text = format!("{}{insert}{}", &GOOD[..cut], &GOOD[end..]);
        if let Err(error) = Statement::parse(&text) {
            prop_assert!(error.span.start <= error.span.end && error.span.end <= text.len());
            prop_assert!(text.is_char_boundary(error.span.start) && text.is_char_boundary(error.span.end));
        }
    }
}
