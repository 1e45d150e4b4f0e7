use burn::tensor::{Tensor, TensorData};
use mathesis_networks::sequence::Documents;

use super::*;
use crate::model::{LanguageModelConfig, Size};

const SIZE: Size =
    Size { vocabulary: 258, width: 16, hidden: 24, layers: 2, heads: 4, key_value_heads: 2, context: 48 };

/// A model of bytes whose weights are so large that its answers vary.
fn model() -> LanguageModel {
    LanguageModelConfig { deviation: 0.4, ..LanguageModelConfig::llama(SIZE) }
        .init(1, &Device::flex())
        .unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::of_bytes(&["<s>", "</s>"])
}

fn prompts(texts: &[&str]) -> Vec<Vec<u32>> {
    texts.iter().map(|text| tokenizer().encode(text, false).unwrap()).collect()
}

#[track_caller]
fn answers(texts: &[&str], request: &Request) -> Vec<Vec<Completion>> {
    let mut heard = vec![vec![String::new(); request.samples]; texts.len()];
    let completions = generate(
        &model(),
        &tokenizer(),
        &prompts(texts),
        request,
        &Device::flex(),
        &mut |prompt, sample, piece| {
            heard[prompt][sample].push_str(piece);
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    // What was heard piece by piece is the text.
    for (heard, completions) in heard.iter().flatten().zip(completions.iter().flatten()) {
        assert_eq!(heard, &completions.text);
    }
    completions
}

/// The logits of the next token by one pass over everything.
fn logits(model: &LanguageModel, tokens: &[u32]) -> Vec<f32> {
    let data = TensorData::new(tokens.iter().map(|&token| i64::from(token)).collect(), [1, tokens.len()]);
    let tokens = Tensor::from_data(data, &Device::flex());
    let time = tokens.dims()[1];
    let logits: Vec<f32> =
        model.forward(tokens, &Documents::whole(1, time)).into_data().iter::<f32>().collect();
    logits[logits.len() - 258..].to_vec()
}

fn greedy(max_tokens: usize) -> Request {
    Request { max_tokens, ..Request::default() }
}

#[test]
fn greedy_answers_are_the_likeliest_tokens_one_by_one() {
    let model = model();
    let texts = ["a", "one two", "some longer text"];
    let together = answers(&texts, &greedy(12));
    for (prompt, completions) in prompts(&texts).into_iter().zip(&together) {
        let mut tokens = prompt.clone();
        for _ in 0..12 {
            let logits = logits(&model, &tokens);
            let best = (0..258).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            tokens.push(best as u32);
        }
        assert_eq!(completions[0].tokens, tokens[prompt.len()..]);
        assert_eq!(completions[0].finish, Finish::Length);
        assert_eq!(completions[0].text, tokenizer().decode(&completions[0].tokens).unwrap());
    }
    let alone: Vec<_> = texts.iter().flat_map(|text| answers(&[text], &greedy(12))).collect();
    assert_eq!(alone, together);
}

#[test]
fn samples_depend_on_seed_prompt_and_number_only() {
    let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
    let request = |samples, seed| Request { sampling, samples, seed, ..greedy(8) };
    let given = answers(&["one", "two!"], &request(3, 7));
    assert_eq!(given, answers(&["one", "two!"], &request(3, 7)));
    assert_ne!(given, answers(&["one", "two!"], &request(3, 8)));
    // Fewer samples and other prompts after it change nothing.
    assert_eq!(answers(&["one"], &request(2, 7))[0], given[0][..2]);
    let texts: Vec<&Vec<u32>> = given.iter().flatten().map(|completion| &completion.tokens).collect();
    assert!((1..texts.len()).all(|k| !texts[..k].contains(&texts[k])), "all samples differ");
}

#[test]
fn answers_end_where_they_are_told_to() {
    let plain = &answers(&["abc"], &greedy(20))[0][0];
    // At a token of its middle.
    let end = plain.tokens[5];
    let first = plain.tokens.iter().position(|&token| token == end).unwrap();
    let ended = &answers(&["abc"], &Request { end: vec![end], ..greedy(20) })[0][0];
    assert_eq!((&ended.tokens[..], ended.finish), (&plain.tokens[..first], Finish::Stop));
    // At a text, which is cut off with what follows.
    let middle: String = plain.text.chars().skip(2).take(2).collect();
    let stopped = &answers(&["abc"], &Request { stop: vec![middle.clone()], ..greedy(20) })[0][0];
    assert_eq!(stopped.finish, Finish::Stop);
    assert_eq!(stopped.text, plain.text[..plain.text.find(&middle).unwrap()]);
    assert!(stopped.tokens.len() < plain.tokens.len());
    // At the end of the context.
    let long = &answers(&["abc"], &greedy(1000))[0][0];
    assert_eq!((long.tokens.len(), long.finish), (48 - 3, Finish::Length));
    let none = &answers(&["abc"], &greedy(0))[0][0];
    assert_eq!((none.text.as_str(), none.tokens.len(), none.finish), ("", 0, Finish::Length));
}

#[test]
fn broken_off_generation_returns_what_there_is() {
    let mut pieces = 0;
    let mut heard = |_: usize, _: usize, _: &str| {
        pieces += 1;
        if pieces == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let request = Request { samples: 2, ..greedy(30) };
    let texts = prompts(&["abc", "d"]);
    let given = generate(&model(), &tokenizer(), &texts, &request, &Device::flex(), &mut heard).unwrap();
    assert_eq!(given.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    for completion in given.iter().flatten() {
        assert_eq!(completion.finish, Finish::Interrupted);
        assert!(completion.tokens.len() < 30);
    }
}

#[test]
fn logarithms_of_probabilities_are_the_models() {
    let request = Request { log_probabilities: Some(2), ..greedy(5) };
    let given = &answers(&["abc"], &request)[0][0];
    let model = model();
    let mut tokens = prompts(&["abc"]).remove(0);
    assert_eq!(given.log_probabilities.len(), 5);
    for (token, given) in given.tokens.iter().zip(&given.log_probabilities) {
        let logits = logits(&model, &tokens);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        assert_eq!((given.chosen.token, given.top[0]), (*token, given.chosen));
        assert!((given.chosen.value - (f64::from(logits[*token as usize]) - sum.ln())).abs() < 1e-4);
        assert!(given.top.len() == 2 && given.top[1].value <= given.top[0].value);
        tokens.push(*token);
    }
}

#[test]
fn logarithms_of_a_prompt_are_the_models() {
    let text = "abcab";
    for max_tokens in [0, 3] {
        let request =
            Request { log_probabilities: Some(1), of_prompt: true, samples: 2, ..greedy(max_tokens) };
        let given = &answers(&[text], &request)[0];
        let (model, tokens) = (model(), prompts(&[text]).remove(0));
        for completion in given {
            assert_eq!((completion.tokens.len(), completion.of_prompt.len()), (max_tokens, tokens.len() - 1));
            for (place, given) in completion.of_prompt.iter().enumerate() {
                let logits = logits(&model, &tokens[..=place]);
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                let next = tokens[place + 1];
                let expected = f64::from(logits[next as usize]) - sum.ln();
                assert_eq!((given.chosen.token, given.offset, given.top.len()), (next, place + 1, 1));
                assert!((given.chosen.value - expected).abs() < 1e-4);
            }
        }
    }
    // Unasked for, there are none.
    assert_eq!(answers(&[text], &Request { log_probabilities: Some(1), ..greedy(1) })[0][0].of_prompt, []);
}

#[test]
fn prompts_can_be_added_while_others_are_answered() {
    let (model, tokenizer, device) = (model(), tokenizer(), Device::flex());
    let mut decoder = Decoder::new(&model, &tokenizer, &device);
    let texts = prompts(&["first", "the second"]);
    let mut completions = vec![None; 2];
    decoder.begin(&texts[0], 0, &greedy(9)).unwrap();
    let mut steps = 0;
    while !decoder.is_idle() {
        steps += 1;
        if steps == 4 {
            assert_eq!(decoder.begin(&texts[1], 1, &greedy(9)).unwrap(), 1);
            assert_eq!(decoder.running(), 2);
        }
        for event in decoder.step().unwrap() {
            completions[event.sequence] = event.completion.or(completions[event.sequence].take());
        }
    }
    let expected = answers(&["first", "the second"], &greedy(9));
    for (given, expected) in completions.into_iter().zip(expected) {
        assert_eq!(given.as_ref(), Some(&expected[0]));
    }
}

#[test]
fn long_prompts_are_read_in_parts_between_the_steps_of_others() {
    let size = Size { context: 1200, ..SIZE };
    let model = LanguageModelConfig { deviation: 0.4, ..LanguageModelConfig::llama(size) };
    let (model, tokenizer, device) = (model.init(1, &Device::flex()).unwrap(), tokenizer(), Device::flex());
    let long: Vec<u32> = (0..1030).map(|k| k * 7 % 256).collect();
    let mut decoder = Decoder::new(&model, &tokenizer, &device);
    let short = prompts(&["one"]).remove(0);
    decoder.begin(&short, 0, &greedy(8)).unwrap();
    decoder.step().unwrap();
    assert_eq!(decoder.begin(&long, 1, &Request { samples: 2, ..greedy(3) }).unwrap(), 1);
    assert_eq!(decoder.running(), 3);
    // Parts of 512, 512 and 6 tokens: the long one answers from the third step on, the short one all the time.
    let sequences = |events: Vec<Event>| events.iter().map(|event| event.sequence).collect::<Vec<_>>();
    assert_eq!(sequences(decoder.step().unwrap()), [0]);
    assert_eq!(sequences(decoder.step().unwrap()), [0]);
    let events = decoder.step().unwrap();
    let mut hidden = None;
    let mut state = model.state(1, &device);
    for part in long.chunks(512) {
        let data = TensorData::new(part.iter().map(|&token| i64::from(token)).collect(), [1, part.len()]);
        hidden = Some(model.extend(Tensor::from_data(data, &device), &mut state));
    }
    let logits: Vec<f32> = model.logits(hidden.unwrap()).into_data().iter::<f32>().collect();
    let last = &logits[logits.len() - 258..];
    let best = (0..258).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap() as u32;
    assert_eq!(sequences(events), [0, 1, 2]);
    let mut ended = decoder.interrupt(|sequence| sequence == 2).unwrap();
    assert_eq!(decoder.running(), 2);
    let ended = ended.remove(0).completion.unwrap();
    assert_eq!((ended.tokens, ended.finish), (vec![best], Finish::Interrupted));
    // One whose prompt is not read yet can be ended too.
    decoder.begin(&long, 2, &greedy(3)).unwrap();
    let events = decoder.interrupt(|sequence| sequence == 3).unwrap();
    assert_eq!((sequences(events), decoder.running()), (vec![3], 2));
}

#[test]
fn logarithms_come_with_the_text_in_which_their_tokens_begin() {
    let request = |stop: Vec<String>| Request { log_probabilities: Some(0), stop, ..greedy(30) };
    let (model, tokenizer, device) = (model(), tokenizer(), Device::flex());
    let plain = &answers(&["abc"], &request(Vec::new()))[0][0];
    assert_eq!(plain.log_probabilities.len(), plain.tokens.len());
    let middle: String = plain.text.chars().skip(7).take(2).collect();
    let end = plain.text.find(&middle).unwrap();
    let mut decoder = Decoder::new(&model, &tokenizer, &device);
    decoder.begin(&prompts(&["abc"])[0], 0, &request(vec![middle])).unwrap();
    let (mut text, mut given, mut completion) = (0, Vec::new(), None);
    while completion.is_none() {
        for event in decoder.step().unwrap() {
            text += event.text.len();
            assert!(event.log_probabilities.iter().all(|token| token.offset < text));
            given.extend(event.log_probabilities);
            completion = event.completion;
        }
    }
    let stopped = completion.unwrap();
    assert_eq!((stopped.text.len(), &stopped.log_probabilities), (end, &given));
    let within = plain.log_probabilities.iter().filter(|token| token.offset < end).count();
    assert_eq!(given, plain.log_probabilities[..within]);
    assert!(given.len() < stopped.tokens.len(), "tokens of the stop text have no logarithms");
}

#[test]
fn impossible_requests_are_refused_before_anything_is_answered() {
    let long = "x".repeat(48);
    for (texts, request, word) in [
        (vec!["ok", ""], greedy(1), "no tokens"),
        (vec!["ok", &long], greedy(1), "48 tokens"),
        (vec!["ok"], Request { samples: 0, ..greedy(1) }, "samples"),
        (
            vec!["ok"],
            Request { sampling: Sampling { top_p: Some(2.0), ..Sampling::default() }, ..greedy(1) },
            "top-p",
        ),
    ] {
        let mut heard = |_: usize, _: usize, _: &str| panic!("nothing is answered");
        let given = generate(&model(), &tokenizer(), &prompts(&texts), &request, &Device::flex(), &mut heard);
        assert!(given.unwrap_err().to_string().contains(word), "{word}");
    }
    let error = Decoder::new(&model(), &tokenizer(), &Device::flex()).check(&[258], &greedy(1)).unwrap_err();
    assert_eq!(error.to_string(), "the token 258 is not among the 258 of the model");
}

/// Rows of unequal lengths go on together, whatever the mixer remembers.
#[test]
fn every_mixer_answers_together_as_alone() {
    let size =
        Size { vocabulary: 258, width: 16, hidden: 24, layers: 2, heads: 4, key_value_heads: 2, context: 48 };
    let greedy = greedy(8);
    for mut config in [
        LanguageModelConfig::gated_linear_attention(size),
        LanguageModelConfig::matmul_free(size),
        LanguageModelConfig::monarch_mixer(size, 4),
    ] {
        config.deviation = 0.4;
        let model = config.init(1, &Device::flex()).unwrap();
        let tokens = |texts: &[&str]| -> Vec<Vec<u32>> {
            let answers =
                generate(&model, &tokenizer(), &prompts(texts), &greedy, &Device::flex(), &mut |_, _, _| {
                    ControlFlow::Continue(())
                });
            answers.unwrap().into_iter().map(|samples| samples[0].tokens.clone()).collect()
        };
        let texts = ["a", "one two", "some longer text"];
        let alone: Vec<Vec<u32>> = texts.iter().flat_map(|text| tokens(&[text])).collect();
        assert_eq!(tokens(&texts), alone, "{config:?}");
    }
}

#[test]
fn models_over_both_sides_have_no_next_token() {
    let size =
        Size { vocabulary: 258, width: 16, hidden: 24, layers: 2, heads: 4, key_value_heads: 2, context: 48 };
    let model = LanguageModelConfig::monarch_mixer_bert(size).init(1, &Device::flex()).unwrap();
    let tokenizer = tokenizer();
    let mut decoder = Decoder::new(&model, &tokenizer, &Device::flex());
    let refused = decoder.begin(&[1, 2], 0, &greedy(3)).unwrap_err();
    assert!(matches!(refused, GenerationError::NotCausal), "{refused}");
}

/// Continuations beside each other, with a prompt read once, against one pass over prompt and continuation for each.
#[test]
fn likelihoods_are_those_of_single_passes_whatever_is_beside() {
    let (model, device) = (model(), Device::flex());
    let prompt = prompts(&["What is it?"]).remove(0);
    let texts = [" A", " 12", " a long answer, more than a step", "x", " none of these, or so"];
    let continuations = prompts(&texts);
    let together = log_likelihoods(&model, &prompt, &continuations, 2, &device).unwrap();
    for (continuation, found) in continuations.iter().zip(&together) {
        assert_eq!(found.len(), continuation.len());
        let mut history = prompt.clone();
        for (&token, found) in continuation.iter().zip(found) {
            let logits = logits(&model, &history);
            let greatest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - greatest).exp()).sum();
            let expected = f64::from(logits[token as usize]) - greatest - sum.ln();
            assert!((found.chosen.value - expected).abs() < 1e-4, "{} and {expected}", found.chosen.value);
            assert!(found.top.len() == 2 && found.top[0].value >= found.chosen.value - 1e-9);
            history.push(token);
        }
        let alone = log_likelihoods(&model, &prompt, std::slice::from_ref(continuation), 0, &device).unwrap();
        let sum = |found: &[TokenLogProbability]| found.iter().map(|token| token.chosen.value).sum::<f64>();
        assert!((sum(&alone[0]) - sum(found)).abs() < 1e-4);
    }
    assert!(log_likelihoods(&model, &prompt, &[vec![], vec![300]], 0, &device).is_err());
    assert!(log_likelihoods(&model, &[], &continuations, 0, &device).is_err());
    assert!(log_likelihoods(&model, &prompt, &[vec![1; 60]], 0, &device).is_err());
    assert!(log_likelihoods(&model, &prompt, &[vec![]], 0, &device).unwrap()[0].is_empty());
}
