//! The elementary functions: their names, exact values and symmetries.

use num_traits::{One, ToPrimitive};

use crate::assumption::{is_nonnegative, is_positive, is_real};
use crate::canonical::{is_written_with_minus, power, product, scaled, split_coefficient, sum};
use crate::expression::{Constant, Kind};
use crate::{Expr, Rational};

/// An elementary function of one real variable. (`exp` and `sqrt` are powers.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// The tangent.
    Tan,
    /// The inverse sine, in [-π/2, π/2].
    Asin,
    /// The inverse cosine, in [0, π].
    Acos,
    /// The inverse tangent, in (-π/2, π/2).
    Atan,
    /// The hyperbolic sine.
    Sinh,
    /// The hyperbolic cosine.
    Cosh,
    /// The hyperbolic tangent.
    Tanh,
    /// The natural logarithm.
    Log,
    /// The absolute value.
    Abs,
    /// The sign: -1, 0 or 1.
    Sign,
}

use Function::{Abs, Acos, Asin, Atan, Cos, Cosh, Log, Sign, Sin, Sinh, Tan, Tanh};

impl Function {
    /// All functions.
    pub const ALL: [Function; 12] = [Sin, Cos, Tan, Asin, Acos, Atan, Sinh, Cosh, Tanh, Log, Abs, Sign];

    /// The name in the notation.
    pub fn name(self) -> &'static str {
        match self {
            Sin => "sin",
            Cos => "cos",
            Tan => "tan",
            Asin => "asin",
            Acos => "acos",
            Atan => "atan",
            Sinh => "sinh",
            Cosh => "cosh",
            Tanh => "tanh",
            Log => "log",
            Abs => "abs",
            Sign => "sign",
        }
    }

    /// The value at a number; NaN where the function is not defined.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Sin => x.sin(),
            Cos => x.cos(),
            Tan => x.tan(),
            Asin => x.asin(),
            Acos => x.acos(),
            Atan => x.atan(),
            Sinh => x.sinh(),
            Cosh => x.cosh(),
            Tanh => x.tanh(),
            Log => x.ln(),
            Abs => x.abs(),
            Sign if x == 0.0 => 0.0,
            Sign => {
                if x.is_nan() {
                    x
                } else {
                    x.signum()
                }
            }
        }
    }

    /// This function of `argument`, in canonical form.
    pub fn apply(self, argument: &Expr) -> Expr {
        if argument.is_undefined() {
            return argument.clone();
        }
        let is_odd = matches!(self, Sin | Tan | Asin | Atan | Sinh | Tanh | Sign);
        let is_even = matches!(self, Cos | Cosh | Abs);
        if (is_odd || is_even) && is_written_with_minus(argument) {
            let value = self.apply(&-argument);
            return if is_odd { -value } else { value };
        }
        let exact = match self {
            Sin | Cos | Tan => trigonometric(self, argument),
            Asin | Acos | Atan => inverse_trigonometric(self, argument),
            Sinh | Tanh if argument.is_zero() => Some(Expr::zero()),
            Cosh if argument.is_zero() => Some(Expr::one()),
            Sinh | Cosh | Tanh => None,
            Log => logarithm(argument),
            Abs => absolute(argument),
            Sign => sign(argument),
        };
        exact.unwrap_or_else(|| Expr::from_kind(Kind::Function(self, argument.clone())))
    }

    /// The derivative at `argument`.
    pub(crate) fn derivative(self, argument: &Expr) -> Expr {
        let square = |x: &Expr| power(x, &Expr::integer(2));
        let inverse = |x: &Expr| power(x, &Expr::integer(-1));
        let inverse_root = |x: &Expr| power(x, &Expr::rational(-1, 2));
        match self {
            Sin => Cos.apply(argument),
            Cos => -Sin.apply(argument),
            Tan => Expr::one() + square(&Tan.apply(argument)),
            Asin => inverse_root(&(Expr::one() - square(argument))),
            Acos => -inverse_root(&(Expr::one() - square(argument))),
            Atan => inverse(&(Expr::one() + square(argument))),
            Sinh => Cosh.apply(argument),
            Cosh => Sinh.apply(argument),
            Tanh => Expr::one() - square(&Tanh.apply(argument)),
            Log => inverse(argument),
            Abs => Sign.apply(argument),
            // Zero wherever it exists.
            Sign => Expr::zero(),
        }
    }
}

