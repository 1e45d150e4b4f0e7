//! Gated linear attention on arrays from files, timed: one document, single precision.
//!
//! `gated_linear_attention FOLDER TOKENS HEADS KEY VALUE` reads queries, keys, values and log gates, `[tokens, heads, channels]`, from
//! `queries.f32`, `keys.f32`, `values.f32` and `log_gates.f32` in the folder (raw little-endian numbers), and `gradient.f32` of the output if it
//! is there. It writes `output.f32` and `final_state.f32`, with a gradient also `d_queries.f32`, `d_keys.f32`, `d_values.f32` and
//! `d_log_gates.f32`, and prints JSON: for each form the best time and the mean processor time, in seconds.

use std::path::Path;
use std::time::Instant;

use mathesis_algebra::gated_linear_attention::{Form, Operands, backward, forward};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    mathesis_algebra::memory::keep_freed();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, numbers @ ..] = arguments.as_slice() else {
        return Err("usage: gated_linear_attention FOLDER TOKENS HEADS KEY VALUE".into());
    };
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let [tokens, heads, key_channels, value_channels] = numbers[..] else {
        return Err("four numbers are expected: TOKENS HEADS KEY VALUE".into());
    };
    let folder = Path::new(folder);
    let [queries, keys, values, log_gates] =
        ["queries", "keys", "values", "log_gates"].map(|name| read(folder, name));
    let (queries, keys, values, log_gates) = (queries?, keys?, values?, log_gates?);
    let operands = Operands {
        heads,
        key_channels,
        value_channels,
        lengths: &[tokens],
        queries: &queries,
        keys: &keys,
        values: &values,
        log_gates: &log_gates,
        scale: (key_channels as f32).powf(-0.5),
        initial_state: None,
    };
    let outputs = forward(&operands, Form::fast(tokens))?;
    write(folder, "output", &outputs.output)?;
    write(folder, "final_state", &outputs.final_state)?;
    let chunked = times(|| drop(forward(&operands, Form::fast(tokens))));
    let recurrent = times(|| drop(forward(&operands, Form::Recurrent)));
    // A step of decoding: one token after the whole document.
    let one = |values: &[f32], width: usize| values[values.len() - heads * width..].to_vec();
    let (q, k) = (one(&queries, key_channels), one(&keys, key_channels));
    let (v, g) = (one(&values, value_channels), one(&log_gates, key_channels));
    let step = Operands {
        lengths: &[1],
        queries: &q,
        keys: &k,
        values: &v,
        log_gates: &g,
        initial_state: Some(&outputs.final_state),
        ..operands
    };
    let step = times(|| drop(forward(&step, Form::Recurrent)));
    let mut both = String::new();
    if let Ok(gradient) = read(folder, "gradient") {
        let gradients = backward(&operands, &gradient, None, Form::fast(tokens))?;
        write(folder, "d_queries", &gradients.queries)?;
        write(folder, "d_keys", &gradients.keys)?;
        write(folder, "d_values", &gradients.values)?;
        write(folder, "d_log_gates", &gradients.log_gates)?;
        let time = times(|| drop(backward(&operands, &gradient, None, Form::fast(tokens))));
        both = format!(", \"backward\": {time}");
    }
    let threads = rayon::current_num_threads();
    println!(
        "{{\"threads\": {threads}, \"chunked\": {chunked}, \"recurrent\": {recurrent}, \"step\": {step}{both}}}"
    );
    Ok(())
}

fn read(folder: &Path, name: &str) -> Result<Vec<f32>, std::io::Error> {
    let bytes = std::fs::read(folder.join(name).with_extension("f32"))?;
    Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn write(folder: &Path, name: &str, values: &[f32]) -> Result<(), std::io::Error> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.join(name).with_extension("f32"), bytes)
}

/// The best time of several runs, after one to warm up, and the mean processor time of all threads together, which other work on the
/// machine disturbs less: as a JSON array, in seconds.
fn times(mut run: impl FnMut()) -> String {
    run();
    let (start, processor) = (Instant::now(), processor_seconds());
    let (mut best, mut runs) = (f64::INFINITY, 0);
    while runs < 5 || (runs < 1000 && start.elapsed().as_secs_f64() < 3.0) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    format!("[{best}, {}]", (processor_seconds() - processor) / f64::from(runs))
}

/// Processor time of this process so far, user and system, where Linux tells it; in hundredths of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted after the command's name, which is in brackets and may hold anything.
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
        / 100.0
}
