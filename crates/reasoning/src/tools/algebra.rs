//! The algebra tools of CARP (Zhang et al. 2023): texts in, texts out, in LaTeX with blanks between the tokens; and those
//! that the benchmark adds for the competition problems of MATH.
//!
//! A call is a name and its arguments; [`call`] gives the output or the error text that the benchmark's tools give in the
//! same situation, in Chinese as there. All results are over the real numbers and exact. Where the benchmark's own tools,
//! which run on sympy, return complex numbers for a real problem, keep extraneous solutions or miss some, these do not.
//!
//! One convention is taken over as it is: `expand`, `factor` and `collect` complain of a needless call if the result
//! is the expression *as it was parsed there*, without evaluation; `written` has the rules.

mod competition;
mod written;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use mathesis_symbolic::formula::{Budget, Formula, Relation};
use mathesis_symbolic::solve::{
    End, Piece, RealSet, Solutions, solve_equation, solve_inequality, solve_system,
};
use mathesis_symbolic::{Expr, Polynomial, Rational, Symbol};
use regex::Regex;

use crate::answers::carp::read;
use written::Written;

/// The longest argument that is read, in bytes.
const LONGEST_TEXT: usize = 4000;
/// The time for one call.
pub(crate) const TIME: Duration = Duration::from_millis(60);

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(untagged)]
pub enum Argument {
    /// An expression, a relation or a symbol.
    Text(String),
    /// Several relations.
    List(Vec<String>),
}

/// What a call returns.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(untagged)]
pub enum Output {
    /// An expression or a relation.
    Text(String),
    /// Solutions of one equation.
    List(Vec<String>),
    /// Solutions of a system by symbol, in the same order for all symbols.
    Map(BTreeMap<String, Vec<String>>),
}

/// Why a call has no output: the text that the model is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);

/// The tools by name: those for CARP, then those for MATH.
pub const TOOLS: [&str; 15] = [
    "calculate",
    "solve_eq",
    "solve_ineq",
    "solve_multi_eq",
    "solve_multi_ineq",
    "substitute",
    "expand",
    "factor",
    "collect",
    "partial_solve",
    "complete_the_square",
    "mod",
    "base_conversion",
    "is_equal",
    "finish",
];

const NOT_READ: &str = "无法解析表达式";
const TOO_LARGE: &str = "超出计算限制";
const NO_SOLUTION_OR_UNKNOWNS: &str = "方程无解或含有多个未知数";
const NO_SOLUTION_OR_CONDITIONS: &str = "方程无解或给定条件不足解出方程";
const NO_SOLUTION: &str = "方程无解";
const INVALID_CONDITION: &str = "代入无效上下文条件";

type Called = Result<Output, ToolError>;

fn error<T>(text: &str) -> Result<T, ToolError> {
    Err(ToolError(text.to_string()))
}

fn needless<T>(tool: &str) -> Result<T, ToolError> {
    Err(ToolError(format!("不必要调用 {tool}")))
}