/// Sine, cosine or tangent of multiples of π, of arguments shifted by quarter turns, and of their inverses.
fn trigonometric(function: Function, argument: &Expr) -> Option<Expr> {
    match (function, argument.kind()) {
        (Sin, Kind::Function(Asin, x)) | (Cos, Kind::Function(Acos, x)) | (Tan, Kind::Function(Atan, x)) => {
            return Some(x.clone());
        }
        _ => {}
    }
    if argument.is_zero() {
        return Some(if function == Cos { Expr::one() } else { Expr::zero() });
    }
    if let Kind::Sum(constant, terms) = argument.kind() {
        // Reduce a quarter turn in the sum: sin(x + π/2) = cos(x).
        let (_, turns) = terms.iter().find(|(term, _)| is_pi(term))?;
        let quarters = (turns * &Rational::small(2)).floor();
        if quarters.is_zero() {
            return None;
        }
        let shift = &quarters * &-&Rational::half();
        let rest =
            sum([Expr::from_kind(Kind::Sum(constant.clone(), terms.clone())), scaled(&shift, &Expr::pi())]);
        return Some(after_quarter_turns(function, &quarters, &rest));
    }
    let (turns, rest) = split_coefficient(argument);
    if !is_pi(&rest) {
        return None;
    }
    // The argument is `turns` half turns and positive.
    let quarters = (&turns * &Rational::small(2)).floor();
    if !quarters.is_zero() {
        let rest = &turns - &(&quarters * &Rational::half());
        return Some(after_quarter_turns(function, &quarters, &scaled(&rest, &Expr::pi())));
    }
    let sine = |turns: &Rational| -> Option<Expr> {
        Some(match (turns.numerator().to_i64()?, turns.denominator().to_i64()?) {
            (1, 6) => Expr::rational(1, 2),
            (1, 4) => Expr::integer(2).sqrt() / 2,
            (1, 3) => Expr::integer(3).sqrt() / 2,
            _ => return None,
        })
    };
    let complement = &Rational::half() - &turns;
    let exact = match function {
        Sin => sine(&turns),
        Cos => sine(&complement),
        _ => sine(&turns).zip(sine(&complement)).map(|(sine, cosine)| sine / cosine),
    };
    // Angles above 45° are written by their complement.
    exact.or_else(|| {
        let complement = (turns > complement).then(|| scaled(&complement, &Expr::pi()))?;
        Some(match function {
            Sin => Cos.apply(&complement),
            Cos => Sin.apply(&complement),
            _ => power(&Tan.apply(&complement), &Expr::integer(-1)),
        })
    })
}

/// `function(quarters * π/2 + rest)`.
fn after_quarter_turns(function: Function, quarters: &Rational, rest: &Expr) -> Expr {
    let four = Rational::small(4);
    let turn = (quarters * &Rational::new(1, 4).unwrap_or(Rational::ONE)).floor();
    let remaining = (quarters - &(&turn * &four)).to_i64().unwrap_or(0);
    let (sine, cosine) = (|| Sin.apply(rest), || Cos.apply(rest));
    match (function, remaining) {
        (Sin, 0) | (Cos, 3) => sine(),
        (Sin, 1) | (Cos, 0) => cosine(),
        (Sin, 2) | (Cos, 1) => -sine(),
        (Sin, _) | (Cos, _) => -cosine(),
        (_, 0 | 2) => Tan.apply(rest),
        _ => -power(&Tan.apply(rest), &Expr::integer(-1)),
    }
}

