//! Money that came in, and which invoices it settles.

use serde::Serialize;
use utoipa::ToSchema;

use super::invoice::Invoice;
use crate::kernel::clock::Ts;
use crate::kernel::id::{PaymentId, TenantId};

/// A payment of a tenant, or a credit it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// Whose.
    #[serde(skip)]
    #[schema(ignore)]
    pub tenant_id: TenantId,
    /// What names it where it came in; each reference is counted once.
    pub reference: String,
    /// ISO 4217.
    pub currency: String,
    /// In the currency's minor unit.
    pub amount: i64,
    /// What of it no invoice has taken yet.
    pub unapplied: i64,
    /// When it was recorded.
    pub created_at: Ts,
}

/// Takes `amount` out of payments, the oldest first; false, with nothing taken, when they do not hold it.
pub fn take(payments: &mut [Payment], amount: i64) -> bool {
    let held = payments.iter().fold(0i64, |held, payment| held.saturating_add(payment.unapplied));
    if amount < 0 || held < amount {
        return false;
    }
    let mut left = amount;
    for payment in payments {
        let part = payment.unapplied.min(left);
        payment.unapplied -= part;
        left -= part;
    }
    true
}

/// The invoices, oldest first, that the payments settle whole, with the reference of the payment that completed
/// each. An invoice that they do not cover ends it: what came in later is not used for younger ones first.
pub fn settled(open: Vec<Invoice>, payments: &mut [Payment]) -> Vec<(Invoice, Option<String>)> {
    let mut done = Vec::new();
    for invoice in open {
        let before: Vec<i64> = payments.iter().map(|payment| payment.unapplied).collect();
        if !take(payments, invoice.total) {
            break;
        }
        let mut touched =
            payments.iter().zip(before).filter(|(payment, before)| payment.unapplied != *before);
        let reference = touched.next_back().map(|(payment, _)| payment.reference.clone());
        done.push((invoice, reference));
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(amount: i64) -> Payment {
        Payment {
            id: PaymentId::mint(),
            tenant_id: TenantId::mint(),
            reference: format!("in_{amount}"),
            currency: "EUR".into(),
            amount,
            unapplied: amount,
            created_at: Ts::from_micros(0).unwrap(),
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_taken_twice_or_made(amounts in proptest::collection::vec(0..1_000i64, 0..6), wishes in proptest::collection::vec(0..2_000i64, 0..6)) {
            let mut payments: Vec<_> = amounts.iter().map(|amount| payment(*amount)).collect();
            let (mut left, mut taken): (i64, i64) = (amounts.iter().sum(), 0);
            for wish in wishes {
                let could = wish <= left;
                proptest::prop_assert_eq!(take(&mut payments, wish), could);
                if could { left -= wish; taken += wish; }
            }
            let unapplied: i64 = payments.iter().map(|payment| payment.unapplied).sum();
            proptest::prop_assert_eq!(unapplied + taken, amounts.iter().sum::<i64>());
            proptest::prop_assert!(payments.iter().all(|payment| (0..=payment.amount).contains(&payment.unapplied)));
        }
    }
}
