//! Problem files: a differential equation, its conditions and the wanted method, stated in TOML.
//!
//! ```toml
//! title = "An oscillating load"           # optional
//!
//! [domain]                                # one to three axes; time is an axis like any other
//! x = ["0", "2*pi"]                       # exact expressions, or numbers
//!
//! [equation]
//! unknown  = "u"                          # or ["u", "v"]
//! equation = "u_xx = -omega^2*sin(omega*x)"   # or a list; derivatives up to order 4
//!
//! [parameters]                            # optional: constants for all expressions
//! omega = 100
//!
//! [conditions]                            # on named faces; or x = "periodic"
//! x = { lower = "u = 0", upper = "u = 0" }    # each a condition or a list of them
//!
//! [exact]                                 # optional: the known solution, to measure errors with
//! u = "sin(omega*x)"
//!
//! [method]                                # optional: what solves it, with its options
//! name = "gp-hm"
//! ```
//!
//! [`checks`]: is the problem well stated: number of conditions, corners, the exact solution.

mod checks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use mathesis_symbolic::{Expr, Symbol};
use serde::Serialize;
use toml::de::DeTable;

use super::{
    Auto, Axis, Collocation, Condition, Derivative, Face, FiniteDifference, GpHm, Method, Problem, Side,
    SolveError, evaluate_on_grid, options,
};
use crate::statement::{
    Located, MethodPlaces, MethodTable, StatementError, counted, document, entries, nearest, one_of,
    one_or_more, only_keys, table,
};

/// A method with its options: the `[method]` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum MethodChoice {
    /// Gaussian processes with mixture spectra.
    GpHm(options::GpHm),
    /// Polynomial and trigonometric collocation.
    Collocation(options::Collocation),
    /// Finite differences.
    FiniteDifference(options::FiniteDifference),
    /// Whichever of the others suits the problem.
    Auto(options::Auto),
}

impl MethodChoice {
    /// The names under which methods are asked for.
    pub const NAMES: &[&str] = &["auto", "collocation", "finite-difference", "gp-hm"];

    /// The method of a name with its default options.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "gp-hm" => MethodChoice::GpHm(options::GpHm::default()),
            "collocation" => MethodChoice::Collocation(options::Collocation::default()),
            "finite-difference" => MethodChoice::FiniteDifference(options::FiniteDifference::default()),
            "auto" => MethodChoice::Auto(options::Auto::default()),
            _ => return None,
        })
    }

    /// The name under which it is asked for.
    pub fn name(&self) -> &'static str {
        match self {
            MethodChoice::GpHm(_) => "gp-hm",
            MethodChoice::Collocation(_) => "collocation",
            MethodChoice::FiniteDifference(_) => "finite-difference",
            MethodChoice::Auto(_) => "auto",
        }
    }

    /// The method itself, ready to solve.
    pub fn method(&self) -> Box<dyn Method> {
        match self.clone() {
            MethodChoice::GpHm(options) => Box::new(GpHm { options }),
            MethodChoice::Collocation(options) => Box::new(Collocation { options }),
            MethodChoice::FiniteDifference(options) => Box::new(FiniteDifference { options }),
            MethodChoice::Auto(options) => Box::new(Auto { options }),
        }
    }

    fn read(table: &MethodTable<'_>) -> Result<Self, StatementError> {
        Ok(match table.name.as_str() {
            "gp-hm" => MethodChoice::GpHm(table.options()?),
            "collocation" => MethodChoice::Collocation(table.options()?),
            "finite-difference" => MethodChoice::FiniteDifference(table.options()?),
            _ => MethodChoice::Auto(table.options()?),
        })
    }
}

/// A problem file, read and checked.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The title, if the file gives one.
    pub title: Option<String>,
    /// The problem, with parameters replaced by their values.
    pub problem: Problem,
    /// How it is to be solved.
    pub method: MethodChoice,
    /// The conditions as written, `(left, right)`, in the order of the problem's.
    pub conditions: Vec<(Expr, Expr)>,
    /// The parameters and their values.
    pub parameters: Vec<(Symbol, Expr)>,
    /// What is doubtful but no reason to refuse.
    pub warnings: Vec<String>,
    places: Places,
}

