//! Work on all cores, whose results come in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, available_parallelism};

/// So many results of each thread may wait for `take`.
const AHEAD: usize = 4;

/// Gives `take` each item and what `work` makes of it, in the order of the items. The work is done on a thread for each
/// core, this one too while there is nothing to take; the others run ahead only as far as `take` keeps up.
pub(crate) fn in_order<'i, I: Sync, T: Send>(
    items: &'i [I],
    work: impl Fn(&'i I) -> T + Sync,
    mut take: impl FnMut(&'i I, T),
) {
    let threads = available_parallelism().map_or(1, usize::from).min(items.len());
    if threads < 2 {
        return items.iter().for_each(|item| take(item, work(item)));
    }
    let next = AtomicUsize::new(0);
    let turn = || {
        let at = next.fetch_add(1, Ordering::Relaxed);
        Some((at, items.get(at)?))
    };
    let (give, come) = sync_channel(threads * AHEAD);
    thread::scope(|scope| {
        for _ in 1..threads {
            let (give, work, turn) = (give.clone(), &work, &turn);
            scope.spawn(move || {
                while let Some((at, item)) = turn()
                    && give.send((at, work(item))).is_ok()
                {}
            });
        }
        drop(give);
        let mut early = BTreeMap::new();
        let mut taken = 0;
        while taken < items.len() {
            early.extend(come.try_iter());
            if let Some(made) = early.remove(&taken) {
                take(&items[taken], made);
                taken += 1;
            } else if let Some((at, item)) = turn() {
                early.insert(at, work(item));
            } else if let Ok((at, made)) = come.recv() {
                early.insert(at, made);
            } else {
                // A thread panicked, which the scope says.
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for count in [0_u64, 1, 2, 3, 1_000] {
            let items: Vec<u64> = (0..count).collect();
            // The first of each ten takes longest.
            let slow = |&item: &u64| {
                thread::sleep(std::time::Duration::from_micros(if item % 10 == 0 { 100 } else { 0 }));
                item * 2
            };
            let mut taken = Vec::new();
            in_order(&items, slow, |item, made| taken.push((*item, made)));
            assert_eq!(taken, items.iter().map(|item| (*item, item * 2)).collect::<Vec<_>>());
        }
    }
}
