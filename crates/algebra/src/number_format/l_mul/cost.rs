//! What L-Mul would cost in hardware: energy and gates, as estimates with their sources.
//!
//! Energies are those of 45 nm circuits by Horowitz, "Computing's energy problem" (ISSCC 2014). They are of the arithmetic
//! alone: moving data, which dominates in practice, is not counted, and nothing here is a figure of a processor that runs
//! this simulation.

use std::fmt;

/// Energies of operations in picojoules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energy {
    /// The name of the floating-point format.
    pub format: &'static str,
    /// A floating-point multiplication.
    pub multiply: f64,
    /// A floating-point addition.
    pub add: f64,
    /// The addition of integers of the same width, which L-Mul is.
    pub integer_add: f64,
}

impl Energy {
    /// 32-bit floats (Horowitz 2014).
    pub const F32: Energy = Energy { format: "f32", multiply: 3.7, add: 0.9, integer_add: 0.1 };

    /// 16-bit floats (Horowitz 2014).
    pub const F16: Energy = Energy { format: "f16", multiply: 1.1, add: 0.4, integer_add: 0.05 };

    /// The saved part of the energy of one multiplication.
    pub fn multiplication_saving(self) -> f64 {
        1.0 - self.integer_add / self.multiply
    }

    /// The saved part of the energy of one term of a dot product, multiplication and addition.
    pub fn dot_product_saving(self) -> f64 {
        1.0 - (self.integer_add + self.add) / (self.multiply + self.add)
    }
}

/// Gates of combinational circuits, counted by one rule: an exclusive or is 4 gates, a half adder 5, a full adder 11, an AND 1;
/// adders are ripple-carry, a multiplier is an array, and rounding, normalisation and edge rules are not counted.
///
/// The paper's own counts (584 for an f16 multiplication, 325 for E4M3, 296 for E5M2, 256 and 157 for L-Mul in 16 and 8 bits)
/// include stages whose rule it does not state, and differ from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateCount {
    /// A floating-point multiplication: sign, exponent addition and bias, mantissa array.
    pub multiply: u32,
    /// L-Mul: sign, addition of the fields, subtraction of the offset.
    pub l_mul: u32,
}

impl GateCount {
    /// The gates for a format of `e` exponent and `m` stored mantissa bits.
    pub fn of(e: u32, m: u32) -> Self {
        const XOR: u32 = 4;
        const HALF_ADDER: u32 = 5;
        const FULL_ADDER: u32 = 11;
        let adder = |bits: u32| HALF_ADDER + (bits - 1) * FULL_ADDER;
        // Adding a constant needs one operand less: half adders.
        let constant_adder = |bits: u32| bits * HALF_ADDER;
        // (m+1)² partial products, added up in m rows of a half adder and m full adders.
        let array = (m + 1) * (m + 1) + m * (HALF_ADDER + m * FULL_ADDER);
        GateCount {
            multiply: XOR + adder(e) + constant_adder(e) + array,
            l_mul: XOR + adder(e + m) + constant_adder(e + m),
        }
    }
}

/// A matrix product `m × k` times `k × n` of a network, done `times` times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixProduct {
    /// What the report calls it.
    pub name: String,
    /// Rows of the result.
    pub m: usize,
    /// Terms of a dot product.
    pub k: usize,
    /// Columns of the result.
    pub n: usize,
    /// How many such products there are.
    pub times: usize,
}

/// The cost of a matrix product.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCost {
    /// Its name.
    pub name: String,
    /// Multiplications, all of them replaced.
    pub multiplications: u128,
    /// Energy with ordinary multiplication, picojoules.
    pub exact: f64,
    /// Energy with L-Mul, picojoules.
    pub l_mul: f64,
}

/// Operations and energies of the matrix products of a network. Prints as a table.
#[derive(Clone, Debug, PartialEq)]
pub struct CostReport {
    /// The energies assumed.
    pub energy: Energy,
    /// One row for each matrix product.
    pub layers: Vec<LayerCost>,
}

impl CostReport {
    /// The cost of a list of products.
    pub fn new(energy: Energy, products: &[MatrixProduct]) -> Self {
        let cost = |product: &MatrixProduct| {
            let terms = [product.m, product.k, product.n, product.times].iter().map(|&e| e as u128).product();
            LayerCost {
                name: product.name.clone(),
                multiplications: terms,
                exact: terms as f64 * (energy.multiply + energy.add),
                l_mul: terms as f64 * (energy.integer_add + energy.add),
            }
        };
        CostReport { energy, layers: products.iter().map(cost).collect() }
    }

    /// The sum over all layers.
    pub fn total(&self) -> LayerCost {
        let mut total = LayerCost { name: "total".into(), multiplications: 0, exact: 0.0, l_mul: 0.0 };
        for layer in &self.layers {
            total.multiplications += layer.multiplications;
            total.exact += layer.exact;
            total.l_mul += layer.l_mul;
        }
        total
    }
}

impl fmt::Display for CostReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Energy { format, multiply, add, integer_add } = self.energy;
        writeln!(
            f,
            "{:24} {:>16} {:>14} {:>14} {:>8}",
            "product", "multiplications", "exact (µJ)", "L-Mul (µJ)", "saved"
        )?;
        for layer in self.layers.iter().chain([&self.total()]) {
            let saved = if layer.exact > 0.0 { 100.0 * (1.0 - layer.l_mul / layer.exact) } else { 0.0 };
            let LayerCost { name, multiplications, exact, l_mul } = layer;
            writeln!(
                f,
                "{name:24} {multiplications:>16} {:>14.3} {:>14.3} {saved:>7.1}%",
                exact / 1e6,
                l_mul / 1e6
            )?;
        }
        write!(
            f,
            "{format}: multiply {multiply} pJ, add {add} pJ, integer add {integer_add} pJ (45 nm, Horowitz 2014); \
             arithmetic only, memory traffic not counted"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn savings_are_the_published_ones() {
        let percent = |saving: f64| (1000.0 * saving).round() / 10.0;
        assert_eq!(percent(Energy::F32.multiplication_saving()), 97.3);
        assert_eq!(percent(Energy::F16.multiplication_saving()), 95.5);
        assert_eq!(percent(Energy::F32.dot_product_saving()), 78.3);
        assert_eq!(percent(Energy::F16.dot_product_saving()), 70.0);
    }

    #[test]
    fn gates_of_a_multiplier_grow_with_the_square_of_the_mantissa() {
        // E5M2 by hand: 4 + (5 + 4·11) + 25 + 9 + 2·(5 + 22) and 4 + (5 + 6·11) + 35.
        assert_eq!(GateCount::of(5, 2), GateCount { multiply: 141, l_mul: 110 });
        let gates = [(4, 3), (5, 10), (8, 7), (8, 23)].map(|(e, m)| GateCount::of(e, m));
        assert!(gates.iter().all(|g| g.l_mul < g.multiply));
        assert!(gates[3].multiply > 10 * gates[3].l_mul);
    }

    #[test]
    fn a_report_adds_up_its_layers() {
        let product = |name: &str, m, k, n, times| MatrixProduct { name: name.into(), m, k, n, times };
        let report =
            CostReport::new(Energy::F32, &[product("scores", 2, 3, 4, 5), product("values", 1, 1, 10, 1)]);
        let total = report.total();
        assert_eq!(total.multiplications, 130);
        assert!((total.exact - 130.0 * 4.6).abs() < 1e-9 && (total.l_mul - 130.0).abs() < 1e-9);
        let text = report.to_string();
        assert!(text.contains("scores") && text.contains("78.3%") && text.contains("Horowitz"));
    }
}
