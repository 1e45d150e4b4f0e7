//! Asking one judge about all items.

use serde::Serialize;

use super::task::{FIRST, SECOND, TIE};
use super::{Item, Items, JudgeError, Label, Task};
use crate::models::Request;
use crate::models::calls::{Calls, Spending, Stop};
use crate::suites::json::{self, Asked};

/// The most repeats. Tries of one repeat are so many samples apart, so that neither more repeats nor more tries change which
/// sample is which.
pub const MOST_REPEATS: usize = 1000;

/// What a judge says of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// The verdict of all repeats together; none if no repeat has one.
    pub verdict: Option<Label>,
    /// Whether repeats were tied, so that the rule decided.
    pub is_tied: bool,
    /// The repeats; empty if the item was not asked about because a reply is missing.
    pub repeats: Vec<Repeat>,
}

/// One repeat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repeat {
    /// What was said of the replies, or of both orders together; none if it was not said in every order.
    pub verdict: Option<Label>,
    /// What was said, for each order.
    pub said: Vec<Said>,
}

/// What a judge says once.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Said {
    /// The label, as the replies were shown; none if all its replies were malformed or missing.
    pub label: Option<Label>,
    /// The last reply.
    pub text: String,
    /// Replies that were malformed.
    pub malformed: usize,
}

impl Repeat {
    fn of(said: Vec<Said>) -> Self {
        let verdict = match &said[..] {
            [straight, swapped] => straight.label.zip(swapped.label.map(mapped_back)).map(in_both_orders),
            [only] => only.label,
            _ => None,
        };
        Repeat { verdict, said }
    }

    /// Whether both orders say the same of the replies; `None` where there are no two orders with labels.
    pub fn is_consistent(&self) -> Option<bool> {
        match &self.said[..] {
            [straight, swapped] => Some(straight.label? == mapped_back(swapped.label?)),
            _ => None,
        }
    }
}

/// A label of the swapped order as one of the straight order.
fn mapped_back(label: Label) -> Label {
    FIRST + SECOND - label
}

/// The verdict of two orders: the common one, and a tie where they differ in anything.
fn in_both_orders((straight, swapped): (Label, Label)) -> Label {
    if straight == swapped { straight } else { TIE }
}

/// Asks a judge about every item, `repeats` times, and hands the items over in order with what it says and what that cost.
///
/// # Errors
/// If there are no repeats or more than [`MOST_REPEATS`], the calls stop before the end (what was answered is in the log), or an item cannot
/// be read any more.
pub fn judge(
    calls: &Calls,
    task: &Task,
    items: &Items,
    repeats: usize,
    mut each: impl FnMut(&Item, Judgement, Spending),
) -> Result<(), JudgeError> {
    if !(1..=MOST_REPEATS).contains(&repeats) {
        return Err(JudgeError::Repeats(repeats));
    }
    let mut failed = None;
    let mut unread = None;
    let read = items.each()?.map_while(|item| item.map_err(|error| unread = Some(error)).ok());
    calls.run(
        read.map(|(_, item)| item),
        async |item: Item| {
            let judged = one(calls, task, &item, repeats).await;
            (item, judged)
        },
        |_, (item, judged)| match judged {
            Ok((judgement, spent)) => each(&item, judgement, spent),
            Err(error) => failed = failed.take().or(Some(error)),
        },
    );
    failed.or(unread).map_or(Ok(()), Err)
}

async fn one(
    calls: &Calls,
    task: &Task,
    item: &Item,
    repeats: usize,
) -> Result<(Judgement, Spending), JudgeError> {
    let requests = task.requests(item, repeats)?;
    let ask = |request: &Request| {
        let request = request.clone();
        async move { json::ask(calls, &request, task.tries, MOST_REPEATS, |reply| task.read(reply)).await }
    };
    let asked = futures_util::future::join_all(requests.iter().map(ask)).await;
    let asked: Vec<Vec<Asked<Label>>> = asked.into_iter().collect::<Result<_, Stop>>()?;
    // Two replies that are the same text make one question of both orders, which is paid for once.
    let paid = if requests.windows(2).all(|orders| orders[0] == orders[1]) { 1 } else { asked.len() };
    let spent =
        asked.iter().take(paid).flatten().fold(Spending::default(), |sum, asked| sum.plus(asked.spent));
    let mut orders: Vec<_> = asked.into_iter().map(Vec::into_iter).collect();
    let repeats: Vec<Repeat> = (0..if orders.is_empty() { 0 } else { repeats })
        .map(|_| {
            let said = orders.iter_mut().filter_map(Iterator::next);
            Repeat::of(
                said.map(|asked| Said { label: asked.value, text: asked.text, malformed: asked.malformed })
                    .collect(),
            )
        })
        .collect();
    let (verdict, is_tied) = task.together(repeats.iter().map(|repeat| repeat.verdict));
    Ok((Judgement { verdict, is_tied, repeats }, spent))
}
