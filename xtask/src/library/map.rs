//! Reads the linker's map: which crate, or which library in C, each byte came from.
//!
//! A line of it is `VMA LMA Size Align`, then by its indent a section of the output, a section of an object, or a symbol. With
//! whole-program optimisation all Rust is one object, so there the symbol tells the crate: the first one that its name mentions,
//! which for a generic function is whose code it is.

use std::collections::BTreeMap;

/// Bytes of the loaded file by where they came from.
pub(super) type Parts = BTreeMap<String, u64>;

/// Columns before the names: two addresses of 16, a size and an alignment, each with a space.
const NUMBERS_WIDTH: usize = 16 + 1 + 16 + 1 + 8 + 1 + 5 + 1;

/// Sections that are not loaded, and so are gone from the stripped file.
const NOT_LOADED: [&str; 4] = [".debug", ".symtab", ".strtab", ".comment"];

/// Sections that take no room in the file.
const EMPTY: [&str; 2] = [".bss", ".tbss"];

/// A part of its own, since a stack that unwinds is a choice.
const UNWINDING: &str = "tables for unwinding";

/// Adds up the map.
pub(super) fn parts(map: &str) -> Parts {
    let mut parts = Parts::new();
    let mut section = "";
    // An object's section whose symbol has not been read yet.
    let mut open: Option<(&str, u64)> = None;
    for (bytes, name) in map.lines().filter_map(line) {
        let indent = name.len() - name.trim_start().len();
        let name = name.trim();
        if indent >= 16 {
            if let Some((object, bytes)) = open.take() {
                add(&mut parts, &part(object, Some(name)), bytes);
            }
            continue;
        }
        if let Some((object, bytes)) = open.take() {
            add(&mut parts, &part(object, None), bytes);
        }
        if indent == 0 {
            section = name;
        } else if !NOT_LOADED.iter().chain(&EMPTY).any(|gone| section.starts_with(gone)) {
            open = Some((name, bytes));
        }
    }
    if let Some((object, bytes)) = open {
        add(&mut parts, &part(object, None), bytes);
    }
    parts
}

fn line(line: &str) -> Option<(u64, &str)> {
    let numbers = line.get(..NUMBERS_WIDTH)?;
    let bytes = u64::from_str_radix(numbers.split_whitespace().nth(2)?, 16).ok()?;
    Some((bytes, line.get(NUMBERS_WIDTH..)?))
}

fn add(parts: &mut Parts, name: &str, bytes: u64) {
    *parts.entry(name.to_owned()).or_default() += bytes;
}

/// `PATH/libsnaptrak_ffi.a(sqlite3.o):(.text)`, and the symbol that begins there.
fn part(object: &str, symbol: Option<&str>) -> String {
    let (file, section) = object.split_once(":(").unwrap_or((object, ""));
    let member = file.rsplit_once('(').map_or(file, |(_, member)| member.trim_end_matches(')'));
    if member.contains("sqlcipher") || member.contains("sqlite3") {
        "SQLCipher".to_owned()
    } else if member.ends_with(".c.o") || member.ends_with(".asm.o") {
        "turbojpeg".to_owned()
    } else if file.starts_with('<') {
        linker_made(section)
    } else if !member.ends_with(".rcgu.o") {
        // What the crate `ring` compiled from C and assembly.
        "ring".to_owned()
    } else {
        let constants = || if section.starts_with(".eh_frame") { UNWINDING } else { "Rust constants" }.to_owned();
        symbol.and_then(crate_of).unwrap_or_else(constants)
    }
}

fn linker_made(section: &str) -> String {
    match section.trim_end_matches(')') {
        ".eh_frame" | ".eh_frame_hdr" => UNWINDING.to_owned(),
        ".rela.dyn" | ".relr.dyn" => "relocations".to_owned(),
        _ => "made by the linker".to_owned(),
    }
}

/// How the older of Rust's two manglings writes what a name may not hold; the linker leaves it as it is.
const ESCAPES: [(&str, &str); 8] = [
    ("$LT$", "<"),
    ("$GT$", ">"),
    ("$RF$", "&"),
    ("$C$", ","),
    ("$LP$", "("),
    ("$u20$", " "),
    ("$u7b$", "{"),
    ("..", "::"),
];

/// The first crate that a demangled name mentions.
fn crate_of(symbol: &str) -> Option<String> {
    let symbol = ESCAPES.iter().fold(symbol.to_owned(), |name, (escape, meant)| name.replace(escape, meant));
    let end = symbol.find("::")?;
    let start = symbol[..end].rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |place| place + 1);
    let name = symbol[start..end].split_once('[').map_or(&symbol[start..end], |(name, _)| name);
    match name {
        "" => None,
        "core" | "alloc" | "std" | "gimli" | "addr2line" | "rustc_demangle" | "miniz_oxide" | "compiler_builtins" => {
            Some("Rust's std".to_owned())
        }
        other => Some(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_for_whose_they_are() {
        let row = |bytes: &str, name: &str| format!("{:>16} {:>16} {bytes:>8} {:>5} {name}\n", "1f40", "1f40", 16);
        let map = [
            row("ff0", ".text"),
            row("10", "        /l/libsnaptrak_ffi.a(snaptrak_ffi-9.rcgu.o):(.text.a)"),
            row("10", "                <alloc::vec::Vec<u8> as core::fmt::Debug>::fmt"),
            row("20", "        /l/libsnaptrak_ffi.a(snaptrak_ffi-9.rcgu.o):(.text.c)"),
            row("20", "                _$LT$$RF$mut$u20$serde_json..de..Deserializer$LT$R$GT$$u20$as$u20$X$GT$::a::h0"),
            row("20", "        /l/libsnaptrak_ffi.a(snaptrak_ffi-9.rcgu.o):(.text.b)"),
            row("18", "                snaptrak_store::list::page"),
            row("8", "                snaptrak_store::list::other"),
            row("30", "        /l/libsnaptrak_ffi.a(9a-sqlcipher.o):(.text)"),
            row("40", "        /l/libsnaptrak_ffi.a(0f-resize.c.o):(.text)"),
            row("7", "        /l/libsnaptrak_ffi.a(snaptrak_ffi-9.rcgu.o):(.rodata..Lanon)"),
            row("50", "        <internal>:(.eh_frame)"),
            row("999", ".bss"),
            row("999", "        /l/libsnaptrak_ffi.a(9a-sqlcipher.o):(.bss)"),
        ];
        let found = parts(&map.concat());
        let expected = [
            ("Rust constants", 7),
            ("Rust's std", 0x10),
            ("SQLCipher", 0x30),
            ("serde_json", 0x20),
            ("snaptrak_store", 0x20),
            ("tables for unwinding", 0x50),
            ("turbojpeg", 0x40),
        ];
        assert_eq!(found, expected.map(|(name, bytes)| (name.to_owned(), bytes)).into());
    }
}
