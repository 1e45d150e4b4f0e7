//! Caps hold whatever calls cost and however many are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mathesis_reasoning::models::calls::{
    Calls, CallsError, Cap, Caps, Limits, Log, Options, Outcome, PriceTable, Stop,
};
use mathesis_reasoning::models::{
    Answer, Behaviour, Identity, Message, Model, Request, Sample, Sampling, ScriptedModel, Sending, Usage,
    block_on,
};

/// A model that uses drawn numbers of tokens, up to what it may, and counts for itself what it is owed.
struct Charging {
    identity: Identity,
    input: u64,
    output: u64,
    owed: Arc<AtomicU64>,
    calls: Arc<AtomicU64>,
    tokens: Arc<AtomicU64>,
}

/// A number from a text: SplitMix64 over its bytes.
fn drawn(text: &str) -> u64 {
    text.bytes().fold(1, |state: u64, byte| {
        let z = (state ^ u64::from(byte)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

impl Model for Charging {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        Box::pin(async move {
            let text = request.prompt.last_text();
            for _ in 0..drawn(&text) % 4 {
                tokio::task::yield_now().await;
            }
            let input_tokens = 1 + drawn(&format!("in {text}")) % text.len() as u64;
            let output_tokens = 1 + drawn(&format!("out {text}")) % request.sampling.max_tokens.unwrap();
            self.owed.fetch_add(input_tokens * self.input + output_tokens * self.output, Ordering::SeqCst);
            self.tokens.fetch_add(input_tokens + output_tokens, Ordering::SeqCst);
            self.calls.fetch_add(1, Ordering::SeqCst);
            let usage = Some(Usage { input_tokens, output_tokens });
            Ok(Answer { samples: vec![Sample::of("a")], usage, model: String::new() }.to_reply())
        })
    }
}

/// Scenarios with prices, usages and caps drawn at random, 64 calls under way. The full form has a thousand
/// (`MATHESIS_SCENARIOS=1000`).
#[test]
fn no_cap_is_ever_exceeded() {
    let scenarios = std::env::var("MATHESIS_SCENARIOS").map_or(60, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::open(folder.path()).unwrap());
    let (mut reached, mut used) = (0, 0.0);
    for scenario in 0..scenarios {
        let draw = |what: &str, below: u64| drawn(&format!("{what} {scenario}")) % below;
        // Prices with four digits after the point, for a million tokens.
        let (input, output) = (draw("input", 200_000), draw("output", 600_000));
        let prices = PriceTable::parse(&format!(
            "version = \"1\"\ncurrency = \"USD\"\n[[model]]\nname = \"m\"\ninput = {}\noutput = {}",
            input as f64 / 1e4,
            output as f64 / 1e4
        ))
        .unwrap();
        let (owed, calls, tokens) = (Arc::default(), Arc::default(), Arc::default());
        let model = Charging {
            identity: Identity {
                provider: "test".into(),
                endpoint: String::new(),
                model: "m".into(),
                revision: None,
            },
            input: input * 100,
            output: output * 100,
            owed: Arc::clone(&owed),
            calls: Arc::clone(&calls),
            tokens: Arc::clone(&tokens),
        };
        let caps = match draw("kind", 4) {
            0 => Caps { tokens: Some(draw("cap", 40_000)), ..Caps::default() },
            1 => Caps { calls: Some(draw("cap", 150)), ..Caps::default() },
            _ => Caps { cost: Some(draw("cap", 1_000_000) as f64 / 1e6), ..Caps::default() },
        };
        let options = Options {
            run: format!("scenario {scenario}"),
            limits: Limits { concurrency: 64, ..Limits::default() },
            caps: caps.clone(),
            prices: Some(prices),
            ..Options::default()
        };
        let maker = Calls::new(Arc::new(model), log.clone(), options).unwrap();
        let mut unasked = 0;
        maker.run(
            0..200,
            async |number| {
                let most = 1 + drawn(&format!("limit {scenario} {number}")) % 300;
                let text = format!("scenario {scenario}, question {number}");
                let sampling = Sampling { max_tokens: Some(most), ..Sampling::default() };
                maker.ask(&Request::chat([Message::user(text)]).sampled(sampling)).await
            },
            |_, answers| match &answers.outcomes[0] {
                Outcome::Unasked(Stop::Budget(_)) => unasked += 1,
                Outcome::Answered(_) => {}
                other => panic!("{other:?}"),
            },
        );
        let (owed, calls, tokens) =
            (owed.load(Ordering::SeqCst), calls.load(Ordering::SeqCst), tokens.load(Ordering::SeqCst));
        let spent = maker.status().spent;
        assert_eq!((spent.cost, spent.calls), (owed, calls));
        assert_eq!(spent.input_tokens + spent.output_tokens, tokens);
        assert!(caps.cost.is_none_or(|cap| owed as f64 <= cap * 1e12), "{scenario}: {owed} of {caps:?}");
        assert!(caps.tokens.is_none_or(|cap| tokens <= cap), "{scenario}: {tokens} of {caps:?}");
        assert!(caps.calls.is_none_or(|cap| calls <= cap), "{scenario}: {calls} of {caps:?}");
        if unasked > 0 {
            reached += 1;
            used += caps.cost.map_or(1.0, |cap| owed as f64 / (cap * 1e12).max(1.0));
        }
    }
    println!(
        "{reached} of {scenarios} scenarios reached their cap, having used {:.3} of it",
        used / reached as f64
    );
    assert!(reached > scenarios / 4);
}

fn priced(caps: Caps, log: &Arc<Log>) -> Result<Calls, CallsError> {
    // Four characters a token: 25 tokens in, 10 out.
    let model = ScriptedModel::new("m", |_, _| Ok(Sample::of("abcd".repeat(10))));
    let prices = "version = \"1\"\ncurrency = \"EUR\"\n[[model]]\nname = \"m\"\ninput = 1.5\noutput = 6";
    let limits = Limits { concurrency: 1, ..Limits::default() };
    let prices = Some(PriceTable::parse(prices).unwrap());
    Calls::new(
        Arc::new(model),
        log.clone(),
        Options { run: "r".into(), limits, caps, prices, ..Options::default() },
    )
}

fn asked(calls: &Calls, count: usize) -> Vec<&'static str> {
    let sampling = Sampling { max_tokens: Some(20), ..Sampling::default() };
    let mut names = Vec::new();
    calls.run(
        0..count,
        async |number| {
            let text = format!("{number:0>100}");
            calls.ask(&Request::chat([Message::user(text)]).sampled(sampling.clone())).await
        },
        |_, answers| names.push(answers.outcomes[0].name()),
    );
    names
}

/// What an earlier sitting spent counts; with a higher cap the run goes on where it stopped.
#[test]
fn a_run_goes_on_when_its_cap_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::open(folder.path()).unwrap());
    // A call costs 25 · 1.5 + 10 · 6 = 97.5 millionths, and at worst (100 + 160) · 1.5 + 20 · 6 = 510.
    let cap = |millionths: f64| Caps { cost: Some(millionths * 1e-6), ..Caps::default() };
    let first = priced(cap(1000.0), &log).unwrap();
    assert_eq!(asked(&first, 8), ["answered"; 6].iter().chain(&["unasked"; 2]).copied().collect::<Vec<_>>());
    assert_eq!(first.status().stop, Some(Stop::Budget(Cap::Cost)));
    assert_eq!(first.status().spent.cost, 6 * 97_500_000);
    assert!((first.status().spent.money() - 585e-6).abs() < 1e-12);
    let again = priced(cap(1000.0), &log).unwrap();
    assert_eq!(asked(&again, 8)[6..], ["unasked"; 2]);
    assert_eq!((again.status().sent, again.status().reused), (0, 6));
    let raised = priced(cap(1300.0), &log).unwrap();
    assert_eq!(asked(&raised, 8), ["answered"; 8]);
    assert_eq!((raised.status().sent, raised.status().spent.calls), (2, 8));
}

