use mathesis_symbolic::{CompileError, Expr, Program, Symbol, parse};
use proptest::prelude::*;

use crate::tree::*;

fn values(program: &Program, inputs: &[&[f64]]) -> Vec<Vec<f64>> {
    let count = inputs.first().map_or(1, |input| input.len());
    let mut outputs = vec![vec![f64::NAN; count]; program.outputs()];
    let mut targets: Vec<&mut [f64]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    program.evaluate(inputs, &mut targets);
    outputs
}

#[test]
fn all_lengths_give_the_same_values() {
    let expression = parse("x*sin(y)^3 + exp(-x^2)/(1 + y^2) - 2*u_xx").unwrap();
    let program = Program::compile(std::slice::from_ref(&expression), &symbols()).unwrap();
    let column =
        |k: usize, n: usize| -> Vec<f64> { (0..n).map(|i| ((i * (k + 1)) % 97) as f64 / 50.0).collect() };
    for count in [0, 1, 255, 256, 257, 4096, 4097, 20_000] {
        let columns: Vec<Vec<f64>> = (0..3).map(|k| column(k, count)).collect();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let found = values(&program, &slices);
        for i in 0..count {
            let (x, y, z) = (columns[0][i], columns[1][i], columns[2][i]);
            let expected = x * y.sin().powi(3) + (-x * x).exp() / (1.0 + y * y) - 2.0 * z;
            assert!((found[0][i] - expected).abs() < 1e-14, "point {i} of {count}");
        }
    }
}

#[test]
fn common_subexpressions_are_evaluated_once() {
    let f = parse("exp(sin(x*y))").unwrap();
    let g = parse("exp(sin(x*y)) + 1").unwrap();
    let alone = Program::compile(std::slice::from_ref(&f), &symbols()).unwrap();
    let both = Program::compile(&[f, g], &symbols()).unwrap();
    assert_eq!((alone.operations(), both.operations()), (3, 4));
    let powers = Program::compile(&[parse("x^8 + x^4").unwrap()], &symbols()).unwrap();
    assert_eq!(powers.operations(), 4);
}

#[test]
fn constants_inputs_and_nothing_are_outputs() {
    let outputs = [parse("2*pi").unwrap(), Expr::symbol("y"), Expr::undefined(), Expr::symbol("y")];
    let program = Program::compile(&outputs, &symbols()).unwrap();
    let found = values(&program, &[&[1.0, 2.0], &[3.0, 4.0], &[5.0, 6.0]]);
    assert_eq!(found[0], [std::f64::consts::TAU; 2]);
    assert_eq!((&found[1][..], &found[3][..]), (&[3.0, 4.0][..], &[3.0, 4.0][..]));
    assert!(found[2][0].is_nan());
    let constant = Program::compile(&[Expr::pi()], &[]).unwrap();
    assert_eq!(values(&constant, &[])[0], [std::f64::consts::PI]);
}

#[test]
fn large_arguments_keep_their_digits() {
    let program =
        Program::compile(&[parse("sin(x)").unwrap(), parse("cos(x)").unwrap()], &symbols()).unwrap();
    let x = [1e6, 1e15, 1e22];
    let found = values(&program, &[&x, &x, &x]);
    // By arbitrary precision.
    let sines = [-0.349_993_502_171_292_95, 0.858_272_793_170_235_8, -0.852_200_849_767_188_8];
    let cosines = [0.936_752_127_533_144_7, -0.513_193_737_786_970_2, 0.523_214_785_395_138_9];
    for k in 0..3 {
        assert!((found[0][k] - sines[k]).abs() < 1e-15 && (found[1][k] - cosines[k]).abs() < 1e-15);
    }
}

#[test]
fn unknown_symbols_are_named() {
    let error = Program::compile(&[parse("x + w").unwrap()], &symbols()).unwrap_err();
    let CompileError::UnknownSymbol { symbol, .. } = &error;
    assert_eq!(symbol, &Symbol::new("w"));
    assert_eq!(error.to_string(), "`w` is not among the variables `x`, `y`, `u_xx`");
}

proptest! {
    #[test]
    fn programs_agree_with_trees(tree in elementary_trees(), point in float_point()) {
        let (value, largest) = tree.float(&point);
        if let Some(tolerance) = tolerance(largest) {
            let program = Program::compile(&[tree.build()], &symbols()).unwrap();
            let found = values(&program, &[&[point[0]], &[point[1]], &[point[2]]])[0][0];
            prop_assert!((found - value).abs() <= tolerance, "{}: {value} {found}", tree.text());
        }
    }

    #[test]
    fn gradients_agree_with_derivatives(tree in elementary_trees(), point in float_point()) {
        let expression = tree.build();
        let program = Program::with_gradient(&expression, &symbols()).unwrap();
        let found = values(&program, &[&[point[0]], &[point[1]], &[point[2]]]);
        prop_assert_eq!(found.len(), 4);
        // Far out, functions such as sin(exp(x)) have no digits left to compare.
        let scale = tree.float(&point).1.max(1.0);
        prop_assume!(scale < 1e3);
        let partials = symbols().into_iter().map(|symbol| expression.differentiate(&symbol));
        for (expected, found) in std::iter::once(expression.clone()).chain(partials).zip(&found) {
            let expected = expected.evaluate_f64(&floats(&point)).unwrap();
            let close = (found[0] - expected).abs() <= 1e-10 * scale * expected.abs().max(1.0);
            prop_assert!(close || expected.is_nan(), "{expression}: {expected} {}", found[0]);
        }
    }
}
