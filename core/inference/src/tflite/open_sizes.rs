//! Which sizes of a model's inputs only a run tells. Both libraries tell sizes as they are at the moment, so this is read from the
//! file, which has been looked at.

use super::{
    file_check::IDENTIFIER,
    flatbuffer::{Buffer, Read, Table},
};

/// Names of inputs with their sizes, outermost first, -1 for one that is open.
pub(super) struct InputSizes(Vec<(Vec<u8>, Vec<i32>)>);

impl InputSizes {
    /// Of the file's first graph.
    pub(super) fn of_first_graph(bytes: &[u8]) -> Read<Self> {
        let buffer = Buffer::new(bytes, IDENTIFIER)?;
        let root = buffer.root()?;
        Self::of(root, 0)
    }

    /// Of the graph that the file's first signature is about; of the first one where there is no signature.
    pub(super) fn of_first_signature(bytes: &[u8]) -> Read<Self> {
        let buffer = Buffer::new(bytes, IDENTIFIER)?;
        let root = buffer.root()?;
        let graph = root.tables(7)?.get(0).transpose()?.map_or(Ok(0), |signature| signature.u32(4))?;
        Self::of(root, graph as usize)
    }

    fn of(root: Table<'_>, graph: usize) -> Read<Self> {
        let graph = root.tables(2)?.get(graph).ok_or("a graph is not there")??;
        let tensors = graph.tables(0)?;
        let input = |index: i32| {
            let tensor = usize::try_from(index).ok().and_then(|index| tensors.get(index));
            let tensor = tensor.ok_or("a tensor is not there")??;
            let (shape, signature) = (tensor.i32s(0)?, tensor.i32s(7)?);
            let sizes = if signature.len() > 0 { signature.collect() } else { shape.collect() };
            Ok((tensor.bytes(3)?.unwrap_or_default().to_vec(), sizes))
        };
        graph.i32s(1)?.map(input).collect::<Read<_>>().map(Self)
    }

    /// What the file says of an input; what the library says of it where that is nothing.
    pub(super) fn said<'s>(&'s self, name: &str, told: &'s [i32]) -> &'s [i32] {
        let said = self.0.iter().find(|(input, sizes)| input == name.as_bytes() && sizes.len() == told.len());
        said.map_or(told, |(_, sizes)| sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snaptrak_testkit::models::tflite;

    #[test]
    fn open_sizes_are_those_of_the_signature_and_others_those_of_the_shape() {
        let mut model = tflite::relu(4);
        let said = |model: &tflite::Model| {
            let sizes = [InputSizes::of_first_graph(&model.file()), InputSizes::of_first_signature(&model.file())];
            sizes.map(|sizes| sizes.unwrap().said("x", &[1, 4]).to_vec())
        };
        assert_eq!(said(&model), [[1, 4], [1, 4]]);
        model.tensors[0].open = vec![-1, 4];
        assert_eq!(said(&model), [[-1, 4], [-1, 4]]);
        let sizes = InputSizes::of_first_graph(&model.file()).unwrap();
        assert_eq!(
            (sizes.said("y", &[1, 4]), sizes.said("x", &[7])),
            (&[1, 4][..], &[7][..]),
            "nothing is said of these"
        );
    }
}
