use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use super::*;
use crate::generation::{Finish, Sampling, generate};
use crate::model::Size;

fn model(context: usize) -> LanguageModel {
    let size =
        Size { vocabulary: 258, width: 16, hidden: 24, layers: 2, heads: 4, key_value_heads: 2, context };
    LanguageModelConfig { deviation: 0.4, ..LanguageModelConfig::llama(size) }
        .init(1, &Device::flex())
        .unwrap()
}

const LIMITS: Limits = Limits { running: 4, waiting: 100, time: Duration::from_secs(100) };
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn service(context: usize, limits: Limits) -> Service {
    Service::start(model(context), Arc::new(tokenizer()), Device::flex(), limits).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::of_bytes(&["<s>", "</s>"])
}

fn prompt(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

fn asked(
    service: &Service,
    prompts: &[Vec<u32>],
    request: &Request,
) -> Result<(Ticket, Receiver<Heard>), Refusal> {
    let (sender, receiver) = channel();
    let ticket = service.ask(prompts.to_vec(), request, move |heard| {
        let _ = sender.send(heard);
    })?;
    Ok((ticket, receiver))
}

fn greedy(max_tokens: usize) -> Request {
    Request { max_tokens, ..Request::default() }
}

/// All answers, by prompt and sample; the pieces add up to them.
#[track_caller]
fn answers(receiver: &Receiver<Heard>) -> Vec<Completion> {
    let (mut texts, mut whole) = (BTreeMap::new(), BTreeMap::new());
    loop {
        match receiver.recv_timeout(PATIENCE) {
            Ok(Heard::Begun(prompt)) => assert!(!texts.contains_key(&(prompt, 0))),
            Ok(Heard::Piece(piece)) => {
                let place = (piece.prompt, piece.sample);
                texts.entry(place).or_insert_with(String::new).push_str(&piece.text);
                if let Some(completion) = piece.completion {
                    assert_eq!(texts[&place], completion.text);
                    whole.insert(place, completion);
                }
            }
            Ok(Heard::Failed(failure)) => panic!("{failure}"),
            Err(RecvTimeoutError::Disconnected) => return whole.into_values().collect(),
            Err(RecvTimeoutError::Timeout) => panic!("nothing is heard"),
        }
    }
}

/// The failure that ends what is heard.
#[track_caller]
fn failure(receiver: &Receiver<Heard>) -> Failure {
    loop {
        match receiver.recv_timeout(PATIENCE) {
            Ok(Heard::Failed(failure)) => return failure,
            Ok(_) => {}
            Err(error) => panic!("no failure: {error}"),
        }
    }
}

#[track_caller]
fn until(fine: impl Fn() -> bool) {
    let start = Instant::now();
    while !fine() {
        assert!(start.elapsed() < PATIENCE, "it never comes true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn answers_are_those_of_each_question_alone() {
    let service = service(48, LIMITS);
    let (model, tokenizer, device) = (model(48), tokenizer(), Device::flex());
    let sampling = Sampling { temperature: 1.0, top_p: Some(0.9), ..Sampling::default() };
    let questions: Vec<(Vec<Vec<u32>>, Request)> = (0..40)
        .map(|k| {
            let prompts = (0..1 + k % 3).map(|j| prompt(&"a question of some length"[..1 + (k + j) % 20]));
            let request = Request {
                samples: 1 + k % 4,
                seed: k as u64 / 2,
                sampling: if k % 5 == 0 { Sampling::default() } else { sampling },
                log_probabilities: (k % 4 == 0).then_some(2),
                ..greedy(1 + k % 11)
            };
            (prompts.collect(), request)
        })
        .collect();
    std::thread::scope(|scope| {
        for part in questions.chunks(5) {
            let (service, model, tokenizer, device) = (&service, &model, &tokenizer, &device);
            scope.spawn(move || {
                let heard: Vec<_> =
                    part.iter().map(|(prompts, request)| asked(service, prompts, request).unwrap()).collect();
                for ((prompts, request), (_ticket, receiver)) in part.iter().zip(&heard) {
                    let alone = generate(model, tokenizer, prompts, request, device, &mut |_, _, _| {
                        ControlFlow::Continue(())
                    });
                    let (given, expected) = (answers(receiver), alone.unwrap().concat());
                    assert_eq!(given.len(), expected.len());
                    for (given, expected) in given.iter().zip(&expected) {
                        assert_eq!((&given.tokens, &given.text), (&expected.tokens, &expected.text));
                        assert_eq!(given.log_probabilities.len(), expected.log_probabilities.len());
                    }
                }
            });
        }
    });
    until(|| service.load() == Load { running: 0, waiting: 0, open: true });
}

#[test]
fn a_dropped_ticket_ends_what_runs_and_what_waits() {
    let service = service(100_000, Limits { running: 2, waiting: 1, ..LIMITS });
    let long = Request { samples: 2, ..greedy(99_000) };
    let (first, running) = asked(&service, &[prompt("a")], &long).unwrap();
    assert!(matches!(running.recv_timeout(PATIENCE).unwrap(), Heard::Begun(0)));
    let (second, waiting) = asked(&service, &[prompt("b")], &greedy(5)).unwrap();
    // Full now, and again able once one that waits is gone.
    let refused = asked(&service, &[prompt("c")], &greedy(5)).unwrap_err();
    assert_eq!(refused.to_string(), "1 prompts are waiting already");
    drop(second);
    let (_third, receiver) = asked(&service, &[prompt("c")], &greedy(5)).unwrap();
    assert!(waiting.recv_timeout(PATIENCE).is_err(), "the one that waited never begins");
    drop(first);
    assert_eq!(answers(&receiver).len(), 1);
    assert!(running.iter().all(|heard| matches!(heard, Heard::Piece(piece) if piece.completion.is_none())));
    until(|| service.load().running == 0);
}

#[test]
fn impossible_questions_are_refused() {
    let service = service(48, Limits { waiting: 2, ..LIMITS });
    let refused =
        |prompts: &[Vec<u32>], request: &Request| asked(&service, prompts, request).unwrap_err().to_string();
    let samples = Request { samples: 5, ..greedy(1) };
    assert!(refused(&[prompt("a")], &samples).starts_with("5 samples of a prompt; at most 4"));
    let many = vec![prompt("a"); 7];
    assert_eq!(refused(&many, &greedy(1)), "7 prompts in one question; at most 6 can wait");
    assert!(refused(&[prompt("a"), vec![]], &greedy(1)).contains("no tokens"));
    assert!(refused(&[vec![300]], &greedy(1)).contains("300"));
    assert!(refused(&[prompt(&"a".repeat(48))], &greedy(1)).contains("no room"));
    assert_eq!(service.load().waiting, 0);
    let (_ticket, receiver) = asked(&service, &many[..6], &greedy(1)).unwrap();
    assert_eq!(answers(&receiver).len(), 6);
}

#[test]
fn time_that_is_over_ends_answers_and_waiting() {
    let time = Duration::from_millis(300);
    let service = service(1_000_000, Limits { running: 1, time, ..LIMITS });
    let (_first, running) = asked(&service, &[prompt("a")], &greedy(900_000)).unwrap();
    let ended = answers(&running);
    assert_eq!(ended[0].finish, Finish::Interrupted);
    assert!(!ended[0].tokens.is_empty() && ended[0].tokens.len() < 900_000);
    // Reading this takes longer than there is time, and what waits behind it has no turn.
    let long = vec![97; 400_000];
    let (_second, reading) = asked(&service, std::slice::from_ref(&long), &greedy(5)).unwrap();
    let (_third, waiting) = asked(&service, std::slice::from_ref(&long), &greedy(5)).unwrap();
    for receiver in [reading, waiting] {
        assert_eq!(failure(&receiver), Failure::Late(time));
        assert!(receiver.recv_timeout(PATIENCE).is_err(), "nothing is heard after it");
    }
    until(|| service.load().running == 0);
}

#[test]
fn a_closed_service_finishes_and_a_stopped_one_does_not() {
    let closed = service(48, Limits { running: 1, ..LIMITS });
    let heard: Vec<_> = (0..5).map(|_| asked(&closed, &[prompt("a")], &greedy(30)).unwrap()).collect();
    closed.close();
    assert!(matches!(asked(&closed, &[prompt("a")], &greedy(30)), Err(Refusal::Stopping)));
    for (_ticket, receiver) in &heard {
        assert_eq!(answers(receiver)[0].tokens.len(), 30);
    }

    let stopped = service(100_000, Limits { running: 1, ..LIMITS });
    let heard: Vec<_> = (0..3).map(|_| asked(&stopped, &[prompt("a")], &greedy(99_000)).unwrap()).collect();
    assert!(matches!(heard[0].1.recv_timeout(PATIENCE).unwrap(), Heard::Begun(0)));
    stopped.stop();
    for (_ticket, receiver) in &heard {
        assert_eq!(failure(receiver), Failure::Stopped);
        assert!(receiver.recv_timeout(PATIENCE).is_err(), "nothing is heard after it");
    }
    assert!(!stopped.load().open);
}

#[test]
fn damaged_weights_fail_the_question_and_not_the_service() {
    let mut broken = LanguageModelConfig::llama(Size {
        vocabulary: 258,
        width: 16,
        hidden: 24,
        layers: 1,
        heads: 2,
        key_value_heads: 2,
        context: 48,
    });
    // Norms of nothing but zeros.
    (broken.deviation, broken.norm_epsilon) = (0.0, 0.0);
    let model = broken.init(1, &Device::flex()).unwrap();
    let service = Service::start(model, Arc::new(tokenizer()), Device::flex(), LIMITS).unwrap();
    for _ in 0..2 {
        let (_ticket, receiver) = asked(&service, &[prompt("a")], &greedy(3)).unwrap();
        let Failure::Generation(message) = failure(&receiver) else { panic!("another failure") };
        assert!(message.contains("not a finite number"), "{message}");
    }
    // A listener that panics ends the service; nobody waits in vain.
    let _ticket = service.ask(vec![prompt("a")], &greedy(3), |_| panic!("a listener's fault")).unwrap();
    until(|| !service.load().open);
    assert!(matches!(asked(&service, &[prompt("a")], &greedy(3)), Err(Refusal::Stopping)));
}