/// Call a tool.
///
/// # Errors
/// [`ToolError`] with the text that goes back to the model: the expression is not readable, needs more than the budget,
/// the equation has no solution, the call was needless, or the tool or its arguments are unknown.
pub fn call(tool: &str, arguments: &[Argument]) -> Called {
    let budget = Budget::new(TIME);
    match (tool, arguments) {
        ("calculate", [Argument::Text(text)]) => calculate(text, &budget),
        ("solve_eq" | "solve_ineq", [Argument::Text(text)]) => {
            solve(std::slice::from_ref(text), &budget).or_else(|_| error(NO_SOLUTION_OR_UNKNOWNS))
        }
        ("solve_multi_eq" | "solve_multi_ineq", [Argument::List(texts)]) => {
            solve(texts, &budget).or_else(|_| error(NO_SOLUTION_OR_CONDITIONS))
        }
        ("substitute" | "subs", [Argument::Text(text), Argument::List(conditions)]) => {
            substitute(text, conditions, &budget)
        }
        ("expand", [Argument::Text(text)]) => expand(text, &budget),
        ("factor", [Argument::Text(text)]) => factor(text, &budget),
        ("collect", [Argument::Text(text), Argument::Text(symbol)]) => collect(text, symbol, &budget),
        ("partial_solve", [Argument::Text(text), Argument::Text(symbol)]) => {
            partial_solve(text, symbol, &budget)
        }
        ("complete_the_square", [Argument::Text(text)]) => competition::complete_the_square(text, &budget),
        ("mod", [Argument::Text(dividend), Argument::Text(divisor)]) => {
            competition::remainder(dividend, divisor, &budget)
        }
        ("base_conversion", [Argument::Text(number), Argument::Text(base)]) => {
            competition::base_conversion(number, base)
        }
        ("is_equal", [Argument::Text(left), Argument::Text(right)]) => {
            competition::is_equal(left, right, &budget)
        }
        ("finish", [Argument::Text(text)]) => Ok(Output::Text(text.clone())),
        _ => error(&format!("未知工具或参数错误 {tool}")),
    }
}

/// What an argument says: an expression, or sides with relations between them.
fn parse(text: &str) -> Result<Formula, ToolError> {
    static BASED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(\d+)\s*_\s*(?:\{\s*(\d+)\s*\}|(\d+))").ok());
    static REFUSED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"mod|gcd|\\pm|\\mp|(?:^|[^a-zA-Z\\])[fi](?:[^a-zA-Z]|$)").ok());
    let is_refused = REFUSED.as_ref().is_some_and(|pattern| pattern.is_match(text));
    if text.len() > LONGEST_TEXT || is_refused {
        return error(NOT_READ);
    }
    // 204_5 is a number in base five.
    let text = match BASED.as_ref() {
        Some(pattern) => pattern.replace_all(text, |found: &regex::Captures<'_>| {
            let base = found.get(2).or(found.get(3)).map_or("", |base| base.as_str());
            let value = competition::natural_number(&found[1], base);
            value.map_or_else(|| found[0].to_string(), |value| value.to_string())
        }),
        None => text.into(),
    };
    // A condition in parentheses behind a relation, y = k / x (k ≠ 0), does not belong to it.
    static REMARK: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\(\s*[a-zA-Z]\s*\\ne(?:q)?\s*[^()]*\)\s*$").ok());
    let text = match REMARK.as_ref() {
        Some(pattern) => pattern.replace(&text, ""),
        None => text,
    };
    let text = text.trim_end().trim_end_matches(['-', '+', ' ']);
    read(text).ok_or_else(|| ToolError(NOT_READ.to_string()))
}

fn expression(formula: &Formula, budget: &Budget) -> Result<Expr, ToolError> {
    match formula.to_expr_within(budget) {
        Some(value) if !value.is_undefined() => Ok(value),
        None if budget.is_spent() => error(TOO_LARGE),
        _ => error(NOT_READ),
    }
}

/// `left relation right` as expressions.
struct Related {
    left: Expr,
    right: Expr,
    relation: Relation,
}

/// The relations of a chain; `None` for what is none.
fn relations(formula: &Formula, budget: &Budget) -> Result<Option<Vec<Related>>, ToolError> {
    let Formula::Chain(sides, relations) = formula else { return Ok(None) };
    let sides: Vec<Expr> = sides.iter().map(|side| expression(side, budget)).collect::<Result<_, _>>()?;
    let pairs = sides.windows(2).zip(relations);
    Ok(Some(
        pairs
            .map(|(pair, relation)| Related {
                left: pair[0].clone(),
                right: pair[1].clone(),
                relation: *relation,
            })
            .collect(),
    ))
}

fn symbols(formulae: &[Formula]) -> BTreeSet<Symbol> {
    formulae.iter().flat_map(Formula::symbols).map(|name| Symbol::new(&name)).collect()
}

