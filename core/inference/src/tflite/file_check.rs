//! Whether a file is a model that the libraries may be given: what is looked at before any of their code sees it.
//!
//! The libraries check that what a file points at lies within it, and then follow its numbers: a tensor that is not there, an
//! operation whose inputs nobody computes, weights that are fewer than their sizes say end the process. All of that is an error
//! here. What operations do with numbers that are merely odd is the libraries' to check.
//!
//! The numbers of fields are those of `schema.fbs` (version 3).

use super::flatbuffer::{Buffer, Read, Table, Tables};
use crate::bounds::{OUTPUTS_MAX, VALUES_MAX};

/// What such a file has behind its first offset.
pub(super) const IDENTIFIER: &[u8; 4] = b"TFL3";
const VERSION: u32 = 3;
/// `BuiltinOperator`: one of the app's own, with a name.
const CUSTOM: i32 = 32;
/// As above: CONV_2D, DEPTHWISE_CONV_2D.
const CONVOLUTION: i32 = 3;
const CONVOLUTION_OF_EACH_CHANNEL: i32 = 4;
/// As above: what unpacks weights.
const DEQUANTIZE: i32 = 6;
const DENSIFY: i32 = 124;
/// Sizes of one tensor at most.
const RANK_MAX: usize = 8;
/// Bytes of the weights of a buffer that lies behind the tables: where it begins, or 0 and 1 for one that does not.
const OFFSET_NONE_MAX: u64 = 1;

type Checked = Read<()>;

/// Looks at the whole file but the weights themselves.
pub(super) fn check(bytes: &[u8]) -> Checked {
    let buffer = Buffer::new(bytes, IDENTIFIER)?;
    let model = buffer.root()?;
    if model.u32(0)? != VERSION {
        return Err("it is of another version of the format");
    }
    if model.tables(8)?.len() > 0 || model.tables(9)?.len() > 0 {
        return Err("its weights lie in another file");
    }
    let codes = operator_codes(model.tables(1)?)?;
    let weights = model.tables(4)?.iter().map(|table| weights(table?, buffer.bytes())).collect::<Read<Vec<_>>>()?;
    let graphs: Vec<Graph> =
        model.tables(2)?.iter().map(|table| graph(table?, &weights, &codes, buffer.bytes())).collect::<Read<_>>()?;
    let main = graphs.first().ok_or("it has no graph")?;
    if [&main.inputs, &main.outputs].into_iter().any(|ends| ends.is_empty() || ends.len() > OUTPUTS_MAX) {
        return Err("it has no inputs, no outputs, or too many");
    }
    for entry in model.tables(6)?.iter() {
        let entry = entry?;
        if !entry.has_text(0)? || entry.u32(1)? as usize >= weights.len() {
            return Err("a piece of metadata is not there");
        }
    }
    model.tables(7)?.iter().try_for_each(|signature| check_signature(signature?, &graphs))
}

/// The kinds of operations, each of which is known by a number or a name.
fn operator_codes(codes: Tables<'_>) -> Read<Vec<i32>> {
    let kind = |code: Read<Table<'_>>| {
        let code = code?;
        // The older field holds as many as fit into a byte.
        let builtin = code.i32(3)?.max(i32::from(code.i8(0)?));
        let has_name = code.has_text(1)?;
        if builtin < 0 || builtin == CUSTOM && !has_name {
            return Err("a kind of operation has no name");
        }
        Ok(builtin)
    };
    codes.iter().map(kind).collect()
}

/// Bytes of the weights in one buffer.
fn weights(buffer: Table<'_>, file_bytes: usize) -> Read<usize> {
    let (offset, size) = (buffer.u64(1)?, buffer.u64(2)?);
    let within = buffer.bytes(0)?.map_or(0, <[u8]>::len);
    if offset <= OFFSET_NONE_MAX {
        return Ok(within);
    }
    let end = offset.checked_add(size).filter(|end| within == 0 && *end <= file_bytes as u64);
    end.and_then(|_| usize::try_from(size).ok()).ok_or("weights lie outside the file")
}

/// What signatures need to know of a graph.
struct Graph {
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

/// How a tensor comes to its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It lies in the file.
    File,
    /// It keeps them between runs.
    Variable,
    /// Nobody has written it so far.
    Nobody,
    /// It is an input, or an operation writes it.
    Run,
}

