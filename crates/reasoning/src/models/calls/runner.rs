//! Many things at once, handed over in order.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::super::block_on;
use super::Calls;

impl Calls {
    /// Does `work` for every item, many at once, and hands the results to `each` in the order of the items, with their
    /// numbers. For synchronous programs; not to be called from within a future.
    ///
    /// Twice as many items are worked on as calls may be in flight, because some wait for another try or compute. Items are
    /// drawn as they are needed, so that there may be any number of them. `work` runs on the calling thread: long
    /// computations in it belong into `each` or onto other threads.
    ///
    /// ```no_run
    /// # use mathesis_reasoning::models::{calls::Calls, Message, Request};
    /// # fn example(calls: &Calls, questions: Vec<String>) {
    /// calls.run(
    ///     questions,
    ///     async |question| calls.ask(&Request::chat([Message::user(question)])).await,
    ///     |number, answers| println!("{number}: {}", answers.outcomes[0].text()),
    /// );
    /// # }
    /// ```
    pub fn run<T, R>(
        &self,
        items: impl IntoIterator<Item = T>,
        work: impl AsyncFn(T) -> R,
        mut each: impl FnMut(usize, R),
    ) {
        let at_once = self.options.limits.concurrency.saturating_mul(2);
        // Results that wait for an earlier one are bounded too.
        let most_ahead = at_once.saturating_mul(16);
        let mut items = items.into_iter().enumerate().fuse();
        block_on(async {
            let mut working = FuturesUnordered::new();
            let mut waiting = BTreeMap::new();
            let (mut begun, mut next) = (0, 0);
            loop {
                while working.len() < at_once && begun - next < most_ahead {
                    let Some((number, item)) = items.next() else { break };
                    begun += 1;
                    let work = &work;
                    working.push(async move { (number, work(item).await) });
                }
                let Some((number, result)) = working.next().await else { break };
                waiting.insert(number, result);
                while let Some(result) = waiting.remove(&next) {
                    each(next, result);
                    next += 1;
                }
            }
        });
    }
}