fn simplified(value: &Expr, budget: &Budget) -> Result<Expr, ToolError> {
    match value.simplify(budget) {
        Some(simple) if !simple.is_undefined() => Ok(simple),
        _ => error(TOO_LARGE),
    }
}

fn calculate(text: &str, budget: &Budget) -> Called {
    let value = expression(&parse(text)?, budget)?;
    Ok(Output::Text(written_out(&simplified(&value, budget)?)))
}

/// Equations and inequalities of `solve_eq`, `solve_ineq` and their plural forms: all go by what is given.
fn solve(texts: &[String], budget: &Budget) -> Called {
    let formulae: Vec<Formula> = texts.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    let unknowns: Vec<Symbol> = symbols(&formulae).into_iter().collect();
    let mut all = Vec::new();
    for formula in &formulae {
        match relations(formula, budget)? {
            Some(related) => all.extend(related),
            // An expression alone stands for its being zero.
            None => all.push(Related {
                left: expression(formula, budget)?,
                right: Expr::integer(0),
                relation: Relation::Equal,
            }),
        }
    }
    if all.iter().all(|related| related.relation == Relation::Equal) {
        return solve_equations(&all, &unknowns, texts.len() > 1, budget);
    }
    let [unknown] = unknowns.as_slice() else { return error(NO_SOLUTION_OR_CONDITIONS) };
    let mut set = RealSet::line();
    for related in &all {
        let difference = &related.left - &related.right;
        let part = solve_inequality(&difference, related.relation, unknown, budget)
            .and_then(|part| set.intersection(&part, budget));
        set = part.map_err(|refusal| ToolError(refusal.to_string()))?;
    }
    if set.is_empty() || set.is_line() {
        return error(NO_SOLUTION_OR_CONDITIONS);
    }
    let name = written_out(&Expr::symbol(unknown));
    let pieces = set.pieces();
    let texts: Vec<String> = pieces.iter().map(|piece| piece_text(piece, &name, pieces.len() > 1)).collect();
    Ok(Output::Text(texts.join(" 或 ")))
}

fn piece_text(piece: &Piece, name: &str, is_one_of_many: bool) -> String {
    let sign =
        |end: &End, strict: &str, weak: &str| if end.closed { weak.into() } else { String::from(strict) };
    match (&piece.lower, &piece.upper) {
        (Some(lower), Some(upper)) if lower.at == upper.at => format!("{name} = {}", written_out(&lower.at)),
        (Some(lower), Some(upper)) => {
            let (a, b) = (written_out(&lower.at), written_out(&upper.at));
            let text =
                format!("{a} {} {name} 且 {name} {} {b}", sign(lower, "<", "\\le"), sign(upper, "<", "\\le"));
            if is_one_of_many { format!("( {text} )") } else { text }
        }
        (Some(lower), None) => format!("{name} {} {}", sign(lower, ">", "\\ge"), written_out(&lower.at)),
        (None, Some(upper)) => format!("{name} {} {}", sign(upper, "<", "\\le"), written_out(&upper.at)),
        (None, None) => String::new(),
    }
}

fn solve_equations(all: &[Related], unknowns: &[Symbol], is_system: bool, budget: &Budget) -> Called {
    let differences: Vec<Expr> = all.iter().map(|related| &related.left - &related.right).collect();
    if let ([difference], [unknown], false) = (differences.as_slice(), unknowns, is_system) {
        return match solve_equation(difference, unknown, budget) {
            Ok(Solutions::Finite(values)) if !values.is_empty() => {
                Ok(Output::List(assignments(unknown, sorted(values, budget))))
            }
            Ok(_) => error(NO_SOLUTION_OR_UNKNOWNS),
            Err(refusal) => error(&refusal.to_string()),
        };
    }
    if !is_system {
        return error(NO_SOLUTION_OR_UNKNOWNS);
    }
    let solutions = solve_system(&differences, unknowns, budget).map_err(|e| ToolError(e.to_string()))?;
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for solution in solutions {
        for (unknown, value) in solution {
            let key = written_out(&Expr::symbol(&unknown)).replace(' ', "");
            map.entry(key).or_default().extend(assignments(&unknown, vec![value]));
        }
    }
    if map.is_empty() { error(NO_SOLUTION_OR_CONDITIONS) } else { Ok(Output::Map(map)) }
}