#[test]
fn caps_that_cannot_be_counted_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::open(folder.path()).unwrap());
    let model = || Arc::new(ScriptedModel::new("other", |_, _| Ok(Sample::of("a"))));
    let with = |caps| Calls::new(model(), log.clone(), Options { caps, ..Options::default() });
    let cost = Caps { cost: Some(1.0), ..Caps::default() };
    assert!(matches!(with(cost), Err(CallsError::NoPrice(_))));
    let negative = Caps { cost: Some(-1.0), ..Caps::default() };
    assert!(matches!(with(negative), Err(CallsError::Option { .. })));
    // Without a token limit a call has no worst case.
    let tokens = with(Caps { tokens: Some(1000), ..Caps::default() }).unwrap();
    let outcomes = block_on(tokens.ask(&Request::completion("a"))).outcomes;
    assert!(matches!(&outcomes[0], Outcome::Failed(failure) if failure.message.contains("max_tokens")));
    assert_eq!(tokens.status().sent, 0);
}

#[test]
fn the_time_cap_ends_a_run_and_lets_calls_finish() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::open(folder.path()).unwrap());
    let latency = std::time::Duration::from_millis(50);
    let model = ScriptedModel::new("slow", |_, _| Ok(Sample::of("a")));
    let model = model.behaving(Behaviour { latency, ..Behaviour::default() });
    let options = Options {
        limits: Limits { concurrency: 4, ..Limits::default() },
        caps: Caps { time: Some(latency * 3), ..Caps::default() },
        ..Options::default()
    };
    let calls = Calls::new(Arc::new(model), log, options).unwrap();
    let names = asked(&calls, 400);
    let answered = names.iter().filter(|name| **name == "answered").count();
    // All that were sent were answered, and they were few.
    assert_eq!(answered as u64, calls.status().sent);
    assert!(answered < 400 && names[399] == "unasked", "{answered}");
    assert_eq!(calls.status().stop, Some(Stop::Budget(Cap::Time)));
}

#[test]
fn wrong_price_tables_are_explained() {
    for (text, expected) in [
        ("currency = \"USD\"", "version"),
        ("version = \"1\"\ncurrency = \"USD\"\nprice = 1", "unknown field"),
        ("version = \"1\"\ncurrency = \"USD\"\n[[model]]\nname = \"m\"\ninput = -1.0\noutput = 1.0", "m: -1"),
        ("version = \"1\"\ncurrency = \"USD\"\n[[model]]\nname = \"m\"\ninput = 1.0", "output"),
    ] {
        let message = PriceTable::parse(text).unwrap_err();
        assert!(message.contains(expected), "{text}: {message}");
    }
}
