//! What happens to invoices and payments.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::account::{Status, Wanted};
use super::model::invoice::{Invoice, State};
use crate::facts;
use crate::kernel::id::{InvoiceId, PaymentId};

/// How an invoice stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = InvoiceFacts)]
pub struct Facts {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Its number, for people.
    #[schema(example = "INV-2030-000001")]
    pub number: String,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// All lines, in the currency's minor unit.
    pub total: i64,
    /// Where it stands.
    pub state: State,
    /// What names the payment where it came in.
    #[schema(example = "bank-2030-01-31")]
    pub payment_reference: Option<String>,
    /// Why it was taken back.
    #[schema(example = "charged twice")]
    pub void_reason: Option<String>,
}

impl Facts {
    /// Those of `invoice`.
    #[must_use]
    pub fn of(invoice: &Invoice) -> Self {
        Self {
            invoice_id: invoice.id,
            number: invoice.number.clone(),
            currency: invoice.currency.clone(),
            total: invoice.total,
            state: invoice.state,
            payment_reference: invoice.payment_reference.clone(),
            void_reason: invoice.void_reason.clone(),
        }
    }
}

facts! {
    /// A tenant owes something.
    InvoiceOpened = "invoice.opened", Tenant (Facts)
    /// An invoice is settled.
    InvoicePaid = "invoice.paid", Tenant (Facts)
    /// An invoice was taken back: nobody owes it any more.
    InvoiceVoided = "invoice.voided", Tenant (Facts)

    /// Money came in for a tenant.
    PaymentReceived = "payment.received", Tenant {
        /// The payment.
        pub payment_id: PaymentId,
        /// What names it where it came in.
        #[schema(example = "bank-2030-01-31")]
        pub reference: String,
        /// ISO 4217.
        #[schema(example = "EUR")]
        pub currency: String,
        /// How much, in the currency's minor unit.
        pub amount: i64,
    }

    /// A payment was tried and did not come in.
    PaymentFailed = "payment.failed", Tenant {
        /// What names it at the provider.
        #[schema(example = "in_1")]
        pub reference: String,
    }

    /// How a tenant stands at whoever collects has changed.
    BillingStatusChanged = "billing.status_changed", Tenant {
        /// Who collects.
        #[schema(example = "stripe")]
        pub provider: String,
        /// How it stands there.
        pub status: Status,
    }

    /// What is wanted for a tenant is handed over to whoever collects.
    BillingHandedOver = "billing.handed_over", Tenant {
        /// Who collects.
        #[schema(example = "stripe")]
        pub provider: String,
        /// What is wanted there.
        pub wanted: Wanted,
    }
}