fn assignments(unknown: &Symbol, values: Vec<Expr>) -> Vec<String> {
    let name = written_out(&Expr::symbol(unknown));
    values.iter().map(|value| format!("{name} = {}", written_out(value))).collect()
}

/// Constants in rising order; others as they are.
fn sorted(mut values: Vec<Expr>, budget: &Budget) -> Vec<Expr> {
    values.sort_by(|a, b| match (a - b).sign_of_constant(budget) {
        Some(sign) => sign.cmp(&0),
        None => Ordering::Equal,
    });
    values
}

fn partial_solve(text: &str, symbol: &str, budget: &Budget) -> Called {
    let formula = parse(text)?;
    let unknown = expression(&parse(symbol)?, budget)?;
    let Some(unknown) = unknown.as_symbol() else { return error(NO_SOLUTION) };
    let Some([related]) =
        relations(&formula, budget)?.map(|all| <[Related; 1]>::try_from(all).ok()).unwrap_or(None)
    else {
        return error(NO_SOLUTION);
    };
    let difference = &related.left - &related.right;
    if related.relation == Relation::Equal {
        return match solve_equation(&difference, unknown, budget) {
            Ok(Solutions::Finite(values)) if !values.is_empty() => {
                let mut texts = assignments(unknown, sorted(values, budget));
                Ok(if texts.len() == 1 { Output::Text(texts.remove(0)) } else { Output::List(texts) })
            }
            _ => error(NO_SOLUTION),
        };
    }
    // Linear with a coefficient of known sign.
    let linear = linear_in(&difference, unknown, budget).and_then(|(constant, slope)| {
        let sign = slope.sign_of_constant(budget).filter(|sign| *sign != 0)?;
        Some((simplified(&(-constant / slope), budget).ok()?, sign))
    });
    match linear {
        Some((bound, sign)) => {
            let relation = related.relation.times_sign(sign);
            let name = written_out(&Expr::symbol(unknown));
            Ok(Output::Text(format!("{name} {} {}", relation_sign(relation), written_out(&bound))))
        }
        None => error(NO_SOLUTION),
    }
}

/// The constant and the slope of what is linear in a symbol.
fn linear_in(difference: &Expr, unknown: &Symbol, budget: &Budget) -> Option<(Expr, Expr)> {
    let at = |value: i64| {
        difference.substitute(&BTreeMap::from([(unknown.clone(), Expr::integer(value))])).simplify(budget)
    };
    let (constant, slope) = (at(0)?, (at(1)? - at(0)?).simplify(budget)?);
    let rest = (difference - &constant - &slope * Expr::symbol(unknown)).simplify(budget)?;
    rest.is_zero().then_some((constant, slope))
}

fn relation_sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::Greater => ">",
        Relation::LessOrEqual => "\\le",
        Relation::GreaterOrEqual => "\\ge",
        Relation::NotEqual => "\\neq",
        _ => "=",
    }
}

