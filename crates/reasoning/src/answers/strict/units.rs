//! Units: which words are units, and what they are worth in each other.

use std::collections::BTreeMap;

use mathesis_symbolic::Rational;
use mathesis_symbolic::formula::{Formula, Sign};

/// A unit: a factor times powers of base units. A word that no table knows is a base unit of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) factor: Rational,
    pub(super) dimension: BTreeMap<String, i64>,
}

impl Unit {
    fn base(name: &str, factor: Rational) -> Self {
        Unit { factor, dimension: BTreeMap::from([(name.to_string(), 1)]) }
    }

    fn times(&self, other: &Unit) -> Option<Unit> {
        let mut dimension = self.dimension.clone();
        for (name, exponent) in &other.dimension {
            *dimension.entry(name.clone()).or_insert(0) += exponent;
        }
        dimension.retain(|_, exponent| *exponent != 0);
        Some(Unit { factor: &self.factor * &other.factor, dimension })
    }

    fn power(&self, exponent: i64) -> Option<Unit> {
        if exponent.abs() > 8 {
            return None;
        }
        let factor = self.factor.checked_power(&Rational::from(exponent))?;
        let dimension = self.dimension.iter().map(|(name, e)| (name.clone(), e * exponent)).collect();
        Some(Unit { factor, dimension })
    }
}

pub(super) fn degree() -> Unit {
    Unit::base("degree", Rational::from(1))
}

pub(super) fn currency(sign: &str) -> Unit {
    match sign {
        "$" => Unit::base("dollar", Rational::from(1)),
        "€" => Unit::base("euro", Rational::from(1)),
        "£" => Unit::base("pound sterling", Rational::from(1)),
        other => Unit::base(other, Rational::from(1)),
    }
}

/// A unit by its name or abbreviation, singular or plural.
fn known(name: &str) -> Option<Unit> {
    let lower = name.trim_end_matches('.').to_lowercase();
    let find = |word: &str| {
        let (base, numerator, denominator) = match word {
            "mm" | "millimeter" | "millimetre" => ("meter", 1, 1000),
            "cm" | "centimeter" | "centimetre" => ("meter", 1, 100),
            "dm" | "decimeter" | "decimetre" => ("meter", 1, 10),
            "m" | "meter" | "metre" => ("meter", 1, 1),
            "km" | "kilometer" | "kilometre" => ("meter", 1000, 1),
            "in" | "inch" | "inche" => ("meter", 254, 10_000),
            "ft" | "foot" | "feet" => ("meter", 3048, 10_000),
            "yd" | "yard" => ("meter", 9144, 10_000),
            "mi" | "mile" => ("meter", 1_609_344, 1000),
            "mg" | "milligram" => ("gram", 1, 1000),
            "g" | "gm" | "gram" => ("gram", 1, 1),
            "kg" | "kilogram" => ("gram", 1000, 1),
            "lb" | "pound" => ("gram", 45_359_237, 100_000),
            "oz" | "ounce" => ("gram", 45_359_237, 1_600_000),
            "s" | "sec" | "second" => ("second", 1, 1),
            "min" | "minute" => ("second", 60, 1),
            "h" | "hr" | "hour" => ("second", 3600, 1),
            "day" => ("second", 86_400, 1),
            "week" => ("second", 604_800, 1),
            "month" => ("month", 1, 1),
            "yr" | "year" => ("month", 12, 1),
            "ml" | "milliliter" | "millilitre" => ("liter", 1, 1000),
            "l" | "liter" | "litre" => ("liter", 1, 1),
            "gal" | "gallon" => ("gallon", 1, 1),
            "deg" | "degree" => ("degree", 1, 1),
            "radian" | "rad" => ("radian", 1, 1),
            "dollar" | "usd" | "buck" => ("dollar", 1, 1),
            "cent" => ("dollar", 1, 100),
            "euro" => ("euro", 1, 1),
            "unit" => ("unit", 1, 1),
            _ => return None,
        };
        Some(Unit::base(base, Rational::new(numerator, denominator)?))
    };
    match lower.as_str() {
        "mph" => return known("mile")?.times(&known("hour")?.power(-1)?),
        "kph" | "kmh" => return known("km")?.times(&known("hour")?.power(-1)?),
        "cc" => return known("cm")?.power(3),
        "acre" | "acres" => return Some(Unit::base("acre", Rational::from(1))),
        _ => {}
    }
    find(&lower)
        .or_else(|| find(lower.strip_suffix("es")?))
        .or_else(|| find(lower.strip_suffix('s').filter(|stem| stem.len() > 1)?))
}

/// The unit that a lone letter may stand for beside an explicit one.
pub(super) fn letter(name: &str) -> Option<Unit> {
    if name.chars().count() == 1 { known(name) } else { None }
}

