//! Properties of the listing D42, `src/bin/banker.rs`.

use proptest::prelude::*;

use super::{Customer, lend, safe_order};

fn customers(most: usize) -> impl Strategy<Value = Vec<Customer>> {
    let customer = (0..50_u32, 0..50_u32).prop_map(|(holds, needs)| Customer {
        name: "",
        holds,
        needs,
    });
    prop::collection::vec(customer, 0..most)
}

/// Whether everybody can be served in this order.
fn can_be_served(mut in_hand: u32, order: &[Customer]) -> bool {
    for customer in order {
        let Some(left) = in_hand.checked_sub(customer.needs) else {
            return false;
        };
        in_hand = left + customer.needs + customer.holds;
    }
    true
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
    fn an_order_that_is_found_serves_everybody(
        in_hand in 0..100_u32,
        customers in customers(20),
    ) {
        if let Some(order) = safe_order(in_hand, &customers) {
            prop_assert_eq!(order.len(), customers.len());
            prop_assert!(can_be_served(in_hand, &order));
        }
    }

    #[test]
    fn an_order_is_found_exactly_if_there_is_one(
        in_hand in 0..50_u32,
        customers in customers(6),
    ) {
        let orders = orders(&customers);
        let possible = orders.iter().any(|order| can_be_served(in_hand, order));
        prop_assert_eq!(safe_order(in_hand, &customers).is_some(), possible);
    }

    #[test]
    fn a_loan_is_made_exactly_if_everybody_can_be_served_after_it(
        in_hand in 0..50_u32,
        customers in customers(5).prop_filter("at least one customer", |all| !all.is_empty()),
        sum in 0..50_u32,
    ) {
        let sum = sum.min(in_hand).min(customers[0].needs);
        let mut after = customers.clone();
        after[0].holds += sum;
        after[0].needs -= sum;
        let safe = safe_order(in_hand - sum, &after).is_some();

        let (mut hand, mut book) = (in_hand, customers.clone());
        prop_assert_eq!(lend(&mut hand, &mut book, 0, sum), safe);
        let expected = if safe { (in_hand - sum, after) } else { (in_hand, customers) };
        prop_assert_eq!((hand, book), expected);
    }
}
