//! Work on all cores, whose results come in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, available_parallelism};

/// Gives `take` each item and what `work` makes of it, in the order of the items, while other threads work on the next ones:
/// one for each core, which run ahead only as far as `take` keeps up.
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
    let (give, come) = sync_channel(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (give, work, next) = (give.clone(), &work, &next);
            scope.spawn(move || {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(at)
                    && give.send((at, work(item))).is_ok()
                {}
            });
        }
        drop(give);
        let mut early = BTreeMap::new();
        let mut taken = 0;
        for (at, made) in come {
            early.insert(at, made);
            while let Some(made) = early.remove(&taken) {
                take(&items[taken], made);
                taken += 1;
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