fn substitute(text: &str, conditions: &[String], budget: &Budget) -> Called {
    let formula = parse(text)?;
    let mut known: Vec<(Expr, Expr)> = Vec::new();
    for condition in conditions {
        let Some(all) = relations(&parse(condition)?, budget)? else { continue };
        let equations = all.into_iter().filter(|related| related.relation == Relation::Equal);
        known.extend(equations.map(|related| (related.left, related.right)));
    }
    if let Some(all) = relations(&formula, budget)? {
        let Ok([related]) = <[Related; 1]>::try_from(all) else { return error(NOT_READ) };
        let left = simplified(&replaced(&related.left, &known), budget)?;
        let right = simplified(&replaced(&related.right, &known), budget)?;
        let before = (&related.left - &related.right).simplify(budget);
        let after = simplified(&(&left - &right), budget)?;
        if before.as_ref() == Some(&after) {
            return error(INVALID_CONDITION);
        }
        if left == right {
            return needless("substitute");
        }
        let text = relation_text(&after, related.relation, budget);
        // What was not multiplied out for want of time has another form.
        return if budget.is_spent() { error(TOO_LARGE) } else { Ok(Output::Text(text)) };
    }
    let value = expression(&formula, budget)?;
    let before = simplified(&value, budget)?;
    let mut result = simplified(&replaced(&value, &known), budget)?;
    if result == before {
        // A condition solved for one of the symbols that remain.
        let solved = known.iter().find_map(|(left, right)| {
            let difference = left - right;
            let remaining = before.symbols();
            let mut common = remaining.iter().filter(|symbol| difference.symbols().contains(*symbol));
            common.find_map(|symbol| match solve_equation(&difference, symbol, budget) {
                Ok(Solutions::Finite(values)) => {
                    let value = sorted(values, budget).into_iter().next()?;
                    before.substitute(&BTreeMap::from([(symbol.clone(), value)])).simplify(budget)
                }
                _ => None,
            })
        });
        match solved {
            Some(value) if value != before => result = value,
            Some(_) => return needless("substitute"),
            None => {}
        }
    }
    Ok(Output::Text(written_out(&result)))
}

/// Every occurrence of a left side replaced by its right side: as a part, as a multiple of it among the terms of a sum,
/// as a power of it among the factors of a product.
fn replaced(value: &Expr, known: &[(Expr, Expr)]) -> Expr {
    known.iter().fold(value.clone(), |value, (pattern, replacement)| {
        if let Some(symbol) = pattern.as_symbol() {
            return value.substitute(&BTreeMap::from([(symbol.clone(), replacement.clone())]));
        }
        value.replace_parts(&mut |part| match_part(part, pattern, replacement))
    })
}

fn match_part(part: &Expr, pattern: &Expr, replacement: &Expr) -> Option<Expr> {
    if part == pattern {
        return Some(replacement.clone());
    }
    let again = |rest: Expr| {
        rest.replace_parts(&mut |inner| {
            // Not the whole once more, or this would not end.
            if *inner == rest { None } else { match_part(inner, pattern, replacement) }
        })
    };
    let terms = part.terms();
    if pattern.terms().len() > 1 {
        // Σ = c * pattern + rest, with the constant of the pattern on its other side.
        let constant = |e: &Expr| e.terms().iter().find_map(|term| term.as_number().cloned());
        let shift = constant(pattern).map_or(Expr::integer(0), Expr::number);
        let (pattern, replacement) = (pattern - &shift, replacement - shift);
        if part == &pattern {
            return Some(replacement);
        }
        if terms.len() < 2 {
            return None;
        }
        let first = pattern.terms().into_iter().next()?;
        let factor = terms.iter().find_map(|term| (term / &first).as_number().cloned())?;
        let rest = part - &pattern * Expr::number(factor.clone());
        let is_whole = rest.terms().len() + pattern.terms().len() == terms.len()
            || (rest.is_zero() && pattern.terms().len() == terms.len());
        return is_whole.then(|| again(rest) + replacement * Expr::number(factor));
    }
    if terms.len() > 1 {
        return None;
    }
    // A product or power: patternⁿ * rest with the largest n that leaves no factor of the pattern behind.
    let factor_count = part.factor_powers(pattern)?;
    if factor_count == 0 {
        return None;
    }
    let rest = part * pattern.pow(-factor_count);
    Some(again(rest) * replacement.pow(factor_count))
}

