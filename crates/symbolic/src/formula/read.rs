//! Reading: tokens to a tree by recursive descent, from lists down to single symbols.

use super::token::{Token, numeral, tokens};
use super::{Formula, LARGEST_DEPTH, NamedConstant, Numeral, Operation, Separator, SetOperation, Sign};

/// The longest text that is read, in bytes.
const LONGEST_TEXT: usize = 20_000;

/// The longest run of letters that may be a product, in characters.
const LONGEST_WORD: usize = 64;

/// Why a text is not a formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A character that has no meaning in formulae.
    #[error("`{0}` has no meaning in a formula")]
    Character(char),
    /// A command without a meaning here.
    #[error("`\\{0}` has no meaning here")]
    Command(String),
    /// The text ends where something should follow, or holds something where nothing should.
    #[error("the formula is incomplete")]
    End,
    /// Nested more deeply than [`LARGEST_DEPTH`].
    #[error("the formula is nested too deeply")]
    TooDeep,
    /// Too long a text or number.
    #[error("the formula or a number in it is too long")]
    TooLong,
}

/// How formulae are read where the notation leaves a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether a whole number directly before a fraction of whole numbers is added to it.
    pub mixed_numbers: bool,
    /// Whether `i` is the imaginary unit.
    pub imaginary_unit: bool,
}

impl Default for Reading {
    /// As answers are written: `3\frac12` is 7/2, `i` the imaginary unit.
    fn default() -> Self {
        Reading { mixed_numbers: true, imaginary_unit: true }
    }
}

impl Formula {
    /// The formula that `text` is, in LaTeX or plain notation or a mixture.
    ///
    /// # Errors
    /// [`ReadError`] for what is not a formula. There is no other failure on any text.
    pub fn read(text: &str, reading: Reading) -> Result<Formula, ReadError> {
        if text.len() > LONGEST_TEXT {
            return Err(ReadError::TooLong);
        }
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens, position: 0, depth: 0, bars: 0, reading };
        let formula = parser.list(&[])?;
        if parser.position < parser.tokens.len() { Err(ReadError::End) } else { Ok(formula) }
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
    /// How many bars of absolute values are open.
    bars: usize,
    reading: Reading,
}

