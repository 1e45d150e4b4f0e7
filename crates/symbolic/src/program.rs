//! Expressions compiled for arrays: a list of operations over registers of a block of points each.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::expression::{Constant, Kind};
use crate::{Expr, Function, Rational, Symbol};

/// Points that are evaluated together; a register of this length lies in the fastest cache.
const BLOCK: usize = 256;
/// Points in one unit of parallel work.
const CHUNK: usize = 16 * BLOCK;
/// Integer powers up to this exponent are multiplied out.
const LARGEST_MULTIPLIED_POWER: i64 = 64;

/// Why expressions cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A symbol that is not among the inputs.
    #[error("`{}` is not among the variables {}", .symbol.name(), listed(.known))]
    UnknownSymbol {
        /// The symbol.
        symbol: Symbol,
        /// The inputs.
        known: Vec<Symbol>,
    },
}

fn listed(symbols: &[Symbol]) -> String {
    let names: Vec<String> = symbols.iter().map(|symbol| format!("`{symbol}`")).collect();
    if names.is_empty() { "(there are none)".to_string() } else { names.join(", ") }
}

/// One operation on whole registers. `V` is what it reads: an earlier result while compiling, a place when running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation<V> {
    Constant(Bits),
    /// `factor * x`.
    Scale(Bits, V),
    /// `factor * x + constant`.
    Affine(Bits, V, Bits),
    /// `x + constant`.
    Offset(V, Bits),
    Add(V, V),
    Subtract(V, V),
    /// `sum + factor * term`.
    AddScaled(V, Bits, V),
    Multiply(V, V),
    Divide(V, V),
    /// `constant / x`.
    DivideConstant(Bits, V),
    Root(V),
    Exponential(V),
    Power(V, V),
    PowerConstant(V, Bits),
    Function(Function, V),
}

/// An `f64` that is compared by its bits, so that equal operations are found by hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bits(u64);

impl Bits {
    fn of(value: f64) -> Self {
        Bits(value.to_bits())
    }

    fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Where a value lies when the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Input(usize),
    Register(usize),
}

#[derive(Clone, Debug)]
enum Instruction {
    Compute { target: usize, operation: Operation<Place> },
    Store { output: usize, source: Place },
    StoreConstant { output: usize, value: f64 },
}

/// Expressions compiled into one list of operations, in which every common subexpression occurs once.
#[derive(Clone, Debug)]
pub struct Program {
    inputs: usize,
    outputs: usize,
    registers: usize,
    instructions: Vec<Instruction>,
}

impl Program {
    /// Compile `expressions`, whose values will be the outputs, in `variables`, the inputs.
    ///
    /// # Errors
    /// [`CompileError::UnknownSymbol`] if an expression has a symbol that is not among the variables.
    pub fn compile(expressions: &[Expr], variables: &[Symbol]) -> Result<Program, CompileError> {
        let mut compiler = Compiler::new(variables);
        let outputs: Vec<Value> =
            expressions.iter().map(|expression| compiler.value(expression)).collect::<Result<_, _>>()?;
        Ok(compiler.finish(&outputs))
    }

    /// Compile `expression` and its partial derivatives by all `variables`: one output for the value, then one for
    /// each variable.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn with_gradient(expression: &Expr, variables: &[Symbol]) -> Result<Program, CompileError> {
        let mut outputs = vec![expression.clone()];
        outputs.extend(variables.iter().map(|variable| expression.differentiate(variable)));
        Program::compile(&outputs, variables)
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The number of operations for each point.
    pub fn operations(&self) -> usize {
        self.instructions.iter().filter(|i| matches!(i, Instruction::Compute { .. })).count()
    }