fn graph(graph: Table<'_>, weights: &[usize], codes: &[i32], file_bytes: usize) -> Read<Graph> {
    graph.has_text(4)?;
    let mut tensors = graph.tables(0)?.iter().map(|tensor| tensor_from(tensor?, weights)).collect::<Read<Vec<_>>>()?;
    let ends = |field| {
        let index = |index: i32| usize::try_from(index).ok().filter(|index| *index < tensors.len());
        graph.i32s(field)?.map(|number| index(number).ok_or("a tensor is not there")).collect::<Read<Vec<usize>>>()
    };
    let (inputs, outputs) = (ends(1)?, ends(2)?);
    for input in &inputs {
        if tensors[*input] != Origin::Nobody {
            return Err("an input has values already");
        }
        tensors[*input] = Origin::Run;
    }
    for operator in graph.tables(3)?.iter() {
        let operator = operator?;
        match check_operator(operator, &mut tensors, codes, file_bytes)? {
            DEQUANTIZE | DENSIFY => check_unpacked(operator, graph.tables(0)?)?,
            CONVOLUTION => check_convolution(operator, graph.tables(0)?, 0)?,
            CONVOLUTION_OF_EACH_CHANNEL => check_convolution(operator, graph.tables(0)?, 3)?,
            _ => {}
        }
    }
    if outputs.iter().any(|output| tensors[*output] == Origin::Nobody) {
        return Err("nothing computes an output");
    }
    Ok(Graph { inputs, outputs })
}

/// Checks an operation, which comes after those whose outputs it takes.
fn check_operator(operator: Table<'_>, tensors: &mut [Origin], codes: &[i32], file_bytes: usize) -> Read<i32> {
    let code = *codes.get(operator.u32(0)? as usize).ok_or("a kind of operation is not there")?;
    // Nothing is given for an input that is optional.
    let index = |number: i32| match usize::try_from(number) {
        Ok(index) if index < tensors.len() => Ok(Some(index)),
        Err(_) if number == -1 => Ok(None),
        Ok(_) | Err(_) => Err("a tensor is not there"),
    };
    for input in operator.i32s(1)? {
        if index(input)?.is_some_and(|index| tensors[index] == Origin::Nobody) {
            return Err("nothing computes a tensor that an operation takes");
        }
    }
    operator.i32s(8)?.try_for_each(|tensor| index(tensor).map(drop))?;
    // What the options hold is of many kinds; that they lie within the file is known here.
    operator.table(4)?;
    operator.table(12)?;
    operator.bytes(5)?;
    operator.bytes(7)?;
    let options_end = operator.u64(9)?.checked_add(operator.u64(10)?);
    if options_end.is_none_or(|end| end > file_bytes as u64) {
        return Err("options lie outside the file");
    }
    for output in operator.i32s(2)? {
        let index = usize::try_from(output).ok().filter(|index| *index < tensors.len());
        let tensor = index.and_then(|index| tensors.get_mut(index)).ok_or("a tensor is not there")?;
        match tensor {
            Origin::Nobody => *tensor = Origin::Run,
            Origin::Variable => {}
            Origin::File | Origin::Run => return Err("an operation writes what has values already"),
        }
    }
    Ok(code)
}

/// The sizes of an operation's tensor: of its inputs (field 1) or its outputs (field 2).
fn sizes_of<'a>(
    operator: Table<'a>,
    field: usize,
    place: usize,
    tensors: Tables<'a>,
) -> Read<impl ExactSizeIterator<Item = i32> + Clone + use<'a>> {
    let index = operator.i32s(field)?.nth(place).and_then(|index| usize::try_from(index).ok());
    let tensor = index.and_then(|index| tensors.get(index)).ok_or("an operation lacks a tensor")??;
    tensor.i32s(0)
}

/// XNNPACK unpacks weights by the sizes of what they are unpacked into, without comparing them with what there is.
fn check_unpacked(operator: Table<'_>, tensors: Tables<'_>) -> Checked {
    let (packed, unpacked) = (sizes_of(operator, 1, 0, tensors)?, sizes_of(operator, 2, 0, tensors)?);
    if packed.eq(unpacked) { Ok(()) } else { Err("unpacked weights have other sizes than packed ones") }
}

/// Both libraries end the process where a convolution has no bias, or one for other channels than its weights have in the side
/// `channels`.
fn check_convolution(operator: Table<'_>, tensors: Tables<'_>, channels: usize) -> Checked {
    let (mut weights, bias) = (sizes_of(operator, 1, 1, tensors)?, sizes_of(operator, 1, 2, tensors)?);
    if bias.eq(weights.nth(channels)) { Ok(()) } else { Err("a convolution's bias does not fit its weights") }
}

