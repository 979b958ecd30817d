//! Money as the events carry it: decimal strings with two decimal places, counted in integer minor units (pennies, cents).
//!
//! Nothing here uses floating point, and no operation wraps: a result that does not fit is an error.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why an amount or a currency could not be read or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not digits, a point and exactly two digits, or has a needless leading zero.
    #[error(
        "{0:?} is not an amount: expected digits and exactly two decimal places, such as \"41.50\""
    )]
    NotAnAmount(String),
    /// The text is not three upper-case letters.
    #[error("{0:?} is not a currency code: expected three upper-case letters, such as \"GBP\"")]
    NotACurrency(String),
    /// Amounts of two currencies were put together.
    #[error("cannot put {left} and {right} together")]
    CurrencyMismatch {
        /// Currency of the first amount.
        left: Currency,
        /// Currency of the second amount.
        right: Currency,
    },
    /// The result is below zero or above [`Amount::MAX`].
    #[error("the result is not between 0.00 and {max}", max = Amount::MAX)]
    OutOfRange,
}

/// A non-negative amount of some currency, in minor units. Written as a decimal string, e.g. `"41.50"`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// The largest amount that the payload schemas admit: twelve digits before the point.
    pub const MAX: Amount = Amount(99_999_999_999_999);

    /// The amount of that many minor units (pennies, cents).
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] below zero or above [`Amount::MAX`].
    pub fn from_minor_units(units: i64) -> Result<Self, MoneyError> {
        if (0..=Self::MAX.0).contains(&units) {
            Ok(Amount(units))
        } else {
            Err(MoneyError::OutOfRange)
        }
    }

    /// How many minor units (pennies, cents) this is; never negative.
    pub fn minor_units(self) -> i64 {
        self.0
    }

    /// The sum of both.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] above [`Amount::MAX`].
    pub fn checked_add(self, other: Amount) -> Result<Self, MoneyError> {
        Self::in_range(i128::from(self.0) + i128::from(other.0))
    }

    /// What is left after taking `other` away.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] if `other` is the larger.
    pub fn checked_sub(self, other: Amount) -> Result<Self, MoneyError> {
        Self::in_range(i128::from(self.0) - i128::from(other.0))
    }

    /// The price of `quantity` pieces at this price.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] above [`Amount::MAX`].
    pub fn checked_mul(self, quantity: u32) -> Result<Self, MoneyError> {
        Self::in_range(i128::from(self.0) * i128::from(quantity))
    }

    /// So many per cent of this, rounded to the nearest minor unit, halves up: 150 marks up by half, 80 is a fifth off.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] above [`Amount::MAX`].
    pub fn checked_percent(self, percent: u32) -> Result<Self, MoneyError> {
        Self::in_range((i128::from(self.0) * i128::from(percent) + 50) / 100)
    }

    fn in_range(units: i128) -> Result<Self, MoneyError> {
        i64::try_from(units).map_err(|_| MoneyError::OutOfRange).and_then(Self::from_minor_units)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

impl FromStr for Amount {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let not_an_amount = || MoneyError::NotAnAmount(text.to_owned());
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (whole, fraction) = text.split_once('.').ok_or_else(not_an_amount)?;
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !digits(whole) || !digits(fraction) || fraction.len() != 2 || leading_zero {
            return Err(not_an_amount());
        }
        // Digits alone can only fail to parse by being too many.
        let units: i64 =
            format!("{whole}{fraction}").parse().map_err(|_| MoneyError::OutOfRange)?;
        Self::from_minor_units(units)
    }
}

impl TryFrom<String> for Amount {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> String {
        amount.to_string()
    }
}

/// An ISO 4217 currency code with two minor digits, e.g. `GBP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Pound sterling.
    pub const GBP: Currency = Currency(*b"GBP");
    /// Euro.
    pub const EUR: Currency = Currency(*b"EUR");

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is made of ASCII letters")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Currency(code)),
            _ => Err(MoneyError::NotACurrency(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.to_string()
    }
}

