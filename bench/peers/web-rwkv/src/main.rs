//! The web-rwkv side of `bench/peers.ts`: loads a random model of a published size on the preferred
//! Vulkan adapter and measures its speed on request.
//!
//! `--shape 0.1b|0.4b|1.5b|3b|7b --quant f16|int8|nf4`. Writes a line `{"ready":true,...}` to
//! stdout when the model is loaded. Then answers every line on stdin with a line
//! `{"seconds":number}`:
//!
//! - `decode BATCH TOKENS`: BATCH sequences decode TOKENS tokens each, one step after the other.
//! - `prefill TOKENS [CHUNK]`: one sequence processes a prompt of TOKENS tokens and samples its
//!   first token.
//!
//! Sampling is greedy, on the CPU, from logits read back, as in the crate's examples but without
//! their softmax, which greedy sampling does not need. As in the examples, a bundle has as many
//! states as sequences. The crate quantizes the matrices of layers; embedding and head stay f16.

mod weights;

use std::{collections::HashMap, io::Write, time::Instant};

use anyhow::{bail, Context as _, Result};
use half::f16;
use web_rwkv::{
    context::{Context, ContextBuilder, InstanceExt},
    runtime::{
        infer::{Rnn, RnnInput, RnnInputBatch, RnnOption},
        loader::Loader,
        model::{Bundle, ContextAutoLimits, ModelBuilder, Quant, State},
        v5, TokioRuntime,
    },
};
use weights::RandomModel;

/// Prompt tokens that the crate processes per step. For 512 tokens of 0.1b on llvmpipe, 64 and 128
/// took 18 s, 256 took 20 s and 32 took 30 s; the crate's examples use 128.
const CHUNK: usize = 128;

/// Prompt tokens of each sequence before decoding is measured.
const WARM_PROMPT: usize = 4;

/// A runtime and its states.
struct Sequences {
    runtime: TokioRuntime<Rnn>,
    bundle: v5::Bundle<f16>,
}

struct Peer {
    model: v5::Model,
    /// Open runtimes by number of sequences.
    opened: HashMap<usize, Sequences>,
}

impl Peer {
    /// Returns `batch` sequences with initial states.
    async fn sequences(&mut self, batch: usize) -> Result<&Sequences> {
        if !self.opened.contains_key(&batch) {
            let bundle = v5::Bundle::<f16>::new(self.model.clone(), batch);
            let runtime = TokioRuntime::new(bundle.clone()).await;
            self.opened.insert(batch, Sequences { runtime, bundle });
        }
        let sequences = &self.opened[&batch];
        let state = sequences.bundle.state();
        for sequence in 0..batch {
            state.load(state.init(), sequence)?;
        }
        Ok(sequences)
    }

    async fn decode(&mut self, batch: usize, tokens: usize) -> Result<f64> {
        let runtime = &self.sequences(batch).await?.runtime;
        let prompts = (0..batch).map(|sequence| prompt(WARM_PROMPT, sequence));
        let mut input = RnnInput::new(prompts.map(of_last).collect(), CHUNK);
        let mut sampled;
        (input, sampled) = next_tokens(runtime, input).await?;
        let start = Instant::now();
        for _ in 0..tokens {
            for (batch, token) in input.batches.iter_mut().zip(sampled) {
                batch.push(token);
            }
            (input, sampled) = next_tokens(runtime, input).await?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    async fn prefill(&mut self, tokens: usize, chunk: usize) -> Result<f64> {
        let runtime = &self.sequences(1).await?.runtime;
        let start = Instant::now();
        next_tokens(
            runtime,
            RnnInput::new(vec![of_last(prompt(tokens, 0))], chunk),
        )
        .await?;
        Ok(start.elapsed().as_secs_f64())
    }
}

fn prompt(tokens: usize, sequence: usize) -> Vec<u32> {
    (0..tokens)
        .map(|i| (1 + ((i + sequence) * 7919) % 65535) as u32)
        .collect()
}

fn of_last(tokens: Vec<u32>) -> RnnInputBatch {
    RnnInputBatch::new(tokens, RnnOption::Last)
}

/// Processes the rest of `input` and samples the next token of every sequence.
async fn next_tokens(
    runtime: &TokioRuntime<Rnn>,
    mut input: RnnInput,
) -> Result<(RnnInput, Vec<u32>)> {
    let mut sampled = vec![0; input.batches.len()];
    while input.num_token() > 0 {
        let output;
        (input, output) = runtime.infer(input).await?;
        for (token, logits) in sampled.iter_mut().zip(&output.0) {
            if let Some(best) = argmax(logits.0.data()) {
                *token = best;
            }
        }
    }
    Ok((input, sampled))
}

fn argmax(logits: &[f32]) -> Option<u32> {
    let best = logits
        .iter()
        .enumerate()
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map(|(token, _)| token as u32)
}

async fn open(shape: &str, quant: &str) -> Result<(Peer, Context)> {
    let quant = match quant {
        "f16" => Quant::None,
        "int8" => Quant::Int8,
        "nf4" => Quant::NF4,
        _ => bail!("Cannot use --quant {quant}: it must be one of f16, int8, nf4"),
    };
    let random =
        RandomModel::of_shape(shape).with_context(|| format!("Cannot use --shape {shape}"))?;
    let info = Loader::info(&random)?;
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN;
    let instance = wgpu::Instance::new(descriptor);
    let adapter = instance
        .adapter(wgpu::PowerPreference::HighPerformance)
        .await?;
    let context = ContextBuilder::new(adapter)
        .auto_limits(&info)
        .build()
        .await?;
    let quants = (0..random.layers).map(|layer| (layer, quant)).collect();
    let model = ModelBuilder::new(&context, random)
        .quant(quants)
        .build_v5()
        .await?;
    Ok((
        Peer {
            model,
            opened: HashMap::new(),
        },
        context,
    ))
}

async fn answer(peer: &mut Peer, line: &str) -> Result<f64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["decode", batch, tokens] => peer.decode(batch.parse()?, tokens.parse()?).await,
        ["prefill", tokens] => peer.prefill(tokens.parse()?, CHUNK).await,
        ["prefill", tokens, chunk] => peer.prefill(tokens.parse()?, chunk.parse()?).await,
        _ => bail!("Cannot answer \"{line}\""),
    }
}

async fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1))
            .with_context(|| format!("{name} is missing"))
    };
    let (mut peer, context) = open(flag("--shape")?, flag("--quant")?).await?;
    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "{{\"ready\":true,\"adapter\":{:?}}}",
        context.adapter.get_info().name
    )?;
    for line in std::io::stdin().lines() {
        let seconds = answer(&mut peer, &line?).await?;
        writeln!(stdout, "{{\"seconds\":{seconds}}}")?;
    }
    Ok(())
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .build()?
        .block_on(run())
}
