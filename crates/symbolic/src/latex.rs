//! LaTeX notation.

use crate::expression::{Constant, Kind};
use crate::print::{Factor, Fraction, is_half, written_terms};
use crate::{Expr, Function};

impl Expr {
    /// This in LaTeX, for mathematics mode: `\frac{x^{2}}{2}`, `u_{xx}`, `\sin\left(x\right)`.
    pub fn to_latex(&self) -> String {
        match self.kind() {
            Kind::Constant(Constant::E) => "e".to_string(),
            Kind::Constant(Constant::Pi) => "\\pi".to_string(),
            Kind::Symbol(symbol) => latex_name(symbol.name()),
            Kind::Undefined => "\\text{undefined}".to_string(),
            Kind::Function(Function::Abs, argument) => format!("\\left|{}\\right|", argument.to_latex()),
            Kind::Function(function, argument) => {
                format!("{}\\left({}\\right)", function_name(*function), argument.to_latex())
            }
            Kind::Sum(constant, terms) => {
                let mut text = String::new();
                for (index, term) in written_terms(constant, terms).iter().enumerate() {
                    let fraction = Fraction::of(term);
                    text += match (index, fraction.is_negative) {
                        (0, false) => "",
                        (0, true) => "-",
                        (_, false) => " + ",
                        (_, true) => " - ",
                    };
                    text += &fraction_text(&fraction);
                }
                text
            }
            Kind::Number(value) if value.is_integer() => value.to_string(),
            Kind::Number(value) => {
                let sign = if value.is_negative() { "-" } else { "" };
                format!("{sign}\\frac{{{}}}{{{}}}", value.abs().numerator(), value.denominator())
            }
            Kind::Power(..) | Kind::Product(..) => {
                let fraction = Fraction::of(self);
                let sign = if fraction.is_negative { "-" } else { "" };
                format!("{sign}{}", fraction_text(&fraction))
            }
        }
    }
}

fn fraction_text(fraction: &Fraction) -> String {
    let numerator = factors_text(&fraction.numerator);
    if fraction.denominator.is_empty() {
        return numerator;
    }
    // What stands alone above or below the bar needs no parentheses.
    let alone = |factors: &[Factor]| match factors {
        [(base, exponent)] if exponent.is_one() => base.to_latex(),
        factors => factors_text(factors),
    };
    format!("\\frac{{{}}}{{{}}}", alone(&fraction.numerator), alone(&fraction.denominator))
}

fn factors_text(factors: &[Factor]) -> String {
    let mut text = String::new();
    for (index, factor) in factors.iter().enumerate() {
        let next = factor_text(factor);
        if index > 0 {
            // Two numbers side by side would read as one.
            text += if next.starts_with(|c: char| c.is_ascii_digit()) { " \\cdot " } else { " " };
        }
        text += &next;
    }
    text
}

fn factor_text((base, exponent): &Factor) -> String {
    if matches!(base.kind(), Kind::Constant(Constant::E)) && !exponent.is_one() {
        return format!("e^{{{}}}", exponent.to_latex());
    }
    if is_half(exponent) {
        return format!("\\sqrt{{{}}}", base.to_latex());
    }
    let is_power = !exponent.is_one();
    if let (Kind::Function(function, argument), Some(power)) = (base.kind(), exponent.as_number())
        && is_power
        && power.is_integer()
        && *function != Function::Abs
    {
        return format!("{}^{{{power}}}\\left({}\\right)", function_name(*function), argument.to_latex());
    }
    let parenthesised = match base.kind() {
        Kind::Sum(..) | Kind::Product(..) => true,
        Kind::Number(value) => value.is_negative() || (is_power && !value.is_integer()),
        Kind::Power(_, inner) => is_power && !(is_half(inner)),
        _ => false,
    };
    let base = base.to_latex();
    let base = if parenthesised { format!("\\left({base}\\right)") } else { base };
    if is_power { format!("{base}^{{{}}}", exponent.to_latex()) } else { base }
}

fn function_name(function: Function) -> String {
    match function {
        Function::Asin => "\\arcsin".to_string(),
        Function::Acos => "\\arccos".to_string(),
        Function::Atan => "\\arctan".to_string(),
        Function::Sign => "\\operatorname{sign}".to_string(),
        other => format!("\\{}", other.name()),
    }
}

/// `u_xx` as `u_{xx}`, Greek letters by their commands, digits at the end as a subscript, longer names upright.
fn latex_name(name: &str) -> String {
    let (base, subscripts) = name.split_once('_').unwrap_or((name, ""));
    let letters = base.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &base[letters.len()..];
    let mut subscript: Vec<String> = Vec::new();
    if !digits.is_empty() {
        subscript.push(digits.to_string());
    }
    subscript.extend(subscripts.split('_').filter(|part| !part.is_empty()).map(|part| {
        let command = greek_command(part);
        command.map_or_else(|| part.to_string(), |command| format!("\\{command}"))
    }));
    let base = match greek_command(letters) {
        Some(command) => format!("\\{command}"),
        None if letters.is_empty() => "\\_".to_string(),
        None if letters.chars().count() == 1 => letters.to_string(),
        None => format!("\\mathrm{{{letters}}}"),
    };
    if subscript.is_empty() { base } else { format!("{base}_{{{}}}", subscript.join(",")) }
}

/// The command, without its backslash, for a Greek letter or its name.
fn greek_command(name: &str) -> Option<&'static str> {
    const LETTERS: [(&str, &str); 35] = [
        ("α", "alpha"),
        ("β", "beta"),
        ("γ", "gamma"),
        ("δ", "delta"),
        ("ε", "varepsilon"),
        ("ϵ", "epsilon"),
        ("ζ", "zeta"),
        ("η", "eta"),
        ("θ", "theta"),
        ("ϑ", "vartheta"),
        ("ι", "iota"),
        ("κ", "kappa"),
        ("λ", "lambda"),
        ("μ", "mu"),
        ("ν", "nu"),
        ("ξ", "xi"),
        ("ρ", "rho"),
        ("σ", "sigma"),
        ("τ", "tau"),
        ("υ", "upsilon"),
        ("φ", "varphi"),
        ("ϕ", "phi"),
        ("χ", "chi"),
        ("ψ", "psi"),
        ("ω", "omega"),
        ("Γ", "Gamma"),
        ("Δ", "Delta"),
        ("Θ", "Theta"),
        ("Λ", "Lambda"),
        ("Ξ", "Xi"),
        ("Π", "Pi"),
        ("Σ", "Sigma"),
        ("Φ", "Phi"),
        ("Ψ", "Psi"),
        ("Ω", "Omega"),
    ];
    LETTERS.iter().find(|(letter, command)| *letter == name || *command == name).map(|(_, command)| *command)
}
