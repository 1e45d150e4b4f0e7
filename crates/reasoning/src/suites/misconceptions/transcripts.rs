//! What was asked and replied in every batch of a run, and the decisions that follow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::records::{Item, Misconception};
use super::replies::{Predicted, Rules, parse};
use super::scores::Decision;
use super::trials::{Batch, Experiment};
use crate::suites::{Ending, Reply};

/// One prompt with its reply: a line of `records.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// The run.
    pub run_id: String,
    /// The experiment.
    pub condition: Experiment,
    /// The trial, from 0.
    pub trial: usize,
    /// The name of the batch.
    pub prompt_batch_id: String,
    /// The topic of a topic-constrained prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The names of the diagnosed examples, in order.
    pub train: Vec<String>,
    /// The names of the test examples, in order: `MaE07-3` is the third example of MaE07.
    pub test: Vec<String>,
    /// What was asked; empty in a plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// What was replied; none in a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
}

impl Transcript {
    /// A batch that has not been asked.
    pub fn planned(run: &str, items: &[Item], batch: &Batch) -> Self {
        let names = |places: &[usize]| places.iter().map(|&at| items[at].name()).collect();
        Transcript {
            run_id: run.into(),
            condition: batch.experiment,
            trial: batch.trial,
            prompt_batch_id: batch.name(),
            topic: batch.topic.map(|topic| topic.name().into()),
            train: names(&batch.train),
            test: names(&batch.test),
            prompt: String::new(),
            reply: None,
        }
    }
}

/// The decisions of an experiment, and what else was in the replies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The decisions, batch by batch.
    pub decisions: Vec<Decision>,
    /// What else was in the replies.
    pub faults: Faults,
}

/// What was in replies besides diagnoses of test examples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Diagnoses of numbers that no test example has.
    pub unknown_numbers: usize,
    /// Batches without a reply.
    pub failed_batches: usize,
    /// Trials that the positional rules drop; their decisions count as wrong.
    pub dropped_trials: usize,
}

/// Reads the transcripts of a file of JSON lines.
///
/// # Errors
/// The first line that is none, or has no reply or names no example, with its number.
pub fn read(text: &str) -> Result<Vec<Transcript>, String> {
    let mut transcripts = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |message: String| format!("line {}: {message}", number + 1);
        let transcript: Transcript = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if transcript.reply.is_none() {
            return Err(wrong("no `reply`: a plan, not a run".into()));
        }
        if let Some(name) = transcript.test.iter().find(|name| example(name).is_none()) {
            return Err(wrong(format!("`{name}` is no example: expected such as MaE07-3")));
        }
        transcripts.push(transcript);
    }
    match transcripts.is_empty() {
        true => Err("no transcripts".into()),
        false => Ok(transcripts),
    }
}

/// The decisions of every experiment that the transcripts hold, by the rules.
pub fn judge(transcripts: &[Transcript], rules: Rules) -> BTreeMap<Experiment, Judged> {
    let mut trials: BTreeMap<(Experiment, usize), Vec<&Transcript>> = BTreeMap::new();
    for transcript in transcripts {
        trials.entry((transcript.condition, transcript.trial)).or_default().push(transcript);
    }
    let mut judged: BTreeMap<Experiment, Judged> = BTreeMap::new();
    for ((experiment, _), batches) in trials {
        let of = judged.entry(experiment).or_default();
        let mut decisions = Vec::new();
        let mut dropped = false;
        for transcript in batches {
            let reply = transcript.reply.as_ref().filter(|reply| reply.ending != Ending::Failed);
            let predictions = match reply {
                Some(reply) => {
                    let parsed = parse(&reply.text, transcript.test.len(), rules);
                    of.faults.unknown_numbers += parsed.unknown.len();
                    dropped |= parsed.dropped;
                    parsed.predictions
                }
                None => {
                    of.faults.failed_batches += 1;
                    // There, a call that fails ends the trial too.
                    dropped |= rules == Rules::Positional;
                    vec![Predicted::Failed; transcript.test.len()]
                }
            };
            let examples = transcript.test.iter().filter_map(|name| example(name));
            decisions.extend(examples.zip(predictions).map(|((truth, example), predicted)| Decision {
                trial: transcript.trial,
                example,
                truth,
                predicted,
            }));
        }
        if dropped {
            of.faults.dropped_trials += 1;
            decisions.iter_mut().for_each(|decision| decision.predicted = Predicted::Failed);
        }
        of.decisions.extend(decisions);
    }
    judged
}

