//! Whether a file is a model that the library may be given: what is looked at before any of the library's code sees it.
//!
//! A message that ends outside the file, a tensor whose bytes are not as many as its sizes say, sizes that no phone has memory
//! for, and weights that lie in another file: the manifest vouches for one file, and a path that a model names is not opened.
//! What operations do is the library's to check, which answers an unknown one with an error.
//!
//! The numbers of fields are those of `onnx.proto` (IR version 13).

use super::{
    port::count,
    protobuf::{Fields, Value, numbers},
};
use crate::bounds::OUTPUTS_MAX;

/// Graphs within graphs at most: a branch or a loop is one, and nobody nests them as deep as this.
const DEPTH_MAX: usize = 16;
/// Sizes of one tensor at most.
const RANK_MAX: usize = 16;
/// Values of one tensor of weights at most: what a file may hold, at four bits a value.
const WEIGHTS_MAX: u64 = 1 << 30;
/// `TensorProto.data_location`: in another file.
const EXTERNAL: u64 = 1;

type Checked = Result<(), &'static str>;

/// Looks at the whole file once.
pub(super) fn check(bytes: &[u8]) -> Checked {
    let mut has_graph = false;
    for field in Fields(bytes) {
        match field? {
            (7, graph) => {
                has_graph = true;
                check_graph(graph.bytes()?, 0)?;
            }
            // Functions hold nodes as graphs do.
            (25, function) => check_nodes(function.bytes()?, 7, 0)?,
            _ => {}
        }
    }
    if has_graph { Ok(()) } else { Err("it has no graph") }
}

fn check_graph(bytes: &[u8], depth: usize) -> Checked {
    if depth > DEPTH_MAX {
        return Err("graphs lie too deep within graphs");
    }
    check_nodes(bytes, 1, depth)?;
    let mut outputs = 0;
    for field in Fields(bytes) {
        match field? {
            (5, tensor) => check_tensor(tensor.bytes()?)?,
            (15, sparse) => check_sparse(sparse.bytes()?)?,
            (11, input) => check_declared(input.bytes()?)?,
            (12, output) => {
                outputs += 1;
                check_declared(output.bytes()?)?;
            }
            _ => {}
        }
    }
    // Old models name every tensor of weights among the inputs, so that only the outputs have a bound here; the session's own
    // check comes after the library has told them apart.
    if depth == 0 && (outputs == 0 || outputs > OUTPUTS_MAX) {
        return Err("it has no outputs or too many");
    }
    Ok(())
}

/// Nodes are the fields with the number `field_number`; their attributes may hold tensors and graphs.
fn check_nodes(bytes: &[u8], field_number: u64, depth: usize) -> Checked {
    for field in Fields(bytes) {
        let (number, node) = field?;
        if number != field_number {
            continue;
        }
        for field in Fields(node.bytes()?) {
            if let (5, attribute) = field? {
                check_attribute(attribute.bytes()?, depth)?;
            }
        }
    }
    Ok(())
}

fn check_attribute(bytes: &[u8], depth: usize) -> Checked {
    for field in Fields(bytes) {
        match field? {
            (5 | 10, tensor) => check_tensor(tensor.bytes()?)?,
            (6 | 11, graph) => check_graph(graph.bytes()?, depth + 1)?,
            (22 | 23, sparse) => check_sparse(sparse.bytes()?)?,
            _ => {}
        }
    }
    Ok(())
}

/// Values and their places, both of them tensors.
fn check_sparse(bytes: &[u8]) -> Checked {
    for field in Fields(bytes) {
        if let (1 | 2, tensor) = field? {
            check_tensor(tensor.bytes()?)?;
        }
    }
    Ok(())
}