type Read = Result<Formula, ReadError>;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn peek_after(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.position + ahead)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.position += usize::from(found);
        found
    }

    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Read) -> Read {
        self.depth += 1;
        if self.depth > LARGEST_DEPTH {
            return Err(ReadError::TooDeep);
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Items with separators between them; one item stays itself. `ends` are the tokens after which no item follows.
    fn list(&mut self, ends: &[Token]) -> Read {
        let mut items = vec![self.nested(Self::chain)?];
        let mut separator = Separator::Comma;
        loop {
            let word = match self.peek() {
                Some(Token::Comma) => Some(Separator::Comma),
                Some(Token::Letters(word) | Token::Text(word)) => separating_word(word),
                Some(Token::Command(word)) if word == "vee" || word == "lor" => Some(Separator::Or),
                Some(Token::Command(word)) if word == "wedge" || word == "land" => Some(Separator::And),
                _ => None,
            };
            let Some(found) = word else { break };
            self.position += 1;
            if found != Separator::Comma {
                separator = found;
            }
            // A comma before a word, and a comma at the end.
            if let Some(Token::Letters(word) | Token::Text(word)) = self.peek()
                && let Some(found) = separating_word(word)
            {
                separator = found;
                self.position += 1;
            }
            match self.peek() {
                None => break,
                Some(token) if ends.contains(token) => break,
                Some(_) => items.push(self.nested(Self::chain)?),
            }
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Formula::List(items, separator) })
    }

    /// `a < b <= c`
    fn chain(&mut self) -> Read {
        let first = self.ratio()?;
        let mut relations = Vec::new();
        let mut sides = vec![first];
        while let Some(Token::Relation(relation)) = self.peek() {
            relations.push(*relation);
            self.position += 1;
            sides.push(self.ratio()?);
        }
        Ok(if relations.is_empty() { sides.remove(0) } else { Formula::Chain(sides, relations) })
    }

    fn ratio(&mut self) -> Read {
        let mut parts = vec![self.sets()?];
        while self.take(&Token::Colon) {
            parts.push(self.sets()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::Ratio(parts) })
    }

    fn sets(&mut self) -> Read {
        let mut operands = vec![self.sum()?];
        let mut operations: Vec<SetOperation> = Vec::new();
        loop {
            let operation = match self.peek() {
                Some(Token::Sets(operation)) => *operation,
                // A capital U between intervals.
                Some(Token::Letters(word)) if word == "U" && is_opening(self.peek_after(1)) => {
                    SetOperation::Union
                }
                _ => break,
            };
            self.position += 1;
            operations.push(operation);
            operands.push(self.sum()?);
        }
        Ok(if operations.is_empty() { operands.remove(0) } else { Formula::Sets(operands, operations) })
    }

    fn sum(&mut self) -> Read {
        let mut terms = Vec::new();
        loop {
            let sign = match self.peek() {
                Some(Token::Plus) => Some(Sign::Plus),
                Some(Token::Minus) => Some(Sign::Minus),
                Some(Token::PlusMinus) => Some(Sign::PlusMinus),
                Some(Token::MinusPlus) => Some(Sign::MinusPlus),
                _ => None,
            };
            self.position += usize::from(sign.is_some());
            match sign {
                None if terms.is_empty() => terms.push((Sign::Plus, self.product()?)),
                None => break,
                Some(sign) => terms.push((sign, self.signed_product()?)),
            }
        }
        Ok(match terms.as_slice() {
            [(Sign::Plus, _)] => terms.remove(0).1,
            _ => Formula::Sum(terms),
        })
    }

    /// A product that may have a sign of its own, as after another sign: `3 - -2`.
    fn signed_product(&mut self) -> Read {
        match self.peek() {
            Some(Token::Minus) => {
                self.position += 1;
                let inner = self.nested(Self::signed_product)?;
                Ok(Formula::Sum(vec![(Sign::Minus, inner)]))
            }
            Some(Token::Plus) => {
                self.position += 1;
                self.nested(Self::signed_product)
            }
            _ => self.product(),
        }
    }

    fn product(&mut self) -> Read {
        let mut factors: Vec<Formula> = vec![self.power()?];
        let mut follows_directly = true;
        loop {
            match self.peek() {
                Some(Token::Times) => {
                    self.position += 1;
                    factors.push(self.signed_power()?);
                    follows_directly = false;
                }
                Some(Token::Over) => {
                    self.position += 1;
                    let divisor = self.signed_power()?;
                    // A mixed number of plain text: 1 3/4.
                    if let (Some(Formula::Number(numerator)), Formula::Number(denominator)) =
                        (factors.last(), &divisor)
                        && factors.len() == 2
                        && let Formula::Number(whole) = &factors[0]
                        && follows_directly
                        && self.reading.mixed_numbers
                        && [whole, numerator, denominator].iter().all(|n| is_plain_integer(n))
                    {
                        let numerator = factors.remove(1);
                        let whole = factors.remove(0);
                        let fraction = Formula::Quotient(Box::new(numerator), Box::new(divisor));
                        factors.push(Formula::Mixed(Box::new(whole), Box::new(fraction)));
                        continue;
                    }
                    factors.push(Formula::Inverse(Box::new(divisor)));
                    follows_directly = false;
                }
                Some(Token::Blank) => self.position += 1,
                Some(token) if self.starts_factor(token) => {
                    let factor = self.power()?;
                    if self.reading.mixed_numbers
                        && factors.len() == 1
                        && let (Formula::Number(whole), Formula::Quotient(numerator, denominator)) =
                            (&factors[0], &factor)
                        && let (Formula::Number(a), Formula::Number(b)) =
                            (numerator.as_ref(), denominator.as_ref())
                        && [whole, a, b].iter().all(|n| is_plain_integer(n))
                    {
                        let whole = factors.remove(0);
                        factors.push(Formula::Mixed(Box::new(whole), Box::new(factor)));
                    } else {
                        factors.push(factor);
                    }
                }
                _ => break,
            }
        }
        Ok(if factors.len() == 1 { factors.remove(0) } else { Formula::Product(factors) })
    }

    /// Whether a token may begin a factor without a sign of multiplication before it.
    fn starts_factor(&self, token: &Token) -> bool {
        match token {
            Token::Number(_) | Token::Open(_) | Token::GroupOpen | Token::Begin(_) | Token::Currency(_) => {
                true
            }
            Token::Text(text) => separating_word(text).is_none(),
            Token::Letters(word) => {
                separating_word(word).is_none() && !(word == "U" && is_opening(self.peek_after(1)))
            }
            Token::Command(name) => {
                !matches!(name.as_str(), "rfloor" | "rceil" | "choose" | "vee" | "wedge" | "lor" | "land")
            }
            Token::Bar => self.bars == 0,
            _ => false,
        }
    }

    fn signed_power(&mut self) -> Read {
        match self.peek() {
            Some(Token::Minus) => {
                self.position += 1;
                let inner = self.nested(Self::signed_power)?;
                Ok(Formula::Sum(vec![(Sign::Minus, inner)]))
            }
            Some(Token::Plus) => {
                self.position += 1;
                self.nested(Self::signed_power)
            }
            _ => self.power(),
        }
    }

    /// A primary with what stands behind it: powers, factorials, percent and degree signs.
    fn power(&mut self) -> Read {
        let is_bare = matches!(self.peek(), Some(Token::Letters(_)));
        let mut base = self.nested(Self::primary)?;
        let mut postfixes = 0;
        loop {
            postfixes += 1;
            if postfixes > 8 {
                return Err(ReadError::TooDeep);
            }
            match self.peek() {
                Some(Token::Power) => {
                    self.position += 1;
                    let braced = self.peek() == Some(&Token::GroupOpen);
                    if self.take_degree(braced) {
                        base = Formula::Degrees(Box::new(base));
                        continue;
                    }
                    let exponent = self.nested(Self::exponent)?;
                    // The power of `(ab)^2` is that of a product; bare letters keep their word, which may be a unit.
                    if let (false, Formula::Word(word)) = (is_bare, &base) {
                        base = Formula::product_of_letters(word);
                    }
                    base = Formula::Power(Box::new(base), Box::new(exponent));
                }
                Some(Token::Factorial) => {
                    self.position += 1;
                    base = Formula::Apply(Operation::Factorial, vec![base]);
                }
                Some(Token::Percent) => {
                    self.position += 1;
                    base = Formula::Percent(Box::new(base));
                }
                Some(Token::Degree) => {
                    self.position += 1;
                    base = Formula::Degrees(Box::new(base));
                }
                Some(Token::Letters(word)) if word == "percent" => {
                    self.position += 1;
                    base = Formula::Percent(Box::new(base));
                }
                Some(Token::Text(text)) if matches!(text.trim(), "percent" | "%" | "\\%") => {
                    self.position += 1;
                    base = Formula::Percent(Box::new(base));
                }
                Some(Token::Subscript) => {
                    self.position += 1;
                    let subscript = self.subscript()?;
                    base = match base {
                        Formula::Number(digits) => {
                            let number: u32 = subscript.parse().map_err(|_| ReadError::End)?;
                            Formula::Based(digits.text, number)
                        }
                        Formula::Symbol(name) => Formula::Symbol(format!("{name}_{subscript}")),
                        // The subscript belongs to the last letter alone.
                        Formula::Word(word) => {
                            let mut letters: Vec<String> = word.chars().map(String::from).collect();
                            if let Some(last) = letters.last_mut() {
                                *last = format!("{last}_{subscript}");
                            }
                            Formula::Product(letters.into_iter().map(Formula::Symbol).collect())
                        }
                        _ => return Err(ReadError::End),
                    };
                }
                _ => return Ok(base),
            }
        }
    }

    /// Whether a degree sign in an exponent was taken: `^\circ` or `^{\circ}`.
    fn take_degree(&mut self, braced: bool) -> bool {
        let start = self.position;
        self.position += usize::from(braced);
        let found = self.take(&Token::Degree) && (!braced || self.take(&Token::GroupClose));
        if !found {
            self.position = start;
        }
        found
    }

    /// An exponent: in braces, or one token of LaTeX, or a signed power of plain text (`2^10`, `x^-1`).
    fn exponent(&mut self) -> Read {
        match self.peek() {
            Some(Token::Minus | Token::Plus) => self.signed_power(),
            Some(Token::Number(_)) => {
                let number = self.primary()?;
                // Powers of powers from the right: 2^3^2.
                if self.take(&Token::Power) {
                    let exponent = self.nested(Self::exponent)?;
                    return Ok(Formula::Power(Box::new(number), Box::new(exponent)));
                }
                Ok(number)
            }
            _ => self.primary(),
        }
    }

    fn subscript(&mut self) -> Result<String, ReadError> {
        let braced = self.take(&Token::GroupOpen);
        let mut text = String::new();
        loop {
            match self.peek() {
                Some(Token::Number(number)) => text.push_str(&number.text),
                Some(Token::Letters(letters)) if braced || letters.chars().count() == 1 => {
                    text.push_str(letters)
                }
                Some(Token::Text(letters) | Token::Command(letters)) => text.push_str(letters.trim()),
                Some(Token::Plus) if braced => text.push('+'),
                Some(Token::Minus) if braced => text.push('-'),
                Some(Token::Comma) if braced => text.push(','),
                _ => return Err(ReadError::End),
            }
            self.position += 1;
            if !braced {
                return Ok(text);
            }
            if self.take(&Token::GroupClose) {
                return Ok(text);
            }
        }
    }

    fn primary(&mut self) -> Read {
        let token = self.peek().cloned().ok_or(ReadError::End)?;
        self.position += 1;
        match token {
            Token::Number(number) => self.repeating(number),
            Token::Letters(word) => self.word(word),
            Token::Command(name) => self.command(name),
            Token::Text(text) => Ok(Formula::Text(text)),
            Token::Currency(sign) => {
                // The sign stands before or after its amount.
                match self.peek() {
                    Some(Token::Number(_) | Token::Minus | Token::Command(_) | Token::Open(_)) => {
                        let amount = self.nested(Self::signed_power)?;
                        Ok(Formula::Currency(sign, Box::new(amount)))
                    }
                    _ => Ok(Formula::Text(sign)),
                }
            }
            Token::Open(open) => self.group(open),
            Token::GroupOpen => {
                if self.take(&Token::GroupClose) {
                    return Ok(Formula::Set(Vec::new()));
                }
                let bars = std::mem::take(&mut self.bars);
                let inner = self.nested(|parser| parser.list(&[Token::GroupClose]))?;
                self.bars = bars;
                if let Some(Token::Command(name)) = self.peek()
                    && name == "choose"
                {
                    self.position += 1;
                    let below = self.nested(Self::sum)?;
                    self.expect(&Token::GroupClose)?;
                    return Ok(Formula::Apply(Operation::Binomial, vec![inner, below]));
                }
                self.expect(&Token::GroupClose)?;
                // Braces with several things in them can only be meant as a set.
                Ok(match inner {
                    Formula::List(items, Separator::Comma) => Formula::Set(items),
                    other => other,
                })
            }
            Token::Bar => {
                self.bars += 1;
                let inner = self.nested(Self::sum)?;
                self.expect(&Token::Bar)?;
                self.bars -= 1;
                Ok(Formula::Apply(Operation::Absolute, vec![inner]))
            }
            Token::Begin(environment) => self.environment(&environment),
            _ => Err(ReadError::End),
        }
    }

    fn expect(&mut self, token: &Token) -> Result<(), ReadError> {
        if self.take(token) { Ok(()) } else { Err(ReadError::End) }
    }

    /// A decimal with a repeating part: `0.1\overline{6}`.
    fn repeating(&mut self, number: Numeral) -> Read {
        let is_overline = matches!(self.peek(), Some(Token::Command(name)) if name == "overline");
        let period = match (self.peek_after(1), self.peek_after(2), self.peek_after(3)) {
            (Some(Token::GroupOpen), Some(Token::Number(period)), Some(Token::GroupClose)) if is_overline => {
                period.text.clone()
            }
            _ => return Ok(Formula::Number(number)),
        };
        // The lexer drops a point without digits after it, as in `0.\overline{3}`.
        let is_decimal = number.decimals.is_some() || number.text == "0";
        if !is_decimal || !period.bytes().all(|c| c.is_ascii_digit()) {
            return Ok(Formula::Number(number));
        }
        self.position += 4;
        let decimals = number.decimals.unwrap_or(0) as usize;
        let nines = numeral(&"9".repeat(period.len()))?.value;
        let scale = numeral(&format!("1{}", "0".repeat(decimals)))?.value;
        let (Some(nines), Some(scale)) = (nines.reciprocal(), scale.reciprocal()) else {
            return Err(ReadError::End);
        };
        let tail = &(&numeral(&period)?.value * &nines) * &scale;
        let text = format!("{}({period})", number.text);
        Ok(Formula::Number(Numeral { value: &number.value + &tail, text, decimals: None }))
    }

    /// What letters of plain text are: a name, an operation with its argument, or letters.
    fn word(&mut self, word: String) -> Read {
        if let Some(operation) = operation(&word)
            && !(word.len() == 3 && matches!(self.peek(), None | Some(Token::Comma)))
        {
            return self.application(operation);
        }
        Ok(match word.as_str() {
            "sqrt" => return self.root(),
            "pi" => Formula::Constant(NamedConstant::Pi),
            "inf" | "infinity" | "Infinity" | "oo" => Formula::Constant(NamedConstant::Infinity),
            "e" => Formula::Constant(NamedConstant::E),
            "i" if self.reading.imaginary_unit => Formula::Constant(NamedConstant::I),
            _ => match word.chars().count() {
                1 => Formula::Symbol(word),
                2..=LONGEST_WORD => Formula::Word(word),
                _ => return Err(ReadError::TooLong),
            },
        })
    }

    fn command(&mut self, name: String) -> Read {
        if let Some(operation) = operation(&name) {
            return self.application(operation);
        }
        match name.as_str() {
            "frac" | "dfrac" | "tfrac" | "cfrac" => {
                let numerator = self.nested(Self::argument)?;
                let denominator = self.nested(Self::argument)?;
                Ok(Formula::Quotient(Box::new(numerator), Box::new(denominator)))
            }
            "binom" | "dbinom" | "tbinom" => {
                let above = self.nested(Self::argument)?;
                let below = self.nested(Self::argument)?;
                Ok(Formula::Apply(Operation::Binomial, vec![above, below]))
            }
            "sqrt" => self.root(),
            "pi" => Ok(Formula::Constant(NamedConstant::Pi)),
            "infty" => Ok(Formula::Constant(NamedConstant::Infinity)),
            "imath" | "mathrm" => Err(ReadError::Command(name)),
            "emptyset" | "varnothing" => Ok(Formula::Set(Vec::new())),
            "mathbb" | "Bbb" => {
                let tokens = self.tokens.get(self.position..).unwrap_or_default();
                let letter = match tokens {
                    [Token::GroupOpen, Token::Letters(letter), Token::GroupClose, ..] => {
                        self.position += 3;
                        only_letter(letter)
                    }
                    [Token::Letters(letter), ..] => {
                        self.position += 1;
                        only_letter(letter)
                    }
                    _ => None,
                };
                letter.map(Formula::NamedSet).ok_or(ReadError::End)
            }
            "R" => Ok(Formula::NamedSet('R')),
            "overline" | "bar" | "vec" | "hat" | "overrightarrow" | "overleftrightarrow" | "widehat"
            | "mathcal" | "underline" | "boxed" | "fbox" | "ensuremath" | "tilde" | "phantom" => {
                self.nested(Self::argument)
            }
            "lfloor" | "lceil" => {
                let (operation, close) = if name == "lfloor" {
                    (Operation::Floor, "rfloor")
                } else {
                    (Operation::Ceiling, "rceil")
                };
                let inner = self.nested(Self::sum)?;
                self.expect(&Token::Command(close.to_string()))?;
                Ok(Formula::Apply(operation, vec![inner]))
            }
            "angle" | "triangle" | "square" | "prime" | "neg" | "dots" | "ldots" | "cdots" | "sum"
            | "int" | "prod" | "lim" | "forall" | "exists" | "implies" | "Rightarrow" | "not" | "hline" => {
                Err(ReadError::Command(name))
            }
            _ if name.len() <= 10 => Ok(Formula::Symbol(name)),
            _ => Err(ReadError::Command(name)),
        }
    }

    /// The argument of a LaTeX command: braces or one token; of two digits in one numeral only the first.
    fn argument(&mut self) -> Read {
        if let Some(Token::Number(number)) = self.peek()
            && number.text.len() > 1
            && is_plain_integer(number)
        {
            let (first, rest) = number.text.split_at(1);
            let (first, rest) = (numeral(first)?, numeral(rest)?);
            self.tokens[self.position] = Token::Number(rest);
            return Ok(Formula::Number(first));
        }
        if let Some(Token::Letters(word)) = self.peek()
            && word.chars().count() > 1
        {
            let mut letters = word.chars();
            let first = letters.next().map(String::from).unwrap_or_default();
            self.tokens[self.position] = Token::Letters(letters.collect());
            return self.word(first);
        }
        self.take(&Token::Blank);
        self.primary()
    }

    fn root(&mut self) -> Read {
        // The lexer has made an interval's bracket of the degree's.
        if self.take(&Token::Open('[')) {
            let degree = self.nested(Self::sum)?;
            self.expect(&Token::Close(']'))?;
            let radicand = self.nested(Self::argument)?;
            return Ok(Formula::Apply(Operation::Root, vec![degree, radicand]));
        }
        let radicand = self.nested(Self::root_argument)?;
        Ok(Formula::Apply(Operation::SquareRoot, vec![radicand]))
    }

    /// A whole number stays one in `\sqrt12`, which nobody means as √1 times 2.
    fn root_argument(&mut self) -> Read {
        if let Some(Token::Number(number)) = self.peek().cloned() {
            self.position += 1;
            return Ok(Formula::Number(number));
        }
        self.argument()
    }

    /// The argument of a function: what is in parentheses, or all factors up to the next function.
    fn application(&mut self, operation: Operation) -> Read {
        let mut operation = operation;
        let mut base = None;
        let mut power = None;
        for _ in 0..2 {
            if self.take(&Token::Subscript) {
                base = Some(self.nested(Self::subscript_argument)?);
            }
            if self.take(&Token::Power) {
                let exponent = self.nested(Self::exponent)?;
                let is_minus_one = matches!(&exponent, Formula::Sum(terms) if matches!(terms.as_slice(),
                    [(Sign::Minus, Formula::Number(one))] if one.value.is_one()));
                match operation {
                    Operation::Sin if is_minus_one => operation = Operation::Asin,
                    Operation::Cos if is_minus_one => operation = Operation::Acos,
                    Operation::Tan if is_minus_one => operation = Operation::Atan,
                    _ => power = Some(exponent),
                }
            }
        }
        self.take(&Token::Blank);
        let arguments = match self.peek() {
            Some(Token::Open('(' | 'S')) | Some(Token::GroupOpen) => {
                let open = self.peek() == Some(&Token::Open('('));
                match self.nested(Self::primary)? {
                    Formula::Group(_, items, _) => items,
                    Formula::Set(items) if !open => items,
                    other => vec![other],
                }
            }
            _ => vec![self.nested(Self::bare_argument)?],
        };
        let mut arguments = arguments;
        if let Some(base) = base {
            arguments.insert(0, base);
        }
        let is_many = matches!(
            operation,
            Operation::Maximum
                | Operation::Minimum
                | Operation::GreatestCommonDivisor
                | Operation::LeastCommonMultiple
        );
        let count = arguments.len();
        if !(count == 1 || is_many || (count == 2 && operation == Operation::Log)) {
            return Err(ReadError::End);
        }
        let applied = Formula::Apply(operation, arguments);
        Ok(match power {
            Some(power) => Formula::Power(Box::new(applied), Box::new(power)),
            None => applied,
        })
    }

    /// The base of a logarithm: one digit of a longer numeral when an argument must follow.
    fn subscript_argument(&mut self) -> Read {
        match (self.peek(), self.peek_after(1)) {
            (Some(Token::Number(_)), Some(_)) => self.primary(),
            _ => self.argument(),
        }
    }

    /// Factors up to the next function, sum or separator.
    fn bare_argument(&mut self) -> Read {
        let sign = self.take(&Token::Minus);
        let mut factors = vec![self.power()?];
        while let Some(token) = self.peek() {
            let is_function = match token {
                Token::Letters(word) => operation(word).is_some(),
                Token::Command(name) => operation(name).is_some(),
                Token::Open(_) | Token::Text(_) => true,
                _ => false,
            };
            if is_function || !self.starts_factor(token) {
                break;
            }
            factors.push(self.power()?);
        }
        let argument = if factors.len() == 1 { factors.remove(0) } else { Formula::Product(factors) };
        Ok(if sign { Formula::Sum(vec![(Sign::Minus, argument)]) } else { argument })
    }

    /// What stands in brackets, the opening one being taken.
    fn group(&mut self, open: char) -> Read {
        // A bar in a set starts a condition.
        let bars = std::mem::replace(&mut self.bars, usize::from(open == 'S'));
        let mut items = Vec::new();
        let mut separator = Separator::Comma;
        if !matches!(self.peek(), Some(Token::Close(_))) {
            let ends = [Token::Close(')'), Token::Close(']'), Token::Close('S')];
            match self.nested(|parser| parser.list(&ends))? {
                Formula::List(list, found) => (items, separator) = (list, found),
                single => items.push(single),
            }
        }
        self.bars = bars;
        // Sets by a condition: only the condition is kept.
        if open == 'S' && self.take(&Token::Bar) {
            let condition = self.nested(|parser| parser.list(&[Token::Close('S')]))?;
            self.expect(&Token::Close('S'))?;
            return Ok(condition);
        }
        let Some(Token::Close(close)) = self.peek().cloned() else { return Err(ReadError::End) };
        self.position += 1;
        if (open == 'S') != (close == 'S') {
            return Err(ReadError::End);
        }
        Ok(match (open, close) {
            ('S', _) => Formula::Set(items),
            ('(', ')') | ('[', ']') if items.len() == 1 => items.remove(0),
            _ if separator != Separator::Comma => Formula::List(items, separator),
            _ => Formula::Group(open, items, close),
        })
    }

    /// The rows of a matrix, `\begin{...}` being taken.
    fn environment(&mut self, environment: &str) -> Read {
        let is_matrix = matches!(
            environment,
            "pmatrix"
                | "bmatrix"
                | "matrix"
                | "Bmatrix"
                | "smallmatrix"
                | "psmallmatrix"
                | "array"
                | "vmatrix"
        );
        let is_cases = matches!(environment, "cases" | "aligned" | "align" | "split" | "gathered");
        if !is_matrix && !is_cases {
            return Err(ReadError::Command(environment.to_string()));
        }
        let mut rows: Vec<Vec<Formula>> = Vec::new();
        let mut row = Vec::new();
        loop {
            match self.peek() {
                Some(Token::End(end)) if end == environment => {
                    self.position += 1;
                    break;
                }
                Some(Token::Row) => {
                    self.position += 1;
                    if !row.is_empty() {
                        rows.push(std::mem::take(&mut row));
                    }
                }
                Some(Token::Ampersand | Token::Blank) => self.position += 1,
                Some(_) => row.push(self.nested(|parser| parser.list(&[Token::Row, Token::Ampersand]))?),
                None => return Err(ReadError::End),
            }
        }
        if !row.is_empty() {
            rows.push(row);
        }
        if is_cases {
            return Ok(Formula::List(rows.into_iter().flatten().collect(), Separator::And));
        }
        let width = rows.first().map_or(0, Vec::len);
        if width == 0 || rows.iter().any(|row| row.len() != width) {
            return Err(ReadError::End);
        }
        Ok(Formula::Matrix(rows))
    }
}

