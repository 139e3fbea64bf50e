//! Python's numbers as exact numbers: equality, order and residues for hashing.

use std::cmp::Ordering;
use std::sync::LazyLock;

use num_bigint::{BigInt, BigUint, Sign};

use super::value::{Exception, Object, Value};
use super::work;
use crate::sys::random;

/// A value that is a number to Python.
#[derive(Debug, Clone)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
    Exact(Exact),
    /// A Decimal that is infinite; whether it is negative.
    Infinite(bool),
    /// A Decimal that is not a number.
    DecimalNan,
    Complex(f64, f64),
}

/// numerator / denominator · 10^exponent. Every finite number is one.
#[derive(Debug, Clone)]
pub(super) struct Exact {
    numerator: BigInt,
    denominator: BigUint,
    exponent: i64,
}

impl Number {
    /// # Errors
    ///
    /// Those of [`work::step`]: a number may be long.
    pub(super) fn new(value: &Value) -> Result<Option<Self>, Exception> {
        Ok(match value {
            Value::Bool(value) => Some(Self::Int(i64::from(*value))),
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Float(value) => Some(Self::Float(*value)),
            Value::BigInt(value) => {
                work::step(value.bytes().len())?;
                Some(Self::Exact(Exact::whole(BigInt::from_signed_bytes_le(
                    value.bytes(),
                ))))
            }
            Value::Object(object) => Self::of_object(object)?,
            _ => None,
        })
    }

    fn of_object(object: &Object) -> Result<Option<Self>, Exception> {
        if object.is_class() {
            return Ok(None);
        }
        Ok(match (object.name, object.args.as_slice()) {
            ("complex", parts) => match parts {
                [re, im] => float(re).zip(float(im)),
                _ => None,
            }
            .map(|(re, im)| Self::Complex(re, im)),
            ("Decimal", [Value::Str(text)]) => decimal(text)?,
            ("Fraction", [Value::Str(text)]) => {
                let (numerator, denominator) =
                    text.split_once('/').unwrap_or((text, "1"));
                fraction(digits(numerator)?, digits(denominator)?)
            }
            ("Fraction", [numerator, denominator]) => {
                fraction(whole(numerator)?, whole(denominator)?)
            }
            _ => None,
        })
    }

    /// The real number that it equals, if there is one.
    fn real(self) -> Option<Self> {
        match self {
            Self::Complex(re, 0.0) => Some(Self::Float(re)),
            Self::Complex(..) => None,
            other => Some(other),
        }
    }

    pub(super) fn equals(self, other: Self) -> Result<bool, Exception> {
        if let (Self::Complex(a, b), Self::Complex(c, d)) = (&self, &other) {
            let equal = |a: &f64, b: &f64| a.partial_cmp(b) == Some(Ordering::Equal);
            return Ok(equal(a, c) && equal(b, d));
        }
        match (self.real(), other.real()) {
            (Some(a), Some(b)) => Ok(a.order(b)? == Some(Ordering::Equal)),
            _ => Ok(false),
        }
    }

    pub(super) fn is_complex(&self) -> bool {
        matches!(self, Self::Complex(..))
    }

    pub(super) fn is_decimal_nan(&self) -> bool {
        matches!(self, Self::DecimalNan)
    }

    /// The order of two real numbers; nothing if one is NaN.
    pub(super) fn order(self, other: Self) -> Result<Option<Ordering>, Exception> {
        Ok(match (&self, &other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            _ => match (self.sort_key(), other.sort_key()) {
                (Some(a), Some(b)) if a != b || a != 0 => Some(a.cmp(&b)),
                (Some(_), Some(_)) => match (self.exact(), other.exact()) {
                    (Some(a), Some(b)) => Some(a.order(&b)?),
                    _ => None,
                },
                _ => None,
            },
        })
    }

    /// -1 and 1 for the infinite, 0 for the finite.
    fn sort_key(&self) -> Option<i8> {
        match self {
            Self::Float(value) if value.is_nan() => None,
            Self::Float(value) if value.is_infinite() => {
                Some(if *value < 0.0 { -1 } else { 1 })
            }
            Self::Infinite(negative) => Some(if *negative { -1 } else { 1 }),
            Self::DecimalNan | Self::Complex(..) => None,
            Self::Int(_) | Self::Float(_) | Self::Exact(_) => Some(0),
        }
    }

    fn exact(self) -> Option<Exact> {
        match self {
            Self::Int(value) => Some(Exact::whole(value.into())),
            Self::Float(value) => Exact::of_float(value),
            Self::Exact(exact) => Some(exact),
            Self::Infinite(_) | Self::DecimalNan | Self::Complex(..) => None,
        }
    }

