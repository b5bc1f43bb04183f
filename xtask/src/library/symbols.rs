//! What a host can see of the library, and what the library takes from its host.
//!
//! A host may bring its own SQLite, OpenSSL or turbojpeg. So nothing but the interface is exported, and nothing is taken from
//! outside but the system's C library, each symbol by its version.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::Check;
use crate::error::Result;
use crate::process;

/// Whose symbols the system's libraries carry as versions.
const SYSTEM_VERSIONS: [&str; 2] = ["GLIBC_", "GCC_"];

/// Hooks that the compiler's start files ask for, weakly, in every shared library.
const WEAK_HOOKS: [&str; 3] = ["__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"];

/// What it may be loaded with.
const NEEDED: [&str; 5] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libdl.so.2", "ld-linux-x86-64.so.2"];

/// Looks at the dynamic symbols of `shipped`; beside those of the library that the generated code was made from, where it is there.
pub(super) fn check(shipped: &Path, generated_from: Option<&Path>) -> Result<Vec<Check>> {
    let exported = names(shipped, "--defined-only")?;
    let strangers = exported.iter().filter(|name| !is_of_the_interface(name)).map(|name| format!("exports {name}"));
    let missing = match generated_from {
        Some(library) => names(library, "--defined-only")?
            .into_iter()
            .filter(|name| is_of_the_interface(name) && !exported.contains(name))
            .map(|name| format!("does not export {name}, which the generated code calls"))
            .collect(),
        None => Vec::new(),
    };
    let taken = names(shipped, "--undefined-only")?.into_iter().filter(|name| !is_of_the_system(name));
    let dynamic = process::run(Command::new("readelf").args(["--dynamic", "--wide"]).arg(shipped))?;
    let needed = needed(&dynamic).filter(|name| !NEEDED.contains(name)).map(|name| format!("is loaded with {name}"));
    Ok(vec![
        Check { name: "exports only the interface", wrong: strangers.collect() },
        Check { name: "exports the whole interface", wrong: missing },
        Check {
            name: "takes only the C library from its host",
            wrong: taken.map(|name| format!("takes {name} from its host")).chain(needed).collect(),
        },
    ])
}

fn names(library: &Path, which: &str) -> Result<BTreeSet<String>> {
    let listing = process::run(Command::new("nm").args(["--dynamic", "--format=posix", which]).arg(library))?;
    Ok(listing.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn is_of_the_interface(name: &str) -> bool {
    name.starts_with("uniffi_") || name.starts_with("ffi_")
}

fn is_of_the_system(name: &str) -> bool {
    let version = name.split_once('@').map(|(_, version)| version.trim_start_matches('@'));
    WEAK_HOOKS.contains(&name)
        || version.is_some_and(|version| SYSTEM_VERSIONS.iter().any(|ours| version.starts_with(ours)))
}

/// The libraries of lines like `0x1 (NEEDED)  Shared library: [libc.so.6]`.
fn needed(dynamic: &str) -> impl Iterator<Item = &str> {
    let lines = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| line.split_once('[')?.1.strip_suffix(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_interface_and_the_c_library_pass() {
        assert!(is_of_the_interface("uniffi_snaptrak_ffi_fn_method_snaptrak_lock"));
        assert!(is_of_the_interface("ffi_snaptrak_ffi_rustbuffer_alloc"));
        for stranger in ["sqlite3_open", "EVP_sha1", "tjDecompress2", "UNIFFI_META_SNAPTRAK_FFI_ENUM_KIND"] {
            assert!(!is_of_the_interface(stranger), "{stranger}");
        }
        assert!(is_of_the_system("memcpy@GLIBC_2.14") && is_of_the_system("_Unwind_Resume@GCC_3.0"));
        for taken in ["EVP_sha1@OPENSSL_3.0.0", "sqlite3_open", "EVP_sha1"] {
            assert!(!is_of_the_system(taken), "{taken}");
        }
    }

    #[test]
    fn needed_libraries_are_read() {
        let dynamic = " 0x01 (NEEDED)   Shared library: [libcrypto.so.3]\n 0x0e (SONAME)   Library soname: [a.so]\n";
        assert_eq!(needed(dynamic).collect::<Vec<_>>(), ["libcrypto.so.3"]);
    }
}