fn check_tensor(bytes: &[u8]) -> Checked {
    let (mut sizes, mut data_type, mut raw) = (Sizes::default(), 0, None);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(packed)) => numbers(packed).try_for_each(|size| sizes.push(size?))?,
            (1, size) => sizes.push(size.number()?)?,
            (2, number) => data_type = number.number()?,
            (9, data) => raw = Some(data.bytes()?.len()),
            (13, _) | (14, Value::Number(EXTERNAL)) => return Err("its weights lie in another file"),
            _ => {}
        }
    }
    let Some(raw) = raw else { return Ok(()) };
    match value_bits(data_type) {
        Some(bits) if (sizes.product * bits).div_ceil(8) == raw as u64 => Ok(()),
        Some(_) => Err("a tensor does not hold as many bytes as its sizes say"),
        None => Err("a tensor is of a type that there is not"),
    }
}

/// Bits of one value in `raw_data`, by `TensorProto.DataType`.
fn value_bits(data_type: u64) -> Option<u64> {
    Some(match data_type {
        // float, int32, uint32
        1 | 6 | 12 => 32,
        // uint8, int8, bool, the floats of 8 bits
        2 | 3 | 9 | 17..=20 | 24 => 8,
        // uint16, int16, float16, bfloat16
        4 | 5 | 10 | 16 => 16,
        // int64, double, uint64, complex64
        7 | 11 | 13 | 14 => 64,
        // complex128
        15 => 128,
        // uint4, int4, float4e2m1
        21..=23 => 4,
        // uint2, int2
        25 | 26 => 2,
        _ => return None,
    })
}

struct Sizes {
    product: u64,
    rank: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { product: 1, rank: 0 }
    }
}

impl Sizes {
    fn push(&mut self, size: u64) -> Checked {
        self.rank += 1;
        let product = self.product.checked_mul(size).filter(|product| *product <= WEIGHTS_MAX);
        // One that is below zero is a large number here.
        self.product = product.filter(|_| self.rank <= RANK_MAX).ok_or("a tensor has absurd sizes")?;
        Ok(())
    }
}

/// A `ValueInfoProto`: an input or an output with its type.
fn check_declared(bytes: &[u8]) -> Checked {
    for field in Fields(bytes) {
        let (2, r#type) = field? else { continue };
        for field in Fields(r#type.bytes()?) {
            let (1, tensor) = field? else { continue };
            for field in Fields(tensor.bytes()?) {
                if let (2, shape) = field? {
                    check_shape(shape.bytes()?)?;
                }
            }
        }
    }
    Ok(())
}

fn check_shape(bytes: &[u8]) -> Checked {
    let mut sizes = Vec::new();
    for field in Fields(bytes) {
        let (1, dimension) = field? else { continue };
        let mut size = 1;
        for field in Fields(dimension.bytes()?) {
            if let (1, value) = field? {
                size = value.number()?;
            }
        }
        // Some files write an open size as one below zero.
        sizes.push(if size as i64 <= 0 { 1 } else { usize::try_from(size).unwrap_or(usize::MAX) });
    }
    if sizes.len() > RANK_MAX || count(sizes.into_iter()).is_none() {
        return Err("an input or an output has absurd sizes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use snaptrak_domain::Random as _;
    use snaptrak_testkit::{
        SeededRandom,
        models::{
            floats,
            onnx::{FLOAT, model, node, port, tensor},
        },
    };

    /// Nothing here may panic, read outside or run away, whatever the bytes; that it ends is what this asserts.
    #[test]
    fn no_bytes_make_the_check_panic() {
        let sizes = [Ok(1), Ok(4)];
        let weights = tensor("w", FLOAT, &[1, 4], &floats(&[2.0; 4]));
        let add = node("Add", "", &["x", "w"], &["y"], &[]);
        let good = model(&[add], &[weights], &[port("x", &sizes)], &[port("y", &sizes)]);
        check(&good).unwrap();
        let random = SeededRandom::new(7);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut noise = [0; 12];
            random.fill(&mut noise).unwrap();
            let mut bytes = good.clone();
            for change in noise.chunks_exact(4).take(1 + usize::from(noise[3] % 3)) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
                bytes[at] = change[2];
            }
            match check(&bytes) {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(taken > 0 && refused > 0, "{taken} {refused}");
    }
}