    /// What all equal numbers share, and others do not; nothing for what equals nothing.
    pub(super) fn identity(self) -> Option<NumberIdentity> {
        let real = match self {
            Self::Complex(re, im) if im != 0.0 => {
                let bits =
                    |part: f64| (!part.is_nan()).then(|| (part + 0.0).to_bits());
                return Some(NumberIdentity::Complex(bits(re)?, bits(im)?));
            }
            Self::Complex(re, _) => Self::Float(re),
            real => real,
        };
        match real.sort_key()? {
            0 => Some(NumberIdentity::Finite(match real {
                Self::Int(value) => MODULI.map(|modulus| residue(value, modulus)),
                other => {
                    let exact = other.exact()?;
                    MODULI.map(|modulus| exact.residue(modulus))
                }
            })),
            sign => Some(NumberIdentity::Infinite(sign)),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum NumberIdentity {
    Finite([u64; 2]),
    Infinite(i8),
    Complex(u64, u64),
}

/// Two primes that no other program knows. Two different numbers have the same residues
/// only if both primes divide their difference, which no client can bring about.
///
/// Python uses one prime that is known, so its clients can make any number of integers
/// collide.
static MODULI: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let random = random::bytes();
    let number = |at: usize| {
        let bytes = random[at..at + 8].try_into().unwrap_or_default();
        // Between 2^60 and 2^61, so that a product fits into 128 bits and sums do too.
        u64::from_le_bytes(bytes) >> 4 | 1 << 60
    };
    [next_prime(number(0)), next_prime(number(8))]
});

fn residue(value: i64, modulus: u64) -> u64 {
    i128::from(value).rem_euclid(i128::from(modulus)) as u64
}

fn multiply(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

fn power(base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let (mut result, mut square) = (1, base % modulus);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, square, modulus);
        }
        square = multiply(square, square, modulus);
        exponent >>= 1;
    }
    result
}

fn next_prime(start: u64) -> u64 {
    let mut candidate = start | 1;
    while !is_prime(candidate) {
        candidate += 2;
    }
    candidate
}

/// The test of Miller and Rabin. These bases are enough for every number of 64 bits:
/// <https://miller-rabin.appspot.com/>
fn is_prime(number: u64) -> bool {
    let twos = (number - 1).trailing_zeros();
    let odd = (number - 1) >> twos;
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]
        .into_iter()
        .all(|base| {
            let mut x = power(base, odd, number);
            if x == 1 || x == number - 1 {
                return true;
            }
            (1..twos).any(|_| {
                x = multiply(x, x, number);
                x == number - 1
            })
        })
}

impl Exact {
    fn whole(numerator: BigInt) -> Self {
        Self {
            numerator,
            denominator: 1_u8.into(),
            exponent: 0,
        }
    }

    fn of_float(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.abs().to_bits();
        let (biased, fraction) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
        let (mantissa, exponent) = match biased {
            0 => (fraction, -1074),
            biased => (fraction | 1 << 52, biased - 1075),
        };
        // Without the twos that the mantissa and a power of two have in common.
        let common = match exponent {
            exponent if exponent < 0 => {
                mantissa.trailing_zeros().min(exponent.unsigned_abs())
            }
            _ => 0,
        };
        let shift = exponent + common.cast_signed();
        let mut numerator = BigInt::from(mantissa >> common.min(63));
        let mut denominator = BigUint::from(1_u8);
        if shift >= 0 {
            numerator <<= shift;
        } else {
            denominator <<= -shift;
        }
        if value < 0.0 {
            numerator = -numerator;
        }
        Some(Self {
            numerator,
            denominator,
            exponent: 0,
        })
    }

    fn order(&self, other: &Self) -> Result<Ordering, Exception> {
        let sign = |exact: &Self| match exact.numerator.sign() {
            Sign::Minus => -1,
            Sign::NoSign => 0,
            Sign::Plus => 1,
        };
        let (own, others) = (sign(self), sign(other));
        if own != others || own == 0 {
            return Ok(own.cmp(&others));
        }
        let of_magnitude = |order: Ordering| match own {
            -1 => order.reverse(),
            _ => order,
        };
        // The logarithms decide unless they are close: then the powers of ten that are
        // to be multiplied are no longer than the numbers themselves.
        let tens = i128::from(self.exponent) - i128::from(other.exponent);
        let bits = self.bits() - other.bits();
        let slack = 4 + (tens.abs() >> 20);
        let distance = bits + tens * 3_321_928 / 1_000_000;
        if distance.abs() > slack {
            return Ok(of_magnitude(distance.cmp(&0)));
        }
        let length = self.length() + other.length();
        work::step(length)?;
        if tens == 0 && self.denominator == other.denominator {
            return Ok(self.numerator.cmp(&other.numerator));
        }
        // What multiplying takes grows faster than the length.
        work::step(length.saturating_mul(length) >> 8)?;
        let power =
            |tens: i128| BigUint::from(10_u8).pow(u32::try_from(tens).unwrap_or(0));
        let a = self.numerator.magnitude() * &other.denominator * power(tens.max(0));
        let b =
            other.numerator.magnitude() * &self.denominator * power((-tens).max(0));
        Ok(of_magnitude(a.cmp(&b)))
    }

    /// About the binary logarithm, without the power of ten.
    fn bits(&self) -> i128 {
        i128::from(self.numerator.bits()) - i128::from(self.denominator.bits())
    }