/// Where things stand in the file, for complaints that arise only when a method looks at the problem.
#[derive(Clone, Debug, Default)]
struct Places {
    equation: Range<usize>,
    method: MethodPlaces,
}

const TABLES: &[&str] = &["title", "domain", "equation", "parameters", "conditions", "exact", "method"];

impl Statement {
    /// Read a problem file.
    ///
    /// # Errors
    /// [`StatementError`] with the place and the cause if the text is no well-stated problem.
    pub fn parse(text: &str) -> Result<Statement, StatementError> {
        Self::read(text, None)
    }

    /// Read a problem file for another method than the one it asks for; the options of its `[method]` table count if they
    /// are of the same method, else the defaults do.
    ///
    /// # Errors
    /// As [`Statement::parse`], and if no method has that name.
    pub fn parse_for_method(text: &str, method: &str) -> Result<Statement, StatementError> {
        Self::read(text, Some(method))
    }

    /// A refusal by a method as a complaint about the file, if the file is what is to blame.
    pub fn locate(&self, error: &SolveError) -> Option<StatementError> {
        let span = match error {
            SolveError::Option { key, .. } => self.places.method.option(key),
            SolveError::NotApplicable { .. } => self.places.method.method.clone(),
            SolveError::UnknownSymbol(_) | SolveError::Expression(_) | SolveError::NotFinite { .. } => {
                self.places.equation.clone()
            }
            SolveError::Breakdown(_) => return None,
        };
        Some(StatementError::new(error.to_string(), span))
    }

    fn read(text: &str, method: Option<&str>) -> Result<Statement, StatementError> {
        let document = document(text)?;
        let mut reader = Reader { text, document: document.get_ref(), scope: Scope::default() };
        for (key, _) in entries(reader.document) {
            if !TABLES.contains(&key.text.as_str()) {
                return Err(StatementError::new(format!("there is no table `{}`", key.text), key.span)
                    .expected(one_of(TABLES))
                    .suggest(nearest(&key.text, TABLES.iter().copied())));
            }
        }
        let title = match reader.document.get("title") {
            None => None,
            Some(value) => Some(Located::new(text, value, "`title`")?.text),
        };
        reader.parameters()?;
        reader.domain()?;
        let equation_place = reader.equations()?;
        let conditions = reader.conditions()?;
        let exact = reader.exact()?;
        let table = MethodTable::read(reader.document, MethodChoice::NAMES, "auto", method)?;
        let choice = MethodChoice::read(&table)?;
        let places = Places { equation: equation_place, method: table.places };

        let Scope { problem, parameters } = reader.scope;
        let statement = Statement {
            title,
            problem,
            method: choice,
            conditions: conditions.conditions.iter().map(|condition| condition.sides.clone()).collect(),
            parameters,
            warnings: Vec::new(),
            places,
        };
        statement.checked(&conditions, exact.as_ref())
    }
}

/// A condition with the places that a complaint about it points at.
struct StatedCondition {
    axis: usize,
    sides: (Expr, Expr),
    located: Located,
}

/// The `[conditions]` table: its entries, and where each axis' entry stands.
struct StatedConditions {
    conditions: Vec<StatedCondition>,
    /// For each axis the place of its entry, or of the whole table; empty if there is no table.
    axis_places: Vec<Range<usize>>,
}

/// The names that expressions may use, and what they stand for.
#[derive(Clone, Debug)]
struct Scope {
    problem: Problem,
    parameters: Vec<(Symbol, Expr)>,
}

impl Default for Scope {
    fn default() -> Self {
        let problem = Problem {
            axes: Vec::new(),
            unknowns: Vec::new(),
            equations: Vec::new(),
            conditions: Vec::new(),
            exact: None,
        };
        Scope { problem, parameters: Vec::new() }
    }
}

