//! TFLite: FlatBuffers, whose numbers of fields are those of `schema.fbs`.

/// `TensorType`.
pub const FLOAT32: u8 = 0;
/// As above.
pub const FLOAT16: u8 = 1;
/// As above.
pub const INT8: u8 = 9;

/// `BuiltinOperator`.
pub const CONV_2D: u32 = 3;
/// As above.
pub const DEQUANTIZE: u32 = 6;
/// As above.
pub const MUL: u32 = 18;
/// As above.
pub const RELU: u32 = 19;
/// As above.
pub const CUSTOM: u32 = 32;
/// As above.
pub const QUANTIZE: u32 = 114;

/// What a field of a table holds.
#[derive(Debug, Clone)]
pub enum Field {
    /// A byte.
    Byte(u8),
    /// Four bytes.
    Word(u32),
    /// Eight bytes.
    Long(u64),
    /// Something elsewhere in the file.
    Node(Node),
}

/// What an offset leads to.
#[derive(Debug, Clone)]
pub enum Node {
    /// Fields with their numbers.
    Table(Vec<(usize, Field)>),
    /// A vector of bytes.
    Bytes(Vec<u8>),
    /// A vector of words.
    Words(Vec<u32>),
    /// A vector of longs.
    Longs(Vec<u64>),
    /// A vector of tables.
    Nodes(Vec<Node>),
}

/// A text, which is bytes with a zero that is not counted.
#[must_use]
pub fn text(text: &str) -> Field {
    Field::Node(Node::Bytes(text.as_bytes().to_vec()))
}

/// A vector of indices or sizes.
#[must_use]
pub fn words(words: &[i32]) -> Field {
    Field::Node(Node::Words(words.iter().map(|word| *word as u32).collect()))
}

fn align(out: &mut Vec<u8>, to: usize, ahead: usize) {
    while !(out.len() + ahead).is_multiple_of(to) {
        out.push(0);
    }
}

/// Writes a node behind what there is and answers where it begins.
fn write(node: &Node, out: &mut Vec<u8>) -> usize {
    match node {
        Node::Table(fields) => write_table(fields, out),
        Node::Bytes(bytes) => {
            align(out, 16, 4);
            let at = out.len();
            out.extend((bytes.len() as u32).to_le_bytes());
            out.extend(bytes);
            out.push(0);
            at
        }
        Node::Words(words) => {
            align(out, 4, 0);
            let at = out.len();
            out.extend((words.len() as u32).to_le_bytes());
            words.iter().for_each(|word| out.extend(word.to_le_bytes()));
            at
        }
        Node::Longs(longs) => {
            align(out, 8, 4);
            let at = out.len();
            out.extend((longs.len() as u32).to_le_bytes());
            longs.iter().for_each(|long| out.extend(long.to_le_bytes()));
            at
        }
        Node::Nodes(nodes) => {
            align(out, 4, 0);
            let at = out.len();
            out.extend((nodes.len() as u32).to_le_bytes());
            out.resize(out.len() + 4 * nodes.len(), 0);
            for (index, node) in nodes.iter().enumerate() {
                let place = at + 4 + 4 * index;
                let target = write(node, out);
                out[place..place + 4].copy_from_slice(&((target - place) as u32).to_le_bytes());
            }
            at
        }
    }
}

fn write_table(fields: &[(usize, Field)], out: &mut Vec<u8>) -> usize {
    align(out, 8, 0);
    let slots = fields.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
    let description = out.len();
    out.resize(description + 4 + 2 * slots, 0);
    align(out, 8, 0);
    let at = out.len();
    // Every field has eight bytes, which no reader minds.
    let length = 8 + 8 * fields.len();
    out.resize(at + length, 0);
    let short = |out: &mut Vec<u8>, at: usize, number: usize| {
        out[at..at + 2].copy_from_slice(&(number as u16).to_le_bytes());
    };
    short(out, description, 4 + 2 * slots);
    short(out, description + 2, length);
    out[at..at + 4].copy_from_slice(&((at - description) as u32).to_le_bytes());
    for (place, (index, field)) in fields.iter().enumerate() {
        let offset = 8 + 8 * place;
        short(out, description + 4 + 2 * index, offset);
        let place = at + offset;
        match field {
            Field::Byte(byte) => out[place] = *byte,
            Field::Word(word) => out[place..place + 4].copy_from_slice(&word.to_le_bytes()),
            Field::Long(long) => out[place..place + 8].copy_from_slice(&long.to_le_bytes()),
            Field::Node(node) => {
                let target = write(node, out);
                out[place..place + 4].copy_from_slice(&((target - place) as u32).to_le_bytes());
            }
        }
    }
    at
}

/// A file whose root is this table.
#[must_use]
pub fn file(root: &Node) -> Vec<u8> {
    let mut out = b"\0\0\0\0TFL3".to_vec();
    let at = write(root, &mut out);
    out[..4].copy_from_slice(&(at as u32).to_le_bytes());
    out
}