    /// Evaluate at as many points as the slices are long: `inputs[k][i]` is the k-th variable at point i, and
    /// `outputs[j][i]` becomes the j-th expression there. Long arrays are shared among the threads of rayon's pool.
    ///
    /// # Panics
    /// If the number of slices is not that of variables and expressions, or the slices differ in length.
    pub fn evaluate(&self, inputs: &[&[f64]], outputs: &mut [&mut [f64]]) {
        assert_eq!(inputs.len(), self.inputs, "one input slice for each variable");
        assert_eq!(outputs.len(), self.outputs, "one output slice for each expression");
        let Some(count) = outputs.first().map(|output| output.len()) else { return };
        assert!(
            inputs.iter().all(|input| input.len() == count)
                && outputs.iter().all(|output| output.len() == count),
            "slices of equal length"
        );
        if count <= CHUNK {
            self.run(inputs, 0, outputs);
            return;
        }
        let mut pieces: Vec<Vec<&mut [f64]>> =
            (0..count.div_ceil(CHUNK)).map(|_| Vec::with_capacity(self.outputs)).collect();
        for output in outputs {
            for (piece, part) in pieces.iter_mut().zip(output.chunks_mut(CHUNK)) {
                piece.push(part);
            }
        }
        pieces
            .into_par_iter()
            .enumerate()
            .for_each(|(index, mut piece)| self.run(inputs, index * CHUNK, &mut piece));
    }

    /// Evaluate the points from `start` on, one block after the other.
    fn run(&self, inputs: &[&[f64]], start: usize, outputs: &mut [&mut [f64]]) {
        let count = outputs.first().map_or(0, |output| output.len());
        let mut registers = vec![vec![0.0; BLOCK.min(count)]; self.registers];
        for begin in (0..count).step_by(BLOCK) {
            let length = BLOCK.min(count - begin);
            for instruction in &self.instructions {
                match instruction {
                    Instruction::Compute { target, operation } => {
                        // A target is never among its own operands, so it can leave the file while it is written.
                        let mut values = std::mem::take(&mut registers[*target]);
                        let operation = operation.map(|place| match place {
                            Place::Input(k) => &inputs[k][start + begin..][..length],
                            Place::Register(k) => &registers[k][..length],
                        });
                        operation.run(&mut values[..length]);
                        registers[*target] = values;
                    }
                    Instruction::Store { output, source } => {
                        let source = match *source {
                            Place::Input(k) => &inputs[k][start + begin..][..length],
                            Place::Register(k) => &registers[k][..length],
                        };
                        outputs[*output][begin..][..length].copy_from_slice(source);
                    }
                    Instruction::StoreConstant { output, value } => {
                        outputs[*output][begin..][..length].fill(*value);
                    }
                }
            }
        }
    }
}

impl<V: Copy> Operation<V> {
    fn map<W>(&self, mut place: impl FnMut(V) -> W) -> Operation<W> {
        match *self {
            Operation::Constant(value) => Operation::Constant(value),
            Operation::Scale(factor, x) => Operation::Scale(factor, place(x)),
            Operation::Affine(factor, x, constant) => Operation::Affine(factor, place(x), constant),
            Operation::Offset(x, constant) => Operation::Offset(place(x), constant),
            Operation::Add(x, y) => Operation::Add(place(x), place(y)),
            Operation::Subtract(x, y) => Operation::Subtract(place(x), place(y)),
            Operation::AddScaled(x, factor, y) => Operation::AddScaled(place(x), factor, place(y)),
            Operation::Multiply(x, y) => Operation::Multiply(place(x), place(y)),
            Operation::Divide(x, y) => Operation::Divide(place(x), place(y)),
            Operation::DivideConstant(constant, x) => Operation::DivideConstant(constant, place(x)),
            Operation::Root(x) => Operation::Root(place(x)),
            Operation::Exponential(x) => Operation::Exponential(place(x)),
            Operation::Power(x, y) => Operation::Power(place(x), place(y)),
            Operation::PowerConstant(x, exponent) => Operation::PowerConstant(place(x), exponent),
            Operation::Function(function, x) => Operation::Function(function, place(x)),
        }
    }
}

