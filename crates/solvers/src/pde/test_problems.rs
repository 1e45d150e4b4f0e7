//! Problems for the tests of the grid methods: made from an operator and an exact solution.

use std::collections::BTreeMap;

use mathesis_symbolic::{Expr, Symbol, parse};

use super::{Axis, Condition, Face, Problem, Side};

/// An axis; bounds in the plain notation.
pub fn axis(name: &str, lower: &str, upper: &str) -> Axis {
    let bound = |text: &str| {
        let exact = parse(text).unwrap();
        let value = exact.evaluate_f64(&BTreeMap::new()).unwrap();
        (exact, value)
    };
    Axis { name: Symbol::new(name), lower: bound(lower), upper: bound(upper), periodic: false }
}

/// A periodic axis.
pub fn periodic(name: &str, lower: &str, upper: &str) -> Axis {
    Axis { periodic: true, ..axis(name, lower, upper) }
}

/// A problem without equations and conditions yet.
pub fn box_of(axes: Vec<Axis>, unknowns: &[&str]) -> Problem {
    Problem {
        axes,
        unknowns: unknowns.iter().map(|u| Symbol::new(u)).collect(),
        equations: Vec::new(),
        conditions: Vec::new(),
        exact: None,
    }
}

impl Problem {
    /// The exact solution.
    pub fn solved_by(mut self, exact: &[&str]) -> Self {
        self.exact = Some(exact.iter().map(|e| parse(e).unwrap()).collect());
        self
    }

    /// `left = right`.
    pub fn equation(mut self, left: &str, right: &str) -> Self {
        self.equations.push((parse(left).unwrap(), parse(right).unwrap()));
        self
    }

    /// `left = left applied to the exact solution`.
    pub fn manufactured(mut self, left: &str) -> Self {
        let left = parse(left).unwrap();
        let right = self.apply_to_exact(&left);
        self.equations.push((left, right));
        self
    }

    /// `residual = 0` on a face such as `x-` or `x+`.
    pub fn on(mut self, face: &str, residual: &str) -> Self {
        let residual = parse(residual).unwrap();
        self.conditions.push(Condition { face: self.face(face), residual });
        self
    }

    /// `expression = expression applied to the exact solution` on faces.
    pub fn exact_on(mut self, faces: &[&str], expression: &str) -> Self {
        let expression = parse(expression).unwrap();
        for face in faces {
            let residual = expression.clone() - self.apply_to_exact(&expression);
            self.conditions.push(Condition { face: self.face(face), residual });
        }
        self
    }

    fn face(&self, text: &str) -> Face {
        let (name, sign) = text.split_at(text.len() - 1);
        Face {
            axis: self.axes.iter().position(|a| a.name.name() == name).unwrap(),
            side: if sign == "-" { Side::Lower } else { Side::Upper },
        }
    }

    fn apply_to_exact(&self, expression: &Expr) -> Expr {
        let exact = self.exact.as_ref().unwrap();
        let mut replacements = BTreeMap::new();
        for symbol in expression.symbols() {
            let Some(derivative) = self.derivative(&symbol) else { continue };
            let mut value = exact[derivative.unknown].clone();
            for (axis, order) in self.axes.iter().zip(derivative.orders) {
                for _ in 0..order {
                    value = value.differentiate(&axis.name);
                }
            }
            replacements.insert(symbol, value);
        }
        expression.substitute(&replacements)
    }
}

fn line(upper: &str, operator: &str, exact: &str) -> Problem {
    box_of(vec![axis("x", "0", upper)], &["u"])
        .solved_by(&[exact])
        .manufactured(operator)
        .exact_on(&["x-", "x+"], "u")
}

/// A steep wall between the states −1 and 1.
pub fn wall() -> Problem {
    box_of(vec![axis("x", "-1", "1")], &["u"])
        .solved_by(&["tanh(10*x/sqrt(2))"])
        .equation("u_xx/100", "u^3 - u")
        .exact_on(&["x-", "x+"], "u")
}

/// Newton from constants stalls.
pub fn stalling() -> Problem {
    line("2", "u_xx + u*(u^2 - 1)", "sin(3*x)*exp(x/2)")
}

fn square(upper: &str, operator: &str, exact: &str) -> Problem {
    box_of(vec![axis("x", "0", upper), axis("y", "0", upper)], &["u"])
        .solved_by(&[exact])
        .manufactured(operator)
        .exact_on(&["x-", "x+", "y-", "y+"], "u")
}

/// The problems of the GP-HM paper by their short names.
pub fn paper_problem(name: &str) -> Problem {
    let poisson = "u_xx";
    let allen_cahn = "u_xx + u*(u^2 - 1)";
    match name {
        "u1" => line("2*pi", poisson, "sin(100*x)"),
        "u2" => line("1", poisson, "sin(x) + sin(20*x)/10 + sin(100*x)/20"),
        "u3" => line("2*pi", poisson, "sin(6*x)*cos(100*x)"),
        "u4" => line("2*pi", poisson, "x*sin(200*x)"),
        "u5" => line("1", poisson, "sin(500*x) - 2*(x - 1/2)^2"),
        "u6" => square("2*pi", "u_xx + u_yy", "sin(100*x)*sin(100*y)"),
        "u7" => square("2*pi", "u_xx + u_yy", "sin(6*x)*cos(20*x) + sin(6*y)*cos(20*y)"),
        "ac1" => line("2*pi", allen_cahn, "sin(100*x)"),
        "ac2" => line("2*pi", allen_cahn, "sin(6*x)*cos(100*x)"),
        "ac3" => square(
            "1",
            "u_xx + u_yy + u*(u^2 - 1)",
            "(sin(x) + sin(20*x)/10 + cos(100*x))*(sin(y) + sin(20*y)/10 + cos(100*y))",
        ),
        _ => {
            let upper = if name == "adv" { "1" } else { "2*pi" };
            box_of(vec![axis("x", "0", upper), axis("t", "0", "1")], &["u"])
                .solved_by(&["sin(x - 200*t)"])
                .manufactured("200*u_x + u_t")
                .exact_on(&["x-", "t-"], "u")
        }
    }
}