/// An amount with its currency, as payloads carry it: `{"amount": "41.50", "currency": "GBP"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
}

impl Money {
    /// An amount of a currency.
    pub const fn new(amount: Amount, currency: Currency) -> Self {
        Money { amount, currency }
    }

    /// The sum of both.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], or [`MoneyError::OutOfRange`] above [`Amount::MAX`].
    pub fn checked_add(self, other: Money) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        Ok(Money::new(self.amount.checked_add(other.amount)?, self.currency))
    }

    /// What is left after taking `other` away.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], or [`MoneyError::OutOfRange`] if `other` is the larger.
    pub fn checked_sub(self, other: Money) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        Ok(Money::new(self.amount.checked_sub(other.amount)?, self.currency))
    }

    /// So many per cent of this in the same currency; rounds as [`Amount::checked_percent`] does.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] above [`Amount::MAX`].
    pub fn checked_percent(self, percent: u32) -> Result<Self, MoneyError> {
        Ok(Money::new(self.amount.checked_percent(percent)?, self.currency))
    }

    fn same_currency(self, other: Money) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn an_amount_is_written_as_it_was_read() {
        for text in ["0.00", "0.05", "0.50", "1.00", "41.50", "999999999999.99"] {
            assert_eq!(amount(text).to_string(), text);
        }
        assert_eq!(amount("41.50").minor_units(), 4150);
        assert_eq!(amount("999999999999.99"), Amount::MAX);
    }

    #[test]
    fn text_that_the_schemas_refuse_is_no_amount() {
        for text in [
            "", ".", "1", "1.5", "1.500", ".50", "1.", "01.00", "-1.00", "+1.00", "1,00", " 1.00",
            "1e2", "1.-5", "１.00",
        ] {
            assert_eq!(text.parse::<Amount>(), Err(MoneyError::NotAnAmount(text.to_owned())));
        }
        assert_eq!("1000000000000.00".parse::<Amount>(), Err(MoneyError::OutOfRange));
        assert_eq!("99999999999999999999.00".parse::<Amount>(), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn arithmetic_is_exact_and_never_leaves_the_range() {
        assert_eq!(amount("0.10").checked_add(amount("0.20")), Ok(amount("0.30")));
        assert_eq!(amount("59.95").checked_mul(2), Ok(amount("119.90")));
        assert_eq!(amount("1.00").checked_sub(amount("0.01")), Ok(amount("0.99")));
        assert_eq!(amount("1.00").checked_sub(amount("1.01")), Err(MoneyError::OutOfRange));
        assert_eq!(Amount::MAX.checked_add(amount("0.01")), Err(MoneyError::OutOfRange));
        assert_eq!(Amount::MAX.checked_mul(u32::MAX), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn a_percentage_rounds_halves_up() {
        assert_eq!(amount("41.50").checked_percent(80), Ok(amount("33.20")));
        assert_eq!(amount("0.01").checked_percent(50), Ok(amount("0.01")));
        assert_eq!(amount("0.01").checked_percent(49), Ok(Amount::ZERO));
    }

    #[test]
    fn two_currencies_do_not_add_up() {
        let pounds = Money::new(amount("1.00"), Currency::GBP);
        let euros = Money::new(amount("1.00"), Currency::EUR);
        assert_eq!(
            pounds.checked_add(euros),
            Err(MoneyError::CurrencyMismatch { left: Currency::GBP, right: Currency::EUR })
        );
        assert_eq!(pounds.checked_add(pounds).unwrap().to_string(), "2.00 GBP");
    }

    #[test]
    fn a_currency_is_three_upper_case_letters() {
        assert_eq!("GBP".parse(), Ok(Currency::GBP));
        for text in ["", "gbp", "GB", "GBPS", "£", "G P"] {
            assert_eq!(text.parse::<Currency>(), Err(MoneyError::NotACurrency(text.to_owned())));
        }
    }
}
