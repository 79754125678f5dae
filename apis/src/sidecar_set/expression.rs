//! Expressions of `resourcesPolicy`, such as `max(cpu*50%, 50m)`: parsed once, computed exactly.
//!
//! There are numbers (`2`, `50%`) and amounts (`50m`, `1Gi`, and the variable). A number may stand
//! for an amount; amounts cannot be multiplied with one another, and nothing is divided by one.

use crate::quantity::{NANOS, Quantity};

/// A text longer than that is refused: whoever writes it decides how long every Pod takes.
const TEXT_MAX: usize = 256;
/// How deep parentheses may be.
const DEPTH_MAX: usize = 32;

/// What an expression computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `cpu`, in whole thousandths.
    Cpu,
    /// `memory`, in whole bytes.
    Memory,
}

impl Variable {
    /// As it is called in expressions, and as a resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    fn quantity(self, nanos: i128) -> Quantity {
        match self {
            Self::Cpu => Quantity::decimal(nanos).round_up(NANOS / 1000),
            Self::Memory => Quantity::binary(nanos).round_up(NANOS),
        }
    }
}

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    root: Node,
    variable: Variable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Literal(i128),
    Variable,
    Both(Operation, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Max,
    Min,
}

/// Whether something is counted or measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Amount,
}

impl Expression {
    /// Reads an expression of one variable.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str, variable: Variable) -> Result<Self, String> {
        if text.len() > TEXT_MAX {
            return Err(format!("is longer than {TEXT_MAX} characters"));
        }
        let mut parser = Parser {
            rest: text,
            variable,
            depth: 0,
        };
        let (root, _) = parser.sum().map_err(|why| format!("{text:?} {why}"))?;
        if !parser.peek().is_empty() {
            return Err(format!("{text:?} has {:?} left over", parser.rest));
        }
        Ok(Self { root, variable })
    }

    /// What comes of it where the variable is so many billionths.
    ///
    /// # Errors
    /// A sentence that says why nothing comes of it.
    pub fn evaluate(&self, variable: i128) -> Result<Quantity, String> {
        let nanos = self.root.evaluate(variable)?;
        if nanos < 0 {
            return Err(format!(
                "is negative where {} is {}",
                self.variable.as_str(),
                self.variable.quantity(variable)
            ));
        }
        Ok(self.variable.quantity(nanos))
    }
}

