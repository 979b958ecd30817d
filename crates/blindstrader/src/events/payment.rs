//! Money taken and given back for orders. The tenant is the retailer.

use event_bus::EventType;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::money::Money;

/// The money for an order was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    /// The payment, e.g. `pay-100234`.
    pub payment_id: String,
    /// The order it is for.
    pub order_id: String,
    /// What was taken.
    pub amount: Money,
    /// How the customer paid.
    pub method: PaymentMethod,
    /// When the money was taken.
    pub captured_at: Timestamp,
}

impl EventType for PaymentCaptured {
    const NAME: &'static str = "PaymentCaptured";
    const VERSION: &'static str = "1.0";
}

/// How a customer paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentMethod {
    /// Credit or debit card.
    Card,
    /// Transfer from a bank account.
    BankTransfer,
    /// The retailer's account with the platform, settled by invoice.
    TradeAccount,
}

/// Money taken for an order was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    /// The refund, e.g. `ref-100234`.
    pub refund_id: String,
    /// The payment that is refunded.
    pub payment_id: String,
    /// The order that the payment was for.
    pub order_id: String,
    /// What was given back; at most what was captured.
    pub amount: Money,
    /// Why it was given back.
    pub reason: RefundReason,
    /// When it was given back.
    pub refunded_at: Timestamp,
}

impl EventType for PaymentRefunded {
    const NAME: &'static str = "PaymentRefunded";
    const VERSION: &'static str = "1.0";
}

/// Why money was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefundReason {
    /// The order was cancelled.
    OrderCancelled,
    /// The goods came back.
    Returned,
    /// Given without an obligation.
    Goodwill,
}
