//! ONNX: protocol buffers, whose numbers of fields are those of `onnx.proto`.

/// `TensorProto.DataType`.
pub const FLOAT: u64 = 1;
/// As above.
pub const INT8: u64 = 3;
/// As above.
pub const INT64: u64 = 7;
/// As above.
pub const FLOAT16: u64 = 10;

/// A message that grows.
#[derive(Debug, Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn raw(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, field: u64, number: u64) -> Self {
        self.raw(field << 3);
        self.raw(number);
        self
    }

    /// Adds a text, bytes or a message.
    #[must_use]
    pub fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        self.raw(field << 3 | 2);
        self.raw(bytes.as_ref().len() as u64);
        self.0.extend_from_slice(bytes.as_ref());
        self
    }
}

/// A tensor of weights.
#[must_use]
pub fn tensor(name: &str, data_type: u64, sizes: &[u64], raw: &[u8]) -> Message {
    let tensor = sizes.iter().fold(Message::default(), |message, size| message.number(1, *size));
    tensor.number(2, data_type).bytes(8, name).bytes(9, raw)
}

/// A tensor whose bytes lie in another file.
#[must_use]
pub fn tensor_elsewhere(name: &str, sizes: &[u64], location: &str) -> Message {
    let entry = Message::default().bytes(1, "location").bytes(2, location);
    let tensor = sizes.iter().fold(Message::default(), |message, size| message.number(1, *size));
    tensor.number(2, FLOAT).bytes(8, name).bytes(13, entry.0).number(14, 1)
}

/// A number that an operation is told.
#[must_use]
pub fn attribute(name: &str, number: u64) -> Message {
    Message::default().bytes(1, name).number(3, number).number(20, 2)
}

/// An input or output of floats; sizes that are open have a name.
#[must_use]
pub fn port(name: &str, sizes: &[Result<u64, &str>]) -> Message {
    let dimension = |size: &Result<u64, &str>| match size {
        Ok(size) => Message::default().number(1, *size),
        Err(name) => Message::default().bytes(2, name),
    };
    let shape = sizes.iter().fold(Message::default(), |shape, size| shape.bytes(1, dimension(size).0));
    let tensor = Message::default().number(1, FLOAT).bytes(2, shape.0);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, tensor.0).0)
}

/// One operation.
#[must_use]
pub fn node(operation: &str, domain: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
    let node = outputs.iter().fold(node, |node, output| node.bytes(2, output));
    let node = node.bytes(4, operation).bytes(7, domain);
    attributes.iter().fold(node, |node, attribute| node.bytes(5, &attribute.0))
}

/// A model's file.
#[must_use]
pub fn model(nodes: &[Message], tensors: &[Message], inputs: &[Message], outputs: &[Message]) -> Vec<u8> {
    let mut graph = Message::default().bytes(2, "tiny");
    for (field, messages) in [(1, nodes), (5, tensors), (11, inputs), (12, outputs)] {
        graph = messages.iter().fold(graph, |graph, message| graph.bytes(field, &message.0));
    }
    let version = Message::default().bytes(1, "").number(2, 13);
    Message::default().number(1, 8).bytes(7, graph.0).bytes(8, version.0).0
}

/// `y = max(x, 0)` of so many values.
#[must_use]
pub fn relu(values: u64) -> Vec<u8> {
    let sizes = [Ok(1), Ok(values)];
    model(&[node("Relu", "", &["x"], &["y"], &[])], &[], &[port("x", &sizes)], &[port("y", &sizes)])
}