impl Operation<&[f64]> {
    fn run(&self, target: &mut [f64]) {
        fn unary(target: &mut [f64], x: &[f64], f: impl Fn(f64) -> f64) {
            for (t, &x) in target.iter_mut().zip(x) {
                *t = f(x);
            }
        }
        fn binary(target: &mut [f64], x: &[f64], y: &[f64], f: impl Fn(f64, f64) -> f64) {
            for ((t, &x), &y) in target.iter_mut().zip(x).zip(y) {
                *t = f(x, y);
            }
        }
        match *self {
            Operation::Constant(value) => target.fill(value.value()),
            Operation::Scale(factor, x) => {
                let factor = factor.value();
                unary(target, x, |x| factor * x);
            }
            Operation::Affine(factor, x, constant) => {
                let (factor, constant) = (factor.value(), constant.value());
                unary(target, x, |x| factor * x + constant);
            }
            Operation::Offset(x, constant) => {
                let constant = constant.value();
                unary(target, x, |x| x + constant);
            }
            Operation::Add(x, y) => binary(target, x, y, |x, y| x + y),
            Operation::Subtract(x, y) => binary(target, x, y, |x, y| x - y),
            Operation::AddScaled(x, factor, y) => {
                let factor = factor.value();
                binary(target, x, y, |x, y| x + factor * y);
            }
            Operation::Multiply(x, y) => binary(target, x, y, |x, y| x * y),
            Operation::Divide(x, y) => binary(target, x, y, |x, y| x / y),
            Operation::DivideConstant(constant, x) => {
                let constant = constant.value();
                unary(target, x, |x| constant / x);
            }
            Operation::Root(x) => unary(target, x, f64::sqrt),
            Operation::Exponential(x) => unary(target, x, f64::exp),
            Operation::Power(x, y) => binary(target, x, y, f64::powf),
            Operation::PowerConstant(x, exponent) => {
                let exponent = exponent.value();
                unary(target, x, |x| x.powf(exponent));
            }
            // One loop for each function, so that the choice is made once a block.
            Operation::Function(function, x) => match function {
                Function::Sin => unary(target, x, f64::sin),
                Function::Cos => unary(target, x, f64::cos),
                Function::Tan => unary(target, x, f64::tan),
                Function::Log => unary(target, x, f64::ln),
                Function::Abs => unary(target, x, f64::abs),
                Function::Tanh => unary(target, x, f64::tanh),
                _ => unary(target, x, |x| function.value(x)),
            },
        }
    }
}

/// An intermediate result while compiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Input(usize),
    Operation(usize),
}

/// A constant, or a factor times a result.
#[derive(Clone, Copy, Debug)]
enum Value {
    Constant(f64),
    Scaled(f64, Source),
}

struct Compiler<'a> {
    variables: &'a [Symbol],
    places: HashMap<&'a Symbol, usize>,
    operations: Vec<Operation<Source>>,
    numbered: HashMap<Operation<Source>, usize>,
    known: HashMap<Expr, Value>,
}

