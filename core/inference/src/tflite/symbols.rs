//! What a library is, read from its file before any of its code runs.
//!
//! LiteRT's binary interface changes between minor versions and its library tells no version. It does export one table of
//! all its functions, which grows with every version and whose size stands in the file's list of symbols (ELF, `st_size`).
//! Refuses to know anything but 64-bit little-endian ELF, which is what Linux and Android load.

use snaptrak_domain::engine::EngineError;
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

/// LiteRT's table of functions.
const LITERT_TABLE: &[u8] = b"kLiteRtRuntimeBuiltin";
/// Bytes of that table in the one version whose signatures stand in `litert_foreign.rs`: 169 functions.
const LITERT_TABLE_BYTES: u64 = 169 * FUNCTION_BYTES;
const FUNCTION_BYTES: u64 = 8;
/// That version.
pub(super) const LITERT_VERSION: &str = "2.3";
/// The function that every library with TensorFlow Lite's C API has.
const CLASSIC_FUNCTION: &[u8] = b"TfLiteInterpreterCreate";

const ELF_MAGIC: &[u8] = b"\x7fELF\x02\x01";
const ELF_HEADER_BYTES: usize = 64;
const SECTION_BYTES: usize = 64;
const SYMBOL_BYTES: usize = 24;
/// Type of the section with the symbols that a loader sees.
const SECTION_DYNAMIC_SYMBOLS: u32 = 11;
/// The largest library known has some 20 MB with less than one of symbols; a hostile header must not fill the memory.
const TABLE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which interface a library has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interface {
    /// LiteRT's compiled models, of exactly the known version.
    Litert,
    /// TensorFlow Lite's C API; it tells its version itself.
    Classic,
}

/// Which interface the library in `path` has; an error for one that has neither, or LiteRT's of another version.
pub(super) fn interface_of(path: &Path) -> Result<Interface, EngineError> {
    let failed = |detail: String| EngineError::Library { detail: format!("{}: {detail}", path.display()) };
    let mut file = File::open(path).map_err(|error| failed(error.kind().to_string()))?;
    let symbols = Symbols::read(&mut file).ok_or_else(|| failed("this is not a library for this system".into()))?;
    match symbols.size_of(LITERT_TABLE) {
        Some(LITERT_TABLE_BYTES) => Ok(Interface::Litert),
        Some(bytes) => Err(failed(format!(
            "this is LiteRT with a table of {} functions, and {LITERT_VERSION} with {} is needed",
            bytes / FUNCTION_BYTES,
            LITERT_TABLE_BYTES / FUNCTION_BYTES
        ))),
        None if symbols.size_of(CLASSIC_FUNCTION).is_some() => Ok(Interface::Classic),
        None => {
            Err(failed(format!("this is neither LiteRT {LITERT_VERSION} nor a library with TensorFlow Lite's C API")))
        }
    }
}

/// A library's dynamic symbols with their names.
struct Symbols {
    symbols: Vec<u8>,
    names: Vec<u8>,
}

impl Symbols {
    /// `None` for a file that is no such library.
    fn read(file: &mut File) -> Option<Self> {
        let header = read_at(file, 0, ELF_HEADER_BYTES as u64)?;
        if !header.starts_with(ELF_MAGIC) {
            return None;
        }
        let (sections_at, section_count) = (number(&header, 40, 8)?, number(&header, 60, 2)?);
        let sections = read_at(file, sections_at, section_count.checked_mul(SECTION_BYTES as u64)?)?;
        let sections: Vec<&[u8]> = sections.chunks_exact(SECTION_BYTES).collect();
        let is_dynamic = |section: &&&[u8]| number(section, 4, 4) == Some(u64::from(SECTION_DYNAMIC_SYMBOLS));
        let dynamic = sections.iter().find(is_dynamic)?;
        let names = sections.get(usize::try_from(number(dynamic, 40, 4)?).ok()?)?;
        let mut contents = |section: &[u8]| read_at(file, number(section, 24, 8)?, number(section, 32, 8)?);
        Some(Self { symbols: contents(dynamic)?, names: contents(names)? })
    }

    /// The size of a symbol that the library defines.
    fn size_of(&self, name: &[u8]) -> Option<u64> {
        self.symbols.chunks_exact(SYMBOL_BYTES).find_map(|symbol| {
            let at = usize::try_from(number(symbol, 0, 4)?).ok()?;
            let is_named = self.names.get(at..)?.strip_prefix(name)?.first() == Some(&0);
            let is_defined = number(symbol, 6, 2)? != 0;
            (is_named && is_defined).then(|| number(symbol, 16, 8))?
        })
    }
}

fn read_at(file: &mut File, offset: u64, length: u64) -> Option<Vec<u8>> {
    if length > TABLE_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.seek(SeekFrom::Start(offset)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// A little-endian number of `length` bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