fn tensor_from(tensor: Table<'_>, weights: &[usize]) -> Read<Origin> {
    tensor.has_text(3)?;
    if tensor.table(6)?.is_some() || tensor.tables(9)?.len() > 0 || tensor.u32(10)? != 0 {
        return Err("a tensor is sparse, of several kinds, or lies in another file, which this build refuses");
    }
    let shape = tensor.i32s(0)?;
    if shape.len() > RANK_MAX {
        return Err("a tensor has too many sizes");
    }
    let signature = tensor.i32s(7)?;
    if signature.len() > 0 && (signature.len() != shape.len() || signature.clone().any(|size| size < -1)) {
        return Err("a tensor has sizes that contradict each other");
    }
    let values = shape.clone().try_fold(1_usize, |product, size| product.checked_mul(usize::try_from(size).ok()?));
    let values = values.filter(|values| *values <= VALUES_MAX).ok_or("a tensor has absurd sizes")?;
    check_quantization(tensor, shape)?;
    let bytes = *weights.get(tensor.u32(2)? as usize).ok_or("weights are not there")?;
    let bits = value_bits(tensor.i8(1)?);
    match (bytes, tensor.u8(5)?) {
        (0, 0) => Ok(Origin::Nobody),
        (0, _) => Ok(Origin::Variable),
        _ if bits.is_some_and(|bits| (values * bits).div_ceil(8) == bytes) => Ok(Origin::File),
        _ => Err("a tensor does not hold as many bytes as its sizes say"),
    }
}

/// Bits of one value in the file, by `TensorType`; a text has none, nor has what is no number.
fn value_bits(tensor_type: i8) -> Option<usize> {
    Some(match tensor_type {
        // float32, int32, uint32
        0 | 2 | 15 => 32,
        // float16, int16, uint16, bfloat16
        1 | 7 | 16 | 18 => 16,
        // uint8, bool, int8, the floats of 8 bits
        3 | 6 | 9 | 21 | 22 => 8,
        // int64, complex64, float64, uint64
        4 | 8 | 10 | 12 => 64,
        // complex128
        11 => 128,
        // int4, uint4
        17 | 20 => 4,
        // int2
        19 => 2,
        _ => return None,
    })
}

/// One scale for the whole tensor, or one for each slice along a side.
fn check_quantization(tensor: Table<'_>, shape: impl ExactSizeIterator<Item = i32>) -> Checked {
    let Some(quantization) = tensor.table(4)? else { return Ok(()) };
    if quantization.u8(4)? != 0 {
        return Err("a tensor is quantised in a way that this build does not know");
    }
    quantization.count::<4>(0)?;
    quantization.count::<4>(1)?;
    let (scales, zeros) = (quantization.count::<4>(2)?, quantization.count::<8>(3)?);
    let side = usize::try_from(quantization.i32(6)?).ok();
    let slices = side.and_then(|side| shape.enumerate().find(|(index, _)| *index == side)).map(|(_, size)| size);
    let fits = scales <= 1 || slices.is_some_and(|size| usize::try_from(size) == Ok(scales));
    if fits && (zeros == 0 || zeros == scales) { Ok(()) } else { Err("a tensor's scales do not fit its sizes") }
}

/// A signature names inputs and outputs of a graph.
fn check_signature(signature: Table<'_>, graphs: &[Graph]) -> Checked {
    let graph = graphs.get(signature.u32(4)? as usize).ok_or("a graph is not there")?;
    signature.has_text(2)?;
    for (field, ends) in [(0, &graph.inputs), (1, &graph.outputs)] {
        for entry in signature.tables(field)?.iter() {
            let entry = entry?;
            if !entry.has_text(0)? || !ends.contains(&(entry.u32(1)? as usize)) {
                return Err("a signature names a tensor that is no input or output");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use snaptrak_domain::Random as _;
    use snaptrak_testkit::{SeededRandom, models::tflite};

    /// Nothing here may panic, read outside or run away, whatever the bytes; that it ends is what this asserts.
    #[test]
    fn no_bytes_make_the_check_panic() {
        let good = tflite::relu(4).file();
        let random = SeededRandom::new(7);
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut noise = [0; 12];
            random.fill(&mut noise).unwrap();
            let mut bytes = good.clone();
            for change in noise.chunks_exact(4).take(1 + usize::from(noise[3] % 3)) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
                bytes[at] = change[2];
            }
            taken += usize::from(check(&bytes).is_ok());
        }
        assert!(taken > 0, "some changes are to bytes that nobody reads");
    }
}