fn is_pi(expression: &Expr) -> bool {
    matches!(expression.kind(), Kind::Constant(Constant::Pi))
}

fn inverse_trigonometric(function: Function, argument: &Expr) -> Option<Expr> {
    // Asin and Atan come here with arguments that are written without a minus.
    if function == Acos && argument.as_number().is_some_and(Rational::is_negative) {
        let reflected = inverse_trigonometric(Acos, &-argument)?;
        return Some(Expr::pi() - reflected);
    }
    let value = argument.as_number()?;
    let turns = match (function, value.numerator().to_i64()?, value.denominator().to_i64()?) {
        (Asin | Atan, 0, 1) | (Acos, 1, 1) => return Some(Expr::zero()),
        (Asin, 1, 1) | (Acos, 0, 1) => (1, 2),
        (Asin, 1, 2) => (1, 6),
        (Acos, 1, 2) => (1, 3),
        (Atan, 1, 1) => (1, 4),
        _ => return None,
    };
    Some(Expr::rational(turns.0, turns.1) * Expr::pi())
}

fn logarithm(argument: &Expr) -> Option<Expr> {
    match argument.kind() {
        Kind::Number(value) if value.is_zero() => Some(Expr::undefined()),
        Kind::Number(value) if value.is_one() => Some(Expr::zero()),
        Kind::Number(value) if value.numerator().is_one() => {
            Some(-Log.apply(&Expr::integer(value.denominator())))
        }
        Kind::Constant(Constant::E) => Some(Expr::one()),
        Kind::Power(base, exponent)
            if matches!(base.kind(), Kind::Constant(Constant::E)) && is_real(exponent) =>
        {
            Some(exponent.clone())
        }
        _ => None,
    }
}

fn absolute(argument: &Expr) -> Option<Expr> {
    if is_nonnegative(argument) {
        return Some(argument.clone());
    }
    let of_factor = |base: &Expr, exponent: &Expr| {
        let is_integer = exponent.as_number().is_some_and(Rational::is_integer);
        if is_integer { power(&Abs.apply(base), exponent) } else { Abs.apply(&power(base, exponent)) }
    };
    match argument.kind() {
        Kind::Power(base, exponent) if exponent.as_number().is_some_and(Rational::is_integer) => {
            Some(of_factor(base, exponent))
        }
        Kind::Product(coefficient, factors) => Some(product(
            std::iter::once(Expr::number(coefficient.abs()))
                .chain(factors.iter().map(|(base, exponent)| of_factor(base, exponent))),
        )),
        Kind::Function(Sign, inner) => Some(power(&Sign.apply(inner), &Expr::integer(2))),
        _ => None,
    }
}

fn sign(argument: &Expr) -> Option<Expr> {
    if argument.is_zero() {
        return Some(Expr::zero());
    }
    if is_positive(argument) {
        return Some(Expr::one());
    }
    match argument.kind() {
        Kind::Product(coefficient, factors) if !coefficient.is_one() => {
            // Written without a minus, so the coefficient is positive.
            let rest = product(factors.iter().map(|(base, exponent)| power(base, exponent)));
            Some(Sign.apply(&rest))
        }
        Kind::Function(Sign, _) => Some(argument.clone()),
        _ => None,
    }
}

macro_rules! methods {
    ($($method:ident $function:ident $what:literal;)*) => {
        impl Expr {
            $(
                #[doc = concat!("The ", $what, ".")]
                pub fn $method(&self) -> Expr {
                    $function.apply(self)
                }
            )*
        }
    };
}

methods! {
    sin Sin "sine";
    cos Cos "cosine";
    tan Tan "tangent";
    asin Asin "inverse sine";
    acos Acos "inverse cosine";
    atan Atan "inverse tangent";
    sinh Sinh "hyperbolic sine";
    cosh Cosh "hyperbolic cosine";
    tanh Tanh "hyperbolic tangent";
    log Log "natural logarithm";
    abs Abs "absolute value";
    sign Sign "sign";
}