/// Which names an expression may use besides the parameters.
#[derive(Clone, Copy, PartialEq)]
enum Allowed {
    Constants,
    Coordinates,
    Everything,
}

/// The constants that expressions know without being told.
const CONSTANTS: &[&str] = &["pi", "e"];

impl Scope {
    /// Check the symbols of an expression and put the parameters' values in.
    fn resolve(&self, expression: Expr, located: &Located, allowed: Allowed) -> Result<Expr, StatementError> {
        for symbol in expression.symbols() {
            self.check(&symbol, located, allowed)?;
        }
        let values: BTreeMap<Symbol, Expr> = self.parameters.iter().cloned().collect();
        Ok(expression.substitute(&values))
    }

    fn check(&self, symbol: &Symbol, located: &Located, allowed: Allowed) -> Result<(), StatementError> {
        if self.parameters.iter().any(|(name, _)| name == symbol) {
            return Ok(());
        }
        let name = symbol.name();
        let span = located.word(name);
        let coordinate = self.problem.axes.iter().any(|axis| &axis.name == symbol);
        let derivative = self.problem.derivative(symbol);
        match allowed {
            Allowed::Constants if coordinate || derivative.is_some() => {
                return Err(StatementError::new(format!("`{name}` is not a constant"), span)
                    .expected("an expression in numbers, constants and parameters"));
            }
            Allowed::Coordinates if derivative.is_some() => {
                return Err(StatementError::new(format!("`{name}` is unknown here"), span)
                    .expected("an expression in the coordinates and parameters"));
            }
            _ => {}
        }
        if coordinate {
            return Ok(());
        }
        if let Some(Derivative { orders, .. }) = derivative {
            let order: usize = orders.iter().sum();
            if order > 4 {
                return Err(StatementError::new(format!("`{name}` is a derivative of order {order}"), span)
                    .expected("derivatives up to order 4")
                    .help("name a lower derivative as a second unknown and give it an equation of its own"));
            }
            return Ok(());
        }
        let mut complaint = StatementError::new(format!("unknown name `{name}`"), span);
        let axes: Vec<&str> = self.problem.axes.iter().map(|axis| axis.name.name()).collect();
        if let Some((base, subscript)) = name.rsplit_once('_')
            && allowed == Allowed::Everything
            && self.problem.unknowns.iter().any(|unknown| unknown.name() == base)
        {
            complaint.message =
                format!("`{name}`: the subscript `{subscript}` of `{base}` is not made of coordinates");
            return Err(complaint.expected(format!("subscripts from {}", one_of(&axes))));
        }
        Err(complaint.expected(self.names(allowed)).suggest(self.nearest(name, allowed)))
    }

    fn names(&self, allowed: Allowed) -> String {
        let mut names: Vec<&str> = self.parameters.iter().map(|(name, _)| name.name()).collect();
        if allowed != Allowed::Constants {
            names.splice(0..0, self.problem.axes.iter().map(|axis| axis.name.name()));
        }
        if allowed == Allowed::Everything {
            names.splice(0..0, self.problem.unknowns.iter().map(Symbol::name));
        }
        if names.is_empty() { "a number".to_string() } else { one_of(&names) }
    }

    fn nearest(&self, name: &str, allowed: Allowed) -> Option<String> {
        let mut words: Vec<String> = CONSTANTS.iter().map(|word| word.to_string()).collect();
        words.extend(self.parameters.iter().map(|(name, _)| name.name().to_string()));
        let axes: Vec<&str> = self.problem.axes.iter().map(|axis| axis.name.name()).collect();
        if allowed != Allowed::Constants {
            words.extend(axes.iter().map(|axis| axis.to_string()));
        }
        if allowed == Allowed::Everything {
            for unknown in &self.problem.unknowns {
                words.push(unknown.name().to_string());
                for order in 1..=4 {
                    words.extend(axes.iter().map(|axis| format!("{unknown}_{}", axis.repeat(order))));
                }
            }
        }
        nearest(name, words.iter().map(String::as_str))
    }

