//! An RWKV-5.2 model of a published size with random weights, generated tensor by tensor on read.

use std::borrow::Cow;

use half::f16;
use safetensors::{Dtype, SafeTensorError};
use web_rwkv::runtime::loader::{Reader, ReaderTensor};

const VOCABULARY: usize = 65536;
const HEAD_SIZE: usize = 64;

/// Names and shapes of all tensors, which are all f16.
pub struct RandomModel {
    pub layers: usize,
    tensors: Vec<(String, Vec<usize>)>,
}

impl RandomModel {
    /// Returns a model of one of the project's published sizes, or `None` for an unknown size.
    pub fn of_shape(shape: &str) -> Option<Self> {
        let (layers, width) = match shape {
            "0.1b" => (12, 768),
            "0.4b" => (24, 1024),
            "1.5b" => (24, 2048),
            "3b" => (32, 2560),
            "7b" => (32, 4096),
            _ => return None,
        };
        let hidden = width * 7 / 2;
        let mut tensors = vec![];
        let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
        add("emb.weight".into(), &[VOCABULARY, width]);
        add("head.weight".into(), &[VOCABULARY, width]);
        for norm in ["blocks.0.ln0", "ln_out"] {
            add(format!("{norm}.weight"), &[width]);
            add(format!("{norm}.bias"), &[width]);
        }
        for layer in 0..layers {
            let mut block =
                |name: &str, shape: &[usize]| add(format!("blocks.{layer}.{name}"), shape);
            for norm in ["ln1", "ln2", "att.ln_x"] {
                block(&format!("{norm}.weight"), &[width]);
                block(&format!("{norm}.bias"), &[width]);
            }
            for mix in ["att.time_mix_k", "att.time_mix_v", "att.time_mix_r"] {
                block(mix, &[1, 1, width]);
            }
            for mix in ["att.time_mix_g", "ffn.time_mix_k", "ffn.time_mix_r"] {
                block(mix, &[1, 1, width]);
            }
            for per_head in ["att.time_decay", "att.time_first"] {
                block(per_head, &[width / HEAD_SIZE, HEAD_SIZE]);
            }
            for square in [
                "att.key",
                "att.value",
                "att.receptance",
                "att.gate",
                "att.output",
                "ffn.receptance",
            ] {
                block(&format!("{square}.weight"), &[width, width]);
            }
            block("ffn.key.weight", &[hidden, width]);
            block("ffn.value.weight", &[width, hidden]);
        }
        Some(Self { layers, tensors })
    }

    fn find(&self, name: &str) -> Result<&(String, Vec<usize>), SafeTensorError> {
        let missing = || SafeTensorError::TensorNotFound(name.into());
        self.tensors
            .iter()
            .find(|(own, _)| own == name)
            .ok_or_else(missing)
    }
}

impl Reader for RandomModel {
    fn names(&self) -> Vec<&str> {
        self.tensors.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn contains(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    fn shape(&self, name: &str) -> Result<Vec<usize>, SafeTensorError> {
        Ok(self.find(name)?.1.clone())
    }

    fn tensor(&self, name: &str) -> Result<ReaderTensor<'_>, SafeTensorError> {
        let (_, shape) = self.find(name)?;
        let (middle, spread) = distribution(name, shape);
        let seed = name
            .bytes()
            .fold(1, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte));
        let bytes = random(shape.iter().product(), middle, spread, seed);
        Ok((Dtype::F16, shape.clone(), Cow::Owned(bytes)))
    }
}

/// Returns the center of a tensor's random values and their maximum distance from it.
fn distribution(name: &str, shape: &[usize]) -> (f32, f32) {
    if name.ends_with(".bias") {
        (0.0, 0.02)
    } else if name.contains(".ln") || name.starts_with("ln_out") {
        (1.0, 0.1)
    } else if name.contains("time_mix") {
        (0.5, 0.4)
    } else if name.ends_with("time_decay") {
        // The decay is exp(-exp(x)): from 0.69 to 0.99.
        (-3.0, 2.0)
    } else if name.ends_with("time_first") {
        (0.0, 0.5)
    } else {
        // A standard deviation of 1 / sqrt(columns).
        (0.0, (3.0 / shape[1] as f32).sqrt())
    }
}

/// Returns uniform values, except within a hundredth of `spread` of `middle`, to avoid denormals.
fn random(count: usize, middle: f32, spread: f32, seed: u64) -> Vec<u8> {
    let table: Vec<[u8; 2]> = (0..1 << 16)
        .map(|i| {
            let z = (i as f32 + 0.5) / (1 << 15) as f32 - 1.0;
            let z = z.signum() * z.abs().max(0.01);
            f16::from_f32(middle + spread * z).to_le_bytes()
        })
        .collect();
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(2 * count);
    while bytes.len() < 2 * count {
        // xorshift: four values of 16 bits per step.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        for part in 0..4 {
            bytes.extend_from_slice(&table[(state >> (16 * part)) as usize & 0xffff]);
        }
    }
    bytes.truncate(2 * count);
    bytes
}
