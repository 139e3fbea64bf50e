//! The banker's algorithm: a loan that fits is refused if a customer could then wait for
//! the rest for ever.
//!
//! Listing D42, 达内 course notes, 银行家算法 (prose). 25 in hand; a still needs 50, b 15
//! and c 10, so b and c are lent to first. What each holds already is not in the
//! notes. A customer that gets all it needs pays everything back.

#[derive(Debug, Clone, PartialEq)]
struct Customer {
    name: &'static str,
    /// What was lent to it already.
    holds: u32,
    /// What it still needs before it can pay anything back.
    needs: u32,
}

/// An order in which everybody can be served, one after another. Without one the bank
/// and its customers could end up waiting for each other.
fn safe_order(mut in_hand: u32, customers: &[Customer]) -> Option<Vec<Customer>> {
    let mut waiting = customers.to_vec();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let next = waiting.iter().position(|c| c.needs <= in_hand)?;
        let customer = waiting.remove(next);
        in_hand += customer.holds;
        order.push(customer);
    }
    Some(order)
}

/// Lends a part of what this customer needs, if everybody can be served afterwards.
fn lend(in_hand: &mut u32, customers: &mut [Customer], to: usize, sum: u32) -> bool {
    let mut after = customers.to_vec();
    after[to].holds += sum;
    after[to].needs -= sum;
    let is_safe = safe_order(*in_hand - sum, &after).is_some();
    if is_safe {
        customers.clone_from_slice(&after);
        *in_hand -= sum;
    }
    is_safe
}

fn main() {
    let customer = |name, holds, needs| Customer { name, holds, needs };
    let mut customers = [
        customer("a", 20, 50),
        customer("b", 10, 15),
        customer("c", 15, 10),
    ];
    let mut in_hand = 25;
    println!("in hand: {in_hand}");
    for Customer { name, holds, needs } in &customers {
        println!("{name} holds {holds} and needs {needs} more");
    }

    let lent = lend(&mut in_hand, &mut customers, 0, 20);
    println!(
        "a asks for 20, which is there: {}",
        if lent { "lent" } else { "not safe" }
    );
    let lent = lend(&mut in_hand, &mut customers, 2, 5);
    println!("c asks for 5: {}", if lent { "lent" } else { "not safe" });

    for Customer { name, holds, needs } in safe_order(in_hand, &customers).unwrap() {
        in_hand -= needs;
        println!("lend {needs} to {name}, in hand: {in_hand}");
        in_hand += needs + holds;
        println!("{name} pays back {}, in hand: {in_hand}", needs + holds);
    }
}

#[cfg(test)]
#[path = "../../tests/exercises/banker.rs"]
mod tests;