    /// A new name, if nothing else has it.
    fn claim(&self, located: &Located, what: &str) -> Result<Symbol, StatementError> {
        let name = &located.text;
        let Some(symbol) = located.name() else {
            return Err(StatementError::new(
                format!("`{name}` cannot be the name of {what}"),
                located.span.clone(),
            )
            .expected("letters and digits, and not the name of a constant or function"));
        };
        let holder = if self.problem.axes.iter().any(|axis| axis.name == symbol) {
            Some("a coordinate")
        } else if self.problem.unknowns.contains(&symbol) {
            Some("an unknown")
        } else if self.problem.derivative(&symbol).is_some() {
            Some("a derivative")
        } else if self.parameters.iter().any(|(name, _)| *name == symbol) {
            Some("a parameter")
        } else {
            None
        };
        match holder {
            Some(holder) => Err(StatementError::new(
                format!("`{name}` cannot be {what}: it is {holder} already"),
                located.span.clone(),
            )
            .expected("a name of its own")),
            None => Ok(symbol),
        }
    }
}

/// Reads the tables one after the other, each in the scope that the ones before have made.
struct Reader<'a, 'i> {
    text: &'i str,
    document: &'a DeTable<'i>,
    scope: Scope,
}

impl Reader<'_, '_> {
    fn missing(&self, name: &str, shape: &str) -> StatementError {
        StatementError::new(format!("the file has no table [{name}]"), 0..0).expected(shape)
    }

    fn parameters(&mut self) -> Result<(), StatementError> {
        let Some(value) = self.document.get("parameters") else { return Ok(()) };
        for (key, value) in
            entries(table(value, "parameters", "[parameters] with lines such as `beta = 200`")?)
        {
            let name = self.scope.claim(&key, "a parameter")?;
            let located = Located::new(self.text, value, &format!("`{}`", key.text))?;
            let (expression, _) = self.constant(&located, &format!("parameter `{}`", key.text))?;
            self.scope.parameters.push((name, expression));
        }
        Ok(())
    }

    /// A constant, exact and as a number.
    fn constant(&self, located: &Located, what: &str) -> Result<(Expr, f64), StatementError> {
        if matches!(located.text.trim_start_matches(['+', '-']), "inf" | "nan") {
            return Err(StatementError::new(
                format!("{what} is not finite: {}", located.text),
                located.span.clone(),
            )
            .expected("a finite number"));
        }
        let expression = self.scope.resolve(located.expression()?, located, Allowed::Constants)?;
        match expression.evaluate_f64(&BTreeMap::new()) {
            Ok(value) if value.is_finite() => Ok((expression, value)),
            _ => Err(StatementError::new(
                format!("{what} is not a finite number: {}", located.text),
                located.span.clone(),
            )
            .expected("an expression with a finite value")),
        }
    }

    fn domain(&mut self) -> Result<(), StatementError> {
        const SHAPE: &str = "[domain] with a line such as `x = [0, 1]` for each axis";
        let value = self.document.get("domain").ok_or_else(|| self.missing("domain", SHAPE))?;
        let axes = entries(table(value, "domain", SHAPE)?);
        if axes.is_empty() {
            return Err(StatementError::new("[domain] has no axes", value.span()).expected(SHAPE));
        }
        for (key, value) in axes {
            if self.scope.problem.axes.len() == 3 {
                return Err(StatementError::new(format!("`{}` is a fourth axis", key.text), key.span)
                    .expected("one to three axes"));
            }
            let name = self.scope.claim(&key, "a coordinate")?;
            let shape = || format!("lower and upper bound, such as `{} = [0, 1]`", key.text);
            let bounds = value.get_ref().as_array().map(|bounds| bounds.iter().collect::<Vec<_>>());
            let Some([lower, upper]) = bounds.as_deref() else {
                return Err(StatementError::new(
                    format!("axis `{}` is not a pair of bounds", key.text),
                    value.span(),
                )
                .expected(shape()));
            };
            let what = |side: &str| format!("the {side} bound of `{}`", key.text);
            let [lower, upper] = [(lower, "lower"), (upper, "upper")].map(|(bound, side)| {
                let located = Located::new(self.text, bound, &what(side))?;
                self.constant(&located, &what(side))
            });
            let (lower, upper) = (lower?, upper?);
            if lower.1 >= upper.1 {
                return Err(StatementError::new(
                    format!(
                        "the domain is empty along `{}`: its lower bound {} is not below its upper bound {}",
                        key.text, lower.0, upper.0
                    ),
                    value.span(),
                )
                .expected("the lower bound first, then a greater upper bound"));
            }
            self.scope.problem.axes.push(Axis { name, lower, upper, periodic: false });
        }
        Ok(())
    }