/// A relation of a difference to zero, written as `x = v` for one linear unknown, otherwise with terms without symbols on
/// the right.
fn relation_text(difference: &Expr, relation: Relation, budget: &Budget) -> String {
    let numerator = difference.clone();
    let symbols: Vec<Symbol> = numerator.symbols().into_iter().collect();
    if let [unknown] = symbols.as_slice()
        && let Some((constant, slope)) = linear_in(&numerator, unknown, budget)
        && let Some(sign) = slope.sign_of_constant(budget).filter(|sign| *sign != 0)
        && let Some(bound) = (-constant / slope).simplify(budget)
    {
        let relation = relation.times_sign(sign);
        let name = written_out(&Expr::symbol(unknown));
        return format!("{name} {} {}", relation_sign(relation), written_out(&bound));
    }
    let numerator = numerator.expand_in_time(u64::MAX, budget);
    let constant = numerator.terms().iter().find_map(|term| term.as_number().cloned());
    let constant = constant.map_or(Expr::integer(0), Expr::number);
    let left = numerator - &constant;
    let (left, right) = (left, -constant);
    let is_negative = left.terms().first().is_some_and(|term| written_out(term).starts_with('-'));
    if is_negative {
        let relation = relation.times_sign(-1);
        return format!("{} {} {}", written_out(&-left), relation_sign(relation), written_out(&-right));
    }
    format!("{} {} {}", written_out(&left), relation_sign(relation), written_out(&right))
}

fn expand(text: &str, budget: &Budget) -> Called {
    let formula = parse(text)?;
    let value = expression(&formula, budget)?;
    if !Written::of(&formula).is_changed_by_expansion() {
        return needless("expand");
    }
    let expanded = value.expand_in_time(1 << 14, budget);
    // Powers with symbols in them are collected: 3^m 3^n / 3.
    let expanded = match expanded.simplify(budget) {
        Some(simple) if Polynomial::from_expr(&simple).is_ok() => simple,
        _ => expanded,
    };
    if budget.is_spent() {
        return error(TOO_LARGE);
    }
    Ok(Output::Text(written_out(&expanded)))
}

fn factor(text: &str, budget: &Budget) -> Called {
    let formula = parse(text)?;
    let value = expression(&formula, budget)?;
    let written = Written::of(&formula);
    let simple = simplified(&value, budget)?;
    let Ok(polynomial) = Polynomial::from_expr(&simple) else {
        if written.is_single_factor() {
            return needless("factor");
        }
        return Ok(Output::Text(written_out(&simple)));
    };
    let Some(factorisation) = polynomial.factor(budget) else { return error(TOO_LARGE) };
    if written == Written::of_factors(&factorisation) {
        return needless("factor");
    }
    let content = &factorisation.content;
    let factors: Vec<(Expr, u32)> = factorisation.factors.iter().map(|(f, n)| (f.to_expr(), *n)).collect();
    let is_unit = content.is_one() || (-content).is_one();
    match factors.as_slice() {
        [(single, 1)] if is_unit => Ok(Output::Text(written_out(&(single * Expr::number(content.clone()))))),
        [] => Ok(Output::Text(written_out(&Expr::number(content.clone())))),
        _ => {
            let mut text = String::new();
            if content.is_negative() {
                text.push_str("- ");
            }
            let numerator = Rational::integer(content.abs().numerator());
            let mut product: Vec<String> = Vec::new();
            if !numerator.is_one() {
                product.push(numerator.to_string());
            }
            for (factor, count) in &factors {
                let inner = written_out(factor);
                let inner = if factor.terms().len() > 1 { format!("( {inner} )") } else { inner };
                product.push(if *count > 1 { format!("{inner} ^ {{ {count} }}") } else { inner });
            }
            let product = product.join(" ");
            let denominator = content.denominator();
            text += &if content.is_integer() {
                product
            } else {
                format!("\\frac {{ {product} }} {{ {denominator} }}")
            };
            Ok(Output::Text(text))
        }
    }
}