impl<'a> Compiler<'a> {
    fn new(variables: &'a [Symbol]) -> Self {
        Compiler {
            variables,
            places: variables.iter().enumerate().map(|(index, symbol)| (symbol, index)).collect(),
            operations: Vec::new(),
            numbered: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// The result of an operation: that of the equal one before, if there is one.
    fn emit(&mut self, operation: Operation<Source>) -> Source {
        let next = self.operations.len();
        let index = *self.numbered.entry(operation).or_insert(next);
        if index == next {
            self.operations.push(operation);
        }
        Source::Operation(index)
    }

    fn plain(&mut self, value: Value) -> Source {
        match value {
            Value::Constant(constant) => self.emit(Operation::Constant(Bits::of(constant))),
            Value::Scaled(1.0, result) => result,
            Value::Scaled(factor, result) => self.emit(Operation::Scale(Bits::of(factor), result)),
        }
    }

    fn value(&mut self, expression: &Expr) -> Result<Value, CompileError> {
        if let Some(value) = self.known.get(expression) {
            return Ok(*value);
        }
        let value = match expression.kind() {
            Kind::Number(value) => return Ok(Value::Constant(value.to_f64())),
            Kind::Constant(constant) => return Ok(Value::Constant(constant.value())),
            Kind::Undefined => return Ok(Value::Constant(f64::NAN)),
            Kind::Symbol(symbol) => match self.places.get(symbol) {
                Some(&index) => return Ok(Value::Scaled(1.0, Source::Input(index))),
                None => {
                    let (symbol, known) = (symbol.clone(), self.variables.to_vec());
                    return Err(CompileError::UnknownSymbol { symbol, known });
                }
            },
            Kind::Function(function, argument) => match self.value(argument)? {
                Value::Constant(constant) => Value::Constant(function.value(constant)),
                argument => {
                    let argument = self.plain(argument);
                    Value::Scaled(1.0, self.emit(Operation::Function(*function, argument)))
                }
            },
            Kind::Power(base, exponent) => {
                self.product(&Rational::ONE, std::slice::from_ref(&(base.clone(), exponent.clone())))?
            }
            Kind::Product(coefficient, factors) => self.product(coefficient, factors)?,
            Kind::Sum(constant, terms) => self.sum(constant, terms)?,
        };
        self.known.insert(expression.clone(), value);
        Ok(value)
    }

    fn sum(&mut self, constant: &Rational, terms: &[(Expr, Rational)]) -> Result<Value, CompileError> {
        let mut constant = constant.to_f64();
        let mut scaled = Vec::with_capacity(terms.len());
        for (term, coefficient) in terms {
            let coefficient = coefficient.to_f64();
            match self.value(term)? {
                Value::Constant(value) => constant += coefficient * value,
                Value::Scaled(factor, result) => scaled.push((coefficient * factor, result)),
            }
        }
        if scaled.is_empty() {
            return Ok(Value::Constant(constant));
        }
        // A term with factor one is the cheapest to start with.
        let first = scaled.iter().position(|(factor, _)| *factor == 1.0).unwrap_or(0);
        let (factor, result) = scaled.remove(first);
        let mut sum = match (factor == 1.0, constant == 0.0) {
            (true, true) => result,
            (true, false) => self.emit(Operation::Offset(result, Bits::of(constant))),
            (false, true) => self.emit(Operation::Scale(Bits::of(factor), result)),
            (false, false) => self.emit(Operation::Affine(Bits::of(factor), result, Bits::of(constant))),
        };
        for (factor, result) in scaled {
            sum = self.emit(if factor == 1.0 {
                Operation::Add(sum, result)
            } else if factor == -1.0 {
                Operation::Subtract(sum, result)
            } else {
                Operation::AddScaled(sum, Bits::of(factor), result)
            });
        }
        Ok(Value::Scaled(1.0, sum))
    }

    /// Factors above and below a fraction bar, each multiplied up from the left.
    fn product(&mut self, coefficient: &Rational, factors: &[(Expr, Expr)]) -> Result<Value, CompileError> {
        let mut coefficient = coefficient.to_f64();
        let (mut above, mut below): (Option<Source>, Option<Source>) = (None, None);
        for (base, exponent) in factors {
            let is_below = exponent.as_number().is_some_and(Rational::is_negative)
                && !matches!(base.kind(), Kind::Constant(Constant::E));
            let value = if is_below { self.power(base, &-exponent)? } else { self.power(base, exponent)? };
            match value {
                Value::Constant(value) if is_below => coefficient /= value,
                Value::Constant(value) => coefficient *= value,
                Value::Scaled(factor, result) => {
                    coefficient = if is_below { coefficient / factor } else { coefficient * factor };
                    let side = if is_below { &mut below } else { &mut above };
                    *side = Some(match *side {
                        Some(before) => self.emit(Operation::Multiply(before, result)),
                        None => result,
                    });
                }
            }
        }
        Ok(match (above, below) {
            (None, None) => Value::Constant(coefficient),
            (Some(above), None) => Value::Scaled(coefficient, above),
            (Some(above), Some(below)) => {
                Value::Scaled(coefficient, self.emit(Operation::Divide(above, below)))
            }
            (None, Some(below)) => {
                Value::Scaled(1.0, self.emit(Operation::DivideConstant(Bits::of(coefficient), below)))
            }
        })
    }

    fn power(&mut self, base: &Expr, exponent: &Expr) -> Result<Value, CompileError> {
        if exponent.is_one() {
            return self.value(base);
        }
        if let Kind::Constant(Constant::E) = base.kind() {
            return Ok(match self.value(exponent)? {
                Value::Constant(value) => Value::Constant(value.exp()),
                value => {
                    let exponent = self.plain(value);
                    Value::Scaled(1.0, self.emit(Operation::Exponential(exponent)))
                }
            });
        }
        let (base, exponent) = (self.value(base)?, (self.value(exponent)?, exponent.as_number()));
        if let (Value::Constant(base), Value::Constant(exponent)) = (base, exponent.0) {
            return Ok(Value::Constant(base.powf(exponent)));
        }
        let base = self.plain(base);
        let halves = exponent.1.and_then(|value| (value * &Rational::small(2)).to_i64());
        Ok(Value::Scaled(
            1.0,
            match (halves, exponent.0) {
                (Some(halves), _) if (1..=2 * LARGEST_MULTIPLIED_POWER).contains(&halves) => {
                    let whole = (halves >= 2).then(|| self.integer_power(base, halves / 2));
                    let root = (halves % 2 == 1).then(|| self.emit(Operation::Root(base)));
                    match (whole, root) {
                        (Some(whole), Some(root)) => self.emit(Operation::Multiply(whole, root)),
                        (whole, root) => whole.or(root).unwrap_or(base),
                    }
                }
                (_, Value::Constant(value)) => self.emit(Operation::PowerConstant(base, Bits::of(value))),
                (_, value) => {
                    let exponent = self.plain(value);
                    self.emit(Operation::Power(base, exponent))
                }
            },
        ))
    }

    /// A power from one on by squaring; equal steps of different powers are shared.
    fn integer_power(&mut self, base: Source, exponent: i64) -> Source {
        if exponent <= 1 {
            return base;
        }
        let half = self.integer_power(base, exponent / 2);
        let square = self.emit(Operation::Multiply(half, half));
        if exponent % 2 == 0 { square } else { self.emit(Operation::Multiply(square, base)) }
    }

    /// Give the results registers, each free again after its last use.
    fn finish(mut self, outputs: &[Value]) -> Program {
        let outputs: Vec<Result<Source, f64>> = outputs
            .iter()
            .map(|value| match *value {
                Value::Constant(constant) => Err(constant),
                value => Ok(self.plain(value)),
            })
            .collect();
        let mut last_use = vec![0; self.operations.len()];
        for (index, operation) in self.operations.iter().enumerate() {
            operation.map(|operand| {
                if let Source::Operation(used) = operand {
                    last_use[used] = index;
                }
            });
        }
        let mut stores: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut instructions = Vec::new();
        for (output, result) in outputs.iter().enumerate() {
            match *result {
                Err(value) => instructions.push(Instruction::StoreConstant { output, value }),
                Ok(Source::Input(k)) => {
                    instructions.push(Instruction::Store { output, source: Place::Input(k) });
                }
                Ok(Source::Operation(index)) => stores.entry(index).or_default().push(output),
            }
        }
        let mut registers = 0;
        let mut free: Vec<usize> = Vec::new();
        let mut assigned: Vec<usize> = Vec::with_capacity(self.operations.len());
        for (index, operation) in self.operations.iter().enumerate() {
            let target = free.pop().unwrap_or_else(|| {
                registers += 1;
                registers - 1
            });
            assigned.push(target);
            let mut ended = Vec::new();
            let operation = operation.map(|operand| match operand {
                Source::Input(k) => Place::Input(k),
                Source::Operation(used) => {
                    if last_use[used] == index && !ended.contains(&assigned[used]) {
                        ended.push(assigned[used]);
                    }
                    Place::Register(assigned[used])
                }
            });
            instructions.push(Instruction::Compute { target, operation });
            for &output in stores.get(&index).into_iter().flatten() {
                instructions.push(Instruction::Store { output, source: Place::Register(target) });
            }
            free.extend(ended);
            if last_use[index] == 0 {
                // Only stored, never read again.
                free.push(target);
            }
        }
        Program { inputs: self.variables.len(), outputs: outputs.len(), registers, instructions }
    }
}