    /// The number of bytes.
    fn length(&self) -> usize {
        ((self.numerator.bits() + self.denominator.bits()) / 8) as usize
    }

    fn residue(&self, modulus: u64) -> u64 {
        let of = |number: &BigUint| {
            (number % modulus)
                .to_u64_digits()
                .first()
                .copied()
                .unwrap_or(0)
        };
        let inverse = |number: u64| power(number, modulus - 2, modulus);
        let mut residue = of(self.numerator.magnitude());
        if self.numerator.sign() == Sign::Minus && residue != 0 {
            residue = modulus - residue;
        }
        residue = multiply(residue, inverse(of(&self.denominator)), modulus);
        let tens = power(10, self.exponent.unsigned_abs(), modulus);
        let tens = if self.exponent < 0 {
            inverse(tens)
        } else {
            tens
        };
        multiply(residue, tens, modulus)
    }
}

/// The float that is nearest to a Fraction, infinite if none is.
///
/// # Errors
///
/// Those of [`work::step`]: a number may be long.
pub(super) fn to_f64(fraction: &Value) -> Result<Option<f64>, Exception> {
    let Some(Number::Exact(exact)) = Number::new(fraction)? else {
        return Ok(None);
    };
    // The power of ten has some 500 bytes.
    let length = exact.length() + 500;
    work::step(length.saturating_mul(length) >> 8)?;
    // Neither a float nor the middle of two has more than 1100 digits after the point.
    // One more says whether anything follows, which decides beside such a middle.
    let scaled = exact.numerator.magnitude() * BigUint::from(10_u8).pow(1100);
    let quotient = &scaled / &exact.denominator;
    let rest = u8::from(&quotient * &exact.denominator != scaled);
    let sign = match exact.numerator.sign() {
        Sign::Minus => "-",
        _ => "",
    };
    Ok(format!("{sign}{quotient}{rest}e-1101").parse().ok())
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        _ => None,
    }
}

fn whole(value: &Value) -> Result<Option<BigInt>, Exception> {
    Ok(match Number::new(value)? {
        Some(Number::Int(value)) => Some(value.into()),
        Some(Number::Exact(exact)) if matches!(value, Value::BigInt(_)) => {
            Some(exact.numerator)
        }
        _ => None,
    })
}

fn fraction(
    numerator: Option<BigInt>,
    denominator: Option<BigInt>,
) -> Option<Number> {
    let (numerator, denominator) = numerator.zip(denominator)?;
    match denominator.into_parts() {
        (Sign::Plus, denominator) => Some(Number::Exact(Exact {
            numerator,
            denominator,
            exponent: 0,
        })),
        _ => None,
    }
}

/// A text of decimal digits with a sign.
fn digits(text: &str) -> Result<Option<BigInt>, Exception> {
    // What reading takes grows faster than the length.
    work::step(text.len().saturating_mul(text.len()) >> 8)?;
    Ok(text.parse().ok())
}

/// The text of a Decimal: `1.5`, `-1E+10`, `Infinity`, `NaN`.
fn decimal(text: &str) -> Result<Option<Number>, Exception> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, text),
    };
    if magnitude == "Infinity" {
        return Ok(Some(Number::Infinite(negative)));
    }
    if magnitude.starts_with("NaN") || magnitude.starts_with("sNaN") {
        return Ok(Some(Number::DecimalNan));
    }
    let (coefficient, exponent) =
        magnitude.split_once('E').unwrap_or((magnitude, "0"));
    let (before, after) = coefficient.split_once('.').unwrap_or((coefficient, ""));
    let Ok(exponent) = exponent.parse::<i64>() else {
        return Ok(None);
    };
    let exponent = exponent.checked_sub_unsigned(after.len() as u64);
    let numerator = digits(&format!("{before}{after}"))?;
    Ok(numerator.zip(exponent).map(|(numerator, exponent)| {
        Number::Exact(Exact {
            numerator: if negative { -numerator } else { numerator },
            denominator: 1_u8.into(),
            exponent,
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_becomes_the_nearest_float() {
        let fraction = |text: &str| {
            let args = vec![text.into()];
            to_f64(&Object::call("fractions", "Fraction", args)).unwrap()
        };
        assert_eq!(fraction("3"), Some(3.0));
        assert_eq!(fraction("-1/3"), Some(-1.0 / 3.0));
        // Half way between two floats, and a little more.
        assert_eq!(fraction("9007199254740993"), Some(9_007_199_254_740_992.0));
        let more = "90071992547409930000000001/10000000000";
        assert_eq!(fraction(more), Some(9_007_199_254_740_994.0));
        // More by less than any float.
        let zeros = "0".repeat(1200);
        let more = format!("9007199254740993{zeros}1/1{zeros}0");
        assert_eq!(fraction(&more), Some(9_007_199_254_740_994.0));
        let tiny = format!("1/1{}", "0".repeat(350));
        assert_eq!(fraction(&tiny), Some(0.0));
        let huge = format!("1{}", "0".repeat(350));
        assert_eq!(fraction(&huge), Some(f64::INFINITY));
    }
}