fn only_letter(letters: &str) -> Option<char> {
    let mut characters = letters.chars();
    characters.next().filter(|_| characters.next().is_none())
}

fn is_opening(token: Option<&Token>) -> bool {
    matches!(token, Some(Token::Open(_) | Token::GroupOpen))
}

fn is_plain_integer(number: &Numeral) -> bool {
    number.decimals.is_none() && number.value.is_integer()
}

/// The separator that a word is.
fn separating_word(word: &str) -> Option<Separator> {
    match word.trim().trim_matches(|c| c == ',' || c == ' ') {
        "and" | "," if !word.contains("or") => Some(Separator::And),
        "or" | "或" => Some(Separator::Or),
        "且" | "和" => Some(Separator::And),
        _ => None,
    }
}

fn operation(name: &str) -> Option<Operation> {
    Some(match name {
        "sin" => Operation::Sin,
        "cos" => Operation::Cos,
        "tan" | "tg" => Operation::Tan,
        "cot" | "ctg" => Operation::Cot,
        "sec" => Operation::Sec,
        "csc" => Operation::Csc,
        "arcsin" | "asin" => Operation::Asin,
        "arccos" | "acos" => Operation::Acos,
        "arctan" | "atan" => Operation::Atan,
        "sinh" => Operation::Sinh,
        "cosh" => Operation::Cosh,
        "tanh" => Operation::Tanh,
        "exp" => Operation::Exp,
        "ln" | "log" => Operation::Log,
        "max" => Operation::Maximum,
        "min" => Operation::Minimum,
        "gcd" => Operation::GreatestCommonDivisor,
        "lcm" => Operation::LeastCommonMultiple,
        "abs" => Operation::Absolute,
        _ => return None,
    })
}