    /// Returns where the equations stand.
    fn equations(&mut self) -> Result<Range<usize>, StatementError> {
        const SHAPE: &str = "[equation] with `unknown = \"u\"` and `equation = \"u_xx = ...\"`";
        let value = self.document.get("equation").ok_or_else(|| self.missing("equation", SHAPE))?;
        let equation = table(value, "equation", SHAPE)?;
        only_keys(equation, "[equation]", &["unknown", "equation"])?;
        let part = |key: &str| {
            equation.get(key).ok_or_else(|| {
                StatementError::new(format!("[equation] has no `{key}`"), value.span()).expected(SHAPE)
            })
        };
        for located in one_or_more(self.text, part("unknown")?, "the unknown")? {
            let name = self.scope.claim(&located, "an unknown")?;
            if self.scope.problem.axes.iter().any(|axis| located.text.ends_with(&format!("_{}", axis.name)))
                && located.text.contains('_')
            {
                return Err(StatementError::new(
                    format!("the unknown `{}` reads like a derivative", located.text),
                    located.span,
                )
                .expected("a name that does not end in `_` and coordinates"));
            }
            self.scope.problem.unknowns.push(name);
        }
        let unknowns = self.scope.problem.unknowns.len();
        let place = part("equation")?.span();
        let equations = one_or_more(self.text, part("equation")?, "the equation")?;
        if unknowns == 0 {
            return Err(
                StatementError::new("there are no unknowns", part("unknown")?.span()).expected("a name")
            );
        }
        if equations.len() != unknowns {
            return Err(StatementError::new(
                format!("{} for {}", counted(equations.len(), "equation"), counted(unknowns, "unknown")),
                place,
            )
            .expected("as many equations as unknowns"));
        }
        for located in &equations {
            let (left, right) = located.equation()?;
            let left = self.scope.resolve(left, located, Allowed::Everything)?;
            let right = self.scope.resolve(right, located, Allowed::Everything)?;
            let mentions = |side: &Expr| {
                side.symbols().iter().any(|symbol| self.scope.problem.derivative(symbol).is_some())
            };
            if !mentions(&left) && !mentions(&right) {
                return Err(StatementError::new("the equation mentions no unknown", located.span.clone())
                    .expected(format!("an equation for {}", self.unknown_names())));
            }
            self.scope.problem.equations.push((left, right));
        }
        for unknown in 0..unknowns {
            let mentioned = self.scope.problem.equations.iter().flat_map(|(l, r)| [l, r]).any(|side| {
                side.symbols()
                    .iter()
                    .any(|symbol| self.scope.problem.derivative(symbol).is_some_and(|d| d.unknown == unknown))
            });
            if !mentioned {
                let name = &self.scope.problem.unknowns[unknown];
                return Err(StatementError::new(format!("no equation mentions the unknown `{name}`"), place));
            }
        }
        Ok(place)
    }

    fn unknown_names(&self) -> String {
        one_of(&self.scope.problem.unknowns.iter().map(Symbol::name).collect::<Vec<_>>())
    }

