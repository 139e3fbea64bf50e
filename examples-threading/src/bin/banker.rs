//! The banker's algorithm: a loan only where everybody can still be served after it.
//!
//! Listing D42, 达内 course notes, day01 银行家算法 (prose). 25 in hand; a needs 50, b 15,
//! c 10. The banker lends to b and c first.

#[derive(Debug, Clone, PartialEq)]
struct Customer {
    name: &'static str,
    /// Lent to it already; it comes back once the customer has all it needs.
    holds: u32,
    /// What it needs in all.
    needs: u32,
}

impl Customer {
    fn lacks(&self) -> u32 {
        self.needs.saturating_sub(self.holds)
    }
}

/// Who is lent to, in this order, and who cannot be: what they lack is never in hand,
/// though everybody before them has paid back.
fn lend(in_hand: u32, customers: &[Customer]) -> (Vec<&Customer>, Vec<&Customer>) {
    let mut in_hand = u64::from(in_hand);
    let mut waiting: Vec<_> = customers.iter().collect();
    let mut served = Vec::new();
    let first_safe = |waiting: &[&Customer], in_hand| {
        let safe = |customer: &&Customer| u64::from(customer.lacks()) <= in_hand;
        waiting.iter().position(safe)
    };
    while let Some(next) = first_safe(&waiting, in_hand) {
        let customer = waiting.remove(next);
        in_hand += u64::from(customer.holds);
        served.push(customer);
    }
    (served, waiting)
}

fn main() {
    let customer = |name, needs| Customer {
        name,
        holds: 0,
        needs,
    };
    let customers = [customer("a", 50), customer("b", 15), customer("c", 10)];
    let (served, waiting) = lend(25, &customers);

    for customer in served {
        println!("lend {} to {}", customer.lacks(), customer.name);
    }
    for customer in waiting {
        println!("{} has to wait for {}", customer.name, customer.lacks());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Customer, lend};

    fn customers(most: usize) -> impl Strategy<Value = Vec<Customer>> {
        let amount = prop_oneof![0..50_u32, any::<u32>()];
        let customer =
            (amount.clone(), amount).prop_map(|(holds, needs)| Customer {
                name: "",
                holds,
                needs,
            });
        prop::collection::vec(customer, 0..most)
    }

    /// What is in hand after these were served in this order, where that can be.
    fn serve<'a>(
        in_hand: u32,
        customers: impl IntoIterator<Item = &'a Customer>,
    ) -> Option<u64> {
        let mut in_hand = u64::from(in_hand);
        for customer in customers {
            in_hand = in_hand.checked_sub(customer.lacks().into())?;
            in_hand += u64::from(customer.holds) + u64::from(customer.lacks());
        }
        Some(in_hand)
    }

    fn orders(customers: &[Customer]) -> Vec<Vec<Customer>> {
        if customers.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for first in 0..customers.len() {
            let mut rest = customers.to_vec();
            let first = rest.remove(first);
            for mut order in orders(&rest) {
                order.insert(0, first.clone());
                all.push(order);
            }
        }
        all
    }

    proptest! {
        #[test]
        fn whoever_is_served_can_be_and_nobody_else(
            in_hand in prop_oneof![0..50_u32, any::<u32>()],
            customers in customers(20),
        ) {
            let (served, waiting) = lend(in_hand, &customers);
            prop_assert_eq!(served.len() + waiting.len(), customers.len());
            let in_hand = serve(in_hand, served);
            prop_assert!(in_hand.is_some());
            for customer in waiting {
                prop_assert!(u64::from(customer.lacks()) > in_hand.unwrap());
            }
        }

        #[test]
        fn everybody_is_served_exactly_if_some_order_serves_everybody(
            in_hand in 0..50_u32,
            customers in customers(6),
        ) {
            let (_, waiting) = lend(in_hand, &customers);
            let possible =
                (orders(&customers).iter()).any(|order| serve(in_hand, order).is_some());
            prop_assert_eq!(waiting.is_empty(), possible);
        }
    }
}