/// The misconception and the number of an example's name.
fn example(name: &str) -> Option<(Misconception, u8)> {
    let (id, number) = name.split_once('-')?;
    Some((Misconception::from_id(id)?, number.parse().ok().filter(|number| (1..=4).contains(number))?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::items;
    use super::super::trials::plan;
    use super::*;

    fn transcripts(reply: impl Fn(&[String]) -> Reply) -> Vec<Transcript> {
        let items = items();
        let plan = plan(&items, &Experiment::ALL, 2, 1);
        let answered = |batch: &Batch| {
            let planned = Transcript::planned("run", &items, batch);
            Transcript { reply: Some(reply(&planned.test)), ..planned }
        };
        plan.iter().map(answered).collect()
    }

    fn right(test: &[String]) -> String {
        let line = |(k, name): (usize, &String)| format!("{}, {}", k + 1, &name[..5]);
        test.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_failed_call_keeps_its_decisions_and_ends_a_positional_trial() {
        let run = transcripts(|test| match test.len() {
            2 => Reply { ending: Ending::Failed, ..Reply::complete("") },
            _ => Reply::complete(right(test)),
        });
        let lines: Vec<String> = run.iter().map(|one| serde_json::to_string(one).unwrap()).collect();
        assert_eq!(read(&lines.join("\n")).unwrap(), run);
        let count = |judged: &Judged| judged.decisions.iter().filter(|decision| decision.is_right()).count();

        let numbered = judge(&run, Rules::Numbered);
        let (cross, topic) = (&numbered[&Experiment::CrossTopic], &numbered[&Experiment::TopicConstrained]);
        assert_eq!((cross.decisions.len(), count(cross)), (110, 110));
        assert_eq!((topic.decisions.len(), count(topic)), (110, 106));
        assert_eq!((topic.faults.failed_batches, topic.faults.dropped_trials), (2, 0));

        let positional = judge(&run, Rules::Positional);
        let topic = &positional[&Experiment::TopicConstrained];
        assert_eq!((topic.decisions.len(), count(topic), topic.faults.dropped_trials), (110, 0, 2));
        assert_eq!(count(&positional[&Experiment::CrossTopic]), 110);
    }

    #[test]
    fn a_reply_that_pandas_cannot_read_drops_its_trial_alone() {
        let mut run = transcripts(|test| Reply::complete(right(test)));
        run[1].reply = Some(Reply::complete("1, MaE01\n2, MaE02, perhaps"));
        let judged = judge(&run, Rules::Positional);
        let cross = &judged[&Experiment::CrossTopic];
        assert_eq!((cross.decisions.len(), cross.faults.dropped_trials), (110, 1));
        assert!(cross.decisions.iter().all(|decision| decision.is_right() == (decision.trial == 0)));
    }

    #[test]
    fn lines_that_are_no_transcripts_are_named() {
        let planned = Transcript::planned("run", &items(), &plan(&items(), &Experiment::ALL, 1, 1)[0]);
        let line = serde_json::to_string(&planned).unwrap();
        assert!(read(&line).unwrap_err().starts_with("line 1: no `reply`"));
        let answered = Transcript { reply: Some(Reply::complete("")), test: vec!["MaE7".into()], ..planned };
        let line = serde_json::to_string(&answered).unwrap();
        assert!(read(&line).unwrap_err().contains("`MaE7` is no example"));
        assert!(read("").is_err());
    }
}