/// A unit of plain text: a known one of several letters, or any word of four or more small letters.
pub(super) fn plain_word(word: &str) -> Option<Unit> {
    if word.len() < 2 || !word.chars().all(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    let is_long = word.len() >= 4 && word.chars().all(|c| c.is_ascii_lowercase());
    known(word).or_else(|| is_long.then(|| opaque(word)))
}

fn opaque(word: &str) -> Unit {
    let lower = word.to_lowercase();
    let singular = lower.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(&lower);
    Unit::base(singular, Rational::from(1))
}

/// The unit that a text says: "square centimeters", "miles per hour", "mi/hr", "cm^2".
pub(super) fn phrase(text: &str) -> Option<Unit> {
    let spaced = text.replace('/', " / ").replace("\\ ", " ").replace('~', " ");
    let mut unit: Option<Unit> = None;
    let (mut is_below, mut power) = (false, 1i64);
    for word in spaced.split_whitespace() {
        match word.to_lowercase().as_str() {
            "/" | "per" => is_below = true,
            "square" | "sq" | "sq." => power = 2,
            "cubic" | "cu" | "cu." => power = 3,
            "of" | "the" | "a" | "an" => {}
            "squared" => unit = Some(unit?.power(2)?),
            "cubed" => unit = Some(unit?.power(3)?),
            _ => {
                let (name, exponent) = match word.split_once('^') {
                    Some((name, exponent)) => (name, exponent.trim_matches(['{', '}']).parse::<i64>().ok()?),
                    None => (word, 1),
                };
                let name = name.trim_end_matches(['.', ',']);
                if name.is_empty() || !name.chars().all(char::is_alphabetic) {
                    return None;
                }
                let exponent = exponent * power * if is_below { -1 } else { 1 };
                let part = known(name).unwrap_or_else(|| opaque(name)).power(exponent)?;
                unit = Some(match unit {
                    Some(unit) => unit.times(&part)?,
                    None => part,
                });
                (is_below, power) = (false, 1);
            }
        }
    }
    // "square units" without the word
    unit.or_else(|| (power > 1).then(|| Unit::base("unit", Rational::from(1)).power(power))?)
}

/// Take a formula apart into its number and its explicit unit.
pub(super) fn split(formula: &Formula) -> (Formula, Option<Unit>) {
    let whole = || (formula.clone(), None);
    match formula {
        Formula::Degrees(inner) => (inner.as_ref().clone(), Some(degree())),
        Formula::Currency(sign, amount) => (amount.as_ref().clone(), Some(currency(sign))),
        Formula::Sum(terms) => match terms.as_slice() {
            [(sign @ (Sign::Minus | Sign::Plus), inner)] => {
                let (inner, unit) = split(inner);
                (Formula::Sum(vec![(*sign, inner)]), unit)
            }
            // `a + b cm`: the unit of the last term is that of the sum.
            [.., (_, last)] => {
                let (inner, unit) = split(last);
                let is_product = matches!(last, Formula::Product(_));
                if unit.is_none() || !is_product {
                    return whole();
                }
                let mut terms = terms.clone();
                if let Some(term) = terms.last_mut() {
                    term.1 = inner;
                }
                (Formula::Sum(terms), unit)
            }
            _ => whole(),
        },
        Formula::Product(factors) => {
            let mut unit: Option<Unit> = None;
            let mut numbers = Vec::with_capacity(factors.len());
            let mut pending_power = None;
            for factor in factors {
                if let Formula::Text(text) = factor
                    && matches!(text.trim(), "square" | "sq" | "cubic")
                {
                    pending_power = Some(if text.trim() == "cubic" { 3 } else { 2 });
                    continue;
                }
                let mut part = factor_unit(factor);
                if let (Some(power), Some(found)) = (pending_power, &part) {
                    part = found.power(power);
                    pending_power = None;
                }
                match (part, factor) {
                    (Some(part), _) if !numbers.is_empty() => {
                        unit = match unit {
                            None => Some(part),
                            Some(unit) => unit.times(&part),
                        };
                    }
                    // 90^\circ within a product: the number stays.
                    (_, Formula::Degrees(inner)) => {
                        unit = Some(degree());
                        numbers.push(inner.as_ref().clone());
                    }
                    (_, Formula::Currency(sign, amount)) => {
                        unit = Some(currency(sign));
                        numbers.push(amount.as_ref().clone());
                    }
                    _ => numbers.push(factor.clone()),
                }
            }
            if unit.is_none() || numbers.is_empty() {
                return whole();
            }
            let number = if numbers.len() == 1 { numbers.remove(0) } else { Formula::Product(numbers) };
            (number, unit)
        }
        _ => whole(),
    }
}

/// The unit that one factor is.
fn factor_unit(factor: &Formula) -> Option<Unit> {
    match factor {
        Formula::Text(text) => phrase(text),
        Formula::Word(word) => plain_word(word),
        Formula::Power(base, exponent) => {
            let exponent = exponent.exact(&BTreeMap::new(), &super::unlimited())?;
            let exponent = i64::try_from(exponent.is_integer().then(|| exponent.numerator())?).ok()?;
            factor_unit(base)?.power(exponent)
        }
        Formula::Inverse(inner) => factor_unit(inner)?.power(-1),
        _ => None,
    }
}