/// A tensor.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Its name.
    pub name: &'static str,
    /// `TensorType`.
    pub element: u8,
    /// Its sizes.
    pub sizes: Vec<i32>,
    /// Its bytes, if it lies in the file.
    pub data: Vec<u8>,
    /// Scale and zero, if it is quantised.
    pub scale: Option<(f32, i64)>,
    /// Its sizes with -1 for each that only a run tells, if there is one.
    pub open: Vec<i32>,
}

impl Tensor {
    /// One of floats that a run computes.
    #[must_use]
    pub fn floats(name: &'static str, sizes: &[i32]) -> Self {
        Self { name, element: FLOAT32, sizes: sizes.to_vec(), data: Vec::new(), scale: None, open: Vec::new() }
    }

    fn node(&self, buffer: u32) -> Node {
        let mut fields = vec![
            (0, words(&self.sizes)),
            (1, Field::Byte(self.element)),
            (2, Field::Word(buffer)),
            (3, text(self.name)),
        ];
        if let Some((scale, zero)) = self.scale {
            let scales = Field::Node(Node::Words(vec![scale.to_bits()]));
            let zeros = Field::Node(Node::Longs(vec![zero as u64]));
            fields.push((4, Field::Node(Node::Table(vec![(2, scales), (3, zeros)]))));
        }
        if !self.open.is_empty() {
            fields.push((7, words(&self.open)));
        }
        Node::Table(fields)
    }
}

/// An operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// `BuiltinOperator`.
    pub kind: u32,
    /// Its name, if it is one of the app's own.
    pub name: Option<&'static str>,
    /// Tensors by index.
    pub inputs: Vec<i32>,
    /// As above.
    pub outputs: Vec<i32>,
    /// `BuiltinOptions` with its table.
    pub options: Option<(u8, Vec<(usize, Field)>)>,
}

impl Operation {
    /// One without options.
    #[must_use]
    pub fn new(kind: u32, inputs: &[i32], outputs: &[i32]) -> Self {
        Self { kind, name: None, inputs: inputs.to_vec(), outputs: outputs.to_vec(), options: None }
    }
}

/// A model with one graph.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its tensors.
    pub tensors: Vec<Tensor>,
    /// Its operations, each of a kind of its own.
    pub operations: Vec<Operation>,
    /// Tensors by index.
    pub inputs: Vec<i32>,
    /// As above.
    pub outputs: Vec<i32>,
}

impl Model {
    /// The file.
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        file(&self.root())
    }

    /// The root, for who wants to change something.
    #[must_use]
    pub fn root(&self) -> Node {
        let codes = self.operations.iter().map(|operation| {
            let older = operation.kind.min(127) as u8;
            let mut fields = vec![(0, Field::Byte(older)), (2, Field::Word(1)), (3, Field::Word(operation.kind))];
            fields.extend(operation.name.map(|name| (1, text(name))));
            Node::Table(fields)
        });
        let operators = self.operations.iter().enumerate().map(|(index, operation)| {
            let mut fields = vec![(1, words(&operation.inputs)), (2, words(&operation.outputs))];
            fields.push((0, Field::Word(index as u32)));
            if let Some((kind, table)) = &operation.options {
                fields.extend([(3, Field::Byte(*kind)), (4, Field::Node(Node::Table(table.clone())))]);
            }
            Node::Table(fields)
        });
        // The first buffer is nobody's, and each tensor with bytes has one.
        let mut buffers = vec![Node::Table(Vec::new())];
        let mut tensors = Vec::new();
        for tensor in &self.tensors {
            tensors.push(tensor.node(if tensor.data.is_empty() { 0 } else { buffers.len() as u32 }));
            if !tensor.data.is_empty() {
                buffers.push(Node::Table(vec![(0, Field::Node(Node::Bytes(tensor.data.clone())))]));
            }
        }
        let graph = Node::Table(vec![
            (0, Field::Node(Node::Nodes(tensors))),
            (1, words(&self.inputs)),
            (2, words(&self.outputs)),
            (3, Field::Node(Node::Nodes(operators.collect()))),
            (4, text("main")),
        ]);
        Node::Table(vec![
            (0, Field::Word(3)),
            (1, Field::Node(Node::Nodes(codes.collect()))),
            (2, Field::Node(Node::Nodes(vec![graph]))),
            (4, Field::Node(Node::Nodes(buffers))),
        ])
    }
}

/// `y = max(x, 0)` of so many values.
#[must_use]
pub fn relu(values: i32) -> Model {
    Model {
        tensors: vec![Tensor::floats("x", &[1, values]), Tensor::floats("y", &[1, values])],
        operations: vec![Operation::new(RELU, &[0], &[1])],
        inputs: vec![0],
        outputs: vec![1],
    }
}