fn collect(text: &str, symbol: &str, budget: &Budget) -> Called {
    let value = expression(&parse(text)?, budget)?;
    let symbol = expression(&parse(symbol)?, budget)?;
    let Some(symbol) = symbol.as_symbol() else { return error(NOT_READ) };
    let simple = simplified(&value, budget)?;
    let Ok(polynomial) = Polynomial::from_expr(&simple) else { return needless("collect") };
    let coefficients = polynomial.coefficients(symbol);
    if coefficients.len() < 2 || coefficients[1..].iter().all(|c| c.len() <= 1) {
        return needless("collect");
    }
    let terms = coefficients.iter().enumerate().rev().filter(|(_, c)| !c.is_zero());
    let texts = terms.map(|(power, coefficient)| {
        let inner = written_out(&coefficient.to_expr());
        let power = Expr::symbol(symbol).pow(power as i64);
        if power.as_number().is_some() {
            inner
        } else if coefficient.len() > 1 {
            format!("{} ( {inner} )", written_out(&power))
        } else {
            written_out(&(coefficient.to_expr() * power))
        }
    });
    let mut text = String::new();
    for term in texts {
        match (text.is_empty(), term.strip_prefix("- ")) {
            (true, _) => text = term,
            (false, Some(rest)) => text += &format!(" - {rest}"),
            (false, None) => text += &format!(" + {term}"),
        }
    }
    Ok(Output::Text(text))
}

/// LaTeX with blanks between tokens, without `\left` and `\right`.
fn written_out(value: &Expr) -> String {
    spaced(&value.to_latex())
}

fn spaced(latex: &str) -> String {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = latex;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\\' => {
                let letters = rest[1..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len() - 1);
                1 + letters.max(1)
            }
            c if c.is_ascii_digit() => {
                rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length.min(rest.len()));
        if !token.trim().is_empty() && token != "\\left" && token != "\\right" {
            tokens.push(token.to_string());
        }
        rest = after;
    }
    tokens.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What this thread has had of the processor.
    fn processor_time() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// The margin is that of the longest single step between two looks at the budget, in a build without optimisation.
    #[test]
    fn hostile_calls_end_within_their_time() {
        const MARGIN: Duration = Duration::from_millis(60);
        let many = |count: usize, item: &dyn Fn(usize) -> String| {
            (0..count).map(item).collect::<Vec<_>>().join(" + ")
        };
        let texts = [
            ("calculate", many(150, &|n| format!("\\sqrt{{{}}}", n + 2))),
            ("calculate", many(150, &|n| format!("\\frac{{1}}{{\\sqrt{{{}}}+1}}", n + 2))),
            ("expand", "(x+y+z+1)^{60}".into()),
            ("expand", "(x+1)(y+2)(z+3)(u+4)(v+5)".repeat(12)),
            ("factor", "x^{180}-1".into()),
            ("factor", "(x^{20}+y^{20}+1)^{6}".into()),
            ("solve_eq", many(90, &|n| format!("\\frac{{1}}{{x+{n}}}")) + " = 1"),
            ("solve_eq", many(8, &|n| format!("\\sqrt{{x+{n}}}")) + " = 50"),
            ("solve_eq", many(12, &|n| format!("|x-{n}|")) + " = 30"),
            ("solve_ineq", many(60, &|n| format!("x^{{{}}}", n + 1)) + " > 1"),
            ("complete_the_square", many(200, &|n| format!("\\frac{{x^2}}{{{}}}", 2 * n + 1))),
        ];
        for (tool, text) in texts {
            let start = processor_time();
            let _ = call(tool, &[Argument::Text(text.clone())]);
            let time = processor_time() - start;
            assert!(time < TIME + MARGIN, "{tool} {text}: {time:?}");
        }
        let sides = (0..6).map(|n| format!("x_{n}^3 + x_{}^2 y_{n} = {n}", (n + 1) % 6)).collect();
        let start = processor_time();
        let _ = call("solve_multi_eq", &[Argument::List(sides)]);
        assert!(processor_time() - start < TIME + MARGIN);
    }
}