    fn conditions(&mut self) -> Result<StatedConditions, StatementError> {
        const SHAPE: &str = "[conditions] with lines such as `x = { lower = \"u = 0\", upper = \"u = 0\" }`";
        let axis_names: Vec<String> =
            self.scope.problem.axes.iter().map(|axis| axis.name.name().to_string()).collect();
        let names: Vec<&str> = axis_names.iter().map(String::as_str).collect();
        let mut stated = StatedConditions { conditions: Vec::new(), axis_places: vec![0..0; names.len()] };
        let Some(value) = self.document.get("conditions") else { return Ok(stated) };
        stated.axis_places.fill(value.span());
        for (key, value) in entries(table(value, "conditions", SHAPE)?) {
            let Some(axis) = names.iter().position(|name| *name == key.text) else {
                return Err(StatementError::new(format!("the domain has no axis `{}`", key.text), key.span)
                    .expected(one_of(&names))
                    .suggest(nearest(&key.text, names.iter().copied())));
            };
            stated.axis_places[axis] = key.span.clone();
            if let Some(word) = value.get_ref().as_str() {
                if word != "periodic" {
                    return Err(StatementError::new(
                        format!("`{word}` says nothing about the faces of `{}`", key.text),
                        value.span(),
                    )
                    .expected("\"periodic\", or a table { lower = \"...\", upper = \"...\" }")
                    .suggest(nearest(word, ["periodic"])));
                }
                self.scope.problem.axes[axis].periodic = true;
                continue;
            }
            let faces = table(value, &key.text, "a table { lower = \"u = ...\", upper = \"u = ...\" }")?;
            for (key, value) in entries(faces) {
                let side = match key.text.as_str() {
                    "lower" => Side::Lower,
                    "upper" => Side::Upper,
                    word => {
                        return Err(StatementError::new(
                            format!("axis `{}` has no face `{word}`", names[axis]),
                            key.span.clone(),
                        )
                        .expected("`lower` or `upper`")
                        .suggest(nearest(word, ["lower", "upper"])));
                    }
                };
                for located in one_or_more(self.text, value, "the condition")? {
                    let (left, right) = located.equation()?;
                    let left = self.scope.resolve(left, &located, Allowed::Everything)?;
                    let right = self.scope.resolve(right, &located, Allowed::Everything)?;
                    let residual = left.clone() - right.clone();
                    let mentions = residual
                        .symbols()
                        .iter()
                        .any(|symbol| self.scope.problem.derivative(symbol).is_some());
                    if !mentions {
                        return Err(StatementError::new("the condition mentions no unknown", located.span)
                            .expected(format!("a condition on {}", self.unknown_names())));
                    }
                    self.scope.problem.conditions.push(Condition { face: Face { axis, side }, residual });
                    stated.conditions.push(StatedCondition { axis, sides: (left, right), located });
                }
            }
        }
        Ok(stated)
    }

    /// Returns where the exact solution stands.
    fn exact(&mut self) -> Result<Option<Range<usize>>, StatementError> {
        let Some(value) = self.document.get("exact") else { return Ok(None) };
        let exact = table(value, "exact", "[exact] with a line such as `u = \"sin(x)\"` for each unknown")?;
        let names: Vec<String> =
            self.scope.problem.unknowns.iter().map(|name| name.name().to_string()).collect();
        let mut expressions = vec![None; names.len()];
        for (key, value) in entries(exact) {
            let Some(unknown) = names.iter().position(|name| *name == key.text) else {
                return Err(StatementError::new(format!("there is no unknown `{}`", key.text), key.span)
                    .expected(self.unknown_names())
                    .suggest(nearest(&key.text, names.iter().map(String::as_str))));
            };
            let located = Located::new(self.text, value, &format!("the exact `{}`", key.text))?;
            let expression = self.scope.resolve(located.expression()?, &located, Allowed::Coordinates)?;
            expressions[unknown] = Some(expression);
        }
        if let Some(absent) = expressions.iter().position(Option::is_none) {
            return Err(StatementError::new(
                format!("[exact] does not give the unknown `{}`", names[absent]),
                value.span(),
            )
            .expected("an expression for every unknown"));
        }
        self.scope.problem.exact = expressions.into_iter().collect();
        Ok(Some(value.span()))
    }
}
