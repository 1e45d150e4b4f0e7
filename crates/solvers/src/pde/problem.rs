//! A boundary- or initial-value problem on a box, as one would write it on paper.

use mathesis_symbolic::{Expr, Symbol};

/// One coordinate of the box.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The coordinate's symbol, for example `x` or `t`.
    pub name: Symbol,
    /// Lower bound, exact and as a number.
    pub lower: (Expr, f64),
    /// Upper bound, exact and as a number; greater than the lower one.
    pub upper: (Expr, f64),
    /// Whether the solution is periodic along this axis (then the axis' two faces carry no conditions).
    pub periodic: bool,
}

impl Axis {
    /// The length of the box along this axis.
    pub fn length(&self) -> f64 {
        self.upper.1 - self.lower.1
    }

    /// `count` equally spaced points from the lower to the upper bound, both included.
    pub fn uniform_points(&self, count: usize) -> Vec<f64> {
        let step = self.length() / (count.max(2) - 1) as f64;
        (0..count)
            .map(|i| if i + 1 == count && i > 0 { self.upper.1 } else { self.lower.1 + step * i as f64 })
            .collect()
    }
}

/// A partial derivative of one unknown: `orders[k]` times along axis `k`. All zeros is the unknown itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Derivative {
    /// Index of the unknown.
    pub unknown: usize,
    /// Order along each axis (entries past the number of axes are zero).
    pub orders: [usize; 3],
}

/// Which end of an axis a face lies at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The face at the axis' lower bound.
    Lower,
    /// The face at the axis' upper bound.
    Upper,
}

/// One face of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Face {
    /// Index of the axis the face is normal to.
    pub axis: usize,
    /// Which of the axis' two ends.
    pub side: Side,
}

/// A condition `residual = 0` on one face: Dirichlet, Neumann, Robin, initial or any expression in the unknowns,
/// their derivatives and the coordinates.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Where it holds.
    pub face: Face,
    /// Left side minus right side.
    pub residual: Expr,
}

/// Equations, conditions and, if known, the exact solution on a box.
///
/// In every expression the coordinates appear under the axes' names, the unknowns under theirs, and derivatives with
/// the axes as subscript: `u`, `u_x`, `u_xxt`.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The axes, one to three.
    pub axes: Vec<Axis>,
    /// The unknown functions.
    pub unknowns: Vec<Symbol>,
    /// The equations as written, `(left, right)`; as many as unknowns.
    pub equations: Vec<(Expr, Expr)>,
    /// Conditions on faces.
    pub conditions: Vec<Condition>,
    /// The exact solution, one expression of the coordinates for each unknown, if it is known.
    pub exact: Option<Vec<Expr>>,
}

impl Problem {
    /// The number of axes.
    pub fn dimension(&self) -> usize {
        self.axes.len()
    }

    /// The derivative that a symbol such as `u_xx` names, or `None` if it names none.
    pub fn derivative(&self, symbol: &Symbol) -> Option<Derivative> {
        let name = symbol.name();
        // Longest unknown first, so that an unknown named `u_a` is not read as the derivative of `u` along `a`.
        if let Some(unknown) = self.unknowns.iter().position(|u| u.name() == name) {
            return Some(Derivative { unknown, orders: [0; 3] });
        }
        let (base, mut subscript) = name.rsplit_once('_')?;
        let unknown = self.unknowns.iter().position(|u| u.name() == base)?;
        let mut orders = [0; 3];
        while !subscript.is_empty() {
            let axis = (0..self.axes.len())
                .filter(|&k| subscript.starts_with(self.axes[k].name.name()))
                .max_by_key(|&k| self.axes[k].name.name().len())?;
            orders[axis] += 1;
            subscript = &subscript[self.axes[axis].name.name().len()..];
        }
        (orders != [0; 3]).then_some(Derivative { unknown, orders })
    }

    /// The symbol under which a derivative is written.
    pub fn derivative_symbol(&self, derivative: Derivative) -> Symbol {
        let mut name = self.unknowns[derivative.unknown].name().to_string();
        if derivative.orders != [0; 3] {
            name.push('_');
            for (axis, &order) in self.axes.iter().zip(&derivative.orders) {
                name.push_str(&axis.name.name().repeat(order));
            }
        }
        Symbol::new(&name)
    }
}
