//! LiteRT's status codes in words (`litert_common.h`).

use std::ffi::c_int;

/// Everything is well.
pub(super) const OK: c_int = 0;

/// What a code means; the number stays beside it, so that it can be looked up.
pub(super) fn in_words(status: c_int) -> String {
    let words = match status {
        OK => "no error",
        1 => "invalid argument",
        2 => "out of memory",
        3 => "the runtime failed",
        4 => "an input is missing",
        5 => "not supported",
        6 => "not found",
        7 => "timed out",
        8 => "wrong version",
        9 => "unknown error",
        10 => "it exists already",
        100 => "cancelled",
        500 => "the file cannot be read",
        501 => "this is no model",
        502 => "a library cannot be loaded",
        503 => "it cannot be written in LiteRT's format",
        504 => "it cannot be compiled for the accelerator",
        1000 => "an index is out of bounds",
        1001 => "a tensor's type is invalid",
        1002 => "the graph is invalid",
        1003 => "the graph cannot be changed",
        1500 => "the tool's configuration is invalid",
        2000 => "no rule fits an operation",
        2001 => "a rule fits an operation wrongly",
        3000 => "no pattern fits",
        3001 => "a transformation is invalid",
        4000 => "the runtime's version is not supported",
        4001 => "the compiler's version is not supported",
        4002 => "the compiled code is of another version",
        5000 => "an operation's shapes cannot be inferred",
        5001 => "shapes cannot be inferred",
        _ => "a status that this build does not know",
    };
    format!("{words} (LiteRT status {status})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_words_with_its_number_and_an_unknown_one_says_so() {
        assert_eq!(in_words(501), "this is no model (LiteRT status 501)");
        for unknown in [-1, 11, c_int::MAX] {
            assert!(in_words(unknown).contains("does not know") && in_words(unknown).contains(&unknown.to_string()));
        }
    }
}