impl Node {
    fn evaluate(&self, variable: i128) -> Result<i128, String> {
        match self {
            Self::Literal(nanos) => Ok(*nanos),
            Self::Variable => Ok(variable),
            Self::Both(operation, left, right) => {
                let (left, right) = (left.evaluate(variable)?, right.evaluate(variable)?);
                if *operation == Operation::Divide && right == 0 {
                    return Err("divides by 0".to_owned());
                }
                let result = match operation {
                    Operation::Add => left.checked_add(right),
                    Operation::Subtract => left.checked_sub(right),
                    Operation::Multiply => left.checked_mul(right).map(|n| n / NANOS),
                    Operation::Divide => left.checked_mul(NANOS).map(|n| n / right),
                    Operation::Max => Some(left.max(right)),
                    Operation::Min => Some(left.min(right)),
                };
                result.ok_or_else(|| "is too large".to_owned())
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    variable: Variable,
    depth: usize,
}

type Parsed = Result<(Node, Kind), String>;

impl<'a> Parser<'a> {
    fn peek(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    fn take(&mut self, token: char) -> bool {
        match self.peek().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.take(token) {
            return Ok(());
        }
        let found = self.rest.chars().next();
        let found = found.map_or("the end".to_owned(), |c| format!("{c:?}"));
        Err(format!("has {found} where '{token}' is expected"))
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        loop {
            let operation = if self.take('+') {
                Operation::Add
            } else if self.take('-') {
                Operation::Subtract
            } else {
                return Ok(left);
            };
            let right = self.product()?;
            left = both(operation, left, right)?;
        }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.atom()?;
        loop {
            let operation = if self.take('*') {
                Operation::Multiply
            } else if self.take('/') {
                Operation::Divide
            } else {
                return Ok(left);
            };
            let right = self.atom()?;
            left = both(operation, left, right)?;
        }
    }

    fn atom(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("is nested more than {DEPTH_MAX} parentheses deep"));
        }
        let atom = self.bare_atom();
        self.depth -= 1;
        atom
    }

    fn bare_atom(&mut self) -> Parsed {
        if self.take('(') {
            let inner = self.sum()?;
            self.expect(')')?;
            return Ok(inner);
        }
        let rest = self.peek();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
            .unwrap_or(rest.len());
        let (word, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
        self.rest = rest;
        let operation = match word {
            "" => return Err(format!("has no value where one is expected, at {rest:?}")),
            "max" => Operation::Max,
            "min" => Operation::Min,
            _ => return self.value(word),
        };
        self.expect('(')?;
        let left = self.sum()?;
        self.expect(',')?;
        let right = self.sum()?;
        self.expect(')')?;
        both(operation, left, right)
    }

    fn value(&mut self, word: &str) -> Parsed {
        if word == self.variable.as_str() {
            return Ok((Node::Variable, Kind::Amount));
        }
        let Some(quantity) = Quantity::parse(word) else {
            let variable = self.variable.as_str();
            return Err(format!(
                "has {word:?}, which is no number, no amount and not {variable}, the only variable \
                 here"
            ));
        };
        let is_number = word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if is_number && self.rest.starts_with('%') {
            self.take('%');
            return Ok((Node::Literal(quantity.nanos() / 100), Kind::Number));
        }
        let kind = if is_number {
            Kind::Number
        } else {
            Kind::Amount
        };
        Ok((Node::Literal(quantity.nanos()), kind))
    }
}

fn both(operation: Operation, left: (Node, Kind), right: (Node, Kind)) -> Parsed {
    let kind = match (operation, left.1, right.1) {
        (Operation::Multiply, Kind::Amount, Kind::Amount) => {
            return Err("multiplies two amounts; one of them has to be a number".to_owned());
        }
        (Operation::Divide, _, Kind::Amount) => {
            return Err("divides by an amount; only numbers divide".to_owned());
        }
        (_, Kind::Number, Kind::Number) => Kind::Number,
        _ => Kind::Amount,
    };
    let node = Node::Both(operation, Box::new(left.0), Box::new(right.0));
    Ok((node, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(text: &str, variable: Variable, amount: &str) -> Result<String, String> {
        let amount = Quantity::parse(amount).unwrap().nanos();
        let expression = Expression::parse(text, variable)?;
        expression.evaluate(amount).map(|q| q.to_string())
    }

    #[test]
    fn expressions_are_computed_exactly() {
        for (text, variable, amount, result) in [
            ("max(cpu*50%,50m)", Variable::Cpu, "200m", "100m"),
            ("max(cpu*50%,50m)", Variable::Cpu, "50m", "50m"),
            ("cpu*50% + 100m", Variable::Cpu, "600m", "400m"),
            (
                "max(memory*20% + 100Mi, 200Mi)",
                Variable::Memory,
                "1000Mi",
                "300Mi",
            ),
            (
                "max(memory*20% + 100Mi, 200Mi)",
                Variable::Memory,
                "125Mi",
                "200Mi",
            ),
            (
                "min(max(cpu, 1), 2) * (1 + 1) / 4",
                Variable::Cpu,
                "100m",
                "500m",
            ),
            ("cpu / 3 * 3", Variable::Cpu, "1", "1"),
            ("memory - 1Gi", Variable::Memory, "3Gi", "2Gi"),
            ("2", Variable::Cpu, "0", "2"),
            ("cpu*0.1", Variable::Cpu, "333m", "34m"),
        ] {
            let computed = compute(text, variable, amount);
            assert_eq!(computed.as_deref(), Ok(result), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_text() {
        for text in [
            "",
            "cpu*",
            "(cpu",
            "cpu)",
            "max(cpu)",
            "max(cpu,1",
            "memory*2",
            "disk",
            "cpu*cpu",
            "1/cpu",
            "cpu cpu",
            "cpu%",
            "50m%",
            "1..2",
            "-1",
            "cpu*1x",
            "\u{fc}",
        ] {
            let error = compute(text, Variable::Cpu, "1").unwrap_err();
            assert!(error.starts_with(&format!("{text:?}")), "{error}");
        }
        let deep = "(".repeat(100) + "1" + &")".repeat(100);
        assert!(compute(&deep, Variable::Cpu, "1").is_err());
        let long = "1+".repeat(200) + "1";
        assert!(compute(&long, Variable::Cpu, "1").is_err());
    }

    #[test]
    fn what_has_no_result_is_an_error_and_not_a_zero() {
        let error = compute("memory - 1Gi", Variable::Memory, "512Mi").unwrap_err();
        assert!(
            error.contains("negative") && error.contains("512Mi"),
            "{error}"
        );
        assert!(compute("cpu/(1-1)", Variable::Cpu, "1").is_err());
        let huge = "memory*999999999999999999*999999999999999999";
        assert!(compute(huge, Variable::Memory, "1Ei").is_err());
    }
}
